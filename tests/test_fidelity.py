"""docs/fidelity.md names places in the code and values in the grids: all are there, and equal."""

import ast
import re
from functools import cache

import pytest

from study import strictyaml
from study.gridfile import read_grid
from study.methods import METHODS
from tests.conftest import ROOT

TEXT = (ROOT / "docs/fidelity.md").read_text()
SECTIONS = {
    "The grids": 3,
    "3.1 Forms of imbalance": 9,
    "3.2 Methods": 15,
    "3.3 Datasets and models": 10,
    "3.3.1 MNIST": 25,
    "3.3.2 CIFAR-10": 30,
    "3.3.3 ImageNet": 25,
    "3.4 Evaluation metrics and testing": 9,
    "4 Results, appendices A and B": 13,
    "What the paper leaves open": 30,
    "Where we knowingly differ": 5,
}
"""Each heading, and the rows that its table has at least."""

PLACE = re.compile(r"(?P<path>[\w./-]+\.(?:py|yaml))(?:: (?P<name>[^=]+?)(?: = (?P<value>.+))?)?")
FOLDERS = ("study/", "analysis/", "grids/", "tests/", "bench/", "docs/")
NO_VALUE = object()


def sections(text=TEXT):
    """The rows of each section's table, cell by cell, below the heading."""
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, *lines = part.splitlines()
        table = [line.strip("|").split("|") for line in lines if line.startswith("|")]
        found[heading] = [[cell.strip() for cell in row] for row in table]
    return found


def places(text):
    """Every `path: name = value` in a text."""
    return [word for word in re.findall(r"`([^`]+)`", text) if word.startswith(FOLDERS)]


def wrong(place):
    """What is wrong with a place; None where it is there, with the value that is stated."""
    parts = PLACE.fullmatch(place)
    if parts is None:
        return f"{place}: no place; needed: path, path: name or path: name = value"
    path, name, value = parts["path"], parts["name"], parts["value"]
    if not (ROOT / path).is_file():
        return f"{place}: there is no such file"
    if name is None:
        return None
    try:
        found = stands(path, name) if path.endswith(".yaml") else defined(path, name)
    except LookupError as error:
        return f"{place}: not there ({error})"
    if value is not None and found != strictyaml.parse(value, place):
        return f"{place}: {found!r} stands there"
    return None


def stands(path, name):
    """The value of a key in a grid as its file has it."""
    value = grid(path)
    for key in name.split("."):
        if not isinstance(value, dict):
            raise LookupError(f"{key} is below no section")
        value = value[key]
    return value


@cache
def grid(path):
    return strictyaml.parse((ROOT / path).read_text(), path)


def defined(path, name):
    """The literal that a name in a module is set to, by its source alone; a key must be in it."""
    name, _, key = name.removesuffix("]").partition("[")
    scope, node = module(path).body, None
    for part in name.split("."):
        node = next((one for one in scope if part in names(one)), None)
        if node is None:
            raise LookupError(part)
        scope = node.body if isinstance(node, ast.ClassDef) else []
    value = getattr(node, "value", None)
    if key:
        words = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
        if value is None or key not in words:
            raise LookupError(key)
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError):
        return NO_VALUE


@cache
def module(path):
    return ast.parse((ROOT / path).read_text())


