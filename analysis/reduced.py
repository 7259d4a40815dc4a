"""Figure 7: AUC where sampling stops short of full balance, a line a number of minority classes."""

import pandas as pd
from matplotlib.lines import Line2D

from analysis.curves import MEASURES, lacking
from analysis.lines import Axis, bands, evenly, line, missing, points, scale_x, scale_y, span
from analysis.page import Blank, Drawing, Page, of_test_set, pooled, protocol
from analysis.style import ramp, theme
from study.methods import METHODS

SAMPLED = ("oversampling", "undersampling")
MOST = 9
"""Lines in a panel."""

AFTER = Axis("to", "Imbalance ratio after sampling", r"$\rho$", log=True)


def draw(data: pd.DataFrame, note: str = "") -> Drawing:
    """A panel a method; on the right, at the ratio of the set itself, the baseline."""
    sampled = data[
        (data["imbalance"] == "step") & data["method"].isin(SAMPLED) & (data["to"] < data["rho"])
    ]
    ratios = sampled.groupby(["rho", "method"])["to"].nunique().reset_index(name="ratios")
    several = ratios[ratios["ratios"] > 1]
    if several.empty:
        return Blank(reason(data, sampled))
    rho = several["rho"].max()
    methods = [id for id in SAMPLED if id in set(several[several["rho"] == rho]["method"])]
    records = chosen(data, sampled[sampled["rho"] == rho], methods)
    cells = points(records)
    if cells.empty:
        return Blank(f"all {len(records)} records of sampling at rho {rho:g} diverged")
    numbers = sorted(records["line"].unique())
    looks = dict(zip(numbers, ramp(len(numbers)), strict=True))
    labels = {n: f"{n:g} minority class{'es' if n > 1 else ''}" for n in numbers}
    with theme():
        page = Page(
            title=rf"{protocol(records)}, $\rho$ = {rho:g}, n = {span(cells['n'])}",
            caption=" ".join([*caption(data, records, cells, rho), note]).strip(),
            panels=[METHODS[id].label for id in methods],
            data=cells,
            legend=[Line2D([], [], label=labels[n], **looks[n].line()) for n in numbers],
            columns=-(-len(numbers) // 3),
            shared_x=True,
        )
        figure, panels = page.lay()
        xs = sorted(records["x"].unique())
        for id, axes in zip(methods, panels, strict=True):
            for number in numbers:
                own = cells[(cells["panel"] == id) & (cells["line"] == number)]
                line(axes, xs, own, xs, looks[number], labels[number])
            scale_x(axes, AFTER, xs, page.panel_width)
        scale_y([(axes, cells) for axes in panels], MEASURES["auc"])
    return figure


def chosen(data: pd.DataFrame, sampled: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """The sampled records and, for each panel, the baseline's of the same cases."""
    baseline = data[data["method"] == "baseline"]
    parts = []
    for id in methods:
        own = sampled[sampled["method"] == id]
        bare = baseline[baseline["case_id"].isin(own["case_id"])]
        parts += [own.assign(panel=id, x=own["to"]), bare.assign(panel=id, x=bare["rho"])]
    rows = pd.concat(parts)
    rows = rows.assign(line=rows["n_minority"].astype(int), score=100 * rows["auc"])
    return rows[rows["line"].isin(evenly(sorted(rows["line"].unique()), MOST))]


def reason(data: pd.DataFrame, sampled: pd.DataFrame) -> str:
    """Why there is nothing to draw."""
    if "step" not in set(data["imbalance"]):
        return lacking("step", data)
    if sampled.empty:
        return "neither over- nor undersampling in this study"
    return "over- and undersampling go to one ratio alone"


def caption(
    data: pd.DataFrame, records: pd.DataFrame, cells: pd.DataFrame, rho: float
) -> list[str]:
    """What stands where, what the bands are, and what is missing or left out."""
    run = set(records["method"])
    said = ["At 1: full balance."] if (records["x"] == 1).any() else []
    said += [f"At {rho:g}: the baseline, nothing sampled."] if "baseline" in run else []
    if absent := [METHODS[id].label for id in SAMPLED if id not in run]:
        said.append(f"Not run to several ratios: {'; '.join(absent)}.")
    if "baseline" not in run:
        said.append(f"Not run: {METHODS['baseline'].label}.")
    step = data[(data["imbalance"] == "step") & (data["rho"] == rho)]
    if (there := step["n_minority"].nunique()) > MOST:
        said.append(f"{MOST} of {there} numbers of minority classes.")
    return said + bands(cells) + pooled(records) + missing(records) + of_test_set(records)
