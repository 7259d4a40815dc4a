"""Figures 7 and 8 and the appendices: what they show of made-up records, against plain loops."""

import itertools
from collections import defaultdict

import numpy as np
import pytest

from analysis import figures
from analysis.figures import drawers
from analysis.lines import evenly
from analysis.page import Blank
from analysis.paper import printed
from study.methods import METHODS
from tests.test_figures import (
    assert_printable,
    caption,
    diverged,
    frame,
    legend,
    linear,
    lines,
    record,
    step,
    write,
)  # fmt: skip

TRIO = ("baseline", "oversampling", "undersampling")
APPENDIX = ("figA1", "figA2", "figA3")


def drawn(rows, figure, note=""):
    return drawers(frame(rows), note)[figure]()


def reduced(rho=1000.0, mus=(0.1, 0.5, 0.9), ratios=(1.0, 10.0, 100.0), replicates=2):
    """Baselines, and both samplings to every ratio."""
    rows = []
    for mu, replicate in itertools.product(mus, range(replicates)):
        rows.append(record("step", rho, mu, replicate, "baseline"))
        for method, to in itertools.product(TRIO[1:], ratios):
            row = record("step", rho, mu, replicate, method, to=to)
            row |= {"auc": row["auc"] - 0.01 * np.log10(to) * (method == "oversampling")}
            rows.append(row | {"record_id": f"{row['record_id']}-{to}"})
    return rows


def curve(seed, points=5, until=None):
    rng = np.random.default_rng(seed)
    return [
        {"iteration": 100 * (i + 1)}
        | {
            f"{part}_{score}": None if until is not None and i >= until else float(rng.random())
            for part in ("train", "test")
            for score in ("loss", "accuracy")
        }
        for i in range(points)
    ]


def learning(cells, replicates=2, methods=TRIO, kind="step", **changes):
    """Records with curves, a seed each."""
    places = itertools.product(cells, range(replicates), methods)
    return [
        record(kind, rho, mu, replicate, method, curve=curve(i), **changes)
        for i, ((rho, mu), replicate, method) in enumerate(places)
    ]


def mean(rows, score="auc"):
    return 100 * np.mean([row[score] for row in rows if row[score] is not None])


def test_figure_7_has_a_line_a_number_of_minority_classes_and_ends_at_the_baseline():
    rows = reduced()
    picture = drawn(rows, "fig7")
    assert picture.get_suptitle() == (
        r"MNIST, LeNet-5, step imbalance, 1,500 iterations, $\rho$ = 1000, n = 2"
    )
    titles = [axes.get_title(loc="left") for axes in picture.axes]
    assert titles == ["(a) Oversampling", "(b) Undersampling"]
    assert legend(picture) == {"1 minority class", "5 minority classes", "9 minority classes"}
    for method, axes in zip(TRIO[1:], picture.axes, strict=True):
        assert axes.get_xscale() == "log"
        assert list(axes.get_xticks()) == [1, 10, 100, 1000]
        for number, line in zip((1, 5, 9), axes.lines, strict=True):
            cell = [row for row in rows if row["n_minority"] == number]
            expected = [
                mean([r for r in cell if (r["method"], r["to"]) == (method, to)])
                for to in (1, 10, 100)
            ]
            expected.append(mean([r for r in cell if r["method"] == "baseline"]))
            assert list(line.get_xdata()) == [1, 10, 100, 1000]
            assert list(line.get_ydata()) == pytest.approx(expected)
    assert "At 1: full balance. At 1000: the baseline, nothing sampled." in caption(picture)
    assert "not run" not in caption(picture).lower()


def test_figure_7_is_of_the_largest_ratio_that_was_sampled_to_several():
    rows = [
        *reduced(rho=100.0, ratios=(1.0, 10.0)),
        *reduced(rho=250.0),
        *reduced(5000.0, (0.5,), (1.0,)),
    ]
    picture = drawn(rows, "fig7")
    assert r"$\rho$ = 250" in picture.get_suptitle()
    assert list(picture.axes[0].get_xticks()) == [1, 10, 100, 250]


def test_the_baseline_is_that_of_the_cases_that_were_sampled():
    rows = [
        row for row in reduced(mus=(0.5,)) if row["replicate"] == 0 or row["method"] == "baseline"
    ]
    picture = drawn(rows, "fig7")
    (baseline,) = [r for r in rows if r["method"] == "baseline" and r["replicate"] == 0]
    for axes in picture.axes:
        assert axes.lines[0].get_ydata()[-1] == pytest.approx(100 * baseline["auc"])


