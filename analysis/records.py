"""Records, read from stores into one tidy frame."""

from collections.abc import Sequence
from os import PathLike, fspath

import pandas as pd
import pyarrow as pa

from study.errors import UserError, nearest
from study.parts import read_parts
from study.remote import Remote, parse
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
    A folder that is not there, a part that cannot be read, or one of a version that is not known
    is a UserError that names it.
    """
    named = [folders] if isinstance(folders, str | PathLike | Remote) else list(folders)
    below = [one if isinstance(one, Remote) else parse(fspath(one)) for one in named]
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
    return frame
