"""Calibration from stored outputs: against scikit-learn and plain loops, and files that are bad."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from analysis import calibration, load, predictions
from analysis.page import Blank
from analysis.paper import printed
from analysis.style import STYLES
from study.errors import UserError
from study.methods import METHODS
from study.run import main
from tests.test_figures import caption, frame, legend, record, step

WIDER = np.sqrt(3 / 2) * stats.t.ppf(0.975, 2) / stats.norm.ppf(0.975)
"""How much further than the ends of three draws an interval of their mean reaches."""

IMAGES, CLASSES = 600, 10
SIX = [id for id, method in METHODS.items() if method.second_phase is None]


def cell(replicates=3, methods=SIX, rho=50.0, mu=0.5, **changes):
    return step([(rho, mu)], replicates, methods, **changes)


def outputs(seed, images=IMAGES):
    """Logits of a network that is right more often the larger its first output is."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, (images, CLASSES)).astype(np.float16)


def truth(images=IMAGES):
    return np.random.default_rng(0).integers(0, CLASSES, images)


def keep(folder, rows, labels=None, **changed):
    """Stores outputs of the records' trainings, as a study does; of some, by id, those given."""
    below = folder / "predictions"
    below.mkdir(parents=True, exist_ok=True)
    labels = truth() if labels is None else labels
    np.save(below / "labels.npy", labels)
    for seed, id in enumerate(sorted({row["training_id"] for row in rows})):
        logits = changed.get(id, outputs(seed + 1, len(labels)))
        logits[np.arange(len(labels)), labels] += np.float16(3) * (seed % 3)
        np.save(below / f"{id}.npy", logits)
    return folder


def drawn(rows, folder, note=""):
    return calibration.draw(frame(rows), folder, note)


def surest(row, folder, labels="labels"):
    """By plain float64: of each image the confidence of a record's method, and whether right."""
    logits = np.load(folder / "predictions" / f"{row['training_id']}.npy").astype(float)
    scores = softmax(logits, axis=1)
    if row["decision"] == "prior":
        scores = scores / (np.array(row["class_counts"]) / sum(row["class_counts"]))
        scores = scores / scores.sum(axis=1, keepdims=True)
    right = scores.argmax(axis=1) == np.load(folder / "predictions" / f"{labels}.npy")
    return scores.max(axis=1), right


def loop_error(sure, right, bins=15):
    """Expected calibration error over bins of equal mass, image by image."""
    edges = np.percentile(sure, np.linspace(0, 100, bins + 1))
    held = {}
    for confidence, hit in zip(sure, right, strict=True):
        bin = sum(confidence > edge for edge in edges[1:-1])
        held.setdefault(bin, []).append((confidence, hit))
    return sum(
        len(own) * abs(np.mean([hit for _, hit in own]) - np.mean([c for c, _ in own]))
        for own in held.values()
    ) / len(sure)


def lines(axes):
    return {x.get_label(): x for x in axes.lines if not x.get_label().startswith("_")}


@pytest.fixture
def kept(tmp_path):
    rows = cell()
    return rows, keep(tmp_path, rows)


def test_the_diagram_is_scikit_learns(kept):
    rows, folder = kept
    picture = drawn(rows, folder)
    assert legend(picture) == {METHODS[id].label for id in SIX}
    titles = [axes.get_title(loc="left") for axes in picture.axes]
    expected = ["(a) Reliability", "(b) Share of images (%)", "(c) Calibration error (%)"]
    assert titles == expected
    assert r"$\rho$ = 50, $\mu$ = 0.5, n = 3" in picture.get_suptitle()
    found = lines(picture.axes[0])
    for id in SIX:
        pairs = [surest(row, folder) for row in rows if row["method"] == id]
        sure, right = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        accuracy, confidence = calibration_curve(right, sure, n_bins=10)
        images = np.histogram(sure, np.linspace(0, 1, 11))[0]
        enough = images[images > 0] >= 20
        line = found[METHODS[id].label]
        assert list(line.get_xdata()) == pytest.approx(list(100 * confidence[enough]))
        assert list(line.get_ydata()) == pytest.approx(list(100 * accuracy[enough]))
        assert line.get_color() == STYLES[id].colour
        share = lines(picture.axes[1])[METHODS[id].label]
        assert list(share.get_xdata()) == pytest.approx(10 * np.flatnonzero(images >= 20) + 5)
        assert list(share.get_ydata()) == pytest.approx(100 * images[images >= 20] / len(sure))


