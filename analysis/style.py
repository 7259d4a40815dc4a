"""How everything is drawn: a method's colour, dash and marker, the names of things, the theme."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.colors import to_hex

from study.errors import shorten

Dash = tuple[float, tuple[float, ...] | None]

PLAIN: Dash = (0, None)
DASHED: Dash = (0, (4.5, 1.6))
DOTTED: Dash = (0, (1.2, 1.3))


@dataclass(frozen=True)
class Style:
    """One method's line, the same in every figure. `hollow` markers have a white face."""

    colour: str
    dash: Dash
    marker: str
    hollow: bool = False

    def line(self) -> dict[str, Any]:
        """The keywords of a matplotlib line."""
        return {
            "color": self.colour,
            "linestyle": self.dash,
            "marker": self.marker,
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgecolor": self.colour,
        }


# Okabe and Ito's palette: greys for the baseline's family, blues for oversampling's, reds for
# undersampling's. A dash says two-phase, dots say thresholding, so grey prints can be read too.
STYLES: dict[str, Style] = {
    "baseline": Style("#000000", PLAIN, "o"),
    "oversampling": Style("#0072B2", PLAIN, "s"),
    "undersampling": Style("#D55E00", PLAIN, "^"),
    "two_phase_oversampling": Style("#56B4E9", DASHED, "D", hollow=True),
    "two_phase_undersampling": Style("#E69F00", DASHED, "v", hollow=True),
    "thresholding": Style("#808080", DOTTED, "X"),
    "oversampling_thresholding": Style("#003D66", DOTTED, "P"),
    "undersampling_thresholding": Style("#8A2F00", DOTTED, "*"),
}

SPARE = (
    Style("#009E73", PLAIN, "<"),
    Style("#CC79A7", DASHED, ">", hollow=True),
    Style("#7A5195", DOTTED, "h"),
    Style("#5B8C00", DASHED, "d"),
    Style("#8C564B", PLAIN, "p", hollow=True),
    Style("#4D4D9F", DOTTED, "8", hollow=True),
)


def styles_of(ids: Iterable[str]) -> dict[str, Style]:
    """Each method's style; methods of one's own take the spare ones in their order."""
    spare = cycle(SPARE)
    return {id: STYLES[id] if id in STYLES else next(spare) for id in ids}


def ramp(steps: int) -> list[Style]:
    """Styles for values in order: dark to light, each with a marker, to be read in grey too."""
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.85, steps))
    markers = "os^DvPX<*"
    return [
        Style(to_hex(shade), PLAIN, marker) for shade, marker in zip(shades, markers, strict=False)
    ]


MAJORITY, MINORITY, HATCH = "#0072B2", "#BFE0F5", "//////"

DATASETS = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "imagenet": "ILSVRC-2012",
    "digits": "Digits (scikit-learn)",
    "synthetic": "Synthetic images",
    "folder": "Folder of images",
    "npz": "NumPy arrays (npz)",
    "pt": "PyTorch tensors (pt)",
}
NETS = {"lenet5": "LeNet-5", "allcnn": "All-CNN", "all_cnn": "All-CNN", "resnet10": "ResNet-10"}
IMBALANCES = {
    "step": "step imbalance",
    "linear": "linear imbalance",
    "natural": "natural imbalance",
    "balanced": "balanced classes",
    "counts": "classes of listed sizes",
}


def imbalance_of(kind: str) -> str:
    """An imbalance as printed."""
    return IMBALANCES.get(kind) or f"profile {name_of({}, kind)}"


def name_of(table: Mapping[str, str], stored: str) -> str:
    """A name as printed; of an import path its end, of what else the table lacks all."""
    return table.get(stored, shorten(stored.rpartition(":")[2], 40))


@contextmanager
def theme() -> Iterator[None]:
    """Matplotlib's settings for the figures. Both drawing and saving must be inside it."""
    settings = {
        **sns.axes_style("ticks"),
        **sns.plotting_context("paper"),
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
        "mathtext.fontset": "dejavusans",
        "font.size": 8,
        "figure.titlesize": 9,
        "axes.titlesize": 8.5,
        "axes.labelsize": 8.5,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "legend.fontsize": 8,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": "0.9",
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "lines.linewidth": 1.3,
        "lines.markersize": 4.2,
        "lines.markeredgewidth": 0.9,
        "hatch.linewidth": 0.5,
        "savefig.dpi": 300,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "imbalance-study",
    }
    with mpl.rc_context(settings):
        yield
