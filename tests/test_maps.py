"""Win/loss maps: what stands in each cell of made-up records, against plain loops and SciPy."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle

from analysis import maps
from analysis.page import Blank, save
from analysis.pairs import FEWEST
from analysis.paper import printed
from analysis.squares import FEW, FULL, bounds, look, shade, signed
from study.methods import METHODS
from tests.test_figures import caption, diverged, frame, linear, record, step

CELLS = list(itertools.product((10.0, 100.0, 1000.0, 5000.0), (0.2, 0.5, 0.8)))
FOUR = ("baseline", "oversampling", "undersampling", "two_phase_oversampling")
MINUS = "\N{MINUS SIGN}"


def scored(cells=CELLS, replicates=8, methods=("baseline", "oversampling"), spread=0.5):
    """Records whose differences have either sign, of hundredths of a point to ten."""
    rng, rows = np.random.default_rng(5), []
    for i, (rho, mu) in enumerate(cells):
        size = 10 ** (-3.2 + 2.2 * i / len(cells))
        for replicate in range(replicates):
            for k, method in enumerate(methods):
                lead = k * size * (1 if i % 3 else -1)
                auc = 0.8 + lead + k * spread * size * rng.normal()
                rows.append(
                    record("step", rho, mu, replicate, method, auc=auc, accuracy=auc - lead / 2)
                )
    return rows


def differences(rows, a, b, measure="auc"):
    """(rho, mu) -> differences in points, by looking every record up."""
    found = {}
    for row in rows:
        for other in rows:
            alike = row["case_id"] == other["case_id"] and row["to"] == other["to"] == 1
            if alike and (row["method"], other["method"]) == (a, b):
                values = found.setdefault((row["rho"], row["mu"]), [])
                if row[measure] is not None and other[measure] is not None:
                    values.append(100 * (row[measure] - other[measure]))
    return found


def squares(axes):
    """(column, row) -> the rectangle that stands there, and the words in it from the top."""
    words = {}
    for text in sorted(axes.texts, key=lambda text: -text.get_position()[1]):
        x, y = text.get_position()
        words.setdefault((round(x), round(y)), []).append(text.get_text().replace(MINUS, "-"))
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return {
        (place := (round(box.get_center()[0]), round(box.get_center()[1]))): (
            box,
            words.get(place, []),
        )
        for box in boxes
    }


def by_cell(axes, rows):
    """(rho, mu) -> what stands there."""
    rhos = sorted({row["rho"] for row in rows})
    mus = sorted({row["mu"] or 0.0 for row in rows})
    return {(rhos[i], mus[j]): found for (i, j), found in squares(axes).items()}


def dots(axes, rows):
    """The cells with a mark."""
    rhos = sorted({row["rho"] for row in rows})
    mus = sorted({row["mu"] for row in rows})
    places = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines]
    return {(rhos[int(x + 0.5)], mus[int(y + 0.5)]) for x, y in places}


def holm(ps):
    """The least level at which Holm's procedure rejects each, step by step."""
    order, found, level = sorted(range(len(ps)), key=lambda i: ps[i]), [0.0] * len(ps), 0.0
    for step_, i in enumerate(order):
        level = max(level, min(1.0, (len(ps) - step_) * ps[i]))
        found[i] = level
    return found


def luminance(colour):
    linear_ = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear_))


# What a cell shows


@pytest.mark.parametrize("measure", ["auc", "accuracy"])
def test_a_cell_shows_the_mean_difference_and_its_interval(measure):
    rows = scored()
    picture = maps.draw(frame(rows), "oversampling", "baseline", measure)
    (axes,) = picture.axes
    found = by_cell(axes, rows)
    expected = differences(rows, "oversampling", "baseline", measure)
    assert found.keys() == expected.keys() == set(CELLS)
    for cell, values in expected.items():
        box, (number, interval) = found[cell]
        mean = np.mean(values)
        decimals = 1 if abs(mean) > 9.99 else 2
        assert number == f"{mean:+.{decimals}f}"
        low, high = map(float, interval.strip("[]").split(", "))
        assert low - 0.006 < mean < high + 0.006
        reach = scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values)
        assert high - low == pytest.approx(2 * reach, rel=0.2, abs=0.011)
        red, _, blue = to_rgb(box.get_facecolor())
        assert np.sign(blue - red) == np.sign(mean)
    assert {np.sign(np.mean(values)) for values in expected.values()} == {-1, 1}
    assert picture.page.data["mean"].tolist() == pytest.approx(
        [np.mean(expected[cell]) for cell in sorted(expected)]
    )


