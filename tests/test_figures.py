"""The figures: what they show, from made-up records, and what the command says of bad input."""

import itertools
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import matplotlib.colors
import matplotlib.image
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import stats
from analysis.curves import FIGURES, TRAINED, paper_mus, spread
from analysis.figures import PAPERS_OWN, drawers, main
from analysis.methods import families
from analysis.page import Blank, Page
from analysis.paper import PAPERS, fitted, inches, paper, printed, wrapped
from analysis.records import TYPES, load
from analysis.stores import studies
from analysis.style import SPARE, STYLES, theme
from study.methods import METHODS
from study.schema import SCHEMA
from tests.conftest import ROOT

CELLS = list(itertools.product((10.0, 100.0, 1000.0), (0.2, 0.5, 0.8)))


def record(kind, rho, mu, replicate, method, **changes):
    """A record with scores that fall with rho and mu and differ between replicates and methods."""
    rng = np.random.default_rng([int(rho), int(10 * (mu or 0)), replicate, len(method)])
    auc = float(0.99 - 0.05 * np.log10(rho) * (mu or 0.1) - 0.02 * rng.random())
    minority = list(range(round(10 * mu))) if mu else None
    sizes = np.linspace(100 / rho, 100, 10)
    if mu:
        sizes = np.where(np.arange(10) < len(minority), 100 / rho, 100)
    case = f"{kind}-{rho}-{mu}-{replicate}"
    known = METHODS.get(method, METHODS["baseline"])
    row = {
        "record_id": f"{case}-{method}",
        "case_id": case,
        "training_id": f"{case}-{known.sampling}",
        "grid": "made_up",
        "dataset": "mnist",
        "model": "lenet5",
        "imbalance": kind,
        "rho": rho,
        "mu": mu,
        "n_minority": len(minority) if mu else None,
        "minority": minority,
        "class_counts": [max(1, round(size)) for size in sizes],
        "replicate": replicate,
        "subset": replicate,
        "split": None,
        "seed": 1,
        "method": method,
        "sampling": known.sampling,
        "to": 1.0,
        "loss": known.loss,
        "second_phase": known.second_phase,
        "decision": known.decision,
        "iterations": 1500,
        "batch": 64,
        "base_rate": 0.01,
        "run": 0,
        "status": "ok",
        "auc": auc,
        "accuracy": auc - 0.1,
    }
    return row | changes


def step(cells=CELLS, replicates=3, methods=METHODS, **changes):
    return [
        record("step", rho, mu, replicate, method, **changes)
        for rho, mu in cells
        for replicate in range(replicates)
        for method in methods
    ]


def linear(rhos=(10.0, 100.0), replicates=3, **changes):
    return [
        record("linear", rho, None, replicate, method, **changes)
        for rho in rhos
        for replicate in range(replicates)
        for method in METHODS
    ]


def diverged(row):
    return row | {"status": "diverged", "auc": None, "accuracy": None}


def frame(rows):
    """The records as `load` gives them."""
    return pa.Table.from_pylist(rows, schema=SCHEMA).to_pandas(types_mapper=TYPES.get)


def whole(row):
    """A record with what any has of a network that did not diverge, and no other."""
    kept = row | {name: row.get(name) for name in ("auc_per_class", "recall_per_class")}
    if row["status"] == "diverged":
        return kept | {"auc_per_class": None, "recall_per_class": None}
    number = len(row["class_counts"])
    every = {"auc_per_class": [row["auc"]] * number, "recall_per_class": [row["accuracy"]] * number}
    return kept | {name: values for name, values in every.items() if kept[name] is None}


def write(rows, folder, parts=2):
    """Writes records as the parts of the study in this folder."""
    rows = [whole(row) for row in rows]
    (folder / "records").mkdir(parents=True)
    for i in range(parts):
        table = pa.Table.from_pylist(rows[i::parts], schema=SCHEMA)
        pq.write_table(table, folder / "records" / f"{i}.parquet")
    return folder


@pytest.fixture
def store(tmp_path):
    """Writes records as a study's parts; gives the study's folder."""
    return lambda rows, study="made_up": write(rows, tmp_path / "results" / study)


@pytest.fixture
def command(tmp_path, capsys):
    """Runs the command on the results; gives exit code, output lines and errors."""

    def go(*words):
        code = main(["--results", str(tmp_path / "results"), *words])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return go


def drawn(rows, figure, store):
    return drawers(load(store(rows)))[figure]()


