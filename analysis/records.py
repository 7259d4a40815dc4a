"""Records, read from stores into one tidy frame."""

from collections.abc import Sequence
from os import PathLike, fspath

import pandas as pd
import pyarrow as pa

from analysis.possible import impossible
from study.errors import UserError, nearest
from study.parts import read_parts
from study.remote import Remote, Shelf, parse
from study.schema import COLUMNS, SCHEMA

TYPES = {pa.string(): pd.StringDtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
"""Columns that may be null keep their type; a float's null is NaN."""

ABOUT = {name: about for name, _, about in COLUMNS}
"""What each column means; docs/records.md is this as a page."""

Folder = str | PathLike[str] | Remote
"""A path, or an address in a bucket: s3://BUCKET/PATH, gs://BUCKET/PATH."""


def load(folders: Folder | Sequence[Folder], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The records below a folder, or below several: a row each, typed as the schema says.

    A folder may be a store, or hold stores, finished or not; what an older version wrote is read
    with the columns that it lacks filled in. A record that stands in two stores is one row.
    `columns`: these alone, and the record's id; ABOUT says what each one means.
    A folder that is not there, a part that cannot be read, one of a version that is not known, or a
    record that cannot be is a UserError that names it.
    """
    if columns is not None and (
        isinstance(columns, str) or not all(isinstance(name, str) for name in columns)
    ):
        raise UserError(f"columns: found {columns!r}; needed: a list of names")
    below = [
        folder_of(one) for one in (folders if isinstance(folders, list | tuple) else [folders])
    ]
    for folder in below:
        if not folder.is_dir():
            raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    wanted = sorted({"record_id", *columns}) if columns else None
    for name in wanted or ():
        if name not in ABOUT:
            near = nearest(name, ABOUT) or f"; there: {', '.join(ABOUT)}"
            raise UserError(f"columns: no column {name!r} in a record{near}")
    table = read_parts(below, wanted)
    frame: pd.DataFrame = table.select(wanted or SCHEMA.names).to_pandas(types_mapper=TYPES.get)
    if wrong := impossible(frame):
        raise UserError(f"{', '.join(map(str, below))}: {wrong}; python -m study.verify says more")
    return frame


def folder_of(named: object) -> Shelf:
    """The folder, or the place in a bucket, that is meant."""
    if isinstance(named, Remote):
        return named
    if not isinstance(named, str | PathLike) or not str(named):
        raise UserError(f"load: found {named!r}; needed: a folder, or several")
    return parse(str(fspath(named)))
