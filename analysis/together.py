"""The paper's arrangement: figures of several data sets on one page, out of studies run apart."""

from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd

from analysis import distributions
from analysis.curves import FIGURES, Curves, Row, chosen, plate, row_of
from analysis.page import Blank, Drawing
from analysis.style import DATASETS

FOLDER = "_paper"
"""Where the pages go, beside the studies: no grid's name begins so."""

SETS = ("mnist", "cifar10")
"""The data sets of a page, from its top; the paper has ILSVRC-2012 in table 4 alone."""


def drawers(
    stores: Mapping[str, pd.DataFrame], notes: Mapping[str, str]
) -> dict[str, Callable[[], Drawing]]:
    """The pages by their file's names; none where one of the data sets has no such study.

    `stores`: the records by study, after selection; `notes`: what captions say of the selections.
    """
    found: dict[str, Callable[[], Drawing]] = {}
    step, linear = (ranked(stores, SETS[0], kind) for kind in ("step", "linear"))
    if step and linear and step[0] != linear[0]:
        found["fig1"] = partial(examples, [stores[step[0]], stores[linear[0]]])
    for id, spec in FIGURES.items():
        studies = [ranked(stores, name, spec.kind) for name in SETS]
        if all(studies):
            found[id] = partial(draw, spec, studies, stores, notes)
    return found


def ranked(stores: Mapping[str, pd.DataFrame], dataset: str, kind: str) -> list[str]:
    """The studies of a data set and imbalance, the one to draw first.

    That is the one of most cells: sampling to smaller ratios or on the way have few. Then one of
    the published split, as in the paper; then of most cases, and of the longest training.
    """
    found = []
    for name, data in stores.items():
        rows = data[(data["dataset"] == dataset) & (data["imbalance"] == kind) & (data["to"] == 1)]
        if len(rows):
            cells = len(rows[["rho", "mu"]].drop_duplicates())
            resplit = bool(rows["split"].notna().any())
            order = (-cells, resplit, -rows["case_id"].nunique(), -rows["iterations"].max())
            found.append((*order, name))
    return [name for *_, name in sorted(found)]


def examples(parts: list[pd.DataFrame]) -> Drawing:
    """Figure 1 with both imbalances, which are studies of their own."""
    return distributions.draw(pd.concat(parts))


def draw(
    spec: Curves,
    studies: list[list[str]],
    stores: Mapping[str, pd.DataFrame],
    notes: Mapping[str, str],
) -> Drawing:
    """One of figures 3 to 6, of the first of each data set's studies."""
    rows: list[Row] = []
    for name, *others in studies:
        data = stores[name]
        note = " ".join([notes.get(name, ""), rivals(spec, name, others, stores)]).strip()
        row = row_of(spec, data, note)
        if isinstance(row, Blank):
            return Blank(f"{DATASETS[data['dataset'].iloc[0]]}: {row.why}")
        rows.append(row)
    return plate(spec, rows)


def rivals(spec: Curves, name: str, others: list[str], stores: Mapping[str, pd.DataFrame]) -> str:
    """What a caption says of the studies that could have been drawn: those that have lines."""
    said = []
    for other in others:
        records = chosen(spec, stores[other], list(set(stores[other]["method"])))
        if len(records) and records.groupby("panel")["x"].nunique().max() > 1:
            cases, iterations = records["case_id"].nunique(), records["iterations"].max()
            said.append(f"{other} ({iterations:,} iterations, {cases:,} cases)")
    return f"Drawn: {name}. Left out: {'; '.join(said)}." if said else ""
