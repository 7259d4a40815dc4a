"""Recall against class size: what is shown of made-up records, against plain loops."""

import itertools
from collections import defaultdict
from time import perf_counter

import numpy as np
import pytest
import scipy.stats
from matplotlib.figure import Figure

from analysis import recall
from analysis.page import Blank
from analysis.paper import printed
from analysis.style import STYLES
from study.methods import METHODS
from tests.test_figures import caption, frame, legend, linear, record, step

TRIO = ("baseline", "oversampling", "undersampling")


def recalled(rows):
    """The records with a recall of each class that falls with its size, and differs by case."""
    for i, row in enumerate(rows):
        rng = np.random.default_rng(i)
        share = np.linspace(1 / row["rho"], 1, 10)
        if row["mu"]:
            share = [1 / row["rho"] if label in row["minority"] else 1 for label in range(10)]
        sizes = np.round(1000 * np.array(share))
        row["class_counts"] = [int(size) for size in sizes]
        found = 1 - 0.15 * np.log10(sizes.max() / sizes) - 0.1 * rng.random(len(sizes))
        row["recall_per_class"] = [float(value) for value in found - 0.1 * rng.random()]
    return rows


def lost(row):
    return row | {"status": "diverged", "recall_per_class": None}


def drawn(rows, note=""):
    return recall.draw(frame(rows), note)


def of_cases(rows, minority):
    """By (mu, rho, method): each case's mean recall over its minority or its other classes."""
    found = defaultdict(list)
    for row in rows:
        if row["recall_per_class"] is not None:
            own = [
                value
                for label, value in enumerate(row["recall_per_class"])
                if (label in row["minority"]) == minority
            ]
            found[row["mu"], row["rho"], row["method"]].append(100 * sum(own) / len(own))
    return found


def lines_of(axes):
    """The lines of a panel by label; those of the strip beside it have none."""
    return {x.get_label(): x for x in axes.lines if not x.get_label().startswith("_")}


def strip_of(axes):
    """Of each method in the strip the marker and the dots of the ratios, by the marker's colour."""
    beside = [x for x in axes.lines if x.get_label().startswith("_")]
    dots = {x.get_color(): list(x.get_ydata()) for x in beside if x.get_marker() == "."}
    marks = {x.get_color(): list(x.get_ydata()) for x in beside if x.get_marker() != "."}
    return marks, dots


def test_lines_are_means_over_cases_of_their_minority_classes():
    rows = recalled(step())
    picture = drawn(rows)
    means = {key: np.mean(values) for key, values in of_cases(rows, minority=True).items()}
    assert isinstance(picture, Figure)
    assert legend(picture) == {method.label for method in METHODS.values()}
    assert picture.get_suptitle() == "MNIST, LeNet-5, step imbalance, 1,500 iterations, n = 3"
    for mu, axes in zip((0.2, 0.5, 0.8), picture.axes, strict=True):
        assert axes.get_title(loc="left").endswith(rf"$\mu$ = {mu}")
        assert axes.get_xscale() == "log"
        found = lines_of(axes)
        assert list(found) == [method.label for method in METHODS.values()]
        for id, method in METHODS.items():
            assert list(found[method.label].get_xdata()) == [1, 10, 100]
            expected = [means[mu, rho, id] for rho in (1000.0, 100.0, 10.0)]
            assert list(found[method.label].get_ydata()) == pytest.approx(expected)
            assert found[method.label].get_color() == STYLES[id].colour


def test_beside_them_stand_the_majority_classes_and_each_ratio():
    rows = recalled(step())
    picture = drawn(rows)
    values = of_cases(rows, minority=False)
    for mu, axes in zip((0.2, 0.5, 0.8), picture.axes, strict=True):
        marks, dots = strip_of(axes)
        for id in METHODS:
            by_ratio = [np.mean(values[mu, rho, id]) for rho in (10.0, 100.0, 1000.0)]
            assert marks[STYLES[id].colour] == pytest.approx([np.mean(by_ratio)])
            assert dots[STYLES[id].colour] == pytest.approx(by_ratio)
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "10", "100", "1000"]


