"""Critical-difference diagrams of made-up records, against loops, SciPy and Demsar's table."""

import itertools

import numpy as np
import pytest
import scipy.stats
from scikit_posthocs import posthoc_nemenyi_friedman

from analysis import ranks
from analysis.page import Blank, save
from analysis.paper import printed
from analysis.style import SPARE, STYLES
from study.methods import METHODS
from tests.test_figures import CELLS, caption, diverged, frame, linear, record, step

TRAINED = [id for id, method in METHODS.items() if method.decision == "argmax"]
DEMSAR = {3: 2.343, 5: 2.728, 8: 3.031}
"""Demsar (2006), table 5: the critical values of Nemenyi's test at 5 %, by number of methods."""


def scored(methods=TRAINED, cells=CELLS, noise=0.004, replicates=2):
    """Records in which later methods are better, but for noise: some differ and some do not."""
    rng = np.random.default_rng(8)
    return [
        record("step", rho, mu, replicate, method, auc=auc, accuracy=1 - auc)
        for rho, mu in cells
        for replicate in range(replicates)
        for k, method in enumerate(methods)
        for auc in [0.8 + 0.004 * k + noise * rng.normal() - 0.01 * np.log10(rho)]
    ]


def mean_ranks(rows, ids, measure="auc"):
    """Method -> its mean rank over the cells, and the scores in each of them, by plain loops."""
    cells = {}
    for row in rows:
        cells.setdefault((row["imbalance"], row["rho"], row["mu"]), {}).setdefault(
            row["case_id"], {}
        )[row["method"]] = row[measure]
    table = []
    for cases in cells.values():
        whole = [case for case in cases.values() if all(case.get(id) is not None for id in ids)]
        if whole:
            table.append([np.mean([case[id] for case in whole]) for id in ids])
    ranked = [scipy.stats.rankdata([-score for score in scores]) for scores in table]
    return dict(zip(ids, np.mean(ranked, axis=0), strict=True)), np.array(table)


def leaders(picture):
    """Name -> the mean rank printed beside it, and the x of its marker."""
    (axes,) = picture.axes
    rows = {}
    for text in axes.texts:
        rows.setdefault(round(text.get_position()[1], 4), []).append(text)
    marked = {
        round(line.get_ydata()[0], 4): line for line in axes.lines if line.get_marker() != "None"
    }
    return {
        name.get_text(): (float(number.get_text()), line)
        for y, line in marked.items()
        for name, number in [sorted(rows[y], key=lambda text: text.get_position()[0])]
    }


def scale(picture):
    """From an x in inches to a rank, by the labels of the axis."""
    whole = [text for text in picture.axes[0].texts if text.get_text().isdigit()]
    places = [(text.get_position()[0], int(text.get_text())) for text in whole]
    slope, start = np.polyfit(*zip(*places, strict=True), 1)
    return lambda x: slope * x + start


def bars(picture):
    """The bars, from the left: the ranks of their ends, and how deep each lies."""
    to_rank = scale(picture)
    found = [line for line in picture.axes[0].lines if line.get_linewidth() > 2]
    ends = [(*map(to_rank, line.get_xdata()), line.get_ydata()[0]) for line in found]
    return sorted(ends)


def cliques(ps):
    """The largest sets of two or more methods no two of which differ, by trying all sets."""
    k = len(ps)
    alike = [
        set(some)
        for size in range(2, k + 1)
        for some in itertools.combinations(range(k), size)
        if all(ps[a][b] >= 0.05 for a, b in itertools.combinations(some, 2))
    ]
    return [one for one in alike if not any(one < other for other in alike)]


# What is drawn


@pytest.mark.parametrize("measure", ["auc", "accuracy"])
def test_methods_stand_at_their_mean_ranks_best_first(measure):
    rows = scored()
    expected, _ = mean_ranks(rows, TRAINED, measure)
    picture = ranks.draw(frame(rows), measure)
    found, to_rank = leaders(picture), scale(picture)
    assert list(found) == sorted(found, key=lambda name: found[name][0])
    ys = [line.get_ydata()[0] for _, line in found.values()]
    assert ys == sorted(ys), "the best on top"
    for id, rank in expected.items():
        number, line = found[METHODS[id].label]
        assert number == pytest.approx(rank, abs=0.005)
        assert to_rank(line.get_xdata()[0]) == pytest.approx(rank)
        assert line.get_marker() == STYLES[id].marker
        assert line.get_color() == STYLES[id].colour
    best = min(expected, key=expected.get)
    assert best == (TRAINED[-1] if measure == "auc" else TRAINED[0])
    assert picture.page.data["method"].tolist() == sorted(expected, key=expected.get)
    assert picture.page.data["rank"].tolist() == pytest.approx(sorted(expected.values()))


