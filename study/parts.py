"""Files that are whole or not there at all, and the Parquet parts among them."""

import os
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from study.errors import UserError
from study.schema import SCHEMA, SINCE, VERSION


def read_parts(folders: Sequence[Path], columns: list[str] | None = None) -> pa.Table:
    """Every record below these folders, once, in the order of its id."""
    paths = [path for folder in folders for path in find_parts(folder)]
    if not paths:
        wanted = pa.schema([SCHEMA.field(c) for c in columns]) if columns else SCHEMA
        return wanted.empty_table()
    with ThreadPoolExecutor() as pool:
        tables = list(pool.map(lambda path: read_part(path, columns), paths))
    table = pa.concat_tables(tables).sort_by("record_id")
    ids = table["record_id"].to_numpy()
    first = np.ones(len(ids), bool)
    first[1:] = ids[1:] != ids[:-1]
    return table.filter(pa.array(first))


def find_parts(folder: Path) -> list[Path]:
    """The files that hold records, in the order of their names; a folder that hides them raises."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    return sorted(
        Path(below, name)
        for below, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if name.endswith(".parquet")
    )


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The records in one part; a file that is no part of this schema is an error that names it."""
    try:
        with pq.ParquetFile(path) as file:
            found = (file.schema_arrow.metadata or {}).get(b"schema_version", b"none").decode()
            if found != VERSION and found not in SINCE:
                known = ", ".join([*SINCE, VERSION])
                raise UserError(f"{path}: schema version {found}, this program reads {known}")
            later = SINCE.get(found, {})
            if not file.schema_arrow.equals(_written(found)):
                raise UserError(f"{path}: its columns are not those of schema version {found}")
            wanted = SCHEMA.names if columns is None else columns
            table = file.read([name for name in wanted if name not in later], use_threads=False)
            rows = file.metadata.num_rows
            fields = [SCHEMA.field(name) for name in wanted]
            arrays = [
                pa.array([later[f.name]] * rows, f.type) if f.name in later else table[f.name]
                for f in fields
            ]
            return pa.table(arrays, schema=pa.schema(fields, metadata=SCHEMA.metadata))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable part of records ({error})") from None


@cache
def _written(version: str) -> pa.Schema:
    """The schema of the parts of that version."""
    later = SINCE.get(version, {})
    return pa.schema([field for field in SCHEMA if field.name not in later])


@contextmanager
def whole(path: Path, replace: bool = False) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is complete.

    One that already has the name stays, unless it is to be replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if replace or not path.exists():
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
