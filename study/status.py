"""The command that says how sweeps stand: what is done, running, failed, missing; it only looks."""

import signal

if __name__ == "__main__":  # Ctrl-C during the imports ends the process and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.command import Parser, go, guarded, positive, shelf
from study.driver import DRIVERS, STILL, Card, cards
from study.errors import UserError, line, told
from study.grid import Grid
from study.parts import DamagedError, listed, read_part
from study.plan import Due, plan
from study.remote import Shelf
from study.screen import duration, terminal
from study.store import FAILURES, GRID, PARTS, Store
from study.stored import grid_of

STATES = ("done", "running", "failed", "missing")

ERRORS = 5
"""Failures that are told of; of more the number is."""


@dataclass(frozen=True)
class Standing:
    """How a store stands against the grid that it was last run with.

    cells: how many cases of each are in each state. errors: the newest first, by the case's id.
    """

    folder: Shelf
    grid: Grid
    records: int
    planned: int
    cells: dict[str, Counter[str]]
    errors: dict[str, str]
    damaged: list[DamagedError]
    driver: Card | None

    @property
    def total(self) -> Counter[str]:
        """How many cases are in each state."""
        return sum(self.cells.values(), Counter())

    @property
    def rate(self) -> float | None:
        """Cases an hour of the run that is under way; None until one is over."""
        if self.driver is None or self.driver.gone or not self.driver.seconds:
            return None
        return (self.driver.done + self.driver.failed) / self.driver.seconds * 3600 or None

    @property
    def left(self) -> float | None:
        """Seconds that the run under way takes at this rate."""
        if self.driver is None or self.rate is None:
            return None
        due = self.driver.cases - self.driver.done - self.driver.failed
        return due / self.rate * 3600

    def fields(self) -> dict[str, Any]:
        """All of it for a program."""
        card = self.driver
        return {
            "store": str(self.folder),
            "grid": self.grid.name,
            "cases": self.total.total(),
            **{state: self.total[state] for state in STATES},
            "records": self.records,
            "records_planned": self.planned,
            "cases_per_hour": self.rate and round(self.rate, 1),
            "seconds_left": None if self.left is None else round(self.left),
            "driver": card
            and {"host": card.host, "pid": card.pid, "since": card.since, "gone": card.gone},
            "cells": [
                {"cell": cell, **{state: states[state] for state in STATES}}
                for cell, states in self.cells.items()
            ],
            "errors": self.errors,
            "damaged": [str(trouble) for trouble in self.damaged],
        }


class Looker:
    """Looks at a store again and again; a part is never written twice, so it is read once."""

    def __init__(self, folder: Shelf):
        self._store = Store(folder)
        self._read: dict[str, frozenset[str]] = {}
        self._planned: tuple[bytes, Grid, list[Due]] | None = None
        self._beats: dict[str, tuple[int, float]] = {}

    def look(self) -> Standing:
        """How the store stands now, while others may be writing there."""
        grid, whole = self._plan()
        damaged: list[DamagedError] = []
        folder = self._store.folder / PARTS
        records = listed([folder], lambda parts: self._records(parts, damaged))
        kept = self._store.predictions([split for split, _ in grid.dataset.identities()])
        written = [self._seen(card) for _, card in cards(self._store.folder / DRIVERS)]
        running = {case for card in written if not card.gone for case in card.running}
        failures = self._failures()
        cells: dict[str, Counter[str]] = {}
        done: set[str] = set()
        for due in whole:
            case = due.case.id
            state = "failed" if case in failures else "missing"
            if _done(due, records, kept[due.case.split]):
                state = "done"
                done.add(case)
            elif case in running:
                state = "running"
            cells.setdefault(str(due.case.cell), Counter())[state] += 1
        ids = {row.id for due in whole for row in due.rows}
        return Standing(
            folder=self._store.folder,
            grid=grid,
            records=len(ids & records),
            planned=len(ids),
            cells=cells,
            errors={case: last for case, last in failures.items() if case not in done},
            damaged=damaged,
            driver=min(written, key=lambda card: bool(card.gone), default=None),
        )

    def _seen(self, card: Card) -> Card:
        """The card; one of another machine that has long stood still is known as such."""
        if card.gone is None:
            beat, since = self._beats.setdefault(card.since + card.host, (card.beat, monotonic()))
            if beat != card.beat:
                self._beats[card.since + card.host] = card.beat, monotonic()
            elif monotonic() - since > STILL:
                return replace(card, still=True)
        return card

    def _plan(self) -> tuple[Grid, list[Due]]:
        file = self._store.folder / GRID
        content = file.read_bytes() if file.exists() else b""
        if self._planned is None or self._planned[0] != content:
            grid = grid_of(self._store)
            self._planned = content, grid, plan(grid)
        return self._planned[1:]

    def _records(self, parts: Sequence[Shelf], damaged: list[DamagedError]) -> set[str]:
        """The ids of the records."""
        records: set[str] = set()
        damaged.clear()  # of parts listed before
        for part in parts:
            name = str(part)
            try:
                if name not in self._read:
                    ids = read_part(part, ["record_id"])["record_id"].to_pylist()
                    self._read[name] = frozenset(ids)
                records |= self._read[name]
            except DamagedError as error:
                damaged.append(error)
        return records

    def _failures(self) -> dict[str, str]:
        """The last line of each traceback, by the case, the newest first."""
        found: list[tuple[float, str, str]] = []
        files: list[Shelf] = [*(self._store.folder / FAILURES).glob("*.txt")]
        for path in files:
            try:
                lines = path.read_bytes().decode(errors="replace").strip().splitlines()
                found.append((-path.stat().st_mtime, path.stem, lines[-1] if lines else ""))
            except FileNotFoundError:  # done since
                continue
        return {case: last for _, case, last in sorted(found)}