def test_the_other_way_round_all_signs_and_colours_change_sides():
    rows = scored()
    ahead, behind = (
        by_cell(maps.draw(frame(rows), *pair).axes[0], rows)
        for pair in (("oversampling", "baseline"), ("baseline", "oversampling"))
    )
    for cell, (box, (number, _)) in ahead.items():
        other, (opposite, _) = behind[cell]
        assert {number[0], opposite[0]} == {"+", "-"}
        assert number[1:] == opposite[1:]
        assert box.get_facecolor() != other.get_facecolor()


def test_colours_are_symmetric_grow_with_the_difference_and_carry_black_words():
    points = [0.0, 0.01, 0.05, 0.3, 2.0, 15.0, FULL]
    for sign in (1, -1):
        shades = [luminance(shade(sign * value)) for value in points]
        assert shades == sorted(shades, reverse=True)
        assert len(set(shades)) == len(points)
        assert (shades[-1] + 0.05) / 0.05 > 7, "contrast of black words, as WCAG's AAA has it"
        assert shade(sign * 80) == shade(sign * FULL)
    assert shade(0) == "#ffffff"
    for value in points[3:]:
        blue, red = (np.array(to_rgb(shade(sign * value))) for sign in (1, -1))
        depths = [np.abs(1 - colour).max() for colour in (blue, red)]
        assert depths[0] == pytest.approx(depths[1], rel=0.15)


def test_a_dot_marks_what_holm_finds_significant():
    rows = scored(replicates=10, spread=1.3)
    expected = differences(rows, "oversampling", "baseline")
    ps = holm([scipy.stats.wilcoxon(values).pvalue for values in expected.values()])
    significant = {cell for cell, p in zip(expected, ps, strict=True) if p < 0.05}
    assert 0 < len(significant) < len(CELLS)
    bare = {cell for cell, v in expected.items() if scipy.stats.wilcoxon(v).pvalue < 0.05}
    assert significant < bare, "the correction must matter here"
    (axes,) = maps.draw(frame(rows), "oversampling", "baseline").axes
    assert dots(axes, rows) == significant
    for line in axes.lines:
        x, y = line.get_xdata()[0] + 0.5, line.get_ydata()[0] + 0.5
        assert x % 1 > 0.8, "in the upper right corner"
        assert y % 1 > 0.8


def test_cells_with_few_none_or_no_pairs():
    rows = scored(CELLS[:4])
    few, dead, absent = CELLS[:3]
    kept = []
    for row in rows:
        cell = row["rho"], row["mu"]
        if cell == few and row["replicate"] > 1:
            continue
        if cell == absent and row["method"] == "baseline":
            continue
        kept.append(diverged(row) if cell == dead and row["method"] == "baseline" else row)
    picture = maps.draw(frame(kept), "oversampling", "baseline")
    found = by_cell(picture.axes[0], kept)
    assert found[few][1] == ["n = 2"]
    assert found[dead][1] == ["n = 0"]
    assert to_hex(found[few][0].get_facecolor()) == to_hex(FEW)
    assert found[absent][1] == []
    assert not found[absent][0].get_fill()
    assert found[CELLS[3]][1][0][0] in "+-"
    assert found[100.0, 0.5][1] == [], "the grid has more cells than were listed"
    said = caption(picture)
    assert f"Grey: fewer than {FEWEST} cases, with which no such test can reach 5 %." in said
    assert "Dashed: not run." in said
    assert "8 diverged left out." in said
    assert "Holm" not in said
    assert "signed-rank test. One cell was tested, which leaves nothing to correct for." in said
    assert "n = 2-8" in picture.get_suptitle()


