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
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.command import Parser, go, guarded, positive, shelf
from study.errors import UserError, few, line, printable, told
from study.remote import Shelf, files
from study.screen import duration, terminal
from study.standing import STATES, Looker, Standing
from study.store import GRID, PARTS

Line = TypeVar("Line")

MOST = 5
"""Failures, and damaged parts, that are told of; of more the number is."""

BEGIN = 600.0
"""Seconds for which a watch waits for a run to begin."""


class AbsentError(UserError):
    """There is no store yet."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 told, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)
    return guarded(lambda: status(options), "stopped looking")


def status(options: argparse.Namespace) -> int:
    """Say how each store stands, once or until nobody drives one any longer."""
    if options.json and options.watch:
        raise UserError("--watch: found beside --json; one of them is enough")
    view, console = View(options.folder), terminal()
    if options.watch:
        watch(view, options.watch, console)
    elif options.json:
        standings, wrong = view.look()
        print(json.dumps([one.fields() for one in standings], indent=2))
        sys.stderr.write("".join(f"{text}\n" for text in wrong))
    else:
        console.print(view.shown())
    return 0


class View:
    """What is to be seen of a store, or of those in a folder, which may become more."""

    def __init__(self, folder: Shelf):
        self._folder = folder
        self._lookers: dict[str, Looker] = {}
        self.driven = self.done = False

    def look(self) -> tuple[list[Standing], list[str]]:
        """How the stores stand, and what is wrong with those that cannot be looked at; of one
        alone it is raised.
        """
        found = stores(self._folder)
        standings, wrong = [], []
        for folder in found:
            try:
                looker = self._lookers.setdefault(str(folder), Looker(folder))
                standings.append(looker.look())
            except (UserError, OSError) as error:
                if len(found) == 1:
                    raise
                wrong.append(told(error))
        self.driven = any(one.driven for one in standings)
        self.done = not wrong and all(one.done for one in standings)
        return standings, wrong

    def shown(self, room: Console | None = None) -> RenderableType:
        """One store cell by cell, several a line each; no longer than the terminal is high."""
        standings, wrong = self.look()
        one = standings[0] if len(standings) == 1 and not wrong else None
        draw = partial(detail, one) if one else partial(overview, standings, wrong)
        whole = draw()
        lines = len(one.cells) if one else len(standings)
        over = len(room.render_lines(whole)) + 1 - room.height if room else 0
        return draw(max(0, lines - over - 1)) if over > 0 else whole


def watch(view: View, seconds: float, console: Console) -> None:
    """Show it again and again while somebody drives, or may be about to."""
    begin, seen = monotonic(), False
    moves = console.is_terminal and not console.is_dumb_terminal
    console.soft_wrap = not moves  # there every line must be counted
    live = Live(console=console, auto_refresh=False) if moves else None
    with live or nullcontext():
        while True:
            waits = not seen and monotonic() - begin < BEGIN
            shown: list[RenderableType] = []
            try:
                shown += [view.shown(console if live else None)]
            except AbsentError:
                if not waits:
                    raise
            seen = seen or view.driven
            waits = waits and not (seen or view.done)
            shown += [Text("nobody runs it yet; waiting for a run to begin")] if waits else []
            if live:
                live.update(Group(*shown), refresh=True)
            else:
                console.print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", *shown, sep="\n")
            if not (view.driven or waits):
                break
            time.sleep(seconds)
    console.print("all is done" if view.done else "nobody runs it; the same command goes on")


def stores(folder: Shelf) -> list[Shelf]:
    """The store that the folder is, or those that it holds."""
    if is_store(folder):
        return [folder]
    needed = "needed: a store, or the folder of several"
    if not folder.is_dir() and folder.exists():
        raise UserError(f"{folder}: not a folder; {needed}")
    if not folder.is_dir():
        raise AbsentError(f"{folder}: no such folder; {needed}")
    found = [path for path in sorted(files(folder, ""), key=str) if is_store(path)]
    if not found:
        raise AbsentError(f"{folder}: no store in it; python -m study.run makes one")
    return found


def is_store(folder: Shelf) -> bool:
    """Whether it holds a grid, or the records of one; or that cannot be told."""
    try:
        return (folder / GRID).exists() or (folder / PARTS).is_dir()
    except PermissionError:
        return True


def overview(
    standings: Sequence[Standing], wrong: Sequence[str], rows: int | None = None
) -> RenderableType:
    """A line a store, or for no more than so many of them, and below them what is wrong."""
    table = headed("store", "cases", *STATES, "cases/h", "left", "")
    chosen = fewer(standings, [one.done for one in standings], rows)
    for one in chosen:
        rate = "" if one.rate is None else f"{one.rate:,.0f}"
        left = "" if one.left is None else duration(one.left)
        how = "runs" if one.driven else "lost" if one.driver else ""
        table.add_row(printable(one.folder.name), *numbers(one.total), rate, left, how)
    if len(chosen) < len(standings):
        table.add_row(f"and {len(standings) - len(chosen):,} more")
    table.add_section()
    table.add_row("in all", *numbers(sum((one.total for one in standings), Counter())))
    said = few([f"damaged: {trouble}" for one in standings for trouble in one.damaged], MOST)
    return Group(table, *(Text(text, style="red") for text in (*said, *wrong)))


def detail(one: Standing, rows: int | None = None) -> RenderableType:
    """A line a cell, or for no more than so many of them, and what else there is to say."""
    table = headed("cell", "cases", *STATES)
    done = [states["done"] == states.total() for states in one.cells.values()]
    cells = fewer(list(one.cells.items()), done, rows)
    for cell, states in cells:
        table.add_row(cell, *numbers(states))
    if len(cells) < len(one.cells):
        table.add_row(f"and {len(one.cells) - len(cells):,} more")
    if len(one.cells) > 1:
        table.add_section()
        table.add_row("in all", *numbers(one.total))
    lines = [f"{printable(str(one.folder))}  {printable(one.grid.title)}".rstrip()]
    if one.driver is not None:
        lines += [f"{one.driver}{'' if one.driven else ': killed, or its machine lost'}"]
    if one.rate is not None and one.left is not None:
        lines += [f"{one.rate:,.0f} cases an hour, {duration(one.left)} left"]
    lines += [f"{one.records:,} of {one.planned:,} records"]
    said = few([f"failed: {case}: {line(last)}" for case, last in one.errors.items()], MOST)
    said += few([f"damaged: {trouble}" for trouble in one.damaged], MOST)
    return Group(*map(Text, lines), table, *(Text(text, style="red") for text in said))


def fewer(lines: Sequence[Line], done: Sequence[bool], room: int | None) -> list[Line]:
    """So many of the lines at most, in their order; those that are done make room for others."""
    chosen = sorted(range(len(lines)), key=lambda number: done[number])[:room]
    return [lines[number] for number in sorted(chosen)]


def numbers(states: Counter[str]) -> list[str]:
    """How many cases there are, and in each state."""
    return [f"{states.total():,}", *(f"{states[state]:,}" for state in STATES)]


def headed(first: str, *others: str) -> Table:
    """An empty table of numbers, after a column of words."""
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(
        "python -m study.status",
        "Say how a sweep stands, or all in a folder, by cases; a "
        "case is done when all its records are stored.",
    )
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
        help="look again every so many seconds (5), until nobody runs it any longer; where nobody "
        f"does yet that is waited for, {BEGIN / 60:.0f} minutes at most",
    )
    p.add_argument("--json", action="store_true", help="as a JSON list, an object a store")
    return p


if __name__ == "__main__":
    go(main)
