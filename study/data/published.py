"""Published files: believed only byte for byte, and fetched by torchvision where missing."""

import hashlib
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError

from study.errors import DataError

LARGEST = 1 << 28
"""Bytes that a published file has at most."""


def contents(source: str, dataset: str, folder: Path, files: Mapping[str, str]) -> Iterator[bytes]:
    """The bytes of `files`, the MD5 of each by its place below `folder`.

    Where one is missing, torchvision's `dataset` is asked to put it there.
    """
    paths = [folder / place for place in files]
    try:
        there = all(path.is_file() for path in paths)
    except OSError as error:
        home = paths[0].parent.absolute()
        raise DataError(f"{home}: cannot be read ({error.strerror})") from None
    if not there:
        fetch(source, dataset, folder, paths)
    return map(read, paths, files.values())


def read(path: Path, md5: str) -> bytes:
    """The bytes of a file whose digest is `md5`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    found = hashlib.md5(content).hexdigest()
    if found != md5:
        size = f"{len(content):,}" if len(content) <= LARGEST else f"more than {LARGEST:,}"
        raise DataError(
            f"{path}: not the published file: {size} bytes with MD5 {found}, expected "
            f"{md5}. Remove it and it will be fetched again."
        )
    return content


def fetch(source: str, dataset: str, folder: Path, paths: list[Path]) -> None:
    """Have torchvision's `dataset` bring these files of one folder below `folder`."""
    from torchvision import datasets

    try:
        getattr(datasets, dataset)(folder, download=True)
    except (OSError, RuntimeError, HTTPException, EOFError, TarError) as error:
        missing = ", ".join(path.name for path in paths if not path.is_file())
        home, why = paths[0].parent, " ".join(str(error).split())
        raise DataError(
            f"dataset {source}: {missing or 'a readable file'} missing from {home.absolute()}, "
            f"and fetching failed ({why}). Put the files there, or name the folder that holds "
            f"{home.relative_to(folder)} with --data DIR or STUDY_DATA."
        ) from None