def lines(axes):
    """The lines of a panel by their labels: the y values."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def caption(figure):
    return figure.texts[-1].get_text().replace("\n", " ")


def legend(figure):
    return {text.get_text() for text in figure.legends[0].get_texts()} - {" "}


def assert_printable(picture, width):
    """No type too small for the width, nothing cut off, and nothing on anything else."""
    least, most = {"page": (6.5, 7.2), "column": (7, 3.5)}[width]
    assert isinstance(picture, Figure)
    assert picture.get_figwidth() <= most
    with theme():  # as it is saved: how many ticks there are hangs on their type
        picture.draw_without_rendering()
    ticks = [tick for a in picture.axes for axis in (a.xaxis, a.yaxis) if a.axison
             for tick in axis._update_ticks()]  # fmt: skip
    labels = [tick.label1 for tick in ticks]
    drawn = {text for axes in picture.axes for text in axes.texts} | {*labels, *picture.texts}
    drawn |= {text for legend in picture.legends for text in legend.get_texts()}
    parts = [*labels, *picture.texts, *picture.legends]
    for axes in picture.axes:
        names = [axes._left_title]
        names += [axes.xaxis.label, axes.yaxis.label] if axes.axison else []
        parts += names if axes.axison else [*names, *axes.texts]
        drawn |= {*names}
    assert min(t.get_fontsize() for t in drawn if t.get_visible() and t.get_text()) >= least
    shown = [p for p in parts if p.get_visible() and (not hasattr(p, "get_text") or p.get_text())]
    boxes = [part.get_window_extent() for part in shown]
    boxes += [axes.get_window_extent() for axes in picture.axes if axes.axison]
    whole = picture.bbox
    for box in boxes:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


def brute_force(rows, panel, x, score):
    """Mean score in per cent of every (panel, x, method), by a loop."""
    scores = defaultdict(list)
    for row in rows:
        if row[score] is not None:
            scores[row[panel] if panel else None, row[x], row["method"]].append(row[score])
    return {key: 100 * sum(values) / len(values) for key, values in scores.items()}


@pytest.mark.parametrize(
    ("figure", "panel", "panels", "x", "score"),
    [
        ("fig3", "mu", [0.2, 0.5, 0.8], "rho", "auc"),
        ("fig4", "rho", [10.0, 100.0, 1000.0], "n_minority", "auc"),
        ("fig5", None, [None], "rho", "auc"),
        ("fig6", "mu", [0.2, 0.5, 0.8], "rho", "accuracy"),
    ],
)
def test_every_line_is_the_mean_over_replicates(figure, panel, panels, x, score, store):
    rows = linear() if figure == "fig5" else step()
    picture = drawn(rows, figure, store)
    means = brute_force(rows, panel, x, score)
    assert isinstance(picture, Figure)
    assert len(picture.axes) == len(panels)
    shown = METHODS if figure == "fig6" else TRAINED
    assert legend(picture) == {METHODS[id].label for id in shown}
    for value, axes in zip(panels, picture.axes, strict=True):
        assert [line.get_label() for line in axes.lines] == [METHODS[id].label for id in shown]
        for id, line in zip(shown, axes.lines, strict=True):
            xs = sorted({row[x] for row in rows})
            assert list(line.get_xdata()) == xs
            assert line.get_ydata() == pytest.approx([means[value, at, id] for at in xs])
            assert line.get_color() == STYLES[id].colour
            assert line.get_marker() == STYLES[id].marker
        assert len(axes.collections) == len(shown)
        assert list(axes.get_xticks()) == xs
        assert axes.get_xscale() == ("log" if x == "rho" else "linear")
        shared = axes.get_ylim() == picture.axes[0].get_ylim()
        assert shared == (figure != "fig4" or axes is picture.axes[0])


def test_titles_and_caption_say_what_is_drawn(store):
    picture = drawn(step(), "fig3", store)
    assert picture.get_suptitle() == "MNIST, LeNet-5, step imbalance, 1,500 iterations, n = 3"
    titles = [axes.get_title(loc="left") for axes in picture.axes]
    assert titles == [rf"({a}) $\mu$ = {mu}" for a, mu in (("a", 0.2), ("b", 0.5), ("c", 0.8))]
    assert picture.axes[0].get_ylabel() == "Multi-class ROC AUC (%)"
    said = "95 % intervals of the mean, percentile bootstrap, 2,000 resamples, widened by Student"
    assert said in caption(picture)
    assert "not run" not in caption(picture).lower()
    assert "diverged" not in caption(picture)


@pytest.mark.parametrize("figure", ["fig3", "fig6"])
def test_the_band_is_the_interval_of_the_mean(figure, store):
    rows = step(replicates=6, methods=["baseline"])
    picture = drawn(rows, figure, store)
    score = FIGURES[figure].measure
    for mu, axes in zip((0.2, 0.5, 0.8), picture.axes, strict=True):
        corners = axes.collections[0].get_paths()[0].vertices
        for rho in (10.0, 100.0, 1000.0):
            sample = [100 * r[score] for r in rows if (r["rho"], r["mu"]) == (rho, mu)]
            band = corners[corners[:, 0] == rho, 1]
            students = scipy.stats.t.interval(0.95, 5, np.mean(sample), scipy.stats.sem(sample))
            assert band.min() < np.mean(sample) < band.max()
            assert np.ptp(band) == pytest.approx(np.ptp(students), rel=0.15)


def widened(sample, bounds):
    """Percentiles as far from the mean as Student's t is wider than the normal distribution, and
    as the sample's standard deviation with n - 1 in place of n.
    """
    n, middle = len(sample), np.mean(sample)
    wider = np.sqrt(n / (n - 1)) * scipy.stats.t.ppf(0.975, n - 1) / scipy.stats.norm.ppf(0.975)
    return middle + wider * (np.array(bounds) - middle)


def test_the_bootstrap_agrees_with_scipy():
    rng = np.random.default_rng(3)
    samples = [rng.normal(90, 4, size=n) for n in (5, 12, 50, 12)]
    for sample, bounds in zip(samples, stats.bootstrap_means(samples), strict=True):
        theirs = scipy.stats.bootstrap(
            (sample,), np.mean, n_resamples=20_000, method="percentile", rng=rng
        ).confidence_interval
        expected = widened(sample, theirs)
        assert bounds.tolist() == pytest.approx(expected.tolist(), abs=0.12 * np.ptp(expected))


def test_the_bootstrap_needs_two_values_and_does_not_depend_on_the_company():
    pair, single = np.array([1.0, 3.0]), np.array([5.0])
    bounds = stats.bootstrap_means([single, pair, pair + 1])
    assert np.isnan(bounds[0]).all()
    expected = widened(pair, [1, 3])
    assert np.ravel(bounds[1:]).tolist() == pytest.approx([*expected, *expected + 1])
    assert stats.bootstrap_means([pair]).tolist() == bounds[1:2].tolist()
    assert stats.bootstrap_means([]).shape == (0, 2)


def test_diverged_records_are_left_out_and_counted(store):
    rows = step()
    for i in (0, 1):
        rows[i] = diverged(rows[i])
    picture = drawn(rows, "fig3", store)
    assert "2 diverged left out." in caption(picture)
    assert "n = 2-3" in picture.get_suptitle()
    means = brute_force(rows, "mu", "rho", "auc")
    assert picture.axes[0].lines[0].get_ydata()[0] == pytest.approx(means[0.2, 10.0, "baseline"])


def test_a_cell_that_diverged_throughout_breaks_the_line(store):
    rows = [
        diverged(row) if (row["rho"], row["mu"], row["method"]) == (100, 0.2, "baseline") else row
        for row in step()
    ]
    picture = drawn(rows, "fig3", store)
    assert np.isnan(picture.axes[0].lines[0].get_ydata()).tolist() == [False, True, False]
    assert "3 diverged left out." in caption(picture)
    assert "not run" not in caption(picture)


def test_records_at_chance_stay_in_the_means(store):
    rows = step()
    rows[0] = rows[0] | {"status": "chance", "auc": 0.5}
    picture = drawn(rows, "fig3", store)
    means = brute_force(rows, "mu", "rho", "auc")
    assert picture.axes[0].lines[0].get_ydata()[0] == pytest.approx(means[0.2, 10.0, "baseline"])
    assert "1 no better than chance, kept." in caption(picture)


def test_one_replicate_has_no_band(store):
    picture = drawn(step(replicates=1), "fig3", store)
    assert "n = 1" in picture.get_suptitle()
    assert caption(picture) == "One replicate a point: no bands."
    lows = [
        path.vertices for axes in picture.axes for c in axes.collections for path in c.get_paths()
    ]
    assert all(len(vertices) == 0 for vertices in lows)


def test_one_ratio_alone_is_drawn(store):
    picture = drawn(step(cells=[(50.0, 0.4)]), "fig3", store)
    (axes,) = picture.axes
    places = [line.get_xdata()[0] for line in axes.lines]
    assert places == sorted(set(places))
    assert places[2] == pytest.approx(50)
    spread = np.ptp(axes.transData.transform([(place, 99) for place in places])[:, 0])
    assert 0.4 < spread / picture.dpi <= 4 * 0.16 + 0.01, "inches: near the one tick"
    assert "Bars: 95 % intervals" in caption(picture)
    assert "Side by side at one x so that they can be told apart." in caption(picture)
    assert {line.get_linestyle() for line in picture.legends[0].get_lines()} == {"None"}
    assert axes.get_title(loc="left") == r"$\mu$ = 0.4"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["50"]


def test_what_was_not_run_is_said(store):
    rows = [row for row in step(methods=TRAINED[:4]) if row["case_id"] != "step-10.0-0.2-0"]
    rows = [row for row in rows if (row["rho"], row["mu"]) != (1000, 0.8)]
    lost = ("oversampling", 100, 0.5)
    rows = [row for row in rows if (row["method"], row["rho"], row["mu"]) != lost]
    picture = drawn(rows, "fig3", store)
    assert f"Not run: {METHODS[TRAINED[4]].label}." in caption(picture)
    assert "1 of 32 points not run." in caption(picture), "eight cells, as a grid may list them"
    assert "n = 2-3" in picture.get_suptitle()


def test_panels_are_the_papers_or_spread():
    tenths = [n / 10 for n in range(1, 10)]
    assert paper_mus(tenths) == [0.2, 0.5, 0.8]
    assert paper_mus([0.1, 0.3, 0.5, 0.9]) == [0.1, 0.3, 0.9]
    assert paper_mus([0.2, 0.5]) == [0.2, 0.5]
    assert spread([10, 25, 50, 100, 250, 500, 1000, 2500, 5000]) == [10, 250, 5000]
    assert spread([]) == []


def test_ratios_as_near_as_the_papers_keep_their_ticks_and_lose_touching_labels(store):
    rhos = (10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
    picture = drawn(step(itertools.product(rhos, (0.2, 0.5, 0.8)), 1), "fig3", store)
    labels = [label for label in picture.axes[0].get_xticklabels() if label.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    assert list(picture.axes[0].get_xticks()) == list(rhos)
    assert {"10", "5000"} <= {label.get_text() for label in labels}
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("figure", ["fig1", "fig3", "fig4", "fig5", "fig6"])
@pytest.mark.parametrize(
    ("width", "mus"),
    [("page", (0.5,)), ("page", (0.2, 0.5)), *((w, (0.2, 0.5, 0.8)) for w in ("page", "column"))],
)
def test_no_text_is_cut_or_lies_on_another(figure, mus, width):
    rows = step(itertools.product((10.0, 50.0), mus), 2)[3:] + linear(replicates=1)
    rows[0] = diverged(rows[0])
    with printed(width):
        assert_printable(drawers(frame(rows))[figure](), width)


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("short", [1e-5, 5e-4, 9e-4, 2e-3])
def test_scores_near_the_top_have_ticks_that_leave_room_for_the_name(short, width):
    rows = [row | {"auc": 1 - short * row["n_minority"] / 8} for row in step()]
    with printed(width):
        for figure in ("fig3", "fig4"):
            assert_printable(drawers(frame(rows))[figure](), width)


def test_in_a_column_the_panels_stand_below_each_other():
    data = frame(step())
    wide = drawers(data)["fig3"]()
    with printed("column"):
        narrow = drawers(data)["fig3"]()
    assert wide.get_figwidth() == 7.2
    assert narrow.get_figwidth() == 3.5
    assert drawers(data)["fig6"]().get_figwidth() == 7.2, "the width is left with the context"
    boxes = [axes.get_position() for axes in narrow.axes]
    assert len({box.x0 for box in boxes}) == 1
    assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(boxes))
    shown = [[label.get_visible() for label in a.get_xticklabels()] for a in narrow.axes]
    named = [axes.xaxis.label.get_visible() for axes in narrow.axes]
    assert named == [False, False, True]
    assert [any(labels) for labels in shown] == [False, False, True]
    assert all(any(label.get_visible() for label in a.get_yticklabels()) for a in narrow.axes)
    for one, other in zip(wide.axes, narrow.axes, strict=True):
        assert lines(one) == lines(other)
    assert [axes.get_ylabel() for axes in narrow.axes[1:]] == ["", ""]
    narrow.draw_without_rendering()
    box = narrow.axes[0].yaxis.label.get_window_extent()
    assert box.y0 < narrow.axes[1].bbox.y1
    assert box.y1 > narrow.axes[1].bbox.y0, "the y axes' name stands beside the middle panel"
    assert (legend(narrow), caption(narrow)) == (legend(wide), caption(wide))


def test_a_width_is_a_thread_s_own():
    data = frame(step(replicates=1))
    with printed("column"), ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: paper()).result()
        assert (paper().widths[0], other.widths[0]) == (3.5, 6.2)
    with pytest.raises(RuntimeError), printed("column"):
        raise RuntimeError
    assert drawers(data)["fig3"]().get_figwidth() == 7.2


def page(**changes):
    """A page of empty panels, laid: the picture and the places of its panels in inches."""
    with theme():
        picture, axes = Page("", "", data=pd.DataFrame(), **changes).lay()
    size = picture.get_size_inches()
    corners = [np.round(a.get_position().p0 * size, 6).tolist() for a in axes]
    return picture, axes, corners


def test_rows_of_panels_have_letters_that_run_on_and_a_y_axis_each():
    _, axes, corners = page(panels=list("uvwxy"), rows=[3, 2])
    titles = [a.get_title(loc="left") for a in axes]
    assert titles == ["(a) u", "(b) v", "(c) w", "(d) x", "(e) y"]
    lefts, lows = zip(*corners, strict=True)
    assert lefts[:2] == lefts[3:]
    assert len(set(lows[:3])) == len(set(lows[3:])) == 1
    assert lows[0] > lows[3]
    y = axes[0].get_shared_y_axes()
    assert y.joined(axes[0], axes[2])
    assert y.joined(axes[3], axes[4])
    assert not y.joined(axes[0], axes[3])
    shown = [a.yaxis.get_tick_params()["labelleft"] for a in axes]
    assert shown == [True, False, False, True, False]
    own, _, wider = page(panels=list("uvwxy"), rows=[3, 2], shared=False)
    assert not y.joined(own.axes[0], own.axes[1])
    assert all(a.yaxis.get_tick_params()["labelleft"] for a in own.axes)
    assert wider[1][0] - wider[0][0] > 0
    assert own.axes[0].get_position().width < axes[0].get_position().width


def test_rows_in_a_column_are_stacks():
    with printed("column"):
        _, axes, two = page(panels=list("uvwxy"), rows=[3, 2], shared_x=True)
        named = [a.xaxis.label.get_visible() for a in axes]
        _, _, three = page(panels=list("uvwxyz"), rows=[2, 2, 2], shared=False)
    lefts, lows = zip(*two, strict=True)
    assert len(set(lefts[:3])) == len(set(lefts[3:])) == 1
    assert lefts[0] < lefts[3]
    assert lows[:2] == lows[3:]
    assert named == [False, False, True, False, True]
    assert len({x for x, _ in three}) == 2
    assert [x for x, _ in three[::2]] == [three[0][0]] * 3


def test_letters_go_on_over_pages():
    page = Page("Title", "", ["one", "two"], pd.DataFrame(), part=(2, 3), before=25)
    picture, axes = page.lay()
    assert [one.get_title(loc="left") for one in axes] == ["(z) one", "(aa) two"]
    assert picture.get_suptitle() == "Title (2 of 3)"
    picture, (one,) = replace(page, panels=["one"], part=(3, 3)).lay()
    assert one.get_title(loc="left") == "(z) one"


def test_a_panel_s_height_and_margin_can_be_chosen():
    for width, usual in (("page", 2.1), ("column", 1.9)):
        with printed(width):
            picture, (axes,), _ = page(panels=[""])
            assert axes.get_position().height * picture.get_figheight() == pytest.approx(usual)
            chosen = {"height": 3.3, "left": 1.4}
            picture, (axes,), ((left, _),) = page(panels=[""], **chosen)
            assert axes.get_position().height * picture.get_figheight() == pytest.approx(3.3)
            assert left == 1.4
            room = picture.get_figwidth() - left - PAPERS[width].right
            assert picture.page.panel_width == pytest.approx(room)
    bare, (axes,), _ = page(panels=[""], axes=False, height=1.0)
    assert not axes.axison
    assert axes.get_ylim() == (1.0, 0.0)
    assert bare.get_figheight() < page(panels=[""], height=1.0)[0].get_figheight()


def test_lines_of_text_are_as_long_as_the_room():
    said = "Bands: 95 % intervals of the mean over n = 3 replicates, percentile bootstrap. " * 4
    for room in (1.0, 3.3, 6.4):
        broken = wrapped(said, 7, room)
        assert " ".join(broken) == said.strip()
        assert all(inches(line, 7) <= room for line in broken)
        assert all(line.count("n =") == line.count("n = 3") for line in broken)
        assert not any(line.startswith("%") for line in broken)
        assert inches(broken[0], 7) > 0.6 * room
    assert wrapped("", 7, 3.0) == []
    assert wrapped("one\ntwo", 7, 3.0) == ["one", "two"]
    assert "".join(wrapped("m" * 90, 7, 1.0)) == "m" * 90


def test_a_legend_has_as_many_columns_as_fit():
    names = ("Baseline", " ", "Oversampling", "Two-phase, oversampling")
    entries = [Line2D([], [], label=name) for name in names]
    assert fitted(entries, 2, PAPERS["page"], 6.0) == (entries, 2)
    one, columns = fitted(entries, 2, PAPERS["page"], 2.2)
    assert (columns, one) == (1, [entries[0], *entries[2:]])
    assert fitted([], 1, PAPERS["page"], 6.0) == ([], 1)


@pytest.mark.parametrize("width", ["page", "column"])
def test_a_legend_of_all_methods_ends_with_the_panels(width):
    with printed(width):
        picture = drawers(frame(step()))["fig6"]()
    picture.draw_without_rendering()
    assert picture.legends[0]._ncols == {"page": 3, "column": 2}[width]
    box = picture.legends[0].get_window_extent()
    right = (1 - picture.axes[-1].get_position().x1) * picture.bbox.width
    assert box.x1 <= picture.bbox.width - right + 1
    assert box.x0 >= right - 1


def test_example_distributions(store):
    rows = step() + linear()
    picture = drawn(rows, "fig1", store)
    titles = [axes.get_title(loc="left") for axes in picture.axes]
    assert titles == [
        r"(a) step, $\rho$ = 10, $\mu$ = 0.5",
        r"(b) step, $\rho$ = 10, $\mu$ = 0.8",
        r"(c) linear, $\rho$ = 10",
    ]
    for axes, (kind, mu) in zip(
        picture.axes, (("step", 0.5), ("step", 0.8), ("linear", None)), strict=True
    ):
        (counts,) = {
            tuple(r["class_counts"])
            for r in rows
            if (r["imbalance"], r["rho"], r["mu"]) == (kind, 10, mu)
        }
        bars = {round(bar.get_x() + bar.get_width() / 2): bar for bar in axes.patches}
        assert [bars[label].get_height() for label in range(10)] == list(counts)
        hatched = {label for label, bar in bars.items() if bar.get_hatch()}
        assert hatched == (set(range(round(10 * mu))) if mu else set())
        solid = {to_hex(bar.get_facecolor()) for bar in bars.values() if not bar.get_hatch()}
        (majority,) = (
            to_hex(patch.get_facecolor())
            for patch in picture.legends[0].get_patches()
            if not patch.get_hatch()
        )
        assert (solid == {majority}) == bool(mu), "linear imbalance has no majority"
        assert len(solid) == 1
    assert legend(picture) == {"Majority class", "Minority class"}


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("rho", [20.0, 1000.0])
def test_bars_too_low_to_be_seen_have_their_number_above_them(rho, width):
    rows = [
        row
        | {"class_counts": [int(5000 / rho) if k in row["minority"] else 5000 for k in range(10)]}
        for row in step([(rho, 0.5), (rho, 0.8), (rho, 0.2)], replicates=1)
    ]
    with printed(width):
        picture = drawers(frame(rows + linear((10.0,))))["fig1"]()
    picture.draw_without_rendering()
    for axes in picture.axes:
        held = {round(bar.get_x() + bar.get_width() / 2): bar for bar in axes.patches}
        low = {label for label, bar in held.items() if bar.get_height() == int(5000 / rho)}
        shown = {round(text.xy[0]): text for text in axes.texts}
        assert set(shown) == low
        assert {text.get_text() for text in shown.values()} <= {f"{int(5000 / rho)}"}
        boxes = [text.get_window_extent() for text in shown.values()]
        tall = [bar.get_window_extent() for label, bar in held.items() if label not in low]
        assert not [(a, b) for a, b in itertools.combinations(boxes + tall, 2) if a.overlaps(b)]
    assert any(axes.texts for axes in picture.axes)


def test_example_distributions_of_one_cell(store):
    assert len(drawn(step(cells=[(50.0, 0.4)]), "fig1", store).axes) == 1


def test_every_method_has_a_look_of_its_own():
    assert set(STYLES) == set(METHODS)
    looks = [*STYLES.values(), *SPARE]
    assert len({matplotlib.colors.to_hex(style.colour) for style in looks}) == len(looks)
    assert len({style.marker for style in looks}) == len(looks)
    for family in families(METHODS.values()):
        assert len({STYLES[method.id].dash for method in family}) == len(family)


KINDS = [
    ("natural", None, "natural imbalance", r"natural, $\rho$ = 10"),
    ("balanced", 1.0, "balanced classes", r"balanced, $\rho$ = 1"),
    ("counts", 10.0, "classes of listed sizes", r"counts, $\rho$ = 10"),
    ("lab.profiles:LongTail", 10.0, "profile LongTail", r"LongTail, $\rho$ = 10"),
]


@pytest.mark.parametrize(("kind", "rho", "words", "title"), KINDS)
def test_of_other_imbalances_only_the_class_sizes_are_drawn(kind, rho, words, title, store):
    counts = [20, 60, 100, 40, 80, 10, 90, 30, 70, 50] if rho != 1 else [100] * 10
    rows = [record(kind, 1.0, None, 0, id, class_counts=counts) | {"rho": rho} for id in METHODS]
    drawings = {id: drawer() for id, drawer in drawers(load(store(rows))).items()}
    (axes,) = drawings.pop("fig1").axes
    assert [bar.get_height() for bar in axes.patches] == sorted(counts, reverse=True)
    ticks = [int(label.get_text()) for label in axes.get_xticklabels()]
    assert [counts[label] for label in ticks] == sorted(counts, reverse=True)
    assert axes.get_title(loc="left") == title
    own = {id: drawing.why for id, drawing in drawings.items() if id in PAPERS_OWN}
    assert own == {
        **dict.fromkeys(
            ("fig3", "fig4", "fig6", "fig7"), f"no step imbalance in this study, only {words}"
        ),
        "fig5": f"no linear imbalance in this study, only {words}",
        "fig8": "no curves of baseline, over- or undersampling in this study",
        "table4": f"no step imbalance in this study, only {words}",
    }


@pytest.mark.parametrize("kind", ["step", "linear", "natural"])
def test_a_thousand_classes_are_an_outline_with_few_ticks(kind, store):
    rng = np.random.default_rng(1)
    minority = sorted(rng.choice(1000, 900, replace=False).tolist()) if kind == "step" else None
    counts = rng.permutation(np.linspace(10, 1000, 1000).round().astype(int))
    if minority:
        counts = np.where(np.isin(np.arange(1000), minority), 10, 1000)
    rows = [
        record(kind, 100.0, 0.9 if minority else None, 0, "baseline",
               class_counts=counts.tolist(), minority=minority)
    ]  # fmt: skip
    picture = drawn(rows, "fig1", store)
    (axes,) = picture.axes
    heights = np.concatenate([step.get_data().values for step in axes.patches])
    assert heights.tolist() == sorted(counts.tolist(), reverse=True)
    assert [len(step.get_data().values) for step in axes.patches] == [100, 900] if minority else [1]
    picture.draw_without_rendering()
    low, high = axes.get_xlim()
    labels = [label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]
    boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) >= 4
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_all_diverged_leaves_nothing_to_draw(store):
    rows = [diverged(row) for row in step(cells=[(10.0, 0.5)], replicates=1)]
    assert drawn(rows, "fig6", store) == Blank("all 8 records of step imbalance diverged")


def test_load_gives_typed_columns_and_takes_several_folders(store):
    one, two = store(step(replicates=1)), store(linear(), study="other")
    data = load(one)
    assert list(data.columns) == SCHEMA.names
    assert len(data) == len(CELLS) * len(METHODS)
    assert (data["n_minority"].dtype, data["auc"].dtype) == ("Int32", "float64")
    assert len(load([one, two])) == len(data) + 48
    assert set(load(one, ["auc"]).columns) == {"record_id", "auc"}
    assert list(studies(one.parent)) == ["made_up", "other"]


def test_the_command_draws_every_study(store, command, tmp_path):
    store(step())
    store(linear(), study="other")
    code, out, err = command()
    figures = tmp_path / "results" / "figures"
    expected = [str(figures / "made_up" / f"fig{n}.png") for n in (1, 3, 4)]
    nothing, only = "nothing to draw:", "imbalance in this study, only"
    expected += [f"made_up/fig5: {nothing} no linear {only} step imbalance"]
    expected += [str(figures / "made_up" / "fig6.png")]
    expected += [f"made_up/fig7: {nothing} over- and undersampling go to one ratio alone"]
    no_curves = f"{nothing} no curves of baseline, over- or undersampling in this study"
    large = f"made_up/table4: {nothing} 9 cells of step imbalance, and a table has 6 at most"
    expected += [f"made_up/fig8: {no_curves}", large, str(figures / "other" / "fig1.png")]
    no_step = f"{nothing} no step {only} linear imbalance"
    expected += [f"other/fig{n}: {no_step}" for n in (3, 4)]
    expected += [str(figures / "other" / "fig5.png")]
    expected += [f"other/fig{n}: {no_step}" for n in (6, 7)] + [f"other/fig8: {no_curves}"]
    expected += [f"other/table4: {no_step}", str(figures / "_paper" / "fig1.png")]
    own = [line for line in out if "nothing" in line or Path(line).stem in PAPERS_OWN]
    assert (code, own, err) == (0, expected, "")
    more = ["ranks_accuracy", "ranks_auc", "scatter"]
    assert {Path(line).stem for line in out} >= set(more)
    assert sorted(str(path) for path in figures.rglob("*.*")) == sorted(
        line for line in out if line.endswith(".png")
    )
    assert all(path.stat().st_size > 10_000 for path in figures.rglob("*.png"))
    assert list(studies(tmp_path / "results")) == ["made_up", "other"]


@pytest.mark.parametrize(
    ("kind", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89P")]
)
def test_a_format_of_choice_and_the_same_bytes_each_time(kind, start, store, command, tmp_path):
    store(linear())
    names = [f"{figure}.{kind}" for figure in ("fig1", "fig5")]
    written = []
    for out in ("a", "b"):
        words = ("--format", kind, "--out", str(tmp_path / out), "--figure", "fig1", "fig5")
        assert command(*words)[0] == 0
        folder = tmp_path / out / "made_up"
        assert {path.name for path in folder.iterdir()} == set(names)
        written.append([(folder / name).read_bytes() for name in names])
    assert written[0] == written[1]
    assert all(data.startswith(start) for data in written[0])
    if kind == "pdf":
        assert all(b"/CIDFontType2" in data and b"/Type3" not in data for data in written[0])


def test_only_the_studies_named_are_drawn(store, command):
    for study in ("one", "two", "three"):
        store(linear(), study=study)
    code, out, _ = command("--study", "one", "--study", "three", "one", "--figure", "fig5")
    assert code == 0
    drawn = [line.split("/")[-2] for line in out if line.endswith("fig5.png")]
    assert drawn == ["one", "three"]
    assert not any("two" in line for line in out)


def test_any_pair_of_methods_is_mapped_where_a_study_has_both(store, command):
    store(linear(replicates=6))
    store(step(CELLS[:2], replicates=6, methods=("baseline", "oversampling")), study="two")
    code, out, _ = command("--pair", "undersampling", "thresholding", "--figure", "fig5")
    own = [line for line in out if "map_" in line and "thresholding" in line]
    names = [f"made_up/map_{score}_undersampling_thresholding.png" for score in ("auc", "accuracy")]
    assert (code, [line.partition("figures/")[2] for line in own]) == (0, names)


def test_a_pair_without_figures_is_drawn_alone_and_each_of_its_maps_has_a_name(store, command):
    store(linear(replicates=6))
    pair = ("--pair", "undersampling", "thresholding")
    auc, accuracy = (f"map_{of}_undersampling_thresholding" for of in ("auc", "accuracy"))

    def names(*options):
        code, out, _ = command(*options)
        assert code == 0
        return [Path(line.partition(":")[0]).stem for line in out]

    assert names(*pair) == [auc, accuracy]
    assert names(*pair, "--figure", auc) == [auc]
    assert names(*pair, "--figure", "fig5") == ["fig5", auc, accuracy]
    assert names(*pair, "--figure", accuracy, "fig5") == ["fig5", accuracy]
    other = ("--pair", "oversampling", "thresholding")
    assert len(names(*pair, *other)) == 4
    code, out, err = command("--figure", auc)
    assert (code, out) == (2, [])
    assert err.startswith(f"--figure {auc}: no figure of that name")


def test_what_is_asked_for_and_cannot_be_drawn_says_why(store, command):
    store(linear(replicates=2))
    code, out, _ = command("--pair", "undersampling", "thresholding", "--figure", "variance")
    assert code == 0
    assert [line.partition(":")[0] for line in out] == [
        "made_up/variance",
        "made_up/map_auc_undersampling_thresholding",
        "made_up/map_accuracy_undersampling_thresholding",
    ]
    assert all("nothing to draw: " in line for line in out)


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("baseline", "oversamplin"), "of that name. Did you mean 'oversampling'?"),
        (("none", "baseline"), "there: baseline, oversampling"),
        (("baseline", "baseline"), "needed: two different methods"),
        (("undersampling", "oversampling"), "no study has both methods"),
    ],
)
def test_a_pair_that_is_not_there(pair, said, store, command):
    store(step(CELLS[:1], methods=("baseline", "oversampling")))
    store(step(CELLS[:1], methods=("undersampling",)), study="other")
    code, out, err = command("--pair", *pair)
    assert (code, out, err.count("\n")) == (2, [], 1)
    assert said in err


def test_the_figures_named_are_drawn_alone(store, command):
    store(step())
    code, out, _ = command("--figure", "fig6", "scatter", "--figure", "fig5")
    assert (code, [Path(line.partition(":")[0]).stem for line in out]) == (
        0,
        ["fig5", "fig6", "scatter"],
    )
    code, out, err = command("--figure", "fig9")
    assert (code, out) == (2, [])
    assert err.startswith("--figure fig9: no figure of that name. Did you mean")


def test_a_folder_of_stores_is_no_study(store, command, tmp_path):
    store(step(), study="own")
    store(linear(), study="kept/other")
    assert list(studies(tmp_path / "results")) == ["own"]
    assert list(studies(tmp_path / "results" / "kept")) == ["other"]


def test_an_unknown_study(store, command):
    store(linear())
    code, out, err = command("--study", "mad_up")
    assert (code, out) == (2, [])
    assert "--study mad_up: no study of that name" in err
    assert "Did you mean 'made_up'?" in err
    assert "; there: made_up" in command("--study", "zzz")[2]


def test_no_folder_of_results(command, tmp_path):
    code, _, err = command()
    assert code == 2
    assert err.endswith("results: no such folder; python -m study.run makes it\n")
    (tmp_path / "results").write_text("")
    assert "results: not a folder" in command()[2]


def test_a_study_in_the_place_of_the_folder_of_several(store, command):
    folder = store([record("step", 10, 0.5, 0, "baseline")])
    code, _, err = command("--results", str(folder))
    assert code == 2
    wrong = f"is one study; --results {folder.parent} --study made_up names it"
    assert err.endswith(f"--results {folder}: {wrong}\n")


def test_no_records(store, command, tmp_path):
    (tmp_path / "results" / "figures").mkdir(parents=True)
    code, _, err = command()
    assert code == 2
    assert "no records in it yet" in err
    store([])
    code, _, err = command()
    assert code == 2
    assert "the parts in it hold no records" in err


def test_an_empty_study_beside_another(store, command):
    store([], study="empty")
    store(linear())
    code, out, err = command()
    assert (code, out) == (2, [])
    assert err == "empty: the parts in it hold no records; leave it out with --study\n"
    assert command("--study", "made_up", "--figure", "fig5")[0] == 0


@pytest.mark.parametrize("content", [b"", b"PAR1 half a part", b"\0" * 2000])
def test_a_part_that_is_damaged(content, store, command):
    part = store(linear()) / "records" / "0.parquet"
    part.write_bytes(content)
    code, out, err = command()
    assert (code, out) == (2, [])
    assert err.startswith(f"{part}: not a readable part of records")
    assert err.count("\n") == 1


def test_a_part_of_other_columns(store, command):
    folder = store(linear())
    stranger = pa.table({"a": [1]}).replace_schema_metadata(SCHEMA.metadata)
    pq.write_table(stranger, folder / "records" / "9.parquet")
    code, _, err = command()
    assert code == 2
    path = folder / "records" / "9.parquet"
    assert err.startswith(f"{path}: its columns are not those of schema version")
    assert err.count("\n") == 1


def test_a_place_that_cannot_be_written(store, command, tmp_path):
    store(linear())
    (tmp_path / "taken").write_text("")
    code, _, err = command("--out", str(tmp_path / "taken"))
    assert code == 2
    assert f"{tmp_path / 'taken' / 'made_up' / 'fig1.png'}: cannot be written" in err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iterations": 500}, "different iterations (500, 1500)"),
        ({"model": "allcnn"}, "different model (allcnn, lenet5)"),
        ({"base_rate": 0.05}, "different base_rate (0.01, 0.05)"),
    ],
)
def test_protocols_are_not_averaged(changes, said, store, command):
    store(linear((10.0,)) + linear((100.0,), **changes))
    code, out, err = command()
    assert (code, out) == (2, [])
    assert f"made_up: records with {said} in one study" in err


@pytest.mark.parametrize(("option", "value"), [("--format", "gif"), ("--width", "poster")])
def test_a_wrong_choice_is_one_line(option, value, capsys):
    with pytest.raises(SystemExit) as end:
        main([option, value])
    assert end.value.code == 2
    assert f"invalid choice: '{value}'" in capsys.readouterr().err


def test_the_command_draws_for_a_column(store, command, tmp_path):
    store(linear())
    assert command("--width", "column")[0] == 0
    pixels = matplotlib.image.imread(tmp_path / "results/figures/made_up/fig5.png").shape
    assert pixels[1] == 3.5 * 300


def test_as_typed_without_a_display(store, tmp_path):
    store(linear((10.0,), replicates=1))
    words = [sys.executable, "-W", "error", "-m", "analysis.figures", "--results"]
    done = subprocess.run(
        [*words, tmp_path / "results"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "results" / "figures" / "made_up" / "fig5.png").exists()


def test_protocols_that_no_column_shows_are_not_averaged(store, command):
    """The same cell, replicate and method twice, under other ids."""
    folder = store(linear())
    path = next((folder / "records").glob("*.parquet"))
    table = pq.read_table(path)
    other = pa.array([f"{id}-other" for id in table["record_id"].to_pylist()])
    twin = table.set_column(0, table.schema.field(0), other)
    pq.write_table(twin, folder / "records" / "twin.parquet")
    code, _, err = command()
    assert code == 2
    assert "its folder holds more than one protocol" in err


@pytest.mark.parametrize(
    ("methods", "lines"),
    [(["thresholding"], ["Thresholding"]), (["baseline", "thresholding"], ["Baseline"])],
)
def test_where_auc_is_drawn_each_network_has_one_line(store, methods, lines):
    """Thresholding stands for the baseline's network only where the baseline was not run."""
    picture = drawn(step(methods=methods), "fig3", store)
    assert [line.get_label() for line in picture.axes[0].lines] == lines