def test_linear_imbalance_is_a_row():
    rows = linear((10.0, 100.0, 1000.0), replicates=8)
    picture = maps.draw(frame(rows), "undersampling", "baseline")
    (axes,) = picture.axes
    assert {place[1] for place in squares(axes)} == {0}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "100", "1000"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [""]
    assert axes.get_ylabel() == ""
    assert "minority" not in caption(picture)
    expected = differences(rows, "undersampling", "baseline")
    for (rho, _), (_, words) in by_cell(axes, rows).items():
        assert words[0] == f"{np.mean(expected[rho, None]):+.2f}"


def test_step_imbalance_is_the_plane_of_a_frame_that_holds_linear_too():
    both = maps.draw(frame(scored() + linear(replicates=8)), "oversampling", "baseline")
    alone = maps.draw(frame(scored()), "oversampling", "baseline")
    assert both.page.data.equals(alone.page.data)


def test_sampling_to_other_ratios_is_left_out():
    rows = scored()
    others = [row | {"to": 5.0, "auc": 0.1} for row in rows if row["method"] == "oversampling"]
    found = maps.draw(frame(rows + others), "oversampling", "baseline")
    assert found.page.data.equals(maps.draw(frame(rows), "oversampling", "baseline").page.data)
    reduced = [row | {"to": 5.0 if row["method"] == "oversampling" else 1.0} for row in rows]
    assert maps.draw(frame(reduced), "oversampling", "baseline") == Blank(
        "oversampling: not run to full balance; run: baseline"
    )


# What the page says


def test_the_caption_says_the_test_its_level_and_what_stands_where():
    rows = scored(replicates=9)
    picture = maps.draw(frame(rows), "oversampling", "baseline", note="Best of 4.")
    assert picture.get_suptitle() == (
        "MNIST, LeNet-5, step imbalance, 1,500 iterations, n = 9\n"
        f"Difference in AUC, points: Oversampling {MINUS} Baseline"
    )
    said = caption(picture)
    assert "cases of a cell; blue where positive, hatched where negative." in said
    assert "Below it the 95 % interval of that mean, percentile bootstrap over" in said
    assert (
        "Dot: significant at 5 %, two-sided Wilcoxon signed-rank test with Holm's "
        "correction over the 12 tested cells."
    ) in said
    assert said.endswith("Best of 4.")
    assert "too few for any" not in said
    assert "Grey" not in said
    assert "Dashed" not in said


@pytest.mark.parametrize(("replicates", "few"), [(6, True), (8, True), (9, False)])
def test_it_says_where_no_cell_can_be_significant(replicates, few):
    """12 x 2 / 2^n is under 0.05 from n = 9 on; so agree all cases of every cell here."""
    rows = scored(replicates=replicates, spread=0.0)
    picture = maps.draw(frame(rows), "oversampling", "baseline")
    assert (f"n = {replicates} is too few for any." in caption(picture)) == few
    assert bool(dots(picture.axes[0], rows)) != few


def test_losses_alone_are_hatched_lighter_than_words_in_cells_and_legend():
    rows = scored()
    picture = maps.draw(frame(rows), "oversampling", "baseline")
    (axes,), (legend,) = picture.axes, picture.legends
    shown = [(box, words[0]) for box, words in squares(axes).values()]
    shown += zip(legend.get_patches(), (t.get_text() for t in legend.get_texts()), strict=True)
    assert {words[0] for _, words in shown} == {"+", "-", MINUS, "0"}
    for box, words in shown:
        assert bool(box.get_hatch()) == (words[0] in ("-", MINUS))
        if box.get_hatch():
            face, lines = (luminance(c) + 0.05 for c in (box.get_facecolor(), box.get_edgecolor()))
            assert 1.2 < face / lines < 1.7, "seen, but no more than that"


