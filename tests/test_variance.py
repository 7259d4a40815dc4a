"""Parts of the variance in made-up records, against plain loops, SciPy's tests and a simulation."""

import itertools

import numpy as np
import pytest
import scipy.stats
from matplotlib.colors import to_rgb

from analysis import variance
from analysis.page import Blank, save
from analysis.paper import printed
from tests.test_figures import caption, diverged, frame, legend, linear, record

METHODS = ("baseline", "oversampling", "undersampling")
SPREADS = {"baseline": (0.4, 0.2, 0.1), "oversampling": (0.06, 0.08, 0.05)}


def drawn(seed, replicates, subsets, runs, sds):
    """Scores (replicates, subsets, runs) in points, of nested normal draws."""
    rng = np.random.default_rng(seed)
    return (
        99
        + sds[0] * rng.normal(size=(replicates, 1, 1))
        + sds[1] * rng.normal(size=(replicates, subsets, 1))
        + sds[2] * rng.normal(size=(replicates, subsets, runs))
    )


def crossed(size=(6, 3, 2), methods=METHODS, cells=((100.0, 0.5),), kind="step", **changes):
    """The scores of each cell and method, and the records that hold them."""
    scores, rows = {}, []
    for (rho, mu), (i, method) in itertools.product(cells, enumerate(methods)):
        sds = SPREADS.get(method, (0.03, 0.06, 0.06))
        table = drawn([i, int(rho)], *size, sds)
        scores[rho, mu, method] = table
        for replicate, subset, run in np.ndindex(table.shape):
            classes = np.random.default_rng(replicate).permutation(10)
            case = f"{rho}-{mu}-{replicate}-{subset}"
            row = record(kind, rho, mu if kind == "step" else None, replicate, method)
            rows.append(
                row
                | {"subset": subset, "run": run, "case_id": case}
                | {
                    "record_id": f"{case}-{method}-{run}",
                    "auc": table[replicate, subset, run] / 100,
                }
                | {"class_counts": [int(100 + c) for c in classes]}
                | changes
            )
    return scores, rows


def squares(table):
    """Mean squares of a nested analysis of variance, by loops: choice, subset, run."""
    replicates, subsets, runs = table.shape
    grand = table.mean()
    choice = subset = run = 0.0
    for i in range(replicates):
        own = table[i].mean()
        choice += subsets * runs * (own - grand) ** 2
        for j in range(subsets):
            mean = table[i, j].mean()
            subset += runs * (mean - own) ** 2
            for k in range(runs):
                run += (table[i, j, k] - mean) ** 2
    return (
        choice / (replicates - 1),
        subset / (replicates * (subsets - 1)) if subsets > 1 else None,
        run / (replicates * subsets * (runs - 1)) if runs > 1 else None,
    )


def components(table):
    """The parts of the variance that can be told apart."""
    _, subsets, runs = table.shape
    choice, subset, run = squares(table)
    if run is None:
        return [max(choice - subset, 0) / subsets, subset]
    if subset is None:
        return [max(choice - run, 0) / runs, run]
    return [max(choice - subset, 0) / subsets / runs, max(subset - run, 0) / runs, run]


def stacks(axes):
    """Of each bar from the top: the widths of its pieces, and what is written in them."""
    found = {}
    for patch in axes.patches:
        y = round(patch.get_y() + patch.get_height() / 2, 4)
        found.setdefault(y, []).append((patch.get_x(), patch.get_width()))
    for pieces in found.values():
        ends = np.cumsum([0, *(width for _, width in pieces)])
        assert [x for x, _ in pieces] == pytest.approx(ends[:-1], abs=1e-9)
        assert ends[-1] == pytest.approx(100)
    return [[width for _, width in found[y]] for y in sorted(found)]


def sizes(axes):
    """From the top: (low, value, high) of each whisker, and the number beside it."""
    ends = [c.get_segments()[0] for c in axes.collections]
    marks = [line for line in axes.lines if line.get_marker() != "None"]
    words = [text.get_text() for text in axes.texts]
    rows = sorted(zip(ends, marks, words, strict=True), key=lambda row: row[0][0, 1])
    return [(e[0, 0], m.get_xdata()[0], e[1, 0], word) for e, m, word in rows]


def draw(rows, note=""):
    return variance.draw(frame(rows), note)