def test_the_error_is_that_of_a_loop_over_images(kept):
    rows, folder = kept
    picture = drawn(rows, folder)
    cells = picture.page.data
    cells = cells[cells["panel"] == "Calibration error (%)"].set_index("line")
    shown = {text.get_text() for text in picture.axes[2].texts}
    for id in SIX:
        errors = [100 * loop_error(*surest(r, folder)) for r in rows if r["method"] == id]
        assert cells.loc[id, "mean"] == pytest.approx(np.mean(errors))
        mean = np.mean(errors)  # of three the percentiles are the ends, and are widened
        ends = mean + WIDER * (np.array([min(errors), max(errors)]) - mean)
        assert cells.loc[id, ["low", "high"]].tolist() == pytest.approx(ends)
        assert (f"{mean:.1f}" if mean < 9.95 else f"{mean:.0f}") in shown


def test_the_error_agrees_with_scikit_learns_bins_of_equal_mass():
    rng = np.random.default_rng(5)
    sure = rng.uniform(0.1, 1, 1500)
    right = (rng.random(1500) < sure**2).astype(float)
    accuracy, confidence = calibration_curve(right, sure, n_bins=15, strategy="quantile")
    assert len(accuracy) == 15
    expected = np.mean(np.abs(accuracy - confidence))  # 100 images in each
    assert calibration.error(sure, right) == pytest.approx(expected)


def test_what_is_sure_of_itself_and_right_has_no_error():
    """And images equally sure share a bin, whatever their order."""
    rng = np.random.default_rng(6)
    sure = np.repeat([0.25, 0.5, 1.0], 400)
    right = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 2 == 0, np.full(400, True)])
    assert calibration.error(sure, right.astype(float)) == pytest.approx(0)
    order = rng.permutation(1200)
    assert calibration.error(sure[order], right[order].astype(float)) == pytest.approx(0)
    assert calibration.error(sure, 0 * sure) == pytest.approx(sure.mean())


def test_the_band_is_that_of_means_over_networks(tmp_path):
    """Oracle: the ratio's interval from networks drawn by hand."""
    rows = cell(replicates=8, methods=["baseline"])
    folder = keep(tmp_path, rows)
    cells = drawn(rows, folder).page.data
    top = cells[cells["panel"] == "Reliability"].iloc[-1]
    pairs = [surest(row, folder) for row in rows]
    inside = [(right[sure > 0.9].sum(), (sure > 0.9).sum()) for sure, right in pairs]
    rng = np.random.default_rng(1)
    draws = [np.sum([inside[i] for i in rng.integers(0, 8, 8)], axis=0) for _ in range(4000)]
    low, high = np.percentile([100 * hit / number for hit, number in draws], [2.5, 97.5])
    assert top["mean"] == pytest.approx(100 * np.sum(inside, axis=0)[0] / np.sum(inside, axis=0)[1])
    assert top["low"] == pytest.approx(low, abs=0.15 * (high - low))
    assert top["high"] == pytest.approx(high, abs=0.15 * (high - low))


def test_the_caption_says_how_it_was_done(kept):
    rows, folder = kept
    said = caption(drawn(rows, folder, "Best of 4."))
    assert "of thresholding, of the outputs over the class's prior, rescaled to a sum of 1" in said
    assert "10 bins of equal width, where they have 20 images or more" in said
    assert "15 bins of equal mass of each network" in said
    assert "Bands, in (c) bars: 95 % intervals of the mean, percentile bootstrap" in said
    assert "Not run: Two-phase, oversampling; Two-phase, undersampling." in said
    assert said.endswith("Best of 4.")
    plain = [row for row in rows if row["decision"] == "argmax"]
    assert "thresholding, of the outputs" not in caption(drawn(plain, folder))


def test_one_network_has_no_interval(tmp_path):
    rows = cell(replicates=1)
    picture = drawn(rows, keep(tmp_path, rows))
    assert picture.page.data[["low", "high"]].isna().all(axis=None)
    assert "One replicate a point" in caption(picture)


def test_an_output_beyond_float16_is_a_sure_one(tmp_path):
    rows = cell(replicates=1, methods=["baseline", "thresholding"])
    (id,) = {row["training_id"] for row in rows}
    labels = np.arange(IMAGES) % CLASSES
    logits = np.zeros((IMAGES, CLASSES), np.float16)
    logits[np.arange(IMAGES), labels] = np.inf
    logits[::2, 9] = -np.inf
    logits[9::10] = [-np.inf] * 9 + [1]
    cells = drawn(rows, keep(tmp_path, rows, labels, **{id: logits})).page.data
    assert set(cells[cells["panel"] == "Reliability"]["mean"]) == {100}
    assert set(cells[cells["panel"] == "Calibration error (%)"]["mean"].round(9)) == {0}
    assert set(cells[cells["panel"] == "Share of images (%)"]["mean"]) == {100}