@pytest.mark.parametrize("noise", [0.0001, 0.004, 0.008, 0.012])
def test_bars_join_the_largest_sets_that_do_not_differ(noise):
    rows = scored(noise=noise)
    expected, table = mean_ranks(rows, TRAINED)
    order = np.argsort(list(expected.values()))
    ps = posthoc_nemenyi_friedman(table).to_numpy()[np.ix_(order, order)]
    at = np.sort(list(expected.values()))
    joined = sorted((at[min(one)], at[max(one)]) for one in cliques(ps))
    found = bars(ranks.draw(frame(rows), "auc"))
    assert len(found) == len(joined) > 0
    for (start, end, _), (first, last) in zip(found, joined, strict=True):
        assert start < first < last < end
        assert end - start == pytest.approx(last - first, abs=0.12)
    for (_, end, y), (start, _, below) in itertools.combinations(found, 2):
        assert y != below or end < start, "bars at one height do not touch"


@pytest.mark.parametrize(
    ("methods", "measure"),
    [(TRAINED[:3], "auc"), (TRAINED, "auc"), (list(METHODS), "accuracy")],
)
def test_the_critical_difference_is_demsars(methods, measure):
    k, n = len(methods), len(CELLS)
    expected = DEMSAR[k] * np.sqrt(k * (k + 1) / (6 * n))
    picture = ranks.draw(frame(scored(methods)), measure)
    assert picture.page.data["critical"].tolist() == pytest.approx([expected] * k, rel=1e-3)
    assert f"Critical difference {expected:.2f}" in {t.get_text() for t in picture.axes[0].texts}
    to_rank = scale(picture)
    lengths = [
        to_rank(line.get_xdata()[1]) - to_rank(line.get_xdata()[0])
        for line in picture.axes[0].lines
        if np.ptp(line.get_ydata()) == 0 and len(line.get_xdata()) == 2
    ]
    assert any(length == pytest.approx(expected, rel=1e-3) for length in lengths)


def test_the_caption_says_cells_tests_and_what_rank_1_is():
    rows = scored()
    _, table = mean_ranks(rows, TRAINED)
    picture = ranks.draw(frame(rows), "auc", "Best of 4.")
    said = caption(picture)
    assert picture.get_suptitle() == (
        "MNIST, LeNet-5, step imbalance, 1,500 iterations: ranks by AUC"
    )
    assert said.startswith("Mean ranks over 9 cells; rank 1 is the highest AUC.")
    p = scipy.stats.friedmanchisquare(*table.T).pvalue
    assert p < 0.001
    assert picture.page.data["friedman"].tolist() == pytest.approx([p] * 5)
    assert "Friedman's test that all methods are equal: p < 0.001." in said
    assert "less than 2.03, the critical difference of Nemenyi's test at 5 %." in said
    assert said.endswith("Best of 4.")
    assert "left out" not in said


def test_where_friedman_does_not_reject_one_bar_joins_all():
    """Here one pair would differ by Nemenyi's test alone."""
    for seed in range(300):
        scores = np.random.default_rng(seed).normal(size=(len(CELLS), 5))
        scores[:, 0] += 0.6
        p = scipy.stats.friedmanchisquare(*scores.T).pvalue
        if p > 0.05 and posthoc_nemenyi_friedman(scores).to_numpy().min() < 0.05:
            break
    rows = [
        record("step", rho, mu, 0, method, auc=0.5 + scores[i, k] / 100)
        for i, (rho, mu) in enumerate(CELLS)
        for k, method in enumerate(TRAINED)
    ]
    picture = ranks.draw(frame(rows), "auc")
    ((start, end, _),) = bars(picture)
    expected = sorted(mean_ranks(rows, TRAINED)[0].values())
    assert start < expected[0] < expected[-1] < end
    assert f"equal: p = {p:.2g}. At 5 % it does not reject that, and one bar" in caption(picture)


# Which methods and cells


def test_decisions_that_leave_the_auc_as_it_is_have_no_rank_in_it():
    data = frame(scored(list(METHODS)))
    assert set(ranks.draw(data, "auc").page.data["method"]) == set(TRAINED)
    assert set(ranks.draw(data, "accuracy").page.data["method"]) == set(METHODS)
    assert list(ranks.pages(data)) == ["ranks_auc", "ranks_accuracy"]
    for id, drawer in ranks.pages(data, "Best of 4.").items():
        picture = drawer()
        assert picture.get_suptitle().endswith(
            {"ranks_auc": "ranks by AUC", "ranks_accuracy": "ranks by accuracy"}[id]
        )
        assert caption(picture).endswith("Best of 4.")