def test_figure_7_at_a_ratio_of_its_own_is_no_sampling():
    """Sampling to the ratio of the set is left to the baseline, which stands there."""
    rows = reduced(mus=(0.5,)) + [
        row | {"to": 1000.0, "auc": 0.5, "record_id": f"{row['record_id']}-same"}
        for row in reduced(mus=(0.5,), ratios=(1.0,))
        if row["method"] != "baseline"
    ]
    assert lines(drawn(rows, "fig7").axes[0]) == lines(drawn(reduced(mus=(0.5,)), "fig7").axes[0])


def test_figure_7_says_what_is_missing_and_counts_a_diverged_baseline_once():
    rows = reduced()
    rows = [diverged(row) if row is rows[0] else row for row in rows]
    assert "1 diverged left out." in caption(drawn(rows, "fig7"))
    bare = [row for row in rows if row["method"] != "baseline"]
    picture = drawn(bare, "fig7")
    assert list(picture.axes[0].get_xticks()) == [1, 10, 100]
    assert "Not run: Baseline." in caption(picture)
    over = [row for row in rows if row["method"] != "undersampling" or row["to"] == 1]
    picture = drawn(over, "fig7")
    assert [axes.get_title(loc="left") for axes in picture.axes] == ["Oversampling"]
    assert "Not run to several ratios: Undersampling." in caption(picture)


def test_figure_7_has_nine_lines_that_differ_in_grey():
    mus = [i / 10 for i in range(1, 10)]
    (axes, _) = drawn(reduced(mus=mus, replicates=1), "fig7").axes
    assert len(axes.lines) == 9
    assert len({line.get_marker() for line in axes.lines}) == 9
    greys = [
        float(np.dot([int(line.get_color()[i : i + 2], 16) for i in (1, 3, 5)], (0.3, 0.59, 0.11)))
        for line in axes.lines
    ]
    assert greys == sorted(greys)
    assert min(np.diff(greys)) > 8
    assert max(greys) < 200


def test_of_more_numbers_nine_are_drawn():
    rows = reduced(mus=(0.5,), replicates=1)
    many = [
        row | {"n_minority": n, "case_id": f"{n}", "record_id": f"{row['record_id']}-{n}"}
        for n in range(1, 20)
        for row in rows
    ]
    picture = drawn(many, "fig7")
    assert "9 of 19 numbers of minority classes." in caption(picture)
    assert {"1 minority class", "19 minority classes"} <= legend(picture)
    assert len(legend(picture)) == 9
    assert evenly(range(19), 9) == sorted(set(evenly(range(19), 9)))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (linear(), "no step imbalance in this study, only linear imbalance"),
        (step(), "over- and undersampling go to one ratio alone"),
        (step(methods=["baseline"]), "neither over- nor undersampling in this study"),
        ([diverged(r) for r in reduced()], "all 48 records of sampling at rho 1000 diverged"),
    ],
)
def test_figure_7_without_anything_to_draw(rows, why):
    assert drawn(rows, "fig7") == Blank(why)


def test_figure_8_has_the_mean_curves_of_train_and_test():
    rows = learning([(50.0, 0.5)], replicates=3)
    picture = drawn(rows, "fig8")
    assert picture.get_suptitle() == (
        r"MNIST, LeNet-5, step imbalance, 1,500 iterations, $\rho$ = 50, $\mu$ = 0.5, n = 3"
    )
    assert legend(picture) == {"Training images of the case", "Test images"}
    for method, axes in zip(TRIO, picture.axes, strict=True):
        assert axes.get_title(loc="left").endswith(METHODS[method].label)
        train, test = axes.lines
        assert train._unscaled_dash_pattern[1]
        assert not test._unscaled_dash_pattern[1]
        for part, line in (("train", train), ("test", test)):
            curves = [row["curve"] for row in rows if row["method"] == method]
            expected = [
                100 * np.mean([points[i][f"{part}_accuracy"] for points in curves])
                for i in range(5)
            ]
            assert list(line.get_xdata()) == [100, 200, 300, 400, 500]
            assert list(line.get_ydata()) == pytest.approx(expected)
        assert len(axes.collections) == 2
    assert picture.axes[0].get_ylabel() == "Accuracy (%)"


@pytest.mark.parametrize("points", [5, 60])
def test_rings_are_training_images_and_dots_inside_them_test_images(points):
    rows = learning([(50.0, 0.5)], replicates=1)
    for row in rows:
        row["curve"] = [
            {"iteration": 10 * i, "train_accuracy": 0.9, "test_accuracy": 0.9}
            for i in range(1, points + 1)
        ]
    picture = drawn(rows, "fig8")
    shown = picture.legends[0].get_lines()
    for train, test in [axes.lines for axes in picture.axes] + [shown]:
        assert (train.get_marker(), test.get_marker()) == ("o", "o")
        assert train.get_markerfacecolor() == "none"
        assert test.get_markerfacecolor() == test.get_color()
        assert test.get_markersize() + 2 < train.get_markersize()
    for line in picture.axes[0].lines:
        start, every = line.get_markevery()
        marked = range(points)[start::every]
        assert 5 <= len(marked) <= 12
        assert marked[-1] == points - 1


