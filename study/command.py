"""The manner of every command: what is wrong is one line, and the exit code tells the rest."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from study.errors import UserError, told
from study.remote import Shelf, parse

WRONG_USE, INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """Says what is wrong without the whole usage before it; every option is written out."""

    def __init__(self, prog: str, description: str):
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {message}\nSee {self.prog} --help\n")


def guarded(body: Callable[[], int], stopped: str) -> int:
    """The exit code of a command's body; a user's mistake, or a file's trouble, is one line."""
    if sys.stdout is None:  # closed by who called us
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a path may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        code = body()
        sys.stdout.flush()
    except UserError as error:
        code, words = WRONG_USE, str(error)
    except KeyboardInterrupt:
        code, words = INTERRUPTED, stopped
    except BrokenPipeError:  # who was reading has heard enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        code, words = WRONG_USE, told(error)
    else:
        return code
    sys.stderr.write(f"{words}\n")
    return code


def stop(signum: int, frame: Any) -> NoReturn:
    """Stop in good order; a second signal ends the process at once."""
    signal.signal(signum, signal.SIG_DFL)
    raise KeyboardInterrupt


def go(main: Callable[[], int]) -> NoReturn:
    """A command typed at a shell: Ctrl-C and SIGTERM stop it in good order."""
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        code = main()
    except KeyboardInterrupt:  # before the body has begun
        code = INTERRUPTED
    sys.exit(code)


def whole_number(text: str) -> int:
    """An argument that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; needed: a whole number, 1 or more")
    return int(text)


LARGEST = 1_000_000
"""Of what is measured: years of minutes, and fit for every clock."""


def positive(text: str) -> float:
    """An argument that measures something."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= LARGEST:
        needed = f"a number above 0, at most {LARGEST:,}"
        raise argparse.ArgumentTypeError(f"found {text!r}; needed: {needed}")
    return number


def word(text: str) -> str:
    """An argument that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("found nothing; needed: a value")
    return text


def place(text: str) -> Path:
    """An argument that is a path."""
    return Path(word(text))


def shelf(text: str) -> Shelf:
    """An argument that is a path, or an address in a bucket."""
    try:
        return parse(word(text))
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