@pytest.mark.parametrize("row", [[np.inf] * 2 + [0] * 8, [-np.inf] * 10])
def test_where_the_largest_output_is_not_known_the_network_is_left_out(row, tmp_path):
    rows = cell()
    lost = rows[0]["training_id"]
    logits = outputs(3)
    logits[7] = row
    picture = drawn(rows, keep(tmp_path, rows, **{lost: logits}))
    assert "Left out for several outputs beyond float16: 1 of 9 networks." in caption(picture)
    assert "n = 2-3" in picture.get_suptitle()
    alone = [row for row in rows if row["training_id"] == lost]
    assert drawn(alone, tmp_path) == Blank("no outputs of the 2 records of its cell can be used")


def test_what_diverged_is_left_out_counted_and_not_read(tmp_path):
    rows = cell()
    folder = keep(tmp_path, rows)
    lost = rows[0]["training_id"]
    rows = [r | ({"status": "diverged"} if r["training_id"] == lost else {}) for r in rows]
    (folder / "predictions" / f"{lost}.npy").write_bytes(b"never opened")
    picture = drawn(rows, folder)
    assert "2 diverged left out." in caption(picture)
    assert "n = 2-3" in picture.get_suptitle()


def test_networks_whose_outputs_are_not_there_are_counted(kept):
    rows, folder = kept
    (folder / "predictions" / f"{rows[0]['training_id']}.npy").unlink()
    picture = drawn(rows, folder)
    assert "Of 1 of 9 networks no outputs are kept." in caption(picture)
    assert "n = 2-3" in picture.get_suptitle()


def test_without_outputs_it_says_which_key_keeps_them(tmp_path):
    for rows in (cell(), []):
        blank = drawn(rows, tmp_path)
        assert isinstance(blank, Blank)
        assert "`predictions: true`" in blank.why
    assert calibration.others(frame(cell()), tmp_path) == {}


def test_a_decision_of_ones_own_has_no_confidence(tmp_path):
    rows = cell(methods=["baseline"], decision="mine:best")
    blank = drawn(rows, keep(tmp_path, rows))
    expected = "no outputs are kept of a method that samples to full balance and decides by "
    assert blank == Blank(f"{expected}argmax or prior")
    assert drawn([row | {"to": 10.0, "decision": "argmax"} for row in rows], tmp_path) == blank


SPOILT = {
    "half of it": (lambda p: p.write_bytes(p.read_bytes()[:3000]), "not a whole array"),
    "nothing": (lambda p: p.write_bytes(b""), "not a whole array"),
    "garbage": (lambda p: p.write_bytes(b"garbage" * 99), "not a whole array"),
    "a pickle": (lambda p: np.save(p, np.array([{}, 1], object)), "not a whole array"),
    "an archive": (lambda p: p.write_bytes(b"PK\3\4" + bytes(300)), "not a whole array"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), "not a whole array"),
    "other images": (
        lambda p: np.save(p, np.zeros((5, CLASSES), np.float16)),
        "found float16 of shape (5, 10); needed: floats of shape (600, 10)",
    ),
    "whole numbers": (
        lambda p: np.save(p, np.zeros((IMAGES, CLASSES), int)),
        "found int64 of shape (600, 10); needed: floats of shape (600, 10)",
    ),
    "NaN": (
        lambda p: np.save(p, np.full((IMAGES, CLASSES), np.nan, np.float16)),
        "holds NaN, though its network did not diverge",
    ),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_outputs_that_are_damaged_are_one_line_that_names_the_file(spoil, kept):
    rows, folder = kept
    path = folder / "predictions" / f"{rows[0]['training_id']}.npy"
    change, why = SPOILT[spoil]
    change(path)
    with pytest.raises(UserError) as error:
        drawn(rows, folder)
    assert str(error.value).startswith(f"{path}: {why}")
    assert str(error.value).endswith("run the study's grid again, which writes it anew")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (None, "no such file"),
        (np.zeros((2, 2), int), "found int64 of shape (2, 2); needed: a label for each image"),
        (np.zeros(0, int), "found int64 of shape (0,)"),
        (np.zeros(IMAGES), "found float64 of shape (600,)"),
        (np.arange(IMAGES) % 11, "labels 0 to 10; needed: 0 to 9"),
        (np.full(IMAGES, -1), "labels -1 to -1; needed: 0 to 9"),
    ],
)
def test_labels_that_are_bad(labels, why, kept):
    rows, folder = kept
    path = folder / "predictions" / "labels.npy"
    path.unlink()
    if labels is not None:
        np.save(path, labels)
    with pytest.raises(UserError) as error:
        drawn(rows, folder)
    assert str(error.value).startswith(f"{path}: {why}")


