"""Several data sets on one page: which studies it is of, and what it shows of them."""

import itertools
import re

import numpy as np
import pytest

from analysis import figures
from analysis.page import Blank
from analysis.paper import printed
from analysis.together import FOLDER, drawers
from study.grid import Grid
from study.methods import METHODS
from tests.test_figures import (
    assert_printable,
    brute_force,
    caption,
    diverged,
    frame,
    legend,
    linear,
    lines,
    step,
    write,
)

NOTE = "Best of 8 (4 rates x 2 runs) by AUC on the test set, which flatters."
MNIST = list(itertools.product((10.0, 100.0, 1000.0, 5000.0), (0.2, 0.5, 0.8)))
CIFAR = list(itertools.product((2.0, 10.0, 50.0), (0.2, 0.5, 0.8)))


def cifar(rows):
    """The same records as of CIFAR-10: other ids, other scores, a longer training."""
    return [
        row
        | {"case_id": f"c{row['case_id']}", "record_id": f"c{row['record_id']}"}
        | {"dataset": "cifar10", "model": "allcnn", "iterations": 70_000}
        | {score: row[score] and row[score] - 0.2 for score in ("auc", "accuracy")}
        for row in rows
    ]


STEP = {"mnist_step": step(MNIST, 2), "cifar10_step": cifar(step(CIFAR, 1))}
LINEAR = {"mnist_linear": linear((10.0, 5000.0)), "cifar10_linear": cifar(linear((2.0, 50.0), 1))}


def pages(stores, **notes):
    return drawers({name: frame(rows) for name, rows in stores.items()}, notes)


def drawn(id, stores=STEP, **notes):
    return pages(stores, **notes)[id]()


@pytest.mark.parametrize(
    ("figure", "panel", "x", "score"),
    [("fig3", "mu", "rho", "auc"), ("fig4", "rho", "n_minority", "auc"),
     ("fig6", "mu", "rho", "accuracy")],
)  # fmt: skip
def test_mnist_stands_above_cifar10(figure, panel, x, score):
    picture = drawn(figure)
    values = {"mu": [(0.2, 0.5, 0.8)] * 2, "rho": [(10, 100, 5000), (2, 10, 50)]}[panel]
    names = [
        rf"({letter}) {name}, $\{panel}$ = {value:g}"
        for letter, (name, value) in zip(
            "abcdef",
            [(name, value) for name, row in zip(("MNIST", "CIFAR-10"), values, strict=True)
             for value in row],
            strict=True,
        )
    ]  # fmt: skip
    assert [axes.get_title(loc="left") for axes in picture.axes] == names
    for rows, axes, row in zip(
        STEP.values(), (picture.axes[:3], picture.axes[3:]), values, strict=True
    ):
        means = brute_force(rows, panel, x, score)
        xs = sorted({r[x] for r in rows})
        for value, one in zip(row, axes, strict=True):
            for id, label in ((id, METHODS[id].label) for id in ("baseline", "oversampling")):
                assert lines(one)[label] == pytest.approx([means[value, at, id] for at in xs])
        limits = {one.get_ylim() for one in axes}
        assert len(limits) == (1 if figure != "fig4" else 3)
        assert axes[0].get_ylabel().startswith("Multi-class" if score == "auc" else "Accuracy")
        assert axes[1].get_ylabel() == ""
    assert picture.axes[0].get_ylim() != picture.axes[3].get_ylim()
    assert set(picture.page.data["dataset"]) == {"mnist", "cifar10"}
    of_cifar = picture.page.data[picture.page.data["dataset"] == "cifar10"]
    assert set(of_cifar["x"]) == {r[x] for r in STEP["cifar10_step"]}


def test_titles_and_caption_say_what_each_row_is_of():
    stores = STEP | {"cifar10_step": STEP["cifar10_step"][3:]}
    stores["mnist_step"] = [diverged(stores["mnist_step"][0]), *stores["mnist_step"][1:]]
    picture = drawn("fig3", stores, cifar10_step=NOTE)
    assert picture.page.title.split("\n") == [
        "(a)-(c) MNIST, LeNet-5, step imbalance, 1,500 iterations, n = 1-2",
        "(d)-(f) CIFAR-10, All-CNN, step imbalance, 70,000 iterations, n = 1",
    ]
    said = caption(picture)
    assert "Each data set has a y axis of its own." in said
    assert said.count("percentile bootstrap") == 1
    assert "(a)-(c) 1 diverged left out. (d)-(f) 3 of 45 points not run." in said
    assert said.endswith(NOTE)
    assert said.count(NOTE) == 1


def test_linear_imbalance_is_a_row_of_two():
    picture = drawn("fig5", LINEAR)
    assert [axes.get_title(loc="left") for axes in picture.axes] == ["(a) MNIST", "(b) CIFAR-10"]
    first, second = picture.axes
    assert first.get_position().y0 == second.get_position().y0
    assert first.get_ylim() != second.get_ylim()
    assert list(second.get_xticks()) == [2, 50]
    assert picture.page.title.split("\n")[1].startswith("(b) CIFAR-10, All-CNN, linear imbalance")
    with printed("column"):
        first, second = drawn("fig5", LINEAR).axes
    assert first.get_position().y0 > second.get_position().y1
    assert first.xaxis.label.get_visible()


