"""The store: a folder of Parquet parts, each written whole or not at all, and the resolved grid."""

import signal

if __name__ == "__main__":  # Ctrl-C during the imports ends the process and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from itertools import count
from math import prod
from os import SEEK_END
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib import format as npy

from study import strictyaml
from study.checkpoints import Arrays
from study.command import go
from study.compare import compare, in_packs
from study.errors import UserError, line
from study.grid import Grid
from study.parts import (
    DamagedError,
    find_parts,
    read_all,
    read_part,
    read_parts,
    repeated,
    whole,
    write_part,
)
from study.remote import Shelf, files
from study.results import LABELS, Results, labels_of
from study.schema import SCHEMA

GROWS = (
    *("name", "title", "methods", "replicates", "subsets", "runs", "predictions"),
    *("dataset.splits", "imbalance.rho", "imbalance.mu", "imbalance.cells"),
)
"""Keys that may differ between two grids of one store: more of them is more of the same study."""

ANEW = ("dataset.splits", "subsets")
"""Those of which no number is more than null: with one the study is drawn in another way."""

GRID, PARTS, PREDICTIONS = "grid.yaml", "records", "predictions"
FAILURES, CHECKPOINTS, DAMAGED = "failures", "checkpoints", "damaged"

SEAL = sha256().digest_size
"""Bytes of a checkpoint's digest, which stands before it."""


@dataclass(frozen=True)
class Store:
    """The records of one grid below a folder, on disk or in a bucket:

    grid.yaml               the resolved grid
    records/<job>.parquet   parts; every file that ends in .parquet is complete
    predictions/            <training>.npy (float16 logits) and labels.npy, where a grid keeps them;
                            of a set split anew labels-<split>.npy
    failures/<case>.txt     tracebacks of cases that failed, until they succeed
    checkpoints/<key>.npz   where long trainings stand, until their job is done: a digest, then npz
    drivers/<id>.json       who writes here now (study/driver.py)
    damaged/                parts that could not be read, set aside
    """

    folder: Shelf

    def compare(self, grid: Grid) -> None:
        """Refuse a grid whose protocol is not that of the records already here."""
        file = self.folder / GRID
        if not file.exists():
            if find_parts(self.folder):
                raise UserError(
                    f"{self.folder}: holds records, but no {GRID} that says by which protocol; "
                    f"put it back, or name another folder with --results"
                )
            return
        stored, asked = _leaves(_read(file)), _leaves(grid.resolved())
        needed = _leaves(grid.identity())
        for path in sorted(stored.keys() | needed.keys()):
            before, now = stored.get(path), asked.get(path)
            anew = path in ANEW and None in (before, now)
            if before != now and (anew or path not in GROWS):
                raise UserError(
                    f"{self.folder}: holds records of another protocol: {line(path)} is "
                    f"{line(str(before))} there, {line(str(now))} in this grid. Give the grid "
                    f"another name, or another folder with --results."
                )

    def open(self, grid: Grid) -> None:
        """Make the folder, write down the grid, and drop what killed writers have left half."""
        file = self.folder / GRID
        try:
            if isinstance(self.folder, Path):
                for half in self.folder.rglob(".*.part"):
                    half.unlink(missing_ok=True)
            text = strictyaml.dump(grid.resolved())
            with whole(file, replace=True) as out:
                out.write(text.encode())
            (self.folder / PARTS).mkdir(exist_ok=True)
        except OSError as error:
            name = error.filename or self.folder
            raise UserError(f"{name}: cannot be written ({error.strerror})") from None

    def write(self, results: Results) -> Shelf | None:
        """Add the results of a job; what is already there is left as it is. Gives the part, where
        there are records.
        """
        part: Shelf | None = None
        for name, array in results.predictions.items():
            self._save(name, array)
        if results.records:
            part = self.folder / PARTS / f"{results.job}.parquet"
            write_part(part, pa.Table.from_pylist(results.records, schema=SCHEMA))
        for key in results.checkpoints:
            self._checkpoint(key).unlink(missing_ok=True)
        return part

    def loose(self) -> list[Shelf]:
        """The parts that a job has left each; parts of several have a - in their names."""
        return [part for part in find_parts(self.folder / PARTS) if "-" not in part.name]

    def compact(self) -> tuple[int, int]:
        """Put every record into one part; gives the parts before, and the records."""
        parts = find_parts(self.folder)
        return len(parts), self.fold(parts)

    def fold(self, parts: Sequence[Shelf]) -> int:
        """Put the records of these parts into one, and say how many they are.

        The one part is whole before the first of the others goes, and a record that stands in two
        parts is read once: whenever it is stopped, nothing is lost or doubled.
        """
        parts = list(dict.fromkeys(parts))
        every = read_all(parts)
        self._refuse_conflicts(every)
        table = every.filter(pc.invert(repeated(every)))
        ids = "".join(table["record_id"].to_pylist())
        path = self.folder / PARTS / f"all-{sha256(ids.encode()).hexdigest()[:16]}.parquet"
        if parts not in ([], [path]):
            write_part(path, table)
            if read_part(path)["record_id"] != table["record_id"]:
                raise UserError(f"{path}: not what was written; nothing was removed")
            for part in parts:
                if part != path:
                    part.unlink(missing_ok=True)
        return len(table)

    def _refuse_conflicts(self, every: pa.Table) -> None:
        """Two records of one id that contradict each other: which is right is not ours to say."""
        packed = in_packs(every)
        again = np.flatnonzero(repeated(every).to_numpy(zero_copy_only=False))
        for place in again:
            first, then = every.slice(place - 1, 2).to_pylist()
            if wrong := compare(first, then, packed).different:
                raise UserError(
                    f"{self.folder}: record {then['record_id']} stands in two parts, in which "
                    f"{wrong[0].name} is {wrong[0].there} and {wrong[0].here}; nothing was removed"
                )

    def keep(self, key: str, arrays: Arrays) -> None:
        """Put a checkpoint in the place of the one before."""
        content = BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        with whole(self._checkpoint(key), replace=True) as out:
            out.write(sha256(content.getbuffer()).digest())
            out.write(content.getbuffer())

    def kept(self, key: str) -> Arrays | None:
        """The checkpoint of that key; None where there is none as it was written."""
        try:
            content = self._checkpoint(key).read_bytes()
        except OSError:
            return None
        if sha256(content[SEAL:]).digest() != content[:SEAL]:
            return None
        try:
            with np.load(BytesIO(content[SEAL:]), allow_pickle=False) as file:
                return dict(file)
        except Exception:  # sealed by something else than `keep`
            return None

    def forget_checkpoints(self) -> None:
        """Drop what is left of trainings that were done in another way in the end."""
        _clear(self.folder / CHECKPOINTS)

    def _checkpoint(self, key: str) -> Shelf:
        return self.folder / CHECKPOINTS / f"{key}.npz"

    def _save(self, name: str, array: np.ndarray) -> None:
        path = self.folder / PREDICTIONS / f"{name}.npy"
        if name.startswith(LABELS) and _intact(path):
            if not np.array_equal(self.array(name), array):
                raise UserError(
                    f"{path}: not the labels of the test images; logits were kept in the order of "
                    f"other labels: remove {path.parent}, and the same command makes it again"
                )
        elif not _intact(path):
            with whole(path, replace=True) as out:
                np.save(out, array, allow_pickle=False)

    def read(
        self, columns: list[str] | None = None, damaged: list[DamagedError] | None = None
    ) -> pa.Table:
        """Every record, once, in the order of its id; what is damaged raises, or is listed."""
        return read_parts([self.folder / PARTS], columns, damaged)

    def records(self, damaged: list[DamagedError] | None = None) -> set[str]:
        """The ids of the records that are stored."""
        return set(self.read(["record_id"], damaged)["record_id"].to_pylist())

    def set_aside(self, part: Shelf) -> Shelf:
        """Move a part to where it is no part, for whoever wants to know what became of it."""
        aside = (self.folder / DAMAGED / f"{part.name}.{number}" for number in count())
        place = next(path for path in aside if not path.exists())
        with whole(place) as out:
            out.write(part.read_bytes())
        part.unlink()
        return place

    def predictions(self, splits: Iterable[int | None]) -> dict[int | None, set[str]]:
        """For each split the ids of trainings whose logits are stored whole; none of a split whose
        labels are not.
        """
        arrays = files(self.folder / PREDICTIONS, ".npy")
        stored = {path.stem for path in arrays if _intact(path)}
        return {split: stored if labels_of(split) in stored else set() for split in splits}

    def array(self, name: str) -> np.ndarray:
        """Logits, or labels, by the name that they are kept under."""
        return read_array(self.folder / PREDICTIONS / f"{name}.npy")

    def fail(self, case: str, traceback: str) -> Shelf:
        """Keep the traceback of a case that failed."""
        path = self.folder / FAILURES / f"{case}.txt"
        with whole(path, replace=True) as out:
            out.write(traceback.encode(errors="backslashreplace"))
        return path

    def forget_failure(self, case: str) -> None:
        """Drop the traceback of a case that has succeeded since."""
        (self.folder / FAILURES / f"{case}.txt").unlink(missing_ok=True)
        _drop_empty(self.folder / FAILURES)