OWN = {"sampling": "none", "loss": "cross_entropy", "second_phase": None, "decision": "argmax"}


def test_methods_of_ones_own_are_drawn_as_their_columns_tell(store):
    """Each with a line in the AUC figures, but for one that only decides otherwise."""
    own = {
        "focal": OWN | {"loss": "focal"},
        "copies": OWN | {"sampling": "over", "loss": "ldam"},
        "smote": OWN | {"sampling": "smote"},
        "argued": OWN | {"decision": "lab.rules:argued"},
    }
    rows = step() + [row | columns for id, columns in own.items() for row in step(methods=[id])]
    data = load(store(rows))
    auc, accuracy = drawers(data)["fig3"](), drawers(data)["fig6"]()
    labels = [METHODS[id].label for id in TRAINED]
    assert list(lines(auc.axes[0])) == [*labels, "copies", "focal", "smote"]
    assert list(lines(accuracy.axes[0])) == [
        *(method.label for method in METHODS.values()), "argued", "copies", "focal", "smote",
    ]  # fmt: skip
    means = brute_force(rows, "mu", "rho", "auc")
    expected = [means[0.2, rho, "focal"] for rho in (10, 100, 1000)]
    assert lines(auc.axes[0])["focal"] == pytest.approx(expected)
    looks = [(line.get_color(), line.get_marker()) for line in accuracy.axes[0].lines]
    assert len(set(looks)) == len(METHODS) + 4
    focal = next(line for line in auc.axes[0].lines if line.get_label() == "focal")
    assert (focal.get_color(), focal.get_marker()) == looks[len(METHODS) + 2]
    entries = [text.get_text() for text in auc.legends[0].get_texts()]
    columns = [entries[i : i + 3] for i in range(0, 12, 3)]
    assert [column[0] for column in columns] == [
        "Baseline", "Oversampling", "Undersampling", "smote",
    ]  # fmt: skip
    assert "focal" in columns[0]
    assert "copies" in columns[1]