def names(node):
    """What a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


# The page


def test_every_place_is_there_with_the_value_stated():
    told = [fault for place in sorted(set(places(TEXT))) if (fault := wrong(place))]
    assert not told, "\n".join(told)


def test_the_page_has_its_sections_in_order_and_no_table_has_shrunk():
    found = sections()
    assert list(found) == list(SECTIONS)
    short = {heading: len(rows) - 2 for heading, rows in found.items()}
    assert {h: n for h, n in short.items() if n < SECTIONS[h]} == {}


@pytest.mark.parametrize("heading", SECTIONS)
def test_no_cell_is_empty_and_every_row_says_where(heading):
    header, rule, *rows = sections()[heading]
    assert set("".join(rule)) == {"-"}
    for row in rows:
        assert len(row) == len(header), row
        assert all(re.search(r"\w", cell) for cell in row), row
        where = row[header.index("Where")] if "Where" in header else row[-1]
        assert places(where) or where == "no code", row


def test_what_looks_like_a_place_is_read_as_one():
    in_cells = [word for word in re.findall(r"`([^`]+)`", TEXT) if "/" in word.split(":")[0]]
    assert [word for word in in_cells if not word.startswith((*FOLDERS, "--"))] == []
    assert len(places(TEXT)) > 250


def test_every_method_of_the_paper_is_on_the_page():
    assert [id for id in METHODS if f"`study/methods.py: METHODS[{id}]`" not in TEXT] == []


@pytest.mark.parametrize("row", [row[-1] for row in sections()["The grids"][2:]])
def test_the_grids_of_a_set_up_have_one_protocol(row):
    grids = [read_grid(ROOT / path).grid for path in places(row)]
    assert len(grids) >= 3
    for one in grids:
        own = (one.dataset.name, one.dataset.preprocess, one.model, one.recipe, one.runs, one.seed)
        first = grids[0]
        assert own == (
            *(first.dataset.name, first.dataset.preprocess, first.model, first.recipe),
            *(first.runs, first.seed),
        )


# The reader of the page


@pytest.mark.parametrize(
    "place",
    [
        "study/imbalance.py",
        "study/imbalance.py: Step",
        "study/imbalance.py: Step.roles",
        "study/imbalance.py: Profile.needs_n_max = true",
        "study/data/whitening.py: NORM = 55",
        "study/checkpoints.py: FINISHED = 0.1",
        "study/store.py: Store.folder",
        "study/methods.py: METHODS[thresholding]",
        "analysis/curves.py: FIGURES[fig3]",
        "grids/mnist_step.yaml: recipe.rate.base = 0.01",
        "grids/mnist_step.yaml: recipe.rate = {policy: inv, base: 0.01, gamma: 1e-4, power: 0.75}",
        "grids/mnist_step.yaml: methods = all",
    ],
)
def test_a_place_that_is_there_is_found(place):
    assert wrong(place) is None


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("study/imbalnce.py: Step", "no such file"),
        ("study: Step", "no place"),
        ("study/imbalance.py Step", "no place"),
        ("study/imbalance.py: Stp", "not there (Stp)"),
        ("study/imbalance.py: Step.rols", "not there (rols)"),
        ("study/imbalance.py: Step.roles.number", "not there (number)"),
        ("study/imbalance.py: np", "not there (np)"),
        ("study/imbalance.py: as_labels.whole", "not there (whole)"),
        ("study/methods.py: METHODS[tresholding]", "not there (tresholding)"),
        ("study/methods.py: Choice[name]", "not there (name)"),
        ("study/data/whitening.py: NORM = 56", "55.0 stands there"),
        ("study/data/whitening.py: whiten = 1", "stands there"),
        ("grids/mnist_step.yaml: recipe.momentm = 0.9", "not there ('momentm')"),
        ("grids/mnist_step.yaml: recipe.batch.size = 64", "not there (size is below no section)"),
        ("grids/mnist_step.yaml: recipe.momentum = 0.8", "0.9 stands there"),
        ("grids/mnist_step.yaml: replicates = '50'", "50 stands there"),
        ("grids/cifar10_step.yaml: recipe.rate.base = [0.05, 0.005]", "stands there"),
    ],
)
def test_a_place_that_is_not_there_is_told(place, words):
    assert words in wrong(place)


def test_an_empty_cell_and_a_row_that_is_cut_are_seen():
    page = "## A\n\n| x | Where |\n|---|---|\n| said | |\n| said |\n"
    assert sections(page) == {"A": [["x", "Where"], ["---", "---"], ["said", ""], ["said"]]}
