"""What a user may get wrong, said in one line: where, what was found, what is allowed."""

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake in a grid: the key's path, the value found there, the values allowed."""

    path: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{line(self.path)}: found {line(self.found)}; {line(self.allowed, 400)}"


class UserError(Exception):
    """A mistake of the user's, with a message that stands alone. The command exits with 2."""


class GridError(UserError):
    """The problems found in one grid file."""

    def __init__(self, source: str, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class DataError(UserError):
    """A data set that is missing, damaged or too small for what is asked of it."""

    def __init__(self, message: str):
        super().__init__(printable(message))  # files have names of any characters


def nearest(word: object, allowed: Iterable[str]) -> str:
    """' Did you mean X?' where one of the allowed words is near, else nothing."""
    near = difflib.get_close_matches(str(word), list(allowed), n=1, cutoff=0.6)
    return f". Did you mean {near[0]!r}?" if near else ""


def shown(value: object) -> str:
    """A value found in a file, as it stands there."""
    return repr(value) if isinstance(value, str) else json.dumps(value, default=str)


def shorten(text: str, length: int = 120) -> str:
    """`text`, its middle left out where it is long."""
    return text if len(text) <= length else f"{text[: length // 2]} ... {text[-length // 3 :]}"


def line(text: str, length: int = 120) -> str:
    """`text`, shortened, in one line of letters that do nothing to a terminal."""
    return printable(shorten(" ".join(text.split()), length))


def few(lines: Sequence[str], most: int) -> list[str]:
    """The first of them, and how many more there are."""
    more = len(lines) - most
    return [*lines[:most], *([f"and {more:,} more"] if more > 0 else [])]


def printable(text: str) -> str:
    """`text` with an escape for each character that is no letter, sign or space."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def told(error: Exception) -> str:
    """What is wrong, in a line; of a file's trouble what file, and the system's word."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


OWN = (Exception, SystemExit)
"""What code of a user's own may raise."""


def failure(error: BaseException) -> str:
    """The kind of an error and its words, in one line."""
    return f"{type(error).__name__}: {line(str(error))}"


def seen(value: object) -> str:
    """A value that code of a user's own gave, in one line."""
    return shorten(" ".join(repr(value).split()))