def test_each_split_has_labels_of_its_own(tmp_path):
    rows = [row | {"split": row["replicate"]} for row in cell(methods=["baseline"])]
    folder = keep(tmp_path, rows)
    (folder / "predictions" / "labels.npy").unlink()
    for split in range(3):
        own = np.random.default_rng(split).integers(0, CLASSES, IMAGES)
        np.save(folder / "predictions" / f"labels-{split}.npy", own)
    cells = drawn(rows, folder).page.data
    errors = [100 * loop_error(*surest(r, folder, f"labels-{r['split']}")) for r in rows]
    found = cells[cells["panel"] == "Calibration error (%)"]["mean"]
    assert list(found) == pytest.approx([np.mean(errors)])


def test_the_papers_cell_comes_first_and_the_others_have_pages(tmp_path):
    cells = [(rho, mu) for rho in (10.0, 50.0, 100.0) for mu in (0.2, 0.5, 0.8)]
    rows = step(cells, 1, ["baseline"])
    folder = keep(tmp_path, rows)
    assert r"$\rho$ = 50, $\mu$ = 0.5" in drawn(rows, folder).get_suptitle()
    pages = calibration.others(frame(rows), folder, "Best of 4.")
    assert list(pages) == [f"calibration{n}" for n in range(2, 7)]
    pictures = [page() for page in pages.values()]
    assert r"$\rho$ = 10, $\mu$ = 0.2" in pictures[0].get_suptitle()
    assert r"$\rho$ = 100, $\mu$ = 0.8" in pictures[-1].get_suptitle()
    assert "5 of 8 further cells are drawn. Best of 4." in caption(pictures[0])


def test_only_the_cells_own_outputs_are_read_and_few_images_at_a_time(tmp_path, monkeypatch):
    rows = cell()
    elsewhere = cell(rho=10.0)
    folder = keep(tmp_path, rows + elsewhere)
    for row in elsewhere:
        (folder / "predictions" / f"{row['training_id']}.npy").write_bytes(b"never opened")
    whole = drawn(rows + elsewhere, folder).page.data
    real, seen = predictions.Predictions.logits, []

    def logits(*arguments):
        for some in real(*arguments):
            seen.append(len(some))
            yield some

    monkeypatch.setattr(predictions, "AT_ONCE", 70 * CLASSES)
    monkeypatch.setattr(predictions.Predictions, "logits", logits)
    assert drawn(rows + elsewhere, folder).page.data.equals(whole)
    assert max(seen) == 70
    assert sum(seen) == 9 * IMAGES  # of networks, not records: thresholding reads no file again


def test_few_images_leave_the_diagram_empty_and_the_error_there(tmp_path):
    rows = cell(replicates=1, methods=["baseline"])
    picture = drawn(rows, keep(tmp_path, rows, np.arange(12) % CLASSES))
    assert set(picture.page.data["panel"]) == {"Calibration error (%)"}


def test_a_studys_own_outputs_give_its_accuracy(grid_file, tmp_path):
    """From the command to the diagram: mean accuracy over bins is the records'."""
    path = grid_file(
        methods="all", predictions=True, dataset={"test_images": 60, "test_per_class": 60}
    )
    words = ["--executor", "inprocess", "--results", str(tmp_path / "results")]
    assert main([str(path), *words]) == 0
    data = load(tmp_path / "results" / "tiny")
    cells = calibration.cells(data, tmp_path / "results" / "tiny")
    store = predictions.Predictions(tmp_path / "results" / "tiny")
    for _, rows in cells[0].groupby("training_id"):
        judged = calibration.judge(rows, store)
        for network, accuracy in zip(judged, rows["accuracy"], strict=True):
            assert network.images.sum() == 240
            assert network.right.sum() / 240 == pytest.approx(accuracy, abs=0.01)
    assert "not run" not in caption(calibration.draw(data, tmp_path / "results" / "tiny"))


@pytest.mark.parametrize("width", ["page", "column"])
def test_no_text_is_cut_or_lies_on_another(width, tmp_path):
    rows = cell(methods=METHODS, test_counts=[20, 30] * 5)
    for row in rows:
        row["training_id"] += f"-{row['second_phase']}"
    with printed(width):
        picture = drawn(rows, keep(tmp_path, rows))
    picture.draw_without_rendering()
    whole = picture.bbox
    parts = [*picture.texts, *picture.legends, picture.axes[0].yaxis.label]
    for axes in picture.axes:
        parts += [axes.xaxis.label, axes._left_title, *axes.texts]
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        parts += [label for at, label in ticks if low <= at <= high]
    boxes = [part.get_window_extent() for part in parts]
    for box in boxes:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


def test_a_record_of_a_cell_without_mu_is_drawn_too(tmp_path):
    rows = [record("linear", 10.0, None, i, "baseline") for i in range(2)]
    assert r"$\rho$ = 10, n = 2" in drawn(rows, keep(tmp_path, rows)).get_suptitle()
