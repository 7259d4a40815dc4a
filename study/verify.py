"""The command that proves a store: every record checked in itself, some computed anew."""

import signal

if __name__ == "__main__":  # Ctrl-C during the imports ends the process and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise

import pyarrow as pa
from rich.console import Console

from study.anew import Planned, drawn, named, recompute
from study.command import Parser, go, guarded, shelf, word
from study.compare import Change, Comparison, compare, in_packs
from study.engine.means import Means
from study.errors import UserError, few, shorten
from study.grid import Grid
from study.logits import belied
from study.parts import DamagedError, read_rows
from study.plan import Due, Row, plan
from study.results import Record
from study.screen import terminal
from study.sound import at_odds, strange, wrong
from study.store import GRID, Store
from study.stored import grid_of, one_store
from study.where import add_means, choose_device

HANDFUL = 5
"""Records that are computed anew, unless it is said how many."""

BATCH = 1000
"""Records that are held as Python's objects at a time."""

MOST, VALUES = 20, 3
"""Lines that say one thing, and values in a line, before what is left is only counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 proved, 1 a record is different or contradicts
    itself, 2 wrong use, 130 stopped.
    """
    options = parser().parse_args(arguments)
    return guarded(lambda: verify(options), "stopped; nothing was written")


def verify(options: argparse.Namespace) -> int:
    """Check every record in itself; choose some, compute them anew and compare."""
    if options.only and options.seed is not None:
        raise UserError("--seed: draws a --sample; --only names what to compute anew")
    console = terminal()
    store = one_store(options.folder)
    grid = grid_of(store)
    formulation = None if options.formulation == "auto" else options.formulation
    means = Means(choose_device(options.device), options.pack, formulation)
    means.check(grid.recipe.precision, str(store.folder))
    known = {row.id: (due, row) for due in plan(grid) for row in due.rows}
    damaged: list[DamagedError] = []
    records = read_rows([store.folder], damaged=damaged)
    found = [str(one) for one in damaged] + list(examine(records, known, grid, store))
    for line in few(found, MOST):
        console.print(line, style="red")
    stored: dict[str, int] = {}
    for at, id in enumerate(records["record_id"].to_pylist()):
        stored.setdefault(id, at)
    console.print(f"{store.folder}: {len(stored):,} records; contradictions: {len(found):,}")
    strangers = [id for id in stored if id not in known]
    if strangers:
        words = " ".join(few(strangers, MOST))
        console.print(f"{len(strangers):,} that {GRID} does not plan, not computed anew: {words}")
    there = [known[id] for id in stored if id in known]
    if not there and not damaged:
        raise UserError(f"{store.folder}: its {GRID} plans none of its records")
    chosen = named(options.only, there) if options.only else draw(options, there, console)
    packed = means.most > 1 or in_packs(records)
    tally: Counter[str] = Counter()
    for id, record in recompute(chosen, grid, options.data, means):
        verdict, words = judge(records.slice(stored[id], 1).to_pylist()[0], record, packed)
        tally[verdict] += 1
        line = f"{tally.total()}/{len(chosen)} {describe(*known[id])}: {words}"
        console.print(line, style="red" if verdict == DIFFERENT else None)
    counts = ", ".join(f"{tally[verdict]} {verdict}" for verdict in VERDICTS)
    console.print(f"{tally.total()} computed anew: {counts}")
    return 1 if found or tally[DIFFERENT] else 0


def draw(options: argparse.Namespace, there: Sequence[Planned], console: Console) -> list[Planned]:
    """Records at random, and how to draw them again."""
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    chosen = drawn(options.sample, seed, there)
    if chosen:
        trainings = len({row.training for _, row in chosen})
        console.print(
            f"drawn: records {len(chosen)}, of trainings {trainings}; the same again by "
            f"--sample {options.sample} --seed {seed}"
        )
    return chosen


def examine(
    records: pa.Table, known: Mapping[str, Planned], grid: Grid, store: Store
) -> Iterator[str]:
    """What shows to be wrong without training anything."""
    packed = in_packs(records)
    last: list[Record] = []
    for batch in records.to_batches(BATCH):
        rows = batch.to_pylist()
        for record in rows:
            id = record["record_id"]
            for what in wrong(record):
                yield f"{id}: {what}"
            for what in strange(record, *known[id], grid) if id in known else ():
                yield f"{id}: {what}"
        for first, then in pairwise(last + rows):
            if first["record_id"] == then["record_id"]:
                for change in compare(first, then, packed).different:
                    yield f"{first['record_id']}: stored twice, {both(change, 'once', 'once')}"
        last = rows[-1:]
    for id, what in chain(at_odds(records), belied(records, known, store)):
        yield f"{id}: {what}"


IDENTICAL, WITHIN, DIFFERENT = VERDICTS = ("identical", "within tolerance", "different")


def judge(stored: Record, now: Record | str, packed: bool) -> tuple[str, str]:
    """What a record computed anew says of the stored one, and that in words."""
    if isinstance(now, str):
        return DIFFERENT, f"DIFFERENT: stored, but now it fails with {now}"
    found = compare(stored, now, packed)
    if found.identical:
        return IDENTICAL, IDENTICAL
    if not found.different:
        return WITHIN, f"{WITHIN}: {shifts(found)} ({found.reasons})"
    values = [both(change, "stored", "now") for change in found.different[:VALUES]]
    more = len(found.different) - VALUES
    values += [f"{more} more values"] if more > 0 else []
    code = Change("code", stored["code"], now["code"])
    others = [found.reasons] if found.reasons else []
    others += [str(code)] if code.there != code.here else []
    return DIFFERENT, f"DIFFERENT: {'; '.join(values)}" + (
        f" ({', '.join(others)})" if others else ""
    )


def both(change: Change, first: str, then: str) -> str:
    """A change in words."""
    there, here = (shorten(str(value)) for value in (change.there, change.here))
    return f"{change.name}: {first} {there}, {then} {here}"


def shifts(found: Comparison) -> str:
    """By how much the metrics that are one number have moved, and how many other values."""
    plain = [one for one in found.moved if one.name in PLAIN]
    words = [f"{one.name} {one.here - one.there:+.1e}" for one in plain]
    others = len(found.moved) - len(plain)
    return ", ".join(words + ([f"{others} other values"] if others else []))


PLAIN = ("auc", "accuracy", "train_loss")


def describe(due: Due, row: Row) -> str:
    """A record in words."""
    to = f" to {row.method.to:g}" if row.method.to != 1 else ""
    rate = f"rate {row.training.base:g}, run {row.training.run}"
    return f"{row.id} {row.method.id}{to}, {rate}, case {due.case}"


def number(text: str) -> int:
    """An argument that is a whole number, at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}; needed: a whole number, 0 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(
        "python -m study.verify",
        "Check every record of a store in itself, compute some anew, and compare.",
    )
    p.add_argument("folder", type=shelf, metavar="DIR", help="a store, such as results/quickstart")
    which = p.add_mutually_exclusive_group()
    which.add_argument(
        "--sample",
        type=number,
        default=HANDFUL,
        metavar="N",
        help=f"how many records to compute anew, or a few more, as whole trainings are drawn "
        f"(default: {HANDFUL})",
    )
    which.add_argument(
        "--only",
        type=word,
        nargs="+",
        action="extend",
        metavar="ID",
        help="the beginnings of ids of records, cases or trainings to compute anew instead",
    )
    p.add_argument(
        "--seed", type=number, metavar="N", help="draws the same again (default: another each time)"
    )
    add_means(p)
    return p


if __name__ == "__main__":
    go(main)
