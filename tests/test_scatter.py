"""Accuracy against AUC: what is shown of made-up records, against plain loops."""

import itertools
from collections import defaultdict
from time import perf_counter

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from analysis import scatter
from analysis.page import Blank
from analysis.style import STYLES
from study.methods import METHODS
from tests.test_figures import caption, diverged, frame, legend, linear, record, step

PANELS = (
    ("baseline", "thresholding"),
    ("oversampling", "two_phase_oversampling", "oversampling_thresholding"),
    ("undersampling", "two_phase_undersampling", "undersampling_thresholding"),
)
PAIRS = {
    "thresholding": "baseline",
    "oversampling_thresholding": "oversampling",
    "undersampling_thresholding": "undersampling",
}


def judged(rows):
    """The records with scores of their networks: thresholding has the AUC of what it thresholds."""
    aucs = {(row["case_id"], row["method"]): row["auc"] for row in rows}
    for i, row in enumerate(rows):
        network = PAIRS.get(row["method"], row["method"])
        row["auc"] = aucs.get((row["case_id"], network), row["auc"])
        row["accuracy"] = row["auc"] - 0.3 * float(np.random.default_rng(i).random())
    return rows


def drawn(rows, note=""):
    return scatter.draw(frame(rows), note)


def means(rows):
    """By (cell, method) what the mean AUC lacks of 100 %, and the mean accuracy in per cent."""
    scores = defaultdict(list)
    for row in rows:
        if row["auc"] is not None:
            key = row["rho"], row["mu"], row["method"]
            scores[key].append((100 - 100 * row["auc"], 100 * row["accuracy"]))
    return {key: np.mean(values, axis=0) for key, values in scores.items()}


def markers(axes):
    """The points of each method in a panel, by label; replicates have none."""
    return {
        x.get_label(): np.transpose(x.get_data())
        for x in axes.lines
        if not x.get_label().startswith("_")
    }


def dots(axes):
    return sum(len(x.get_xdata()) for x in axes.lines if x.get_label().startswith("_"))


def segments(axes):
    found = [c for c in axes.collections if isinstance(c, LineCollection)]
    return [segment for collection in found for segment in collection.get_segments()]


def ordered(points):
    return sorted(map(list, points))


def test_a_point_is_the_mean_of_a_cell():
    rows = judged(step())
    picture = drawn(rows)
    expected = means(rows)
    assert picture.get_suptitle() == "MNIST, LeNet-5, step imbalance, 1,500 iterations, n = 3"
    assert legend(picture) == {method.label for method in METHODS.values()}
    marks = [entry for entry in picture.legends[0].legend_handles if entry.get_label().strip()]
    assert {entry.get_linestyle() for entry in marks} == {"None"}
    for ids, axes in zip(PANELS, picture.axes, strict=True):
        found = markers(axes)
        assert set(found) == {METHODS[id].label for id in ids}
        for id in ids:
            own = [point for (_, _, method), point in expected.items() if method == id]
            assert ordered(found[METHODS[id].label]) == [pytest.approx(p) for p in ordered(own)]
        line = next(x for x in axes.lines if x.get_label() == METHODS[ids[0]].label)
        assert line.get_color() == STYLES[ids[0]].colour
        assert line.get_marker() == STYLES[ids[0]].marker
        assert line.get_linestyle() == "None"
        assert dots(axes) == 27 * len(ids)
    titles = [axes.get_title(loc="left") for axes in picture.axes]
    assert titles == ["(a) Not sampled", "(b) Oversampling", "(c) Undersampling"]


def test_lines_join_decisions_on_the_same_networks_at_one_auc():
    rows = judged(step())
    expected = means(rows)
    for ids, axes in zip(PANELS, drawn(rows).axes, strict=True):
        (pair,) = [(PAIRS[id], id) for id in ids if id in PAIRS]
        own = [
            [*point, *expected[rho, mu, pair[1]]]
            for (rho, mu, method), point in expected.items()
            if method == pair[0]
        ]
        found = [segment.ravel() for segment in segments(axes)]
        assert ordered(found) == [pytest.approx(ends) for ends in ordered(own)]
        assert all(ends[0] == pytest.approx(ends[2]) for ends in found)


def test_the_caption_says_what_thresholding_moves():
    rows = judged(step())
    expected = means(rows)
    said = caption(drawn(rows, "Best of 4.")).replace("\N{MINUS SIGN}", "-")
    for id, network in PAIRS.items():
        moved = [
            expected[rho, mu, id][1] - point[1]
            for (rho, mu, method), point in expected.items()
            if method == network
        ]
        assert f"{METHODS[id].label} {np.mean(moved):+.1f} [" in said
    assert said.endswith("Best of 4.")