@pytest.mark.parametrize("figure", ["fig3", "fig4", "fig5", "fig6"])
def test_sampling_to_other_ratios_is_left_to_figure_7(figure, store):
    full = step() + linear()
    rows = full + [row | {"to": 5.0, "auc": 0.5, "record_id": f"{i}"} for i, row in enumerate(full)]
    one, other = (drawers(frame(of))[figure]() for of in (full, rows))
    for a, b in zip(one.axes, other.axes, strict=True):
        assert lines(a) == lines(b)
    assert caption(one) == caption(other)


def test_without_full_balance_there_is_nothing_to_draw():
    rows = [row | {"to": 5.0} for row in step()]
    assert drawers(frame(rows))["fig3"]() == Blank(
        "no record of step imbalance is sampled to full balance"
    )


@pytest.mark.parametrize("figure", ["fig1", "fig3", "fig4", "fig6"])
@pytest.mark.parametrize(
    ("counts", "said"),
    [(None, False), ([50] * 10, False), ([80, *[100] * 8, 1200], True)],
)
def test_an_imbalanced_test_set_is_said(figure, counts, said):
    rows = step([(10.0, 0.5)], replicates=1, test_counts=counts)
    text = caption(drawers(frame(rows))[figure]())
    words = "Imbalanced test set (80-1,200 images a class): accuracy depends on it."
    assert (words in text, "est set" in text) == (said, said)


