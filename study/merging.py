"""Stores of one grid put together: what others have and one lacks is added to it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from study.compare import Change, compare, in_packs
from study.driver import Driver
from study.errors import UserError, line, shorten
from study.grid import Grid
from study.logits import MOST_APART, decided_apart
from study.parts import find_parts, read_part, read_rows, repeated, whole, write_part
from study.plan import plan
from study.remote import Shelf
from study.results import Record, labels_of
from study.store import FAILURES, GRID, PARTS, PREDICTIONS, Store, read_array
from study.stored import grid_of, one_store

MOST, VALUES = 50, 3
"""Conflicts, and reasons or values in a line, that are named; what is left is counted."""

BATCH = 1000
"""Records that are compared at a time."""

Say = Callable[[str], None]


class ConflictError(Exception):
    """What two stores hold under one id, and what cannot be both; a line each."""

    def __init__(self, lines: Sequence[str]):
        super().__init__(*lines)
        self.lines = lines


@dataclass(frozen=True)
class Findings:
    """What is to be done, and what is to be said of it, found out before anything is written.

    grid: the one to write down. added: the records that are missing. arrays: logits, and the labels
    before them, by the names that they get.
    """

    grid: Grid
    added: pa.Table
    arrays: dict[str, Shelf]
    lines: list[str]


def merge(folder: Shelf, others: Sequence[Shelf], say: Say) -> int:
    """Add to the store in `folder`, which may not be there yet, what it lacks of the others'; 0
    done, 1 where they contradict it or one another: then nothing is written.

    Logits are whole before the records are, and these appear at once: killed at any moment nothing
    is lost or doubled, and the same again does what is left.
    """
    sources = [one_store(other) for other in others]
    for source in sources:
        if inside(folder, source.folder) or inside(source.folder, folder):
            raise UserError(f"{source.folder}: is {folder}, lies in it or holds it")
    into = one_store(folder) if find_parts(folder) else Store(folder)
    try:
        if not folder.exists():
            survey(into, sources)  # which may refuse, and then leaves no folder behind
        with Driver(into, say, "study.store merge"):
            found = survey(into, sources)
            carry_out(into, found)
    except ConflictError as error:
        for line in error.lines[:MOST]:
            say(line)
        more = f" ({MOST} of them above)" if len(error.lines) > MOST else ""
        say(f"{len(error.lines):,} conflicts{more}; nothing was merged")
        return 1
    for line in found.lines:
        say(line)
    say(f"{folder}: {len(into.records()):,} records")
    return 0


def inside(one: Shelf, other: Shelf) -> bool:
    """Whether a folder is the other, or lies in it."""
    if isinstance(one, Path) and isinstance(other, Path):
        try:
            return one.resolve().is_relative_to(other.resolve())
        except (OSError, RuntimeError) as error:  # links in a circle
            raise UserError(f"{one}, {other}: cannot be followed ({line(str(error))})") from None
    return f"{one}/".startswith(f"{other}/")


def survey(into: Store, sources: Sequence[Store]) -> Findings:
    """Compare all there is; raises ConflictError with everything that does not go together."""
    there = (into.folder / GRID).exists()
    grid, lines = widest([into, *sources] if there else sources)
    conflicts: list[str] = []
    held = once(into, conflicts)
    origin = dict.fromkeys(held["record_id"].to_pylist(), into)
    arrays: dict[str, Shelf] = {}
    for source in sources:
        table = once(source, conflicts)
        known = pc.is_in(table["record_id"], pa.array(list(origin), pa.string()))
        tally: Counter[str] = Counter()
        conflicts += contradictions(source, table.filter(known), held, origin, tally)
        conflicts += collect(into, source, table, arrays)
        lines += strangers(source, table)
        new = table.filter(pc.invert(known))
        counts = [f"{number:,} {words}" for words, number in tally.most_common(VALUES)]
        rest = tally.total() - sum(number for _, number in tally.most_common(VALUES))
        counts += [f"{rest:,} within tolerance for other reasons"] if rest else []
        words = f"; there already: {', '.join(counts)}" if counts else ""
        lines.append(f"{source.folder}: {len(new):,} records added{words}")
        origin |= dict.fromkeys(new["record_id"].to_pylist(), source)
        held = pa.concat_tables([held, new])
    if conflicts:
        raise ConflictError(conflicts)
    into.compare(grid)  # which refuses records of a grid that is not known
    mine = [store is not into for store in map(origin.get, held["record_id"].to_pylist())]
    return Findings(grid, held.filter(pa.array(mine, pa.bool_())), arrays, lines)


def once(store: Store, conflicts: list[str]) -> pa.Table:
    """Every record of a store, once; of two of one id that differ neither is the right one."""
    every = read_rows([store.folder])
    again, packed = repeated(every), in_packs(every)
    for place in np.flatnonzero(again.to_numpy(zero_copy_only=False)):
        first, then = every.slice(place - 1, 2).to_pylist()
        if wrong := compare(first, then, packed).different:
            conflicts.append(conflict(first, wrong, f"once in {store.folder}", "once"))
    return every.filter(pc.invert(again))


def widest(stores: Sequence[Store]) -> tuple[Grid, list[str]]:
    """The grid of the first that plans what all of them do, or else of the first; and words."""
    first, *others = stores
    grid, lines = grid_of(first), []
    for other in others:
        asked = grid_of(other)
        try:
            first.compare(asked)
        except UserError as error:
            raise UserError(f"{other.folder}: cannot be merged: {error}") from None
        have, more = planned(grid), planned(asked)
        if have < more:
            grid = asked
            lines.append(f"{GRID} is that of {other.folder}, which plans more")
        elif not more <= have:
            lines.append(
                f"{other.folder}: its {GRID} plans some records that the other does not, and lacks "
                f"some; the other stays"
            )
    return grid, lines


def planned(grid: Grid) -> set[tuple[str, str]]:
    """All that a grid asks for: records, and the logits of trainings."""
    return {
        one
        for due in plan(grid)
        for one in [
            *(("record", row.id) for row in due.rows),
            *(("logits", training.id) for training in due.predictions),
        ]
    }


def contradictions(
    source: Store, both: pa.Table, held: pa.Table, origin: dict[str, Store], tally: Counter[str]
) -> Iterator[str]:
    """Records of a source that differ from those held under the same id; the others are counted."""
    packed = any(in_packs(table) for table in (both, held))
    place = {id: number for number, id in enumerate(held["record_id"].to_pylist())}
    for start in range(0, len(both), BATCH):
        theirs = both.slice(start, BATCH)
        ours = held.take([place[id] for id in theirs["record_id"].to_pylist()])
        for there, here in zip(theirs.to_pylist(), ours.to_pylist(), strict=True):
            found = compare(there, here, packed)
            if found.identical:
                tally["identical"] += 1
            elif not found.different:
                tally[f"within tolerance ({found.reasons})"] += 1
            else:
                other = origin[there["record_id"]].folder
                yield conflict(there, found.different, f"in {source.folder}", f"in {other}")


def conflict(record: Record, changes: Sequence[Change], there: str, here: str) -> str:
    """What two stores, or two parts, hold under the id of a record, in words."""
    values = [
        f"{one.name} is {shorten(str(one.there))} {there}, {shorten(str(one.here))} {here}"
        for one in changes[:VALUES]
    ]
    more = len(changes) - VALUES
    values += [f"and {more} more values"] if more > 0 else []
    name = f"{record['record_id']} ({record['method']}, case {record['case_id']})"
    return f"conflict: {name}: {'; '.join(values)}"


def strangers(source: Store, table: pa.Table) -> Iterator[str]:
    """A line where the grid of a source does not plan some of its records; of all it is refused."""
    plans = planned(grid_of(source))
    unknown = sum(("record", id) not in plans for id in table["record_id"].to_pylist())
    if unknown == len(table) and unknown:
        raise UserError(f"{source.folder}: its {GRID} plans none of its records")
    if unknown:
        yield f"{source.folder}: {unknown:,} of its records are none that its {GRID} plans"


def collect(into: Store, source: Store, table: pa.Table, arrays: dict[str, Shelf]) -> Iterator[str]:
    """Put logits that are missing, and labels, among the arrays; labels that differ are told."""
    trainings = set(zip(table["split"].to_pylist(), table["training_id"].to_pylist(), strict=True))
    splits = {split for split, _ in trainings}
    theirs, ours = source.predictions(splits), into.predictions(splits)
    for split in splits:
        labels = labels_of(split)
        if labels not in theirs[split]:
            continue
        file, missing = f"{labels}.npy", labels not in ours[split]
        new = source.folder / PREDICTIONS / file
        old = arrays.setdefault(file, new) if missing else into.folder / PREDICTIONS / file
        if not np.array_equal(read_array(old), read_array(new)):
            yield f"conflict: {new}: not the test labels that {old} holds"
        for name in sorted(training for own, training in trainings if own == split):
            if name not in theirs[split]:
                continue
            file, new = f"{name}.npy", source.folder / PREDICTIONS / f"{name}.npy"
            held = into.folder / PREDICTIONS / file if name in ours[split] else None
            old = held or arrays.setdefault(file, new)
            if (
                old != new
                and (apart := decided_apart(read_array(old), read_array(new))) > MOST_APART
            ):
                yield f"conflict: {new}: decides {apart:.1%} of the images otherwise than {old}"


def carry_out(into: Store, found: Findings) -> None:
    """Write the grid, then the arrays, then the records; drop the tracebacks of cases now done."""
    into.open(found.grid)
    for name, path in found.arrays.items():
        with whole(into.folder / PREDICTIONS / name, replace=True) as out:
            out.write(path.read_bytes())
    if len(found.added):
        ids = found.added["record_id"]
        name = sha256("".join(ids.to_pylist()).encode()).hexdigest()[:16]
        part = into.folder / PARTS / f"merged-{name}.parquet"
        write_part(part, found.added)
        if read_part(part)["record_id"] != found.added["record_id"]:
            raise UserError(f"{part}: not what was written; the stores it is from are as they were")
    if (into.folder / FAILURES).is_dir():
        stored = into.records()
        for due in plan(found.grid):
            if stored.issuperset(row.id for row in due.rows):
                into.forget_failure(due.case.id)