@pytest.mark.parametrize(
    ("cells", "chosen"),
    [
        ([(50.0, 0.2), (50.0, 0.5), (100.0, 0.5), (50.0, 0.8)], (50, 0.5)),
        ([(10.0, 0.2), (20.0, 0.2), (10.0, 0.6), (20.0, 0.6), (10.0, 0.8), (30.0, 0.8)], (20, 0.6)),
        ([(10.0, 0.3), (100.0, 0.3)], (100, 0.3)),
    ],
)
def test_figure_8_is_of_the_paper_s_cell_or_the_middle(cells, chosen):
    data = frame(learning(cells, replicates=1))
    rho, mu = chosen
    assert rf"$\rho$ = {rho}, $\mu$ = {mu}, n = 1" in drawers(data)["fig8"]().get_suptitle()
    pages = [d().get_suptitle() for id, d in drawers(data).items() if id.startswith("figB")]
    assert len(pages) == len(cells) - 1
    shown = {(rho, mu)} | {
        (r, m) for r, m in cells for page in pages if rf"$\rho$ = {r:g}, $\mu$ = {m:g}," in page
    }
    assert shown == set(cells)


def test_five_minority_classes_are_the_paper_s_cell_too():
    cells = [(50.0, 0.2), (50.0, 0.8)]
    rows = [row | {"n_minority": 5 if row["mu"] == 0.8 else 2} for row in learning(cells)]
    assert r"$\mu$ = 0.8" in drawn(rows, "fig8").get_suptitle()


def test_a_diverged_network_is_left_out_of_the_curves_from_the_start():
    rows = learning([(50.0, 0.5)])
    rows[0] = diverged(rows[0]) | {"curve": curve(99, until=2)}
    picture = drawn(rows, "fig8")
    other = rows[3]["curve"]
    assert rows[3]["method"] == rows[0]["method"]
    train = lines(picture.axes[0])["Training images of the case"]
    assert train == pytest.approx([100 * point["train_accuracy"] for point in other])
    assert "1 diverged left out." in caption(picture)
    assert "n = 1-2" in picture.get_suptitle()


def test_a_panel_whose_networks_all_diverged_says_so():
    rows = [
        diverged(row) if row["method"] == "baseline" else row for row in learning([(50.0, 0.5)])
    ]
    picture = drawn(rows, "fig8")
    assert [[text.get_text() for text in axes.texts] for axes in picture.axes] == [
        ["all diverged"], [], [],
    ]  # fmt: skip
    every = [diverged(row) for row in rows]
    assert drawn(every, "fig8") == Blank("all 6 records with curves of its cell diverged")


def test_values_that_are_no_number_are_gaps():
    rows = learning([(50.0, 0.5)], replicates=1)
    rows[1]["curve"] = curve(5, until=3)
    ys = lines(drawn(rows, "fig8").axes[1])["Test images"]
    assert np.isnan(ys).tolist() == [False] * 3 + [True] * 2


def test_curves_of_other_imbalances_are_drawn_too():
    rows = learning([(10.0, None), (100.0, None)], kind="linear")
    picture = drawn(rows, "fig8")
    assert r"linear imbalance, 1,500 iterations, $\rho$ = 100, n = 2" in picture.get_suptitle()
    natural = [row | {"imbalance": "natural", "rho": None} for row in learning([(10.0, None)])]
    title = drawn(natural, "fig8").get_suptitle()
    assert title == "MNIST, LeNet-5, natural imbalance, 1,500 iterations, n = 2"
    both = drawers(frame(rows + learning([(2.0, 0.2)])))
    assert r"step imbalance, 1,500 iterations, $\rho$ = 2" in both["fig8"]().get_suptitle()
    assert [id for id in both if id.startswith("figB")] == ["figB1", "figB2"]


def test_appendix_b_has_eleven_pages_at_most():
    cells = list(itertools.product((2.0, 10.0, 20.0, 50.0, 100.0), (0.2, 0.5, 0.8)))
    data = frame(learning(cells, replicates=1, methods=["baseline"]))
    pages = [id for id in drawers(data) if id.startswith("figB")]
    assert pages == [f"figB{n}" for n in range(1, 12)]
    assert "Appendix B has 11 of 14 cells." in caption(drawers(data)["figB1"]())
    assert "Not run: Oversampling; Undersampling." in caption(drawers(data)["figB1"]())


