"""A user's own data as a grid names them: by a path below the data folder, never a machine's."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import AfterValidator, Strict

from study.errors import DataError, nearest, shorten


def _below(value: str) -> str:
    parts = PurePosixPath(value).parts
    away = not parts or ".." in parts or PureWindowsPath(value).anchor
    if away or "\\" in value or not value.isprintable():
        raise ValueError("needed: a path below the data folder, such as mine/leaves, without ..")
    return "/".join(parts)


Below = Annotated[str, Strict(), AfterValidator(_below)]
"""A path below the data folder, with /; one spelling of each, as it enters the identity."""

Side = Annotated[int, Strict(), Ge(1), Le(1024)]
"""Pixels along a side."""

Classes = Annotated[int, Strict(), Ge(2), Le(100_000)]
"""How many classes there are: a plan needs it, and no data."""


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def locate(folder: Path, path: str) -> Path:
    """Where `path` lies below the data folder, absolute; DataError says what lies there instead."""
    place = folder.absolute()
    try:
        if not place.exists():
            raise DataError(
                f"{place}: no such folder; name the one that holds {path} with --data DIR or "
                f"STUDY_DATA"
            )
        for part in PurePosixPath(path).parts:
            if not (place / part).exists():
                names = sorted(entry.name for entry in place.iterdir())
                raise DataError(
                    f"{place}: holds no {part!r}; found there: {some(names)}{nearest(part, names)}"
                )
            place /= part
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({reason(error)})") from None
    return place


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more


def reason(error: Exception) -> str:
    """Why a file could not be read, in the words of what tried to."""
    words = (isinstance(error, OSError) and error.strerror) or str(error) or repr(error)
    return shorten(" ".join(words.split()))