@pytest.mark.parametrize("value", [0.0, 0.004, -0.004, -0.0])
def test_what_rounds_to_nothing_has_neither_sign_nor_hatch(value):
    row = pd.Series({"mean": value, "low": value, "high": -value})
    assert signed(value, 2) == "0.00"
    assert bounds(row) == "[0.00, 0.00]"
    assert "hatch" not in look(value)
    assert signed(0.006, 2) == "+0.01"
    assert look(-0.006)["hatch"]


def test_the_legend_shows_the_colours_of_the_numbers():
    (legend,) = maps.draw(frame(scored()), "oversampling", "baseline").legends
    labels = [text.get_text().replace(MINUS, "-") for text in legend.get_texts()]
    assert labels == ["-10", "-1", "0", "+1", "+10"]
    for label, patch in zip(labels, legend.get_patches(), strict=True):
        assert to_hex(patch.get_facecolor()) == shade(float(label))


# Pages


def test_the_pages_are_every_method_against_the_baseline_and_over_against_undersampling():
    data = frame(step(replicates=6))
    found = maps.pages(data, "Best of 4.")
    assert list(found) == [
        "map_auc",
        "map_auc_oversampling_undersampling",
        "map_accuracy",
        "map_accuracy_2",
        "map_accuracy_oversampling_undersampling",
    ]
    others = [id for id in METHODS if id != "baseline"]
    argmax = [id for id in others if METHODS[id].decision == "argmax"]
    for id, methods in (("auc", argmax), ("accuracy", others[:4]), ("accuracy_2", others[4:])):
        picture = found[f"map_{id}"]()
        titles = [axes.get_title(loc="left") for axes in picture.axes]
        letters = "efg" if id.endswith("2") else "abcd"
        assert titles == [
            f"({letter}) {METHODS[method].label}"
            for letter, method in zip(letters, methods, strict=True)
        ]
        number = {"auc": "", "accuracy": " (1 of 2)", "accuracy_2": " (2 of 2)"}[id]
        assert picture.get_suptitle().endswith(f"Baseline{number}")
        assert list(picture.page.data["method"].unique()) == methods
        assert set(picture.page.data["against"]) == {"baseline"}
        assert set(picture.page.data["measure"]) == {id.partition("_")[0]}
        assert f"points: each method {MINUS} Baseline" in picture.get_suptitle()
        assert "over the 9 tested cells of a panel." in caption(picture)
        assert caption(picture).endswith("Best of 4.")
        alone = maps.draw(data, methods[-1], "baseline", id.partition("_")[0])
        words = [squares(one.axes[-1]).values() for one in (picture, alone)]
        assert [text[0] for _, text in words[0]] == [text[0] for _, text in words[1]]
    pair = found["map_auc_oversampling_undersampling"]()
    assert f"Oversampling {MINUS} Undersampling" in pair.get_suptitle()


def test_a_cell_that_one_method_lacks_is_empty_in_its_panel_alone():
    rows = [
        row
        for row in scored(replicates=6, methods=FOUR)
        if (row["rho"], row["mu"], row["method"]) != (100.0, 0.5, "undersampling")
    ]
    picture = maps.pages(frame(rows))["map_auc"]()
    filled = [by_cell(axes, rows)[100.0, 0.5][0].get_fill() for axes in picture.axes]
    assert filled == [True, False, True]
    assert "Dashed: not run." in caption(picture)
    assert "over the 11-12 tested cells of a panel." in caption(picture)


@pytest.mark.parametrize(
    ("methods", "ids"),
    [
        (["oversampling", "undersampling"], ["auc_oversampling_undersampling"]),
        (["baseline", "thresholding"], []),
        (["baseline", "undersampling"], ["auc"]),
        (["baseline"], []),
    ],
)
def test_pages_need_their_methods(methods, ids):
    found = list(maps.pages(frame(step(replicates=6, methods=methods))))
    assert [id for id in found if "auc" in id] == [f"map_{id}" for id in ids]