def test_more_classes_in_a_case_are_no_more_evidence():
    """Cases whose classes fare alike have the same interval with two minority classes as with 8."""
    cells = [(100.0, mu) for mu in (0.2, 0.8)]
    rows = recalled(step(cells, replicates=8, methods=["baseline"]))
    for row in rows:
        value = float(np.random.default_rng(row["replicate"]).random())
        row["recall_per_class"] = [value] * 10
    cells = drawn(rows).page.data
    few, many = (cells[(cells["panel"] == mu) & (cells["x"] == 10)] for mu in (0.2, 0.8))
    sample = [100 * row["recall_per_class"][0] for row in rows[:8]]
    for found in (few, many):
        (row,) = found.to_dict("records")
        assert row["n"] == 8
        assert row["mean"] == pytest.approx(np.mean(sample))
        error = np.std(sample, ddof=1) / np.sqrt(8)
        reach = scipy.stats.t.ppf(0.975, 7) * error
        assert row["low"] == pytest.approx(np.mean(sample) - reach, abs=0.3 * error)
        assert row["high"] == pytest.approx(np.mean(sample) + reach, abs=0.3 * error)


def test_a_case_weighs_alike_whatever_its_ratio_was_drawn_how_often():
    """The mean over ratios is one of their means, not one over all cases."""
    rows = recalled(step(methods=["baseline"]))
    rows = [row for row in rows if row["rho"] != 10 or row["replicate"] == 0]
    values = of_cases(rows, minority=False)
    marks, _ = strip_of(drawn(rows).axes[0])
    expected = np.mean([np.mean(values[0.2, rho, "baseline"]) for rho in (10.0, 100.0, 1000.0)])
    assert marks[STYLES["baseline"].colour] == pytest.approx([expected])


def edges(most):
    """1, 2, 5, 10, 20 and so on."""
    return [n * 10**tens for tens in range(len(str(most))) for n in (1, 2, 5)]


def test_many_sizes_go_into_bins():
    rows = recalled(linear(rhos=(10.0, 100.0, 1000.0)))
    picture = drawn(rows)
    (axes,) = picture.axes
    assert "Class sizes in bins (from 1, 2, 5, 10, 20, ...)" in caption(picture)
    found = defaultdict(list)
    sizes = defaultdict(list)
    for row in rows:
        held = defaultdict(list)
        for size, value in zip(row["class_counts"], row["recall_per_class"], strict=True):
            bin = max(edge for edge in edges(1000) if edge <= size)
            held[bin].append(100 * value)
            sizes[bin].append(size)
        for bin, own in held.items():
            found[row["method"], bin, row["rho"]].append(sum(own) / len(own))
    xs = [np.exp(np.mean(np.log(sizes[bin]))) for bin in sorted(sizes)]
    for id, method in METHODS.items():
        line = lines_of(axes)[method.label]
        assert list(line.get_xdata()) == pytest.approx(xs)
        for bin, mean in zip(sorted(sizes), line.get_ydata(), strict=True):
            of_ratios = [np.mean(v) for (m, b, _), v in found.items() if (m, b) == (id, bin)]
            assert mean == pytest.approx(np.mean(of_ratios))
    assert "n = 3-9" in picture.get_suptitle()


def as_found(counts, replicates=3, methods=TRIO, kind="natural"):
    """Records of a set taken as it is: each class has one size in all of them."""
    rows = [
        record(kind, 1.0, None, replicate, method, class_counts=counts) | {"rho": None}
        for replicate, method in itertools.product(range(replicates), methods)
    ]
    for i, row in enumerate(rows):
        row["recall_per_class"] = np.random.default_rng(i).random(len(counts)).tolist()
    return rows