def test_appendix_figures_without_anything_to_draw_are_not_mentioned(tmp_path, capsys):
    cells = [(50.0, 0.2), (50.0, 0.5)]
    rows = [diverged(row) if row["mu"] == 0.2 else row for row in learning(cells)]
    write(rows, tmp_path / "results" / "made_up")
    assert figures.main(["--results", str(tmp_path / "results"), "--format", "svg"]) == 0
    out = capsys.readouterr().out
    assert "fig8.svg" in out
    assert "figB" not in out


def test_splits_and_ratios_are_no_other_protocol(tmp_path, capsys):
    write(split() + reduced(mus=(0.5,)), tmp_path / "results" / "made_up")
    code = figures.main(["--results", str(tmp_path / "results"), "--format", "svg"])
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    names = [line.split("/")[-1] for line in said.out.splitlines() if line.endswith(".svg")]
    own = ("fig1", "fig3", "fig4", "fig6", "fig7", "table4", *APPENDIX)
    assert [name for name in names if name.removesuffix(".svg") in own] == [f"{n}.svg" for n in own]


def split(replicates=2, splits=(0, 1, 2), cells=((10.0, 0.5), (100.0, 0.5)), **changes):
    """Step records on several splits, shifted so that they differ."""
    return [
        row
        | {"split": number, "case_id": f"{row['case_id']}-{number}"}
        | {"record_id": f"{row['record_id']}-{number}", "auc": row["auc"] - 0.01 * number}
        | {"accuracy": row["accuracy"] - 0.02 * number}
        for number in splits
        for row in step(list(cells), replicates, methods=TRIO, **changes)
    ]


@pytest.mark.parametrize(
    ("figure", "x", "score"),
    [("fig3", "rho", "auc"), ("fig4", "n_minority", "auc"), ("fig6", "rho", "accuracy")],
)
def test_replicates_of_every_split_are_taken_together(figure, x, score):
    rows = split()
    picture = drawn(rows, figure)
    assert picture.get_suptitle().endswith("n = 6")
    assert "n counts replicates on each of 3 splits" in caption(picture)
    means = defaultdict(list)
    for row in rows:
        if figure != "fig4" or row["rho"] == 10:
            means[row["method"], row[x]].append(row[score])
    for method in TRIO:
        expected = [100 * np.mean(v) for (id, _), v in sorted(means.items()) if id == method]
        assert lines(picture.axes[0])[METHODS[method].label] == pytest.approx(expected)


def test_appendix_a_is_figure_3_split_by_split():
    rows = split()
    data = frame(rows)
    assert [id for id in drawers(data) if id.startswith("figA")] == ["figA1", "figA2", "figA3"]
    for number in range(3):
        picture = drawers(data, "A note.")[f"figA{number + 1}"]()
        alone = drawn([row for row in rows if row["split"] == number], "fig3", "A note.")
        assert lines(picture.axes[0]) == lines(alone.axes[0])
        assert picture.get_suptitle().endswith(f", split {number}, n = 2")
        assert caption(picture).endswith("A note.")
        assert "splits" not in caption(picture)


def test_without_splits_nothing_is_said_of_them():
    rows = step(replicates=1)
    assert not [id for id in drawers(frame(rows)) if id.startswith("figA")]
    assert "split" not in caption(drawn(rows, "fig3")) + drawn(rows, "fig3").get_suptitle()
    linear_only = [row | {"split": i % 2} for i, row in enumerate(linear())]
    assert isinstance(drawers(frame(linear_only))["figA1"](), Blank)


NOTE = "Best of 8 (4 rates x 2 runs) by AUC on the test set, which flatters."


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize(
    ("figure", "rows"),
    [
        ("fig7", reduced(mus=[i / 10 for i in range(1, 10)])),
        (
            "fig7",
            reduced(mus=(0.5,), ratios=(1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)),
        ),
        ("fig8", learning([(50.0, 0.5)])),
        ("fig8", learning([(50.0, 0.5)], methods=TRIO[:1], iterations=320_000)),
        ("figB1", learning([(50.0, 0.5), (50.0, 0.8)], test_counts=[5, 80])),
        ("figA1", split(test_counts=[5, 80])),
        ("fig3", split(test_counts=[5, 80])),
        ("fig4", split(test_counts=[5, 80])),
    ],
)
def test_no_text_is_cut_or_lies_on_another(figure, rows, width):
    with printed(width):
        picture = drawn(rows, figure, NOTE)
        assert_printable(picture, width)
    assert caption(picture).endswith(NOTE) or "Imbalanced test set (5-80" in caption(picture)
    for axes in picture.axes:
        low, high = axes.get_xlim()
        ticks = [t for t in axes.get_xticklabels() if t.get_text() and t.get_visible()]
        ticks = [t for t in ticks if low <= t.get_position()[0] <= high]
        assert len(ticks) > (figure != "fig4") or not axes.xaxis.label.get_visible()
