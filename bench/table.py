"""Tables and paragraphs as the benchmark's commands print them."""

import textwrap

from rich.console import Console
from rich.table import Table

WIDTH = 100

UNKNOWN = "-"


def terminal(stderr: bool = False) -> Console:
    """A console that prints text as it is, and tables always as wide."""
    return Console(
        highlight=False, soft_wrap=True, emoji=False, markup=False, stderr=stderr, width=WIDTH
    )


def table(first: str, *others: str) -> Table:
    """A table of a column of names and columns of figures."""
    made = Table(box=None, pad_edge=False)
    made.add_column(first, no_wrap=True)
    for heading in others:
        made.add_column(heading, justify="right", no_wrap=True)
    return made


def say(console: Console, *parts: Table | str) -> None:
    """Tables that hold anything and paragraphs, a line between them; no blank at a line's end."""
    for part in parts:
        if isinstance(part, str):
            console.print(textwrap.fill(part, WIDTH, subsequent_indent="  "))
        elif part.row_count:
            with console.capture() as shown:
                console.print(part)
            console.print("\n".join(map(str.rstrip, shown.get().splitlines())))
        else:
            continue
        console.print()
