"""What figures are printed on, a page of a journal or one of its columns, and how words fit it."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

LINE = {"title": 1.25, "legend": 1.4, "caption": 1.3}
"""From one line of text to the next, in sizes of its type."""


@dataclass(frozen=True)
class Paper:
    """A width to print at: lengths in inches, sizes of type in points.

    `widths`: of a figure with one panel in a row, with two, with more; `stacked`: rows of panels
    become stacks. `heights`: of a panel where there is one line of them, and where several.
    `text`: where title and caption begin. `above`, `below`: room for the names of a panel and of
    its x axis. `spacing` of a legend, in ems.
    """

    widths: tuple[float, float, float]
    heights: tuple[float, float]
    stacked: bool
    left: float
    right: float
    text: float
    gap: float
    above: float
    below: float
    title: float
    name: float
    tick: float
    legend: float
    caption: float
    spacing: dict[str, float]

    @property
    def settings(self) -> dict[Any, Any]:
        """Its sizes of type as matplotlib's settings."""
        return {
            "font.size": self.legend,
            "figure.titlesize": self.title,
            "axes.titlesize": self.name,
            "axes.labelsize": self.name,
            "xtick.labelsize": self.tick,
            "ytick.labelsize": self.tick,
            "legend.fontsize": self.legend,
        }


PAPERS = {
    "page": Paper(
        widths=(6.2, 6.2, 7.2), heights=(2.1, 1.9), stacked=False,
        left=0.68, right=0.17, text=0.68, gap=0.2, above=0.28, below=0.42,
        title=9, name=8.5, tick=7.5, legend=8, caption=6.8,
        spacing={"handlelength": 3.0, "handletextpad": 0.8, "columnspacing": 1.5},
    ),
    "column": Paper(
        widths=(3.5, 3.5, 3.5), heights=(1.9, 1.3), stacked=True,
        left=0.56, right=0.1, text=0.06, gap=0.19, above=0.22, below=0.36,
        title=7, name=7.5, tick=7, legend=7, caption=7,
        spacing={"handlelength": 2.0, "handletextpad": 0.5, "columnspacing": 0.7},
    ),
}  # fmt: skip

_width: ContextVar[str] = ContextVar("width", default="page")


@contextmanager
def printed(width: str) -> Iterator[None]:
    """What is drawn inside it is drawn for this width, one of PAPERS."""
    before = _width.set(width)
    try:
        yield
    finally:
        _width.reset(before)


def paper() -> Paper:
    """The paper that is drawn for where this is called."""
    return PAPERS[_width.get()]


def inches(text: str, points: float) -> float:
    """How long a line of text is."""
    font = FontProperties(family="DejaVu Sans", size=points)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, "$" in text)
    return float(width) / 72


def wrapped(text: str, points: float, room: float) -> list[str]:
    """The lines of a text, none longer than the room in inches; 'n = 3' and '95 %' stay whole."""
    bound = text.replace(" = ", "\u00a0=\u00a0").replace(" %", "\u00a0%")
    for characters in range(int(room * 200 / points), 0, -1):
        lines = [
            line.replace("\u00a0=\u00a0", " = ").replace("\u00a0%", " %")
            for part in bound.split("\n")
            for line in textwrap.wrap(part, characters, break_on_hyphens=False)
        ]
        if all(inches(line, points) <= room for line in lines):
            break
    return lines


def fitted(
    legend: Sequence[Artist], columns: int, paper: Paper, room: float
) -> tuple[list[Artist], int]:
    """The entries of a legend in as many columns as fit the room, of those asked for.

    Entries that only fill up a column are dropped where the columns are others.
    """
    em = paper.legend / 72
    line = em * (paper.spacing["handlelength"] + paper.spacing["handletextpad"])
    entries, n = list(legend), columns
    while n > 1:
        widths = [line + inches(str(one.get_label()), paper.legend) for one in entries]
        stacks = [max(stack) for stack in np.array_split(widths, n) if len(stack)]
        if sum(stacks) + em * (n - 1) * paper.spacing["columnspacing"] <= room:
            break
        n -= 1
        entries = [one for one in legend if str(one.get_label()).strip()]
    return entries, n
