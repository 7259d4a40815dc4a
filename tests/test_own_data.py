"""docs/own-data.md, block after block, in an empty folder: it all runs and says what is printed."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analysis import load
from study.run import main
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/own-data.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\S+\.(?:py|yaml))\n")


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """The folder in which the page was walked through, what was printed, the names defined."""
    folder = tmp_path_factory.mktemp("walk")
    names, printed = {"__name__": "page"}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.delitem(sys.modules, "mine", raising=False)
        for language, text in BLOCKS:
            if named := FILE.match(text):
                Path(named[1]).write_text(text)
            else:
                RUN[language](text, names, printed)
    sys.modules.pop("mine", None)
    return SimpleNamespace(folder=folder, names=names, printed="".join(printed))


def python(text, names, printed):
    exec(compile(text, PAGE.name, "exec"), names)


def sh(text, names, printed):
    """As typed, by this Python."""
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-e", "-c", text], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    printed.append(done.stdout)


def console(text, names, printed):
    """A command in this process; the lines after it are what it prints, ... anything."""
    line, expected = text.split("\n", 1)
    code, said = command(shlex.split(line.removeprefix("$ python -m study.run ")))
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, said, flags), f"{line}\n{said}"
    assert (code == 2) == ("found" in expected)


RUN = {"python": python, "sh": sh, "console": console}


def command(words):
    """The exit code of study.run and what it prints."""
    with pytest.MonkeyPatch.context() as patch:
        said = []
        for stream in ("stdout", "stderr"):
            patch.setattr(sys, stream, SimpleNamespace(write=said.append, flush=lambda: None))
        return main(words), "".join(said)


def records(walk, name):
    return load(walk.folder / "results" / name)


# The page


def test_the_page_has_blocks_of_every_kind_and_no_other():
    kinds = [language for language, _ in BLOCKS]
    assert set(kinds) == {"python", "yaml", "sh", "console"}
    assert all(FILE.match(text) for language, text in BLOCKS if language == "yaml")
    opened = re.findall(r"^```", PAGE.read_text(), re.MULTILINE)
    assert len(opened) == 2 * len(BLOCKS)


def test_each_piece_of_ones_own_is_under_15_lines():
    (module,) = (text for _, text in BLOCKS if text.startswith("# mine.py"))
    _, *pieces = re.split(r"^(?=class |def |root_)", module, flags=re.MULTILINE)
    assert len(pieces) == 5
    for piece in pieces:
        assert len([line for line in piece.splitlines() if line.strip()]) < 15, piece


# What it leaves


@pytest.mark.parametrize(
    ("name", "cases", "methods"),
    [
        ("mine", 4, {"baseline", "oversampling", "thresholding"}),
        ("uneven", 1, {"baseline", "oversampling", "undersampling", "thresholding"}),
        ("counts", 1, {"baseline", "oversampling"}),
        ("arrays", 1, {"baseline", "oversampling"}),
        ("own", 4, {"baseline", "oversampling", "root_sampling"}),
    ],
)
def test_each_grid_leaves_its_records(walk, name, cases, methods):
    found = records(walk, name)
    assert set(found["method"]) == methods
    assert found["case_id"].nunique() == cases
    assert len(found) == cases * len(methods)
    assert found["auc"].notna().all()


def test_the_nets_learn(walk):
    for name in ("mine", "uneven", "counts", "arrays", "own"):
        assert records(walk, name)["auc"].mean() > 0.75, name


def test_the_figures_that_are_promised_are_drawn(walk):
    folder = walk.folder / "results/figures/mine"
    drawn = {path.stem for path in folder.iterdir()}
    assert drawn >= {"fig1", "fig3", "fig4", "fig6", "table4", "scatter", "recall"}
    for name in ("fig5", "fig7", "fig8"):
        assert f"mine/{name}: nothing to draw" in walk.printed


def test_class_counts_are_those_that_the_page_asks_for(walk):
    mine = records(walk, "mine")
    for counts, rho in zip(mine["class_counts"], mine["rho"], strict=True):
        assert sorted(counts) == [100 / rho] * 5 + [100] * 5
    assert set(map(tuple, mine["test_counts"])) == {(50,) * 10}
    (counts,) = set(map(tuple, records(walk, "counts")["class_counts"]))
    assert counts == (120, 60, 30, 15, 8) * 2


def test_a_natural_set_keeps_its_own_counts_in_training_and_test(walk):
    names = sorted(walk.names["NAMES"])
    sizes = [len(list((walk.folder / "pictures/uneven" / name).iterdir())) for name in names]
    test = [int(0.3 * size + 0.5) for size in sizes]
    found = records(walk, "uneven")
    assert set(map(tuple, found["test_counts"])) == {tuple(test)}
    left = tuple(size - taken for size, taken in zip(sizes, test, strict=True))
    assert set(map(tuple, found["class_counts"])) == {left}
    assert max(sizes) > 9 * min(sizes)


def test_labels_follow_the_names_as_the_page_says(walk):
    assert sorted(walk.names["NAMES"])[:3] == ["eight", "five", "four"]


def test_the_long_tail_is_the_published_one(walk):
    names = {"__name__": "mine"}
    exec((walk.folder / "mine.py").read_text(), names)
    profile = names["LongTail"](kind="mine:LongTail", rho=100)
    (cell,) = profile.points()
    got = profile.roles(cell, [5000] * 10, 5000, np.random.default_rng(0)).counts
    assert got == (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50), "CIFAR-10-LT"
    assert got[0] == 5000
    own = records(walk, "own")
    for counts, rho in zip(own["class_counts"], own["rho"], strict=True):
        assert (counts[0], counts[-1]) == (100, 100 / rho)
        assert list(counts) == sorted(counts, reverse=True)


def test_root_sampling_gives_a_class_the_root_of_its_size(walk):
    names = {"__name__": "mine"}
    exec((walk.folder / "mine.py").read_text(), names)
    labels = np.repeat([0, 1], [90_000, 10_000])
    drawn = names["by_root"](labels, np.random.default_rng(0), 1.0)
    assert len(drawn) == len(labels)
    assert abs(labels[drawn].mean() - 1 / (1 + 3)) < 0.01


@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_either_file_of_arrays_is_what_was_stored(walk, kind, monkeypatch):
    monkeypatch.chdir(walk.folder)
    monkeypatch.syspath_prepend(walk.folder)
    words = ["arrays.yaml", "--data", "pictures", "--executor", "inprocess"]
    change = [f"dataset={{name: {kind}, path: digits.{kind}, height: 8, width: 8, channels: 1, "]
    change[0] += "classes: 10, train_per_class: 90, test_per_class: 50}"
    code, said = command([*words, "--set", *change, "--set", "recipe.iterations=1"])
    sys.modules.pop("mine", None)
    assert (code, "2 records in" in said) == (0, True), said


def test_the_table_printed_has_a_row_a_grid_and_ratio(walk, monkeypatch, capsys):
    monkeypatch.chdir(walk.folder)
    python(BLOCKS[-1][1], dict(walk.names), [])
    told = capsys.readouterr().out.split()
    assert [word for word in ("mine", "own", "root_sampling", "thresholding") if word in told] == [
        *("mine", "own", "root_sampling", "thresholding")
    ]