@pytest.mark.parametrize(
    "other", [{"imbalance": "natural", "rho": None}, {"imbalance": "balanced", "rho": 1.0}], ids=str
)
def test_a_study_without_ratios_has_no_pages(other):
    assert maps.pages(frame([row | other for row in linear(replicates=6)])) == {}
    assert maps.pages(frame([])) == {}


def test_one_cell_is_no_map_unless_asked_for():
    data = frame(scored([(100.0, 0.5)]))
    assert maps.pages(data) == {}
    (axes,) = maps.draw(data, "oversampling", "baseline").axes
    assert len(squares(axes)) == 1


def test_a_method_of_ones_own_has_a_map_and_a_name_that_is_a_file():
    own = "mine:row/" + "x" * 40
    rows = scored(methods=("baseline", own))
    assert list(maps.pages(frame(rows))) == ["map_auc", "map_accuracy"]
    picture = maps.draw(frame(rows), own, "baseline")
    assert "mine:row" in picture.get_suptitle()
    assert set(picture.page.data["method"]) == {own}
    assert maps.name(own, "baseline") == f"map_auc_mine-row-{'x' * 40}_baseline"
    assert maps.name("a", "b", "accuracy") == "map_accuracy_a_b"


# Where there is nothing to draw


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no ratios to span a map, only no records"),
        (
            [row | {"imbalance": "natural", "rho": None} for row in linear()],
            "no ratios to span a map, only natural imbalance",
        ),
        (
            [row | {"imbalance": "balanced", "rho": 1.0} for row in linear(replicates=6)],
            "no ratios to span a map, only balanced classes",
        ),
        (
            step(replicates=6, methods=["baseline", "thresholding"]),
            "oversampling: not run to full balance; run: baseline, thresholding",
        ),
        (
            step(replicates=5),
            f"no cell has {FEWEST} cases with both methods; the most is 5",
        ),
        (
            [diverged(row) for row in step(replicates=6)],
            f"no cell has {FEWEST} cases with both methods; the most is 0",
        ),
    ],
)
def test_where_there_is_nothing_to_draw_it_says_why(rows, why):
    assert maps.draw(frame(rows), "oversampling", "baseline") == Blank(why)


# On paper


WIDE = list(itertools.product((10.0, 25, 50, 100, 250, 500, 1000, 2500, 5000), (0.1, 0.5, 0.9)))


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("cells", [CELLS, WIDE], ids=["4 x 3", "9 x 3"])
def test_words_lie_in_their_cells_and_can_be_read(width, cells):
    rows = scored(cells, replicates=6, methods=FOUR)
    data = frame(rows)
    with printed(width):
        pictures = [maps.pages(data)["map_auc"](), maps.draw(data, *FOUR[:2])]
    for picture in pictures:
        picture.draw_without_rendering()
        for axes in picture.axes:
            assert min(text.get_fontsize() for text in axes.texts) >= 5
            for text in axes.texts:
                box = text.get_window_extent()
                (x0, y0), (x1, y1) = axes.transData.inverted().transform(box.get_points())
                x, y = (round(value) for value in text.get_position())
                assert x - 0.5 < x0 < x1 < x + 0.5
                assert y - 0.5 < y0 < y1 < y + 0.5
            labels = [label.get_window_extent() for label in axes.get_xticklabels()]
            assert all(a.x1 < b.x0 for a, b in itertools.pairwise(labels))
    intervals = [any("[" in text.get_text() for text in p.axes[0].texts) for p in pictures]
    assert intervals[1] == ("95" in caption(pictures[1]).partition("Dot")[0])
    if len(cells) == len(CELLS):
        assert intervals == [True, True]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_it_becomes_a_file(tmp_path, kind):
    data = frame(step(replicates=6))
    save(maps.pages(data)["map_accuracy_2"](), tmp_path / f"map.{kind}")
    assert (tmp_path / f"map.{kind}").stat().st_size > 5000