# What is drawn


@pytest.mark.parametrize("size", [(6, 3, 2), (5, 2, 4), (7, 4, 1), (6, 1, 3)])
def test_pieces_are_shares_and_whiskers_roots_of_the_variances(size):
    scores, rows = crossed(size)
    if size[1] == 1:
        rows = [row | {"subset": row["replicate"]} for row in rows]
    picture = draw(rows)
    shares, whiskers = picture.axes
    expected = [components(table) for table in scores.values()]
    found = sizes(whiskers)
    for parts, widths in zip(expected, stacks(shares), strict=True):
        assert widths == pytest.approx([100 * part / sum(parts) for part in parts])
    roots = [np.sqrt(part) for parts in expected for part in parts]
    assert [value for _, value, _, _ in found] == pytest.approx(roots)
    for root, (low, value, high, word) in zip(roots, found, strict=True):
        assert low <= value <= high
        assert float(word) == pytest.approx(root, rel=0.051)
        assert word == "0" or len(word.replace(".", "").lstrip("0")) == 2, "two digits that count"
    assert picture.page.data["variance"].tolist() == pytest.approx([p for e in expected for p in e])
    assert picture.page.data["share"].tolist() == pytest.approx(
        [p / sum(e) for e in expected for p in e]
    )
    assert picture.page.data["n"].unique().tolist() == [size[0]]


def test_a_part_is_as_large_as_its_f_test_says():
    """One way: F = 1 + n choice / run, of the groups of runs."""
    scores, rows = crossed((6, 1, 4))
    picture = draw([row | {"subset": row["replicate"]} for row in rows])
    for method, table in zip(METHODS, scores.values(), strict=True):
        own = picture.page.data.set_index("method").loc[method, "variance"].tolist()
        f = scipy.stats.f_oneway(*table[:, 0]).statistic
        assert 1 + 4 * own[0] / own[1] == pytest.approx(max(f, 1))


def test_the_interval_of_runs_is_the_chi_square_one():
    scores, rows = crossed((6, 3, 2))
    found = sizes(draw(rows).axes[1])
    for i, table in enumerate(scores.values()):
        freedom, square = 6 * 3, squares(table)[2]
        ends = freedom * square / scipy.stats.chi2.ppf([0.975, 0.025], freedom)
        assert found[3 * i + 2][:3:2] == pytest.approx(np.sqrt(ends))


def test_intervals_hold_the_true_values_as_often_as_they_say():
    sds = (0.5, 0.5, 1.0)
    held = np.zeros(3)
    for seed in range(400):
        low, high = variance.bounds(drawn(seed, 5, 4, 2, sds)).T
        held += (low <= np.square(sds)) & (np.square(sds) <= high)
    assert (held / 400).min() > 0.92
    assert (held / 400).max() < 0.985


@pytest.mark.parametrize(
    ("size", "names"),
    [
        ((5, 2, 2), {"Minority classes", "Images drawn", "Initial weights and order"}),
        ((5, 2, 1), {"Minority classes", "Images drawn, initial weights and order"}),
        ((5, 1, 2), {"Minority classes and images drawn", "Initial weights and order"}),
    ],
)
def test_what_was_drawn_once_counts_with_the_part_around_it(size, names):
    _, rows = crossed(size)
    if size[1] == 1:
        rows = [row | {"subset": row["replicate"]} for row in rows]
    picture = draw(rows)
    assert legend(picture) == names
    assert set(picture.page.data["part"]) == names
    numbers = {2: "2 subsets", 1: ""}[size[1]], {2: "2 runs", 1: ""}[size[2]]
    assert f"n replicates, {' x '.join(filter(None, numbers))} of each." in caption(picture)


def test_replicates_of_other_imbalances_have_other_names():
    _, rows = crossed(kind="linear")
    assert "Order of the classes" in legend(draw(rows))
    fixed = draw(crossed(class_counts=[5] * 10)[1])
    assert "Replicates" in legend(fixed)
    assert "the same class sizes, and differ in their images alone." in caption(fixed)
    assert "the same class sizes" not in caption(draw(rows))


