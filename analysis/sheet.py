"""A table as the page shows it: cells of words, each with what it is sorted by."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

SHORT = 30
"""Rows of a table that is printed whole; longer ones are for the page alone."""

NONE, MINUS, RHO, MU = "\u2013", "\u2212", "\u03c1", "\u03bc"


@dataclass(frozen=True)
class Cell:
    """Words, and the number that they are sorted by; NaN comes last, None sorts by the words."""

    text: str
    key: float | None = None


@dataclass(frozen=True)
class Sheet:
    """A table: its id in the page, what it shows, what must be known to read it, and its rows.

    `data`: the numbers in full, for a CSV.
    """

    id: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    data: pd.DataFrame | None = None

    @cached_property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        return [any(row[i].key is not None for row in self.rows) for i in range(len(self.columns))]

    @property
    def places(self) -> int:
        """How many of the first columns say what several rows are of: those before a method, or a
        study. In their stead a phone has a heading above the rows.
        """
        if "Method" in self.columns:
            return self.columns.index("Method")
        return int(self.columns[0] == "Study")

    def place(self, row: Sequence[Cell]) -> str:
        """That heading of a row."""
        first = list(zip(self.columns, self.numeric, row, strict=True))[: self.places]
        return ", ".join(
            f"{head}\u00a0=\u00a0{cell.text}" if number else cell.text
            for head, number, cell in first
            if cell.text != NONE
        )

    @property
    def short(self) -> bool:
        """Whether paper has room for it."""
        return len(self.rows) <= SHORT

    @property
    def csv(self) -> str:
        """The address that the CSV is under; nothing where there are no data."""
        return "" if self.data is None else csv_of(self.data)


def csv_of(data: pd.DataFrame) -> str:
    """A table's rows as an address, to be followed from a page without a network or a script."""
    return address("text/csv;charset=utf-8", data.to_csv(index=False).encode())


def address(kind: str, content: bytes) -> str:
    """What stands for a file's address where the file is in the page itself."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def anchor(text: str) -> str:
    """What names something within the page."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)


def number(value: float, digits: int = 2, sign: str = "") -> Cell:
    """A number with so many decimals; `sign` '+' shows that of positive ones too."""
    if value != value:
        return Cell(NONE, value)
    text = f"{value:{sign},.{digits}f}"
    if not text.strip("+-0."):  # nothing is left of it: it has no sign
        text = text.lstrip("+-")
    return Cell(text.replace("-", MINUS), float(value))


def count(value: float) -> Cell:
    """A whole number."""
    return number(float(value), 0)


def plain(value: float) -> Cell:
    """A number as short as it goes: a ratio, a fraction."""
    return Cell(NONE, value) if value != value else Cell(f"{value:g}", float(value))


def interval(mean: float, low: float, high: float, digits: int = 2, sign: str = "") -> Cell:
    """A mean and its bounds in brackets, where it has any."""
    middle, ends = number(mean, digits, sign), [number(end, digits, sign) for end in (low, high)]
    if low != low or high != high:
        return middle
    return Cell(f"{middle.text} [{ends[0].text},\u00a0{ends[1].text}]", middle.key)


def few(value: Cell, enough: bool) -> Cell:
    """The cell, or that replicates are too few for it."""
    return value if enough else Cell("too few", float("nan"))


def probability(p: float) -> Cell:
    """A p value."""
    return Cell("< 0.001", p) if p < 0.001 else number(p, 3)


def words(text: object) -> Cell:
    """Words, or a dash where there are none."""
    return Cell(str(text) or NONE)