def test_of_a_set_as_it_is_each_class_is_a_point_with_its_label_and_no_line():
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5918]
    rows = as_found(counts)
    picture = drawn(rows)
    (axes,) = picture.axes
    order = sorted(range(10), key=lambda label: counts[label])
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(o) for o in order]
    assert [text.get_text() for text in axes.texts] == [f"{counts[o]:,}" for o in order]
    for id in TRIO:
        line = lines_of(axes)[METHODS[id].label]
        assert line.get_linestyle() == "None"
        assert np.round(line.get_xdata()).tolist() == list(range(10)), "beside its own tick"
        own = [row["recall_per_class"] for row in rows if row["method"] == id]
        expected = [100 * np.mean([of_case[label] for of_case in own]) for label in order]
        assert line.get_ydata() == pytest.approx(expected)
    assert len(axes.collections) == len(TRIO), "bars, and no bands"
    said = caption(picture)
    assert "the same in every replicate" in said
    assert "Bars: 95 %" in said
    assert "Bands" not in said
    own = picture.page.data.set_index(["line", "label"])
    assert own.loc[("baseline", 9), "size"] == 5918
    assert not any(line.get_linestyle() != "None" for line in picture.page.legend)


@pytest.mark.parametrize(
    ("counts", "kind"), [([50, 20, 10] * 5, "natural"), ([500, 300, 100], "linear")]
)
def test_many_classes_and_sizes_asked_for_are_joined(counts, kind):
    (axes,) = drawn(as_found(counts, kind=kind)).axes
    assert lines_of(axes)["Baseline"].get_linestyle() != "None"
    assert list(lines_of(axes)["Baseline"].get_xdata()) == sorted(set(counts))


def test_one_ratio_has_neither_lines_nor_dots_and_points_near_its_tick():
    rows = recalled(step([(100.0, 0.2), (100.0, 0.5)]))
    picture = drawn(rows)
    for axes in picture.axes:
        marks, dots = strip_of(axes)
        assert len(marks) == len(METHODS)
        assert not any(dots.values())
        places = [line.get_xdata()[0] for line in lines_of(axes).values()]
        assert len(set(places)) == len(METHODS)
        low, high = axes.transData.transform([(min(places), 0), (max(places), 0)])[:, 0]
        middle = axes.transData.transform((10, 0))[0]
        assert (low + high) / 2 == pytest.approx(middle)
        assert high - low < 0.55 * axes.bbox.width
    said = caption(picture)
    assert "Side by side at one x so that they can be told apart." in said
    assert "On white: minority classes." in said
    assert "Lines" not in said
    assert "small dots" not in said
    both = caption(drawn(recalled(step())))
    assert "Side by side" not in both
    assert "Lines: minority classes" in both
    assert "small dots" in both


def test_few_sizes_stand_as_they_are():
    rows = recalled(linear(rhos=(10.0,)))
    picture = drawn(rows)
    (axes,) = picture.axes
    assert list(lines_of(axes)["Baseline"].get_xdata()) == sorted(rows[0]["class_counts"])
    assert "bins" not in caption(picture)
    assert "majority" not in caption(picture)
    assert not strip_of(axes)[0]


@pytest.mark.parametrize("most", [1, 2, 13, 999, 1000, 5000, 10**6])
def test_every_size_is_in_a_bin_and_no_bin_reaches_over_the_next(most):
    sizes = np.unique(np.geomspace(1, most, 60).round())
    at = recall.places(sizes)
    assert (np.diff(at) >= 0).all()
    assert len(np.unique(at)) <= max(len(edges(most)), 12)
    for size, place in zip(sizes, at, strict=True):
        low = max(edge for edge in edges(most) if edge <= size)
        assert place == size or low * (1 - 1e-9) <= place < 2.5 * low