@pytest.mark.parametrize(
    ("dataset", "model", "printed"),
    [
        ("imagenet", "resnet10", "ILSVRC-2012, ResNet-10, "),
        ("folder", "allcnn", "Folder of images, All-CNN, "),
        ("npz", "lenet5", "NumPy arrays (npz), LeNet-5, "),
        ("pt", "lenet5", "PyTorch tensors (pt), LeNet-5, "),
        ("lab.data:Butterflies", "lab.nets:wide", "Butterflies, wide, "),
    ],
)
def test_names_as_printed(dataset, model, printed):
    rows = step([(10.0, 0.5)], replicates=1, dataset=dataset, model=model)
    assert drawers(frame(rows))["fig3"]().get_suptitle().startswith(printed)


@pytest.mark.parametrize("width", ["page", "column"])
def test_points_beside_each_other_stay_nearer_to_their_own_ratio(width):
    """In panels of one ratio each, beside ticks of the others' ratios."""
    with printed(width):
        picture = drawers(frame(step([(10.0, 0.2), (20.0, 0.5), (1000.0, 0.8)])))["fig6"]()
    for i, axes in enumerate(picture.axes):
        places = [line.get_xdata()[i] for line in axes.lines]
        ticks = np.log([10, 20, 1000])
        for place in places:
            assert np.argmin(np.abs(ticks - np.log(place))) == i


def test_a_panel_with_one_ratio_has_bars_and_its_points_beside_each_other():
    """As on ILSVRC-2012, where every fraction has a ratio of its own."""
    picture = drawers(frame(step([(10.0, 0.2), (50.0, 0.5), (100.0, 0.8)])))["fig3"]()
    for i, axes in enumerate(picture.axes):
        places = [line.get_xdata()[i] for line in axes.lines]
        assert places == sorted(set(places))
        bars = [c.get_segments() for c in axes.collections]
        assert [len(segments) for segments in bars] == [1] * len(axes.lines)
        middles = [np.mean(segments[0], axis=0)[0] for segments in bars]
        assert middles == pytest.approx(places)
    assert "Bars: 95 % intervals" in caption(picture)


def test_cells_of_ones_own_profile_may_differ_in_what_no_column_shows(store, command):
    rows = [
        record("lab.profiles:Tail", 10.0, None, 0, "baseline") | {"case_id": id, "record_id": id}
        for id in ("a", "b")
    ]
    store(rows)
    assert command()[0] == 0
    store([row | {"imbalance": "linear"} for row in rows], study="other")
    assert "other: several records of linear rho 10.0" in command()[2]
