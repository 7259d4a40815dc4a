"""Calibration: whether networks are right as often as they say, where their outputs were kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from analysis.convergence import central, place
from analysis.curves import keys
from analysis.lines import bands, evenly, failed, line, span
from analysis.methods import families, methods_of
from analysis.page import Blank, Drawing, Page, of_test_set, pooled, protocol
from analysis.predictions import Predictions
from analysis.stats import RESAMPLES, Floats, bootstrap_means, percentiles
from analysis.style import styles_of, theme
from study.methods import METHODS
from study.remote import Shelf

WIDTHS = 10
"""Bins of equal width, for the diagram: they show every confidence there is."""

MASSES = 15
"""Bins of equal mass, for the error: wherever confidences crowd, each image weighs alike."""

FEW = 20
"""Of a bin with fewer images the diagram says nothing."""

MOST = 5
"""Pages of further cells."""

BEYOND = 1e5
"""Stands for what float16 keeps as infinite, which is above 65,504."""

DIVISORS: dict[str, Callable[[Floats], Floats]] = {
    "argmax": np.ones_like,
    "prior": lambda counts: counts / counts.sum(),
}
"""What each way of deciding divides a softmax by, from the images of each class."""

PANELS = ("Reliability", "Share of images (%)", "Calibration error (%)")
POINT = ["panel", "line", "x", "mean", "low", "high", "n"]


@dataclass(frozen=True)
class Network:
    """How sure one network is, and how often right, by one method: in each of WIDTHS bins its
    images, the sum of their confidence and the right ones; and its calibration error.
    """

    method: str
    images: Floats
    confidence: Floats
    right: Floats
    error: float


Networks = Mapping[str, Sequence[Network]]
"""By method."""


def draw(data: pd.DataFrame, folder: Shelf, note: str = "") -> Drawing:
    """The diagram of one cell, the paper's of figure 8 or the nearest to it, from the outputs in
    `folder`, the study's own.
    """
    found = cells(data, folder)
    return picture(found[0], folder, note) if found else Blank(reason(data, folder))


def others(data: pd.DataFrame, folder: Shelf, note: str = "") -> dict[str, Callable[[], Drawing]]:
    """A page for each other cell with outputs, or for so many of them spread evenly."""
    rest = cells(data, folder)[1:]
    if len(rest) > MOST:
        note = f"{MOST} of {len(rest)} further cells are drawn. {note}"
    return {
        f"calibration{number}": partial(picture, cell, folder, note)
        for number, cell in enumerate(evenly(rest, MOST), start=2)
    }


def cells(data: pd.DataFrame, folder: Shelf) -> list[pd.DataFrame]:
    """The records whose confidence can be told, of cells with outputs, the one to draw first."""
    rows = data[(data["to"] == 1) & data["decision"].isin(list(DIVISORS))]
    rows = rows.assign(kept=rows["training_id"].isin(Predictions(folder).stored()))
    groups = rows.groupby(["imbalance", "rho", "mu"], dropna=False)
    found = [cell for _, cell in groups if cell["kept"].any()]
    if not found:
        return []
    first = central([cell.iloc[0] for cell in found])
    return [found[first], *found[:first], *found[first + 1 :]]


def reason(data: pd.DataFrame, folder: Shelf) -> str:
    """Why there is nothing to draw."""
    if not data["training_id"].isin(Predictions(folder).stored()).any():
        return "no outputs of this study's networks are kept; `predictions: true` in a grid does it"
    ways = " or ".join(DIVISORS)
    return f"no outputs are kept of a method that samples to full balance and decides by {ways}"


def picture(records: pd.DataFrame, folder: Shelf, note: str) -> Drawing:
    """The page of one cell: the diagram, how sure the networks are, and their error."""
    alive = records[records["kept"] & (records["status"] != "diverged")]
    judged = [judge(rows, Predictions(folder)) for _, rows in alive.groupby("training_id")]
    found = [network for networks in judged for network in networks]
    if not found:
        return Blank(f"no outputs of the {len(records)} records of its cell can be used")
    methods = methods_of(records)
    shown = [method for id, method in methods.items() if id in {n.method for n in found}]
    in_turn = [method.id for family in families(shown) for method in family]
    networks = {id: [n for n in found if n.method == id] for id in in_turn}
    tables = [reliability(networks), shares(networks), errors(networks)]
    points = pd.concat([table for table in tables if len(table)], ignore_index=True)
    looks = styles_of(methods)
    legend, columns = keys(shown, looks)
    with theme():
        page = Page(
            title=", ".join([protocol(records), *place(records), f"n = {span(points['n'])}"]),
            caption=" ".join([*caption(records, points, judged.count([])), note]).strip(),
            panels=PANELS,
            data=points,
            legend=legend,
            columns=columns,
            shared=False,
        )
        figure, panels = page.lay()
        for name, axes in zip(PANELS, panels, strict=True):
            for method in shown:
                own = points[(points["panel"] == name) & (points["line"] == method.id)]
                line(axes, list(own["x"]), own, list(own["x"]), looks[method.id], method.label)
        scale_reliability(panels[0])
        scale_shares(panels[1], points[points["panel"] == PANELS[1]])
        scale_errors(panels[2], points[points["panel"] == PANELS[2]])
    return figure


def judge(rows: pd.DataFrame, predictions: Predictions) -> list[Network]:
    """One network by every method that its records are of; none where more than one output is
    infinite in float16, so that the largest is not known.
    """
    first = rows.iloc[0]
    counts = np.asarray(first["class_counts"], np.float64)
    split = None if pd.isna(first["split"]) else int(first["split"])
    labels = predictions.labels(split, len(counts))
    sure: dict[str, list[Floats]] = {name: [] for name in rows["decision"]}
    right: dict[str, list[Floats]] = {name: [] for name in rows["decision"]}
    begin = 0
    for logits in predictions.logits(first["training_id"], len(labels), len(counts)):
        if ((logits == np.inf).sum(axis=1) > 1).any() or not (logits > -np.inf).any(axis=1).all():
            return []
        outputs = np.clip(logits, -BEYOND, BEYOND)
        truth, begin = labels[begin : begin + len(outputs)], begin + len(outputs)
        for decision in sure:
            scores = outputs - np.log(DIVISORS[decision](counts))
            chosen = scores.argmax(axis=1)
            above = scores - scores.max(axis=1, keepdims=True)
            sure[decision].append(1 / np.exp(above).sum(axis=1))
            right[decision].append((chosen == truth).astype(np.float64))
    return [
        network(method, np.concatenate(sure[decision]), np.concatenate(right[decision]))
        for method, decision in zip(rows["method"], rows["decision"], strict=True)
    ]


def network(method: str, sure: Floats, right: Floats) -> Network:
    """The sums over bins of a network's confidences, and of whether it was right."""
    edges = np.linspace(0, 1, WIDTHS + 1)[1:-1]
    return Network(method, *sums(np.searchsorted(edges, sure), sure, right), error(sure, right))