def test_title_caption_and_names():
    _, rows = crossed(iterations=500)
    picture = draw(rows, "By hand.")
    assert picture.get_suptitle() == (
        r"MNIST, LeNet-5, step imbalance, 500 iterations, $\rho$ = 100, $\mu$ = 0.5, n = 6"
    )
    assert [label.get_text() for label in picture.axes[0].get_yticklabels()] == [
        "Baseline",
        "Oversampling",
        "Undersampling",
    ]
    said = caption(picture)
    assert "Variances add up to the whole, which standard deviations do not." in said
    assert "95 % interval by Williams and Tukey, which takes draws for normal." in said
    assert said.endswith("By hand.")
    assert "Left out" not in said
    assert "Drawn:" not in said


def test_several_cells_stand_below_each_other():
    cells = ((10.0, 0.2), (100.0, 0.5), (1000.0, 0.8))
    scores, rows = crossed(cells=cells)
    picture = draw(rows)
    heads = [text.get_text() for text in picture.axes[0].texts if "rho" in text.get_text()]
    assert heads == [r"$\rho$ = 10, $\mu$ = 0.2", r"$\rho$ = 1000, $\mu$ = 0.8"]
    assert "Drawn: 2 of 3 cells." in caption(picture)
    assert "rho" not in picture.get_suptitle()
    expected = [components(table) for (rho, *_), table in scores.items() if rho != 100]
    for parts, widths in zip(expected, stacks(picture.axes[0]), strict=True):
        assert widths == pytest.approx([100 * part / sum(parts) for part in parts])


def test_the_order_of_the_records_does_not_matter():
    _, rows = crossed()
    mixed = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    data, other = draw(rows).page.data, draw(mixed).page.data
    assert other["variance"].tolist() == pytest.approx(data["variance"].tolist())


# What is left out


def test_replicates_that_lack_a_network_are_left_out_and_counted():
    scores, rows = crossed((8, 3, 2))
    gone = {(2, 1, 0, "baseline"), (4, 0, 1, "baseline")}
    kept, places = [], ("replicate", "subset", "run", "method")
    for row in rows:
        place = tuple(row[column] for column in places)
        if place in gone:
            continue
        kept.append(diverged(row) if place == (5, 2, 1, "oversampling") else row)
    picture = draw(kept)
    assert "Left out: replicates that lack a network, up to 2 of a method." in caption(picture)
    assert picture.get_suptitle().endswith("n = 6-8")
    lost = ([2, 4], [5], [])
    for table, replicates, widths in zip(
        scores.values(), lost, stacks(picture.axes[0]), strict=True
    ):
        parts = components(np.delete(table, replicates, axis=0))
        assert widths == pytest.approx([100 * part / sum(parts) for part in parts])


def test_a_method_with_too_few_replicates_says_so():
    _, rows = crossed((5, 2, 2))
    kept = [row for row in rows if (row["method"], row["replicate"]) != ("oversampling", 3)]
    picture = draw(kept)
    assert "n = 4" in {text.get_text() for text in picture.axes[0].texts}
    assert len(stacks(picture.axes[0])) == 2
    assert len(sizes(picture.axes[1])) == 6
    assert picture.page.data.query("method == 'oversampling'")["variance"].isna().all()


def test_other_decisions_and_other_ratios_are_left_out():
    _, rows = crossed((5, 2, 2), ("baseline", "oversampling", "thresholding"))
    others = [row | {"to": 5.0} for row in rows if row["method"] == "oversampling"]
    assert set(draw(rows + others).page.data["method"]) == {"baseline", "oversampling"}


def test_scores_that_are_all_the_same_have_no_variance():
    _, rows = crossed((5, 2, 2))
    same = [row | {"auc": 0.9} for row in rows]
    found = draw(same).page.data
    assert found[["variance", "sd", "low", "high", "share"]].to_numpy() == pytest.approx(
        0, abs=1e-6
    )


