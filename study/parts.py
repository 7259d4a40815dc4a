"""Files that are whole or not there at all, and the Parquet parts among them."""

import errno
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from study.errors import UserError, line, shorten
from study.remote import Remote, Shelf
from study.schema import SCHEMA, SINCE, VERSION

Read = TypeVar("Read")

PART = ".parquet"

WIDTH = len(SCHEMA)

SMALL = 1 << 20
"""Bytes of a part that is read in one piece; that of one case has a fortieth."""

HERE, AFAR = 2, 16
"""Parts that are read beside one another: a bucket answers late, but many at a time; on a disk more
threads get in one another's way.
"""


class DamagedError(UserError):
    """A part that cannot be read as one."""

    def __init__(self, part: Shelf, why: object):
        told = shorten(" ".join(str(why).split()))
        super().__init__(f"{part}: not a readable part of records ({told})")
        self.part = part


def read_parts(
    folders: Sequence[Shelf],
    columns: list[str] | None = None,
    damaged: list[DamagedError] | None = None,
) -> pa.Table:
    """Every record below these folders, once, in the order of its id.

    A part that is damaged is an error that names it, or put into the list.
    """
    if columns is not None and "record_id" not in columns:
        return read_parts(folders, [*columns, "record_id"], damaged).select(columns)
    table = read_rows(folders, columns, damaged)
    return table.filter(pc.invert(repeated(table)))


def read_rows(
    folders: Sequence[Shelf],
    columns: list[str] | None = None,
    damaged: list[DamagedError] | None = None,
) -> pa.Table:
    """The same, with every record as often as it is stored."""
    known = len(damaged or ())

    def read(parts: Sequence[Shelf]) -> pa.Table:
        if damaged is not None:
            del damaged[known:]  # what was found before a part had gone
        return read_all(parts, columns, damaged)

    return listed(folders, read)


def listed(folders: Sequence[Shelf], read: Callable[[Sequence[Shelf]], Read]) -> Read:
    """What is read of the parts below these folders. One that goes meanwhile has been put into
    another, and all are listed again.
    """
    before: list[Shelf] = []
    while True:
        parts = [part for folder in folders for part in find_parts(folder)]
        try:
            return read(parts)
        except FileNotFoundError as error:
            if parts == before:  # as a link that leads nowhere
                name = error.filename or error
                raise UserError(f"{name}: cannot be read (no such file, though listed)") from None
            before = parts


def repeated(table: pa.Table) -> pa.Array:
    """Which records, in the order of their ids, have the id of the one before."""
    ids = table["record_id"].to_numpy()
    again = np.zeros(len(ids), bool)
    again[1:] = ids[1:] == ids[:-1]
    return pa.array(again)


def read_all(
    parts: Sequence[Shelf],
    columns: list[str] | None = None,
    damaged: list[DamagedError] | None = None,
) -> pa.Table:
    """Every row of these parts, in the order of the ids and of the parts."""

    def read(part: Shelf) -> pa.Table:
        try:
            return read_part(part, columns)
        except DamagedError as error:
            if damaged is None:
                raise
            damaged.append(error)
            return empty

    empty = (pa.schema([SCHEMA.field(c) for c in columns]) if columns else SCHEMA).empty_table()
    afar = any(isinstance(part, Remote) for part in parts)
    with ThreadPoolExecutor(AFAR if afar else HERE) as pool:
        table = pa.concat_tables([empty, *pool.map(read, parts)])
    return table.combine_chunks().sort_by("record_id")  # thousands of chunks take long to sort


def find_parts(folder: Shelf) -> list[Shelf]:
    """The files that hold records, in the order of their names; a folder that hides them raises."""
    if isinstance(folder, Remote):
        return [path for path in folder.walk() if is_part(path.name)]

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    found, known = [], {os.path.realpath(folder)}
    for below, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        found += [Path(below, name) for name in names if is_part(name)]
        places = {os.path.realpath(Path(below, name)): name for name in sorted(folders)}
        folders[:] = [name for place, name in places.items() if place not in known]
        known.update(places)  # a link may lead back
    return sorted(found)


def is_part(name: str) -> bool:
    """Whether a file of that name holds records; what begins with a dot is some program's own."""
    return name.endswith(PART) and not name.startswith(".")


