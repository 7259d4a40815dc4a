"""A path in a bucket (s3://, gs://): the part of pathlib's ways that a store needs, by pyarrow."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from study.errors import UserError, shorten

SCHEMES = ("s3", "gs")
NEEDED = "needed: a folder, s3://BUCKET/PATH or gs://BUCKET/PATH"


@dataclass(frozen=True)
class Stat:
    """When a file was written, in seconds, as the bucket has it."""

    st_mtime: float


@dataclass(frozen=True)
class Remote:
    """`scheme://key`, key being the bucket and the path in it; asked by `query`, such as
    region=eu-west-1 or endpoint_override=http://host:9000. A folder is there once a file is.
    """

    scheme: str
    key: str
    query: str = ""

    @property
    def _files(self) -> Any:
        return _connected(self.scheme, self.key.partition("/")[0], self.query)

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.key).stem

    @property
    def parent(self) -> "Remote":
        return replace(self, key=str(PurePosixPath(self.key).parent))

    def __truediv__(self, below: str) -> "Remote":
        return replace(self, key=str(PurePosixPath(self.key, below)))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    def __lt__(self, other: "Remote") -> bool:
        return self.key < other.key

    def absolute(self) -> "Remote":
        return self

    def with_name(self, name: str) -> "Remote":
        return self.parent / name

    def exists(self) -> bool:
        with self._told():
            return self._files.get_file_info(self.key).type != fs.FileType.NotFound

    def is_dir(self) -> bool:
        with self._told():
            return self._files.get_file_info(self.key).type == fs.FileType.Directory

    def iterdir(self) -> Iterator["Remote"]:
        """What lies right below, in the order of the names."""
        yield from self._below(recursive=False)

    def walk(self) -> Iterator["Remote"]:
        """Every file below, at any depth."""
        yield from self._below(recursive=True)

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a bucket has no folders of its own."""

    def rmdir(self) -> None:
        """Nothing, as well."""

    def stat(self) -> "Stat":
        with self._told():
            return Stat(self._files.get_file_info(self.key).mtime_ns / 1e9)

    def open(self, mode: str = "rb") -> BinaryIO:
        """The file, for reading; what is not read is not fetched."""
        with self._told():
            return self._files.open_input_file(self.key)

    def read_bytes(self) -> bytes:
        with self._told(), self._files.open_input_file(self.key) as file:
            return file.read()

    def read_text(self, errors: str = "strict") -> str:
        return self.read_bytes().decode(errors=errors)

    def write_bytes(self, content: bytes | memoryview) -> None:
        """The whole file at once: it is there with the last byte, or not at all."""
        with self._told(), self._files.open_output_stream(self.key) as out:
            out.write(content)

    def unlink(self, missing_ok: bool = False) -> None:
        with self._told():
            try:
                self._files.delete_file(self.key)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def _below(self, recursive: bool) -> list["Remote"]:
        chosen = fs.FileSelector(self.key, allow_not_found=True, recursive=recursive)
        with self._told():
            found = self._files.get_file_info(chosen)
        wanted = (info for info in found if not recursive or info.is_file)
        return sorted(replace(self, key=info.path) for info in wanted)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong, in the words of a disk's troubles."""
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(self)) from None
        except OSError as error:
            why = shorten(" ".join(str(error).split()), 300)
            raise OSError(error.errno or errno.EIO, why, str(self)) from None


Shelf = Path | Remote
"""Where a store or a file of it lies."""


def files(folder: Shelf, ending: str) -> list[Shelf]:
    """What lies in a folder under names that end so; one that may not be looked into raises."""
    try:
        found: list[Shelf] = [*folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [path for path in found if path.name.endswith(ending)]


def parse(text: str) -> Shelf:
    """The place that a word names: a bucket's where it has a scheme, else a folder's."""
    if "://" not in text:
        return Path(text)
    try:
        parts = urlsplit(text)
    except ValueError:
        raise UserError(f"{text}: not an address; {NEEDED}") from None
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise UserError(f"{text}: no such kind of place; {NEEDED}")
    if "@" in parts.netloc:
        raise UserError(
            f"{parts.scheme}://...@{parts.netloc.rpartition('@')[2]}: keys have no place in an "
            f"address; give them by the environment, such as AWS_ACCESS_KEY_ID"
        )
    key = PurePosixPath(parts.netloc + parts.path)
    return Remote(parts.scheme, str(key), parts.query)


@cache
def _connected(scheme: str, bucket: str, query: str) -> Any:
    """The file system of a bucket."""
    try:
        return fs.FileSystem.from_uri(f"{scheme}://{bucket}?{query}".rstrip("?"))[0]
    except (pa.ArrowException, OSError) as error:
        why = shorten(" ".join(str(error).split()), 240)
        raise UserError(f"{scheme}://{bucket}: cannot be reached ({why})") from None