def error(sure: Floats, right: Floats) -> float:
    """The expected calibration error over bins of equal mass; images as sure share a bin."""
    edges = np.quantile(sure, np.linspace(0, 1, MASSES + 1))[1:-1]
    _, confidence, number = sums(np.searchsorted(edges, sure), sure, right)
    return float(np.abs(confidence - number).sum() / len(sure))


def sums(bins: np.ndarray, sure: Floats, right: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each bin its images, the sum of their confidence, and the right ones."""
    ones = np.ones_like(sure)
    each = [np.bincount(bins, of, WIDTHS).astype(np.float64) for of in (ones, sure, right)]
    return each[0], each[1], each[2]


def reliability(networks: Networks) -> pd.DataFrame:
    """A row a method and bin: accuracy against mean confidence, over all images of its networks."""
    rows = []
    for method, own in networks.items():
        images, confidence, right = (
            np.stack([getattr(n, name) for n in own]) for name in ("images", "confidence", "right")
        )
        rng = np.random.default_rng(len(own))
        drawn = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), RESAMPLES)
        for b in enough(own):
            number = images[:, b].sum()
            within = drawn @ images[:, b]
            accuracy = (drawn @ right[:, b])[within > 0] / within[within > 0]
            several = (images[:, b] > 0).sum() > 1
            bounds = percentiles(accuracy) if several else np.full(2, np.nan)
            x, mean = confidence[:, b].sum() / number, right[:, b].sum() / number
            rows.append((PANELS[0], method, *(100 * v for v in (x, mean, *bounds)), len(own)))
    return pd.DataFrame(rows, columns=POINT)


def enough(networks: Sequence[Network]) -> list[int]:
    """The bins with images enough."""
    return np.flatnonzero(sum(n.images for n in networks) >= FEW).tolist()


def shares(networks: Networks) -> pd.DataFrame:
    """A row a method and bin: the mean share of a network's images that it holds."""
    rows = []
    for method, own in networks.items():
        held = np.stack([100 * n.images / n.images.sum() for n in own], axis=1)
        bounds = bootstrap_means(list(held))
        for b in enough(own):
            x = 100 * (b + 0.5) / WIDTHS
            rows.append((PANELS[1], method, x, held[b].mean(), *bounds[b], len(own)))
    return pd.DataFrame(rows, columns=POINT)


def errors(networks: Networks) -> pd.DataFrame:
    """A row a method, one beside the other: the mean error of its networks."""
    rows = []
    for x, (method, own) in enumerate(networks.items()):
        found = np.array([100 * n.error for n in own])
        (bounds,) = bootstrap_means([found])
        rows.append((PANELS[2], method, float(x), found.mean(), *bounds, len(own)))
    return pd.DataFrame(rows, columns=POINT)


def scale_reliability(axes: Axes) -> None:
    """The axes of the diagram, and its diagonal."""
    axes.plot([0, 100], [0, 100], color="0.6", linewidth=0.8, dashes=(3, 2), zorder=1)
    axes.set(xlim=(0, 102), ylim=(0, 102), xlabel="Confidence (%)", ylabel="Accuracy (%)")


def scale_shares(axes: Axes, points: pd.DataFrame) -> None:
    """The axes of the shares, logarithmic: most images are in the last bin."""
    axes.set_yscale("log")
    low = float(points["mean"].min()) if len(points) else 1.0
    axes.set(xlim=(0, 102), ylim=(low / 1.5, 130))
    axes.set_xlabel("Confidence (%)")
    axes.yaxis.set_major_locator(LogLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def scale_errors(axes: Axes, points: pd.DataFrame) -> None:
    """The axes of the errors, each with its number."""
    highest = max(float(points[["mean", "high"]].max().max()), 0.1)
    for x, mean, high in zip(points["x"], points["mean"], points["high"], strict=True):
        at = x, np.fmax(mean, high) + 0.03 * highest
        text = f"{mean:.1f}" if mean < 9.95 else f"{mean:.0f}"
        axes.text(*at, text, ha="center", va="bottom", fontsize=6.8)
    axes.set(xlim=(-0.7, len(points) - 0.3), ylim=(0, 1.15 * highest))
    axes.xaxis.set_major_locator(NullLocator())
    axes.set_xlabel("Methods, as in the legend")


def caption(records: pd.DataFrame, points: pd.DataFrame, endless: int) -> list[str]:
    """How confidence and error are found, what the bands are, and what is left out."""
    said = []
    if "prior" in set(records["decision"]):
        said.append(
            "Confidence: the largest softmax output; of thresholding, of the outputs over the "
            "class's prior, rescaled to a sum of 1."
        )
    else:
        said.append("Confidence: the largest softmax output.")
    said += [
        f"(a), (b) {WIDTHS} bins of equal width, where they have {FEW} images or more; (a) over "
        f"the images of all n networks; below the diagonal they are too sure.",
        f"(c) Expected calibration error: the mean of |accuracy \N{MINUS SIGN} confidence| over "
        f"{MASSES} bins of equal mass of each network; in bins of equal width the crowded one "
        f"would decide it.",
        *(text.replace("Bands:", "Bands, in (c) bars:") for text in bands(points)),
        *pooled(records),
    ]
    networks = records.drop_duplicates("training_id")
    if missing := (~networks["kept"]).sum():
        said.append(f"Of {missing} of {len(networks)} networks no outputs are kept.")
    if endless:
        of = networks["kept"].sum()
        said.append(f"Left out for several outputs beyond float16: {endless} of {of} networks.")
    run = set(records["method"])
    if absent := [method.label for id, method in METHODS.items() if id not in run]:
        said.append(f"Not run: {'; '.join(absent)}.")
    return said + failed(records) + of_test_set(records)