def test_what_diverged_is_left_out_and_counted():
    rows = recalled(step())
    rows[0] = lost(rows[0])
    picture = drawn(rows)
    assert "1 diverged left out." in caption(picture)
    assert "n = 2-3" in picture.get_suptitle()
    found = lines_of(picture.axes[0])["Baseline"].get_ydata()
    values = of_cases(rows, minority=True)
    assert found[-1] == pytest.approx(np.mean(values[0.2, 10.0, "baseline"]))
    assert len(values[0.2, 10.0, "baseline"]) == 2


def test_a_class_that_the_test_set_lacks_has_no_recall():
    rows = recalled(step(cells=[(10.0, 0.2)], replicates=1, methods=["baseline"]))
    (row,) = rows
    rest = 100 * row["recall_per_class"][1]
    row["recall_per_class"][0] = None
    assert lines_of(drawn(rows).axes[0])["Baseline"].get_ydata() == pytest.approx([rest])


def test_what_was_not_run_is_said():
    rows = recalled(step(methods=TRIO))
    rows = [r for r in rows if (r["rho"], r["mu"], r["method"]) != (100, 0.5, "undersampling")]
    picture = drawn(rows, "Best of 4.")
    assert "1 of 27 points not run." in caption(picture)
    assert "Not run: Two-phase, oversampling; Two-phase, undersampling; Thres" in caption(picture)
    assert caption(picture).endswith("Best of 4.")


def test_sampling_to_other_ratios_is_left_out():
    rows = recalled(step(methods=TRIO))
    others = [row | {"to": 10.0, "recall_per_class": [0.0] * 10} for row in rows]
    assert drawn(rows + others).page.data.equals(drawn(rows).page.data)


def test_one_replicate_has_no_band_and_no_bar():
    picture = drawn(recalled(step(replicates=1, methods=TRIO)))
    assert "One replicate a point: no bands." in caption(picture)
    assert picture.page.data[["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no records in this study"),
        (recalled(step(to=10.0)), "no record is sampled to full balance"),
        (
            [record("balanced", 1.0, None, 0, "baseline", class_counts=[50] * 10)],
            "balanced classes: every class holds 50 images",
        ),
        ([lost(row) for row in recalled(step())], "all 216 records of step imbalance diverged"),
    ],
)
def test_where_there_is_nothing_to_draw_it_says_why(rows, why):
    assert drawn(rows) == Blank(why)


def test_an_imbalanced_test_set_is_said():
    rows = recalled(step(methods=TRIO, test_counts=[20, 30] * 5))
    assert "Imbalanced test set (20-30 images a class)" in caption(drawn(rows))


def test_methods_of_ones_own_are_lines_too():
    rows = recalled(step(methods=["baseline", "mine"]))
    assert {"mine"} < legend(drawn(rows))


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("mus", [(0.5,), (0.2, 0.5, 0.8)])
@pytest.mark.parametrize("kind", ["step", "linear", "natural"])
def test_no_text_is_cut_or_lies_on_another(kind, mus, width):
    rows = step(itertools.product((10.0, 50.0, 1000.0), mus), 2) if kind == "step" else linear()
    with printed(width):
        if kind == "natural":
            picture = drawn(as_found([123456 + label for label in range(12)]))
        else:
            picture = drawn(recalled(rows))
    picture.draw_without_rendering()
    whole = picture.bbox
    parts = [*picture.texts, *picture.legends, picture.axes[0].yaxis.label]
    for axes in picture.axes:
        parts += axes.texts
        parts += [axes._left_title] if axes.get_title(loc="left").strip() else []
        if not axes.xaxis.label.get_visible():  # a panel below has the labels
            continue
        parts.append(axes.xaxis.label)
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        parts += [label for at, label in ticks if low <= at <= high and label.get_text()]
    boxes = [part.get_window_extent() for part in parts]
    for box in boxes:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


def test_a_full_study_is_drawn_in_seconds():
    rows = recalled(step(itertools.product((10.0, 100.0, 1000.0), (0.2, 0.5, 0.8)), 50))
    data = frame(rows)
    begin = perf_counter()
    recall.draw(data)
    assert perf_counter() - begin < 10
