"""A page: panels in a row, the title above them, one legend and a caption below."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.style import DATASETS, NETS, imbalance_of, name_of, theme
from study.errors import UserError
from study.parts import whole

LETTERS = "abc"
WIDTH = {1: 6.2, 2: 6.2, 3: 7.2}
LEFT, RIGHT, GAP, PANEL = 0.62, 0.17, 0.2, 2.1
TITLE_LINE, LEGEND_LINE, CAPTION_LINE = 0.18, 0.165, 0.135
CHARACTERS = {"title": 14.5, "caption": 19.5}
"""Lengths are inches; characters an inch at the font sizes used here."""

UNDATED: dict[str, dict[str, Any]] = {
    "png": {},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}
"""The formats, each with the metadata that keeps the same picture the same file."""


@dataclass(frozen=True)
class Blank:
    """A figure for which the records hold nothing, and why."""

    why: str


class Picture(Figure):
    """A figure that knows what was drawn: its page, with title, caption and rows of data."""

    page: "Page"


Drawing = Picture | Blank


@dataclass(frozen=True)
class Page:
    """What stands around the panels, and the rows that the panels show.

    `columns` of the legend are filled one after the other; `shared`: the panels have one y axis.
    """

    title: str
    caption: str
    panels: Sequence[str]
    data: pd.DataFrame
    legend: Sequence[Artist] = ()
    columns: int = 1
    shared: bool = True

    @property
    def gap(self) -> float:
        """Inches between panels; with a y axis of their own they need room for its labels."""
        return GAP if self.shared else 2.2 * GAP

    @property
    def panel_width(self) -> float:
        """Inches of one panel's axes."""
        n = len(self.panels)
        return (WIDTH[n] - LEFT - RIGHT - self.gap * (n - 1)) / n

    def lay(self) -> tuple[Picture, list[Axes]]:
        """The figure, and its panels still empty, their y axis in common where it is shared."""
        width = WIDTH[len(self.panels)]
        room = width - LEFT - RIGHT
        title = textwrap.wrap(self.title, int(room * CHARACTERS["title"]))
        caption = textwrap.wrap(self.caption, int(room * CHARACTERS["caption"]))
        rows = -(-len(self.legend) // self.columns)
        caption_top = 0.08 + CAPTION_LINE * len(caption)
        legend_top = caption_top + (0.08 + LEGEND_LINE * rows if rows else 0)
        bottom = legend_top + 0.52
        top = bottom + PANEL
        height = top + (0.28 if any(self.panels) else 0.15) + TITLE_LINE * len(title)

        figure = Picture(figsize=(width, height))
        figure.page = self
        FigureCanvasAgg(figure)
        axes: list[Axes] = []
        for i, label in enumerate(self.panels):
            x = LEFT + i * (self.panel_width + self.gap)
            box = (x / width, bottom / height, self.panel_width / width, PANEL / height)
            axes.append(figure.add_axes(box, sharey=axes[0] if axes and self.shared else None))
            letter = f"({LETTERS[i]}) " if len(self.panels) > 1 else ""
            axes[i].set_title(letter + label, loc="left", pad=5)
            axes[i].tick_params(labelleft=i == 0 or not self.shared)
        figure.suptitle("\n".join(title), x=LEFT / width, y=1 - 0.06 / height, ha="left", va="top")
        if self.legend:
            figure.legend(
                handles=list(self.legend),
                ncols=self.columns,
                loc="upper center",
                bbox_to_anchor=(0.5, legend_top / height),
                frameon=False,
                borderpad=0,
                borderaxespad=0,
                handlelength=3.0,
                columnspacing=1.5,
                labelspacing=0.35,
            )
        figure.text(
            LEFT / width,
            caption_top / height,
            "\n".join(caption),
            va="top",
            fontsize=6.8,
            color="0.25",
            linespacing=1.25,
        )
        return figure, axes


def protocol(data: pd.DataFrame) -> str:
    """Data set, net, imbalance, iterations and split of the records drawn, as titles say them."""
    first = data.iloc[0]
    parts = [
        dataset(data),
        name_of(NETS, first["model"]),
        imbalance_of(first["imbalance"]),
        f"{first['iterations']:,} iterations",
    ]
    if data["split"].nunique(dropna=False) == 1 and not pd.isna(first["split"]):
        parts.append(f"split {first['split']}")
    return ", ".join(parts)


def dataset(data: pd.DataFrame) -> str:
    """The name of a study's data set, as printed."""
    return name_of(DATASETS, str(data["dataset"].iloc[0]))


def pooled(data: pd.DataFrame) -> list[str]:
    """What a caption says of several splits, over which means are taken too."""
    splits = data["split"].nunique(dropna=False)
    if splits < 2:
        return []
    return [f"n counts replicates on each of {splits} splits into training and test images."]


def of_test_set(data: pd.DataFrame) -> list[str]:
    """What a caption says of a test set that is not balanced."""
    uneven = [c for c in data["test_counts"].dropna() if min(c) < max(c)]
    if not uneven:
        return []
    low, high = min(map(min, uneven)), max(map(max, uneven))
    return [f"Imbalanced test set ({low:,}-{high:,} images a class): accuracy depends on it."]


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that its name ends in; the file is whole or not there."""
    kind = path.suffix[1:]
    try:
        with theme(), whole(path, replace=True) as out:
            figure.savefig(out, format=kind, metadata=UNDATED[kind])
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