def read_part(part: Shelf, columns: list[str] | None = None) -> pa.Table:
    """The records in one part; a file that is no part of this schema is an error that names it."""
    try:
        with pq.ParquetFile(_source(part), page_checksum_verification=True) as file:
            later = SINCE.get(_version(part, file), {})
            names, schema = _wanted(None if columns is None else tuple(columns))
            held = [name for name in names if name not in later]
            table = file.read(held, use_threads=False)
            rows = file.metadata.num_rows
            arrays = [
                pa.array([later[name]] * rows, schema.field(name).type)
                if name in later
                else table[name]
                for name in names
            ]
            found = pa.table(arrays, schema=schema)
            if "record_id" in names and found["record_id"].null_count:
                raise ValueError("null where the id of a record belongs")
            if len(found) != rows or not _in_place(file.metadata, len(held) + len(later) == WIDTH):
                raise ValueError("its end contradicts what stands before")
            return found
    except (UserError, FileNotFoundError):
        raise
    except Exception as error:  # damage fails in many ways; a disk or a network has a number
        why = line(str(error), 300)
        if isinstance(error, MemoryError) or getattr(error, "errno", None):
            raise UserError(f"{part}: cannot be read ({why})") from None
        raise DamagedError(part, why) from None


def _in_place(footer: pq.FileMetaData, every: bool) -> bool:
    """Whether columns lie where they were written, one after the other, or at least the ids at the
    beginning: a footer has no checksum, unlike pages, and a bit of it makes one column of another.
    To be asked of columns that were read: what describes another may be damaged so that to look at
    it ends the process.
    """
    end = 4  # of the file's first word
    for group in map(footer.row_group, range(footer.num_row_groups)):
        for column in map(group.column, range(footer.num_columns)):
            data, words = column.data_page_offset, column.dictionary_page_offset
            if end != (words if column.has_dictionary_page else data):
                return False
            if not every:
                return True
            end += column.total_compressed_size
    return True


def _source(part: Shelf) -> Any:
    """What Parquet is to read: a small part in one piece, of a large one only what is wanted."""
    if isinstance(part, Path):
        told = part.stat()
        if not S_ISREG(told.st_mode):
            raise ValueError("not a file")
        if told.st_size > SMALL:
            return part
    return pa.BufferReader(part.read_bytes())


_known: dict[frozenset[tuple[bytes, bytes]], str] = {}
"""What the ends of good parts say, and their versions: those of a store nearly all say the same."""


def _version(part: Shelf, file: pq.ParquetFile) -> str:
    """The version of a part's schema, whose columns it has."""
    says = frozenset((file.metadata.metadata or {}).items())
    if says not in _known:
        schema = file.schema_arrow  # takes half as long to make as a column to read
        said = (schema.metadata or {}).get(b"schema_version", b"none")
        found = line(said.decode(errors="backslashreplace"))
        if found != VERSION and found not in SINCE:
            known = ", ".join([*SINCE, VERSION])
            raise UserError(f"{part}: schema version {found}, this program reads {known}")
        if not schema.equals(_written(found)):
            raise UserError(f"{part}: its columns are not those of schema version {found}")
        _known[says] = found
    return _known[says]


@cache
def _wanted(columns: tuple[str, ...] | None) -> tuple[list[str], pa.Schema]:
    """These columns, or all, and the schema of a table of them."""
    names = SCHEMA.names if columns is None else list(columns)
    return names, pa.schema([SCHEMA.field(name) for name in names], metadata=SCHEMA.metadata)


def write_part(part: Shelf, table: pa.Table) -> None:
    """A part of these records, its pages with checksums; one that is there stays."""
    with whole(part) as out:
        pq.write_table(table, out, compression="zstd", write_page_checksum=True)


@cache
def _written(version: str) -> pa.Schema:
    """The schema of the parts of that version."""
    later = SINCE.get(version, {})
    return pa.schema([field for field in SCHEMA if field.name not in later])


@contextmanager
def whole(path: Shelf, replace: bool = False) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is complete.

    One that already has the name stays, unless it is to be replaced.
    """
    if isinstance(path, Remote):
        content = BytesIO()
        yield content
        if replace or not path.exists():
            path.write_bytes(content.getbuffer())
        return
    if not path.name or path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "found a folder", str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a file that can be replaced", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if replace or not path.exists():
            temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # not by a name that nobody knows
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
