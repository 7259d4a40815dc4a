"""Table 4: the numbers that stand in it, where, and what is said of them."""

import itertools

import numpy as np
import pytest

from analysis import stats
from analysis.figures import drawers
from analysis.page import Blank
from analysis.paper import printed
from study.methods import METHODS
from tests.test_figures import assert_printable, caption, diverged, frame, linear, record, step

TRIO = ("baseline", "oversampling", "undersampling")
PAPER = ((0.1, 10.0, 1), (0.8, 50.0, 1), (0.9, 100.0, 3))
SIX = list(itertools.product((10.0, 50.0), (0.2, 0.5, 0.8)))


def paper():
    """The cells and runs of the paper's table."""
    return [
        record("step", rho, mu, run, id, dataset="imagenet", model="resnet10", iterations=320_000)
        for mu, rho, runs in PAPER
        for run in range(runs)
        for id in TRIO
    ]


def table(rows, note=""):
    return drawers(frame(rows), note)["table4"]()


def printed_rows(picture):
    """The words of the table, line by line from its top, each line from the left."""
    (axes,) = picture.axes
    lines = {}
    for text in axes.texts:
        x, y = text.get_position()
        lines.setdefault(round(y, 3), []).append((x, text.get_text()))
    return [[word for _, word in sorted(lines[y])] for y in sorted(lines)]


@pytest.mark.parametrize("width", ["page", "column"])
def test_runs_of_the_paper_s_cells_stand_as_in_the_paper(width):
    rows = paper()[::-1]
    with printed(width):
        picture = table(rows)
    mu, rho, n, *body = printed_rows(picture)
    assert mu == [rf"$\mu$ = {value}" for value in (0.1, 0.8, 0.9)]
    assert rho == [rf"$\rho$ = {value}" for value in (10, 50, 100)]
    assert n == ["n = 1", "n = 1", "n = 3"]
    for id, line in zip(TRIO, body, strict=True):
        own = [row for row in paper() if row["method"] == id]
        assert line == [METHODS[id].label, *(f"{100 * row['auc']:.2f}" for row in own)]
    assert picture.get_suptitle() == (
        "ILSVRC-2012, ResNet-10, step imbalance, 320,000 iterations, n = 1-3"
    )
    assert caption(picture) == "Multi-class ROC AUC in %. Each run on its own."
    (axes,) = picture.axes
    (width_of_three,) = [
        max(text.get_position()[0] for text in axes.texts if text.get_text()[0].isdigit())
    ]
    assert width_of_three < picture.page.panel_width


def test_more_runs_are_a_mean_and_its_interval():
    rows = step(SIX[:2], replicates=7, methods=TRIO)
    rows[0] = diverged(rows[0])
    picture = table(rows, "A note.")
    _, _, n, *body = printed_rows(picture)
    assert n == ["n = 6-7", "n = 7"]
    names = [line[0] for line in body[::2]]
    assert names == [METHODS[id].label for id in TRIO]
    for id, numbers, intervals in zip(TRIO, body[::2], body[1::2], strict=True):
        for (rho, mu), number, interval in zip(SIX[:2], numbers[1:], intervals, strict=True):
            aucs = np.array([
                100 * r["auc"] for r in rows
                if (r["rho"], r["mu"], r["method"]) == (rho, mu, id) and r["auc"]
            ])  # fmt: skip
            ((low, high),) = stats.bootstrap_means([aucs])
            assert (number, interval) == (f"{aucs.mean():.2f}", f"{low:.2f}-{high:.2f}")
    said = caption(picture)
    assert "The mean over n replicates, and under it the 95 % interval of that mean" in said
    assert "1 diverged left out." in said
    assert said.endswith("A note.")
    data = picture.page.data
    assert list(data["runs"]) == [7] * 6
    assert sorted(data["n"]) == [6, *[7] * 5]
    assert (data["low"] < data["auc"]).all()


def test_a_cell_of_few_runs_beside_one_of_many():
    rows = step(SIX[:1], 2, TRIO) + step(SIX[1:2], 4, TRIO)
    rows[0] = diverged(rows[0])
    rows = [
        row for row in rows if (row["mu"], row["replicate"], row["method"]) != (0.2, 1, TRIO[1])
    ]
    picture = table(rows)
    _, _, n, *body = printed_rows(picture)
    assert n == ["n = 2", "n = 4"]
    numbers = {line[0]: line[1:] for line in body if len(line) > 1}
    aucs = {(r["replicate"], r["method"]): r["auc"] for r in rows if r["mu"] == 0.2}
    assert numbers["Baseline"][:2] == ["div.", f"{100 * aucs[1, 'baseline']:.2f}"]
    assert numbers["Oversampling"][:2] == [f"{100 * aucs[0, 'oversampling']:.2f}", "\u2013"]
    said = caption(picture)
    assert "Where n is 3 or less, each run on its own; elsewhere the mean over n" in said
    assert "\u2013: not run. div.: diverged." in said
    assert "left out" not in said, "it stands in the table"


def test_a_mean_of_one_has_no_interval_and_one_of_none_no_number():
    rows = step(SIX[:1], 4, TRIO)
    rows = [
        diverged(row)
        if (row["method"] == "baseline" and row["replicate"]) or row["method"] == "oversampling"
        else row
        for row in rows
    ]
    body = printed_rows(table(rows))[3:]
    assert body[0] == ["Baseline", f"{100 * rows[0]['auc']:.2f}"]
    assert body[1] == ["Oversampling", "div."]
    assert len(body) == 4


def test_methods_are_those_whose_auc_differs():
    picture = table(step(SIX[:2], 1))
    names = [line[0] for line in printed_rows(picture)[3:]]
    assert names == [METHODS[id].label for id in METHODS if METHODS[id].decision == "argmax"]
    own = [r | {"loss": "focal"} for r in step(SIX[:2], 1, ["f" * 80])]
    assert "f" * 15 + " ... " + "f" * 10 in [
        line[0] for line in printed_rows(table(step(SIX[:2], 1) + own))
    ]


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize(
    "rows",
    [paper(), step(SIX, 5), step(SIX, 3), step(SIX[:1], 5), step(SIX[:2], 1)],
    ids=["paper", "means", "runs", "one cell", "one run"],
)
def test_no_text_is_cut_or_lies_on_another(rows, width):
    rows = [diverged(rows[0]), *rows[2:]]
    with printed(width):
        assert_printable(table(rows, "A note."), width)


def test_cells_that_do_not_fit_go_below():
    with printed("column"):
        lines = printed_rows(table(step(SIX, 5)))
    heads = [line for line in lines if line[0].startswith(r"$\mu$")]
    assert [len(head) for head in heads] == [2, 2, 2]
    assert list(itertools.chain(*heads)) == [
        rf"$\mu$ = {mu}" for mu in (0.2, 0.2, 0.5, 0.5, 0.8, 0.8)
    ]
    assert len([line for line in lines if line[0] == "Baseline"]) == 3
    heads = [line for line in printed_rows(table(step(SIX, 5))) if line[0].startswith(r"$\mu$")]
    assert [len(head) for head in heads] == [3, 3]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (linear(), "no step imbalance in this study, only linear imbalance"),
        (step([*SIX, (2.0, 0.1)]), "7 cells of step imbalance, and a table has 6 at most"),
        ([row | {"to": 5.0} for row in step()],
         "no record of step imbalance is sampled to full balance"),
        ([diverged(row) for row in paper()], "all 15 records of step imbalance diverged"),
    ],
)  # fmt: skip
def test_where_there_is_no_table(rows, why):
    assert table(rows) == Blank(why)
