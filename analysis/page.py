"""A page: rows of panels, the title above them, one legend and a caption below."""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.paper import LINE, Paper, fitted, paper, wrapped
from analysis.style import DATASETS, NETS, imbalance_of, name_of, theme
from study.errors import UserError
from study.parts import whole

EDGE, APART = 0.06, 0.09
"""Inches between text and the edges, and between what stands above what."""

UNTITLED, UNNAMED = 0.15, 0.09
"""Inches above panels without titles, and below those whose x axis is labelled further down."""

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
class Spot:
    """Where a panel is printed, and whether one of its row stands left of it, and below."""

    row: int
    down: int
    across: int
    joined: bool
    last: bool


@dataclass(frozen=True)
class Page:
    """What stands around the panels, and the rows that the panels show.

    `columns` of the legend are filled one after the other; as many of them are laid as fit.
    `rows`: how many panels each row has; left out, all stand in one. In a journal's column the
    panels of one row stand below each other, two rows are two stacks, more stand two by two.
    `shared`: the panels of a row have one y axis; `shared_x`: and one x axis, which in a stack is
    labelled once. `height` of a panel, `left` margin: in inches; left out, as usual.
    `axes`: whether the panels have any; those without count inches from the upper left corner.
    `part`: which of how many pages it is; `before`: how many panels those before it have, after
    which its letters go on.
    """

    title: str
    caption: str
    panels: Sequence[str]
    data: pd.DataFrame
    legend: Sequence[Artist] = ()
    columns: int = 1
    shared: bool = True
    rows: Sequence[int] = ()
    shared_x: bool = False
    height: float | None = None
    left: float | None = None
    axes: bool = True
    part: tuple[int, int] = (1, 1)
    before: int = 0

    @cached_property
    def paper(self) -> Paper:
        """What it is laid for, from the first look on."""
        return paper()

    @cached_property
    def spots(self) -> list[Spot]:
        """Where each panel is printed."""
        rows = self.rows or [len(self.panels)]
        places = [(row, i) for row, panels in enumerate(rows) for i in range(panels)]
        owners = [row for row, _ in places]
        if self.paper.stacked and len(rows) > 2:
            places = [divmod(i, 2) for i in range(len(places))]
        elif self.paper.stacked:
            places = [(i, row) for row, i in places]
        of = dict(zip(places, owners, strict=True))
        return [
            Spot(row, down, i, of.get((down, i - 1)) == row, of.get((down + 1, i)) != row)
            for (down, i), row in of.items()
        ]

    @property
    def number(self) -> str:
        """' (1 of 2)' where it is one of several."""
        return " ({} of {})".format(*self.part) if self.part[1] > 1 else ""

    @property
    def width(self) -> float:
        """Inches of the whole."""
        return self.paper.widths[min(max(self.rows or [len(self.panels)]), 3) - 1]

    @property
    def margin(self) -> float:
        """Inches left of the panels."""
        usual = self.paper.left if self.axes else self.paper.text
        return usual if self.left is None else self.left

    @property
    def gap(self) -> float:
        """Inches between panels; with a y axis of their own they need room for its labels."""
        return self.paper.gap * (1 if all(map(self.bare, self.spots)) else 2.2)

    @property
    def panel_width(self) -> float:
        """Inches of one panel's axes."""
        n = 1 + max(spot.across for spot in self.spots)
        return (self.width - self.margin - self.paper.right - self.gap * (n - 1)) / n

    @property
    def panel_height(self) -> float:
        """Inches of one panel's axes."""
        several = any(spot.down for spot in self.spots)
        return self.paper.heights[several] if self.height is None else self.height

    def bare(self, spot: Spot) -> bool:
        """Whether a panel needs no room on its left: it stands first, or shares the y axis."""
        return not spot.across or (self.shared and spot.joined)

    def lay(self) -> tuple[Picture, list[Axes]]:
        """The figure, and its panels still empty, their y axis in common where it is shared."""
        with mpl.rc_context(self.paper.settings):
            return self._lay()

    def _lay(self) -> tuple[Picture, list[Axes]]:
        sheet, width = self.paper, self.width
        edge = min(sheet.text, sheet.right)
        title = wrapped(self.title + self.number, sheet.title, width - sheet.text - edge)
        caption = wrapped(self.caption, sheet.caption, width - sheet.text - edge)
        legend, columns = fitted(self.legend, self.columns, sheet, width - 2 * sheet.right)
        caption_top = EDGE + LINE["caption"] * sheet.caption / 72 * len(caption)
        legend_top = caption_top
        if legend:
            lines = -(-len(legend) // columns)
            legend_top += APART + LINE["legend"] * sheet.legend / 72 * lines
        top, bottoms = self._rise(legend_top + APART)
        height = top + EDGE + LINE["title"] * sheet.title / 72 * len(title)

        figure = Picture(figsize=(width, height))
        figure.page = self
        FigureCanvasAgg(figure)
        axes = self._panels(figure, bottoms)
        figure.suptitle(
            "\n".join(title), x=sheet.text / width, y=1 - EDGE / height, ha="left", va="top"
        )
        if legend:
            figure.legend(
                handles=legend,
                ncols=columns,
                loc="upper center",
                bbox_to_anchor=(0.5, legend_top / height),
                frameon=False,
                borderpad=0,
                borderaxespad=0,
                labelspacing=0.35,
                **sheet.spacing,
            )
        figure.text(
            sheet.text / width,
            caption_top / height,
            "\n".join(caption),
            va="top",
            fontsize=sheet.caption,
            color="0.25",
            linespacing=1.25,
        )
        return figure, axes

    def _rise(self, bottom: float) -> tuple[float, dict[int, float]]:
        """The panels' top above this height, and the bottom of each line of them."""
        bottoms: dict[int, float] = {}
        for down in sorted({spot.down for spot in self.spots}, reverse=True):
            named = any(self.named(spot) for spot in self.spots if spot.down == down)
            bottoms[down] = bottom + (self.paper.below if named else UNNAMED)
            bottom = bottoms[down] + self.panel_height
            bottom += self.paper.above if any(self.panels) else UNTITLED
        return bottom, bottoms

    def _panels(self, figure: Picture, bottoms: dict[int, float]) -> list[Axes]:
        """The panels, labelled only where none beside or below says the same."""
        width, height = figure.get_size_inches()
        size = self.panel_width / width, self.panel_height / height
        axes: list[Axes] = []
        firsts: dict[int, Axes] = {}
        for i, (name, spot) in enumerate(zip(self.panels, self.spots, strict=True)):
            x = self.margin + spot.across * (self.panel_width + self.gap)
            box = (x / width, bottoms[spot.down] / height, *size)
            one = figure.add_axes(box, sharey=firsts.get(spot.row) if self.shared else None)
            firsts.setdefault(spot.row, one)
            alone = len(self.panels) == 1 and not self.number
            letter = "" if alone else f"{letters(self.before + i)} "
            one.set_title(letter + name, loc="left", pad=5)
            one.tick_params(labelleft=not spot.across or not self.bare(spot))
            one.tick_params(labelbottom=self.named(spot))
            one.xaxis.label.set_visible(self.named(spot))
            if not self.axes:
                one.set_axis_off()
                one.set(xlim=(0, self.panel_width), ylim=(self.panel_height, 0))
            axes.append(one)
        return axes

    def named(self, spot: Spot) -> bool:
        """Whether a panel's x axis is labelled, not that of one below it."""
        return self.axes and (spot.last or not self.shared_x)


def letters(first: int, last: int | None = None) -> str:
    """What panels are called: '(a)', or '(a)-(c)'; after (z) comes (aa)."""
    ends = sorted({first, first if last is None else last})
    return "-".join(f"({string.ascii_lowercase[i % 26] * (i // 26 + 1)})" for i in ends)


def name_y(panels: Sequence[Axes], name: str) -> None:
    """Name the y axis of a row once: left of its first panel, or of the middle of its stack.

    A stack goes without where one left of it has the name.
    """
    first, top, bottom = panels[0], panels[0].get_position(), panels[-1].get_position()
    whole, others = first.figure, [one.get_position() for one in first.figure.axes]
    left = {one.get_ylabel() for one in whole.axes if one.get_position().x1 < top.x0}
    if name not in left:
        first.set_ylabel(name)
    if any(other.y0 != top.y0 for other in others):  # below each other the names stand in line
        x = (EDGE + paper().name / 72) * whole.dpi / whole.bbox.width
        first.yaxis.set_label_coords(x, (top.y1 + bottom.y0) / 2, whole.transFigure)


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