def _done(due: Due, records: set[str], kept: set[str]) -> bool:
    return all(row.id in records for row in due.rows) and all(
        training.id in kept for training in due.predictions
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 told, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)
    return guarded(lambda: status(options), "stopped looking")


def status(options: argparse.Namespace) -> int:
    """Say how each store stands, once or until nobody drives one any longer."""
    if options.json and options.watch:
        raise UserError("--watch: found beside --json; one of them is enough")
    lookers = [Looker(folder) for folder in stores(options.folder)]
    if options.json:
        standings, wrong = look(lookers)
        print(json.dumps([one.fields() for one in standings], indent=2))
        sys.stderr.write("".join(f"{text}\n" for text in wrong))
        return 0
    console, many = terminal(), len(lookers) > 1
    if options.watch is None:
        console.print(shown(*look(lookers), many))
        return 0
    with (
        Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live
    ):
        while True:
            standings, wrong = look(lookers)
            if live:
                live.update(shown(standings, wrong, many), refresh=True)
            else:
                console.print(shown(standings, wrong, many))
            if not any(one.driver is not None and not one.driver.gone for one in standings):
                return 0
            time.sleep(options.watch)


def stores(folder: Shelf) -> list[Shelf]:
    """The store that the folder is, or those that it holds."""
    if is_store(folder):
        return [folder]
    if not folder.is_dir():
        wrong = "not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {wrong}; needed: a store, or the folder of several")
    inside: list[Shelf] = [*folder.iterdir()]
    found = [path for path in sorted(inside, key=str) if is_store(path)]
    if not found:
        raise UserError(f"{folder}: no store in it; python -m study.run makes one")
    return found


def is_store(folder: Shelf) -> bool:
    """Whether it holds a grid, or the records of one."""
    return (folder / GRID).exists() or (folder / PARTS).is_dir()


def look(lookers: Sequence[Looker]) -> tuple[list[Standing], list[str]]:
    """How the stores stand, and what is wrong with those that cannot be looked at; of one alone it
    is raised.
    """
    standings, wrong = [], []
    for looker in lookers:
        try:
            standings.append(looker.look())
        except (UserError, OSError) as error:
            if len(lookers) == 1:
                raise
            wrong.append(told(error))
    return standings, wrong


def shown(standings: Sequence[Standing], wrong: Sequence[str], many: bool) -> RenderableType:
    """One store cell by cell, several a line each."""
    return overview(standings, wrong) if many else detail(standings[0])


def overview(standings: Sequence[Standing], wrong: Sequence[str]) -> RenderableType:
    """A line a store, and below them what is wrong."""
    table = headed("store", "cases", *STATES, "cases/h", "left")
    for one in standings:
        rate = "" if one.rate is None else f"{one.rate:,.0f}"
        left = "" if one.left is None else duration(one.left)
        numbers = (f"{one.total[state]:,}" for state in STATES)
        table.add_row(one.folder.name, f"{one.total.total():,}", *numbers, rate, left)
    said = [f"damaged: {trouble}" for one in standings for trouble in one.damaged]
    return Group(table, *(Text(text, style="red") for text in (*said, *wrong)))


def detail(one: Standing) -> RenderableType:
    """A line a cell, and what else there is to say."""
    table = headed("cell", *STATES)
    for cell, states in one.cells.items():
        table.add_row(cell, *(f"{states[state]:,}" if states[state] else "" for state in STATES))
    if len(one.cells) > 1:
        table.add_section()
        table.add_row("cases in all", *(f"{one.total[state]:,}" for state in STATES))
    lines = [f"{one.folder}  {one.grid.title}".rstrip()]
    lines += [f"{one.records:,} of {one.planned:,} records"]
    if one.driver is not None and one.driver.gone:
        lines += [f"{one.driver}, has ended without a word; the same command goes on"]
    elif one.driver is not None:
        pace = "" if one.rate is None else f"; {one.rate:,.0f} cases an hour"
        left = "" if one.left is None else f", {duration(one.left)} left"
        lines += [f"{one.driver}{pace}{left}"]
    said = [f"failed: {case}: {line(last)}" for case, last in one.errors.items()]
    said = said[:ERRORS] + ([f"and {len(said) - ERRORS:,} more"] if said[ERRORS:] else [])
    said += [f"damaged: {trouble}" for trouble in one.damaged]
    return Group(*map(Text, lines), table, *(Text(text, style="red") for text in said))


def headed(first: str, *others: str) -> Table:
    """An empty table of numbers, after a column of words."""
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser("python -m study.status", "Say how a sweep stands, or all below a folder.")
    p.add_argument(
        "folder",
        type=shelf,
        metavar="DIR",
        help="a store, such as results/mnist_step, or a folder of stores; or s3://..., gs://...",
    )
    p.add_argument(
        "--watch",
        type=positive,
        nargs="?",
        const=5.0,
        metavar="SECONDS",
        help="look again every so many seconds (5), until nobody runs it any longer",
    )
    p.add_argument("--json", action="store_true", help="as a JSON list, an object a store")
    return p


if __name__ == "__main__":
    go(main)