def _clear(folder: Shelf) -> None:
    """Remove a folder with its files."""
    if folder.is_dir():
        found: list[Shelf] = [*folder.iterdir()]
        for path in found:
            path.unlink(missing_ok=True)
        _drop_empty(folder)


def _drop_empty(folder: Shelf) -> None:
    """Remove a folder that holds nothing."""
    with suppress(OSError):
        folder.rmdir()


def _leaves(fields: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Every value by its key's path."""
    leaves = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            leaves.update(_leaves(value, f"{above}{key}."))
        else:
            leaves[above + key] = value
    return leaves


def _read(file: Shelf) -> dict[str, Any]:
    """The keys of a stored grid."""
    try:
        fields = strictyaml.parse(file.read_text(), str(file))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a readable grid ({error})") from None
    if not isinstance(fields, dict):
        raise UserError(f"{file}: not a readable grid")
    return fields


def read_array(path: Shelf) -> np.ndarray:
    """The array that is stored there."""
    found: np.ndarray = np.load(BytesIO(path.read_bytes()), allow_pickle=False)
    return found


def _intact(path: Shelf) -> bool:
    """Whether an array is stored there, as long as it says."""
    try:
        with path.open("rb") as file:
            if npy.read_magic(file) != (1, 0):
                return False
            shape, _, kind = npy.read_array_header_1_0(file)
            held = -file.tell() + file.seek(0, SEEK_END)
            return not kind.hasobject and held == prod(shape) * kind.itemsize
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError, TokenError):
        return False


if __name__ == "__main__":
    from study.upkeep import main  # the command

    go(main)