def test_a_cell_without_one_of_the_methods_is_left_out():
    rows = [
        row
        for row in scored()
        if (row["rho"], row["mu"], row["method"]) != (10.0, 0.2, "undersampling")
    ]
    picture = ranks.draw(frame(rows), "auc")
    expected, table = mean_ranks(rows, TRAINED)
    assert len(table) == 8
    assert dict(picture.page.data[["method", "rank"]].to_numpy()) == pytest.approx(expected)
    assert "Mean ranks over 8 cells;" in caption(picture)
    assert "1 of 9 cells lack a method and are left out." in caption(picture)


def test_all_methods_are_averaged_over_the_same_cases():
    """Where one diverged the others' scores on that case do not count either."""
    rows = scored(noise=0.01)
    easy = [row["replicate"] == 0 for row in rows]
    rows = [
        row | {"auc": row["auc"] + 0.1} if e else row for row, e in zip(rows, easy, strict=True)
    ]
    gone = [e and row["method"] == "baseline" for row, e in zip(rows, easy, strict=True)]
    rows = [diverged(row) if g else row for row, g in zip(rows, gone, strict=True)]
    picture = ranks.draw(frame(rows), "auc")
    expected, _ = mean_ranks(rows, TRAINED)
    assert dict(picture.page.data[["method", "rank"]].to_numpy()) == pytest.approx(expected)
    later = [row for row in rows if row["replicate"]]
    assert picture.page.data["rank"].equals(ranks.draw(frame(later), "auc").page.data["rank"])
    assert "9 diverged left out." in caption(picture)


def test_linear_cells_are_ranked_too():
    rows = linear((10.0, 20.0, 50.0, 100.0, 200.0))
    picture = ranks.draw(frame(rows), "accuracy")
    expected, _ = mean_ranks(rows, list(METHODS), "accuracy")
    assert dict(picture.page.data[["method", "rank"]].to_numpy()) == pytest.approx(expected)


def test_sampling_to_other_ratios_is_left_out():
    rows = scored()
    others = [row | {"to": 5.0, "auc": 0.1} for row in rows if row["method"] == "oversampling"]
    found = ranks.draw(frame(rows + others), "auc").page.data
    assert found.equals(ranks.draw(frame(rows), "auc").page.data)


def test_methods_of_ones_own_are_ranked_with_the_others():
    own = ["mine:row", "mine:" + "long_" * 12]
    picture = ranks.draw(frame(scored([*TRAINED, *own])), "auc")
    found = leaders(picture)
    assert found["mine:row"][1].get_color() in {style.colour for style in SPARE}
    assert set(own) < set(picture.page.data["method"])


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (scored(TRAINED[:2]), "ranks need 3 methods whose AUC differs, here 2"),
        (
            scored(cells=CELLS[:4]),
            "ranks need 5 cells with all 5 methods, not diverged; here 4 of 4",
        ),
        (
            [diverged(row) for row in scored()],
            "ranks need 5 cells with all 5 methods, not diverged; here 0 of 9",
        ),
        ([], "ranks need 3 methods whose AUC differs, here 0"),
    ],
)
def test_where_there_is_nothing_to_draw_it_says_why(rows, why):
    assert ranks.draw(frame(rows), "auc") == Blank(why)


# On paper


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_no_words_are_cut_or_lie_on_others(width, noise):
    """Where all are equal, too, and every leader is the same."""
    rows = scored([*METHODS, "mine:" + "long_" * 12], noise=noise)
    rows = [row | {"accuracy": 0.5} for row in rows] if not noise else rows
    with printed(width):
        picture = ranks.draw(frame(rows), "accuracy")
    picture.draw_without_rendering()
    boxes = [text.get_window_extent() for text in (*picture.axes[0].texts, *picture.texts)]
    whole = picture.bbox
    for box in boxes:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    drawn = [line.get_window_extent() for line in picture.axes[0].lines]
    assert min(line.y0 for line in drawn) > picture.texts[-1].get_window_extent().y1
    assert max(line.x1 for line in drawn) <= whole.x1


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_it_becomes_a_file(tmp_path, kind):
    save(ranks.draw(frame(step()), "accuracy"), tmp_path / f"ranks.{kind}")
    assert (tmp_path / f"ranks.{kind}").stat().st_size > 5000
