"""How a store stands against its grid: what is done, running, failed, missing; it only looks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from study.driver import DRIVERS, STILL, Card, cards
from study.grid import Grid
from study.parts import DamagedError, listed, read_part
from study.plan import Due, plan
from study.remote import Shelf, files
from study.store import FAILURES, GRID, PARTS, Store
from study.stored import grid_of

STATES = ("done", "running", "failed", "missing")


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
    def done(self) -> bool:
        """Whether every case is."""
        return self.total["done"] == self.total.total()

    @property
    def driven(self) -> bool:
        """Whether somebody drives it, as far as one knows."""
        return self.driver is not None and not self.driver.gone

    @property
    def rate(self) -> float | None:
        """Cases an hour of the run that is under way; None until more are over than are running."""
        if self.driver is None or not self.driven or not self.driver.seconds:
            return None
        over = self.driver.done + self.driver.failed
        return over / self.driver.seconds * 3600 if over > len(self.driver.running) else None

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
        for path in files(self._store.folder / FAILURES, ".txt"):
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