def test_in_a_column_the_data_sets_are_stacks():
    with printed("column"):
        picture = drawn("fig3")
    lefts = [axes.get_position().x0 for axes in picture.axes]
    assert lefts[:3] == [lefts[0]] * 3
    assert lefts[3:] == [lefts[3]] * 3
    assert lefts[0] < lefts[3]
    named = [axes.get_ylabel() for axes in picture.axes]
    assert named == ["Multi-class ROC AUC (%)", "", "", "", "", ""]


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("figure", ["fig1", "fig3", "fig4", "fig5", "fig6"])
def test_no_text_is_cut_or_lies_on_another(figure, width):
    rhos = (10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
    full = step(itertools.product(rhos, (0.2, 0.5, 0.8)), 1, METHODS, test_counts=[5, 80])
    twin = step(MNIST[3:], 1)
    stores = STEP | LINEAR | {"mnist_step": full, "mnist_step-small": twin}
    with printed(width):
        picture = drawn(figure, stores, cifar10_step=NOTE, mnist_step=NOTE)
        assert_printable(picture, width)


def test_without_both_data_sets_there_is_no_page():
    assert not pages({"mnist_step": STEP["mnist_step"]})
    assert not pages({"cifar10_step": STEP["cifar10_step"], "other": step(dataset="digits")})
    assert not pages({"a": STEP["mnist_step"], "b": LINEAR["cifar10_linear"]})
    assert list(pages(STEP)) == ["fig3", "fig4", "fig6"]
    assert list(pages(LINEAR)) == ["fig5"]
    assert list(pages(STEP | LINEAR)) == ["fig1", "fig3", "fig4", "fig5", "fig6"]


def test_figure_1_has_both_imbalances_of_studies_of_their_own():
    picture = drawn("fig1", {"b": linear(), "a": step()})
    titles = [axes.get_title(loc="left") for axes in picture.axes]
    assert [re.sub(r"[\\$]", "", title) for title in titles] == [
        "(a) step, rho = 10, mu = 0.5", "(b) step, rho = 10, mu = 0.8", "(c) linear, rho = 10",
    ]  # fmt: skip
    assert not pages({"a": step() + linear()}), "a study of both has it itself"


def short(rows, **changes):
    """The records as another study holds them."""
    return [row | {"case_id": f"{row['case_id']}-{changes}"} | changes for row in rows]


@pytest.mark.parametrize(
    ("rival", "says"),
    [
        (short(step(MNIST, 1), iterations=9000), "1,500 iterations, n = 2"),
        (short(step(MNIST, 2), iterations=9000), "9,000 iterations, n = 2"),
        (short(step(MNIST, 2), iterations=500), "1,500 iterations, n = 2"),
        (short(step(MNIST, 5), split=0), "1,500 iterations, n = 2"),
        (short(step(MNIST[:3], 40, ["baseline"]), iterations=9000), "1,500 iterations, n = 2"),
        (short(step([*MNIST, (25.0, 0.5)], 1), iterations=500), "500 iterations, n = 1"),
        (short(step(MNIST, 9), to=5.0), "1,500 iterations, n = 2"),
    ],
)
def test_of_several_studies_the_one_of_most_cells_then_cases_is_drawn(rival, says):
    first, _ = pages(STEP | {"a_rival": rival})["fig3"]().page.title.split("\n")
    assert first == f"(a)-(c) MNIST, LeNet-5, step imbalance, {says}"


def test_what_was_left_out_is_said():
    rival = short(step(MNIST, 1), iterations=9000)
    one_cell = short(step([(50.0, 0.5)], 9), iterations=800)
    stores = STEP | {"mnist_short": rival, "mnist_convergence": one_cell}
    said = caption(drawn("fig3", stores))
    assert "(a)-(c) Drawn: mnist_step. Left out: mnist_short (9,000 iterations, 12 cases)." in said
    assert "mnist_convergence" not in said, "one cell is no line"
    assert "Left out" not in caption(drawn("fig3"))


def test_a_data_set_of_which_nothing_can_be_drawn():
    stores = STEP | {"cifar10_step": [diverged(row) for row in STEP["cifar10_step"]]}
    assert drawn("fig3", stores) == Blank("CIFAR-10: all 45 records of step imbalance diverged")


def test_methods_of_ones_own_keep_their_look():
    own = {"sampling": "none", "loss": "focal", "second_phase": None, "decision": "argmax"}
    rows = step(MNIST, 2) + [row | own for row in step(MNIST, 2, ["focal"])]
    page = drawn("fig3", STEP | {"mnist_step": rows})
    alone = figures.drawers(frame(rows))["fig3"]()
    assert legend(page) == legend(alone) >= {"focal", "Baseline"}
    looks = [
        (line.get_color(), line.get_marker())
        for picture in (page, alone)
        for line in picture.axes[0].lines
        if line.get_label() == "focal"
    ]
    assert looks[0] == looks[1]
    assert all(np.isnan(lines(axes)["focal"]).all() for axes in page.axes[3:])


def test_the_command_draws_the_page_beside_the_studies(tmp_path, capsys):
    for name, rows in STEP.items():
        write([row for row in rows if row["mu"] == 0.5], tmp_path / "results" / name)
    words = ["--results", str(tmp_path / "results"), "--format", "svg"]
    assert figures.main(words) == 0
    said = capsys.readouterr().out.splitlines()
    folder = tmp_path / "results" / "figures" / FOLDER
    assert said[-3:] == [str(folder / f"fig{n}.svg") for n in (3, 4, 6)]
    assert all((folder / f"fig{n}.svg").read_bytes()[:5] == b"<?xml" for n in (3, 4, 6))
    assert figures.main([*words, "--study", "mnist_step", "--out", str(tmp_path / "one")]) == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["mnist_step"]


def test_no_grid_can_have_the_name_of_the_folder():
    (rule,) = [m.pattern for m in Grid.model_fields["name"].metadata if hasattr(m, "pattern")]
    assert re.match(rule, "mnist_step-small")
    assert not re.match(rule, FOLDER)