def test_without_pairs_nothing_is_joined():
    picture = drawn(judged(step(methods=["baseline", "oversampling"])))
    assert not any(segments(axes) for axes in picture.axes)
    assert "decisions" not in caption(picture)
    assert "Not run: Undersampling; Two-phase, oversampling;" in caption(picture)
    assert len(picture.axes) == 2


def test_the_axis_is_an_auc_that_rises_to_the_right():
    """Logarithmic in what is lacking to 100 %: equal steps are equal factors."""
    rows = judged(step())
    for axes in drawn(rows).axes:
        left, right = axes.get_xlim()
        assert axes.get_xscale() == "log"
        assert left > max(100 - 100 * row["auc"] for row in rows)
        assert right < min(100 - 100 * row["auc"] for row in rows)
        for tick, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
            assert float(label.get_text()) == pytest.approx(100 - tick)
            assert right < tick < left
        assert len(axes.get_xticks()) > 1


@pytest.mark.parametrize(
    "lacking", [(1e-6, 0.5), (1e-4, 1.3e-4), (0.02, 0.021), (0.1, 0.1), (0, 0)]
)
def test_ticks_of_any_span_do_not_touch(lacking):
    rows = [
        record("step", 10.0, 0.2, i, id, auc=1 - error, accuracy=0.5)
        for id in ("baseline", "thresholding")
        for i, error in enumerate(np.geomspace(*lacking, 9) if lacking[0] else [0.0, 0.0])
    ]
    picture = drawn(rows)
    picture.draw_without_rendering()
    (axes,) = picture.axes
    labels = axes.get_xticklabels()
    assert len(labels) > 1
    assert len({label.get_text() for label in labels}) == len(labels)
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_an_auc_of_a_hundred_is_drawn_beyond_all_others():
    rows = judged(step(methods=["baseline"]))
    for row in rows[:3]:
        row["auc"] = 1.0
    (axes,) = drawn(rows).axes
    xs = markers(axes)["Baseline"][:, 0]
    others = [x for (rho, mu, _), (x, _) in means(rows).items() if (rho, mu) != (10, 0.2)]
    assert xs.min() == pytest.approx(min(others) / 2)
    assert axes.get_xlim()[1] < xs.min()


def test_what_diverged_is_left_out_and_counted():
    rows = judged(step())
    rows[0] = diverged(rows[0])
    picture = drawn(rows)
    assert "1 diverged left out." in caption(picture)
    assert "n = 2-3" in picture.get_suptitle()
    expected = means(rows)[10.0, 0.2, "baseline"]
    assert [pytest.approx(expected)] == [
        p for p in map(list, markers(picture.axes[0])["Baseline"]) if p == pytest.approx(expected)
    ]


def test_sampling_to_other_ratios_is_left_out():
    rows = judged(step(methods=["baseline", "oversampling"]))
    others = [row | {"to": 10.0, "auc": 0.5} for row in rows]
    assert drawn(rows + others).page.data.equals(drawn(rows).page.data)


def test_one_replicate_has_no_dots():
    picture = drawn(judged(step(replicates=1)))
    assert all(dots(axes) == 0 for axes in picture.axes)
    assert caption(picture).startswith("A marker a cell.")


def test_another_sampling_has_one_panel_with_all():
    rows = judged(step(methods=["baseline", "oversampling", "mine"]))
    rows = [row | ({"sampling": "mine:some"} if row["method"] == "mine" else {}) for row in rows]
    picture = drawn(rows)
    (axes,) = picture.axes
    assert set(markers(axes)) == {"Baseline", "Oversampling", "mine"}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no records in this study"),
        (step(to=10.0), "no record is sampled to full balance"),
        ([diverged(row) for row in step()], "all 216 records diverged"),
        (
            step([(10.0, 0.2)], methods=["baseline"]),
            "one cell and one method: a single point",
        ),
    ],
)
def test_where_there_is_nothing_to_draw_it_says_why(rows, why):
    assert drawn(rows) == Blank(why)


@pytest.mark.parametrize("rows", [step(test_counts=[20, 30] * 5), linear()])
def test_no_text_is_cut_or_lies_on_another(rows):
    picture = drawn(judged(rows))
    picture.draw_without_rendering()
    whole = picture.bbox
    parts = [*picture.texts, *picture.legends, picture.axes[0].yaxis.label]
    for axes in picture.axes:
        parts += [axes.xaxis.label, axes._left_title, *axes.get_xticklabels()]
    boxes = [part.get_window_extent() for part in parts]
    for box in boxes:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


def test_many_dots_are_a_raster_and_soon_drawn():
    data = frame(judged(step(replicates=80)))
    begin = perf_counter()
    picture = scatter.draw(data)
    assert perf_counter() - begin < 5
    assert all(
        line.get_rasterized() == line.get_label().startswith("_")
        for axes in picture.axes
        for line in axes.lines
    )