def small(rows):
    return [row for row in rows if row["replicate"] < 4]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no records"),
        (crossed(to=5.0)[1], "no record is sampled to full balance"),
        (
            crossed()[1] + crossed(base_rate=0.1)[1],
            "trained at 2 base rates; the variance has parts at one",
        ),
        (linear(), "one subset and one run of each replicate: the variance has no parts"),
        (
            crossed((6, 1, 1))[1],
            "one subset and one run of each replicate: the variance has no parts",
        ),
        (
            small(crossed()[1]),
            "parts need 5 whole replicates, each of 3 subsets x 2 runs; here 4 at most",
        ),
        (
            [diverged(row) for row in crossed((6, 3, 1))[1]],
            "parts need 5 whole replicates, each of 3 subsets; here 0 at most",
        ),
        (
            crossed()[1] + crossed(case_id="other")[1],
            "several cells have the same rho and mu, and no column tells them apart",
        ),
    ],
)
def test_where_there_is_nothing_to_draw_it_says_why(rows, why):
    assert draw(rows) == Blank(why)


# On paper


@pytest.mark.parametrize("width", ["page", "column"])
def test_large_and_small_parts_and_none_can_be_read_on_one_axis(width):
    """Of a method whose parts are a thirtieth of another's, whiskers reach out of their markers."""
    _, rows = crossed((6, 3, 2), methods=("baseline", "oversampling"))
    middle = np.mean([row["auc"] for row in rows])
    for row in rows:
        if row["method"] == "oversampling":
            row["auc"] = middle + (row["auc"] - middle) / 30
        else:  # no part of the draw of images: what is left differs by replicate and run alone
            rng = np.random.default_rng([row["replicate"], row["run"]])
            row["auc"] = middle + 0.01 * rng.normal()
    with printed(width):
        axes = draw(rows).axes[1]
    axes.figure.draw_without_rendering()
    found = sizes(axes)
    assert [word for _, value, _, word in found if value == 0] == ["0"]
    assert max(v for _, v, _, _ in found) > 15 * min(v for _, v, _, _ in found if v)
    (half,) = {line.get_markersize() / 2 * axes.figure.dpi / 72 for line in axes.lines}
    for low, value, high, _ in found:
        left, at, right = axes.transData.transform([(x, 0) for x in (low, value, high)])[:, 0]
        assert right > at + half or high == 0
        assert left < at - half or value == 0
    zero = axes.transData.transform((0, 0))[0] - axes.bbox.x0
    assert zero > 2 * half, "clear of the names on the left"
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks[0] == "0"
    assert len(ticks) >= 3
    assert [float(tick) for tick in ticks[2:]] == pytest.approx(
        [10 * float(tick) for tick in ticks[1:-1]]
    )
    assert f"linear up to {ticks[1]} and logarithmic from there" in caption(axes.figure)


OWN = "mine:" + "long_" * 12


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("cells", [((100.0, 0.5),), ((10.0, 0.2), (1000.0, 0.8))])
def test_no_words_are_cut_or_lie_on_others(width, cells):
    _, rows = crossed(methods=(*METHODS, OWN), cells=cells)
    with printed(width):
        picture = draw(rows)
    picture.draw_without_rendering()
    words = [*picture.texts, *picture.legends]
    for axes in picture.axes:
        words += [axes.xaxis.label, axes._left_title, *axes.texts]
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        words += [label for tick, label in ticks if tick <= axes.get_xlim()[1]]
        words += [] if axes is picture.axes[1] and width == "page" else axes.get_yticklabels()
    boxes = [word.get_window_extent() for word in words]
    whole = picture.bbox
    for box in boxes:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    assert OWN in set(picture.page.data["method"])
    first, second = (
        [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text() == name]
        for axes, name in zip(picture.axes, ("100", "0"), strict=True)
    )
    assert width == "column" or second[0].x0 - first[0].x1 > 0.1 * picture.dpi


def test_words_in_the_pieces_can_be_read():
    """At the 4.5 of WCAG's AA."""

    def luminance(colour):
        linear_ = [c / 12.92 if c <= 0.04 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear_)) + 0.05

    for size in ((5, 2, 2), (5, 2, 1)):
        axes = draw(crossed(size)[1]).axes[0]
        assert axes.texts
        for text in axes.texts:
            x, y = text.get_position()
            (piece,) = (
                p for p in axes.patches if p.contains_point(axes.transData.transform((x, y)))
            )
            pair = sorted([luminance(piece.get_facecolor()[:3]), luminance(text.get_color())])
            assert pair[1] / pair[0] > 4.5


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_it_becomes_a_file(tmp_path, kind):
    save(draw(crossed()[1]), tmp_path / f"variance.{kind}")
    assert (tmp_path / f"variance.{kind}").stat().st_size > 5000
