"""The record of a race: everything that was measured and found, as one Parquet file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from bench.machine import Machine
from bench.measurement import Measurement
from bench.projection import Figures, Goal
from study.errors import UserError


@dataclass(frozen=True)
class Settings:
    """How the race was run. data: the folder of real images, or noise."""

    date: str
    data: str
    round_seconds: float
    rounds: int


@dataclass(frozen=True)
class Record:
    """A race."""

    settings: Settings
    machine: Machine
    measurements: Sequence[Measurement]
    figures: Figures
    goals: Sequence[Goal]


TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}

KINDS: dict[str, Any] = {"measurement": Measurement, "figure": Figures, "goal": Goal}


def check(path: Path) -> None:
    """Refuse, before anything is measured, a file that cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        part = path.with_name(f".{path.name}.part")
        part.touch()
        part.unlink()
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written ({error.strerror})") from None


def save(record: Record, path: Path) -> None:
    """A row for each measurement, one for the figures, one for each goal; every row says how the
    race was run and on what. A file of that name is replaced, by a whole one or not at all.
    """
    shared = asdict(record.settings) | asdict(record.machine)
    rows = [
        *({"kind": "measurement", **asdict(each)} for each in record.measurements),
        {"kind": "figure", **asdict(record.figures)},
        *({"kind": "goal", **asdict(each), "verdict": each.verdict} for each in record.goals),
    ]
    table = pa.Table.from_pylist([row | shared for row in rows], schema=_schema())
    content = BytesIO()
    pq.write_table(table, content, compression="zstd")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content.getvalue())
    part.replace(path)


def load(path: Path) -> Record:
    """What was saved."""
    rows = pq.read_table(path).to_pylist()

    def of(kind: type[Any], row: dict[str, Any]) -> Any:
        return kind(**{field.name: row[field.name] for field in fields(kind)})

    parts = {
        name: [of(kind, row) for row in rows if row["kind"] == name] for name, kind in KINDS.items()
    }
    return Record(
        of(Settings, rows[0]),
        of(Machine, rows[0]),
        parts["measurement"],
        parts["figure"][0],
        parts["goal"],
    )


def _schema() -> pa.Schema:
    columns = {"kind": pa.string()}
    for kind in (Measurement, Figures, Goal, Settings, Machine):
        for name, hint in get_type_hints(kind).items():
            inner = get_args(hint)[0] if isinstance(hint, UnionType) else hint
            columns[name] = TYPES[inner]
    return pa.schema([*columns.items(), ("verdict", pa.string())])
