"""The README's blocks do what it says: its grid is read, its extensions run to records."""

import re
from hashlib import sha256

import pyarrow.compute as pc
import pytest
import yaml

from analysis import figures
from study import run as study_run
from study import status, verify
from study.data import SOURCES
from study.engine.rates import RATES
from study.gridfile import check, read_grid
from study.imbalance import PROFILES
from study.plan import count, plan
from study.run import main
from study.store import Store
from tests.conftest import ROOT

TEXT = (ROOT / "README.md").read_text()
BLOCKS = {
    language: re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    for language in ("python", "yaml", "sh")
}


def block(language, containing):
    (found,) = (text for text in BLOCKS[language] if containing in text)
    return found


def run_block(containing):
    names = {"__name__": "readme"}
    exec(compile(block("python", containing), "README.md", "exec"), names)
    return names


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of the user's own, along Python's path, with one of the README's blocks."""
    monkeypatch.syspath_prepend(tmp_path)

    def go(containing):
        name = f"mine_{sha256(containing.encode()).hexdigest()[:8]}"
        (tmp_path / f"{name}.py").write_text(block("python", containing))
        return name

    return go


@pytest.fixture
def run(grid_file, tmp_path):
    """The records of the tiny grid, changed, run by the command."""

    def go(**changes):
        path = grid_file(**changes)
        words = ["--executor", "inprocess", "--results", str(tmp_path / "results")]
        assert main([str(path), *words]) == 0
        return Store(tmp_path / "results" / changes.get("name", "tiny")).read()

    return go


def test_each_extension_is_under_15_lines():
    for containing in ("class Stripes", "def mlp", "class LongTail", "row = Method"):
        lines = [line for line in block("python", containing).splitlines() if line.strip()]
        assert len(lines) < 15


def test_the_grid_of_the_readme_is_a_grid():
    (text,) = BLOCKS["yaml"]
    raw = yaml.safe_load(text)
    raw.pop("small")
    grid = check(raw, "README.md")
    assert count(plan(grid)).networks == 9 * 5 * 4 * 2 * 2
    assert set(grid.resolved()) == set(raw), "the README shows every key"
    assert set(grid.recipe.resolved()) == set(raw["recipe"])
    shown = {*raw["dataset"], "test_share"}
    assert set(grid.dataset.resolved()) == shown
    for table in (SOURCES, PROFILES, RATES):
        assert [name for name in table if not re.search(rf"\b{name}\b", text)] == []


def test_a_data_set_of_ones_own_runs(run, mine):
    name = f"{mine('class Stripes')}:Stripes"
    source = {"name": name, "train_per_class": 100, "test_per_class": 50}
    records = run(dataset=source, methods="all", recipe={"iterations": 60})
    assert records.num_rows == 16
    assert set(records["dataset"].to_pylist()) == {name}
    assert pc.mean(records["auc"]).as_py() > 0.95, "stripes are easily told apart"


def test_a_net_of_ones_own_runs(run, mine):
    name = f"{mine('def mlp')}:mlp"
    records = run(model=name, methods="all")
    assert set(records["model"].to_pylist()) == {name}
    assert records.num_rows == 16


def test_a_profile_of_ones_own_runs(run, mine):
    kind = f"{mine('class LongTail')}:LongTail"
    records = run(imbalance={"kind": kind, "rho": 10.0}, methods=["baseline"])
    assert records["class_counts"].to_pylist() == [[30, 14, 6, 3]] * 2
    assert set(records["imbalance"].to_pylist()) == {kind}


def test_a_method_of_ones_own_runs_and_shares_its_trainings(run, mine):
    name = f"{mine('row = Method')}:row"
    records = run(methods=["two_phase_oversampling", name]).to_pylist()
    assert len(records) == 4
    for case in {record["case_id"] for record in records}:
        both = [record for record in records if record["case_id"] == case]
        assert {r["method"] for r in both} == {"two_phase_oversampling", "two_phase_thresholding"}
        assert both[0]["training_id"] == both[1]["training_id"]
        assert both[0]["auc"] == both[1]["auc"]


def test_the_options_in_the_readme_are_the_commands():
    own = re.sub(r"ray job submit .* --", "", TEXT)
    told = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", own))
    known, *others = (
        {word for action in command.parser()._actions for word in action.option_strings}
        for command in (study_run, figures, status, verify)
    )
    assert told - known.union(*others) == set()
    assert known - told == {"-h", "--help"}


def test_every_path_the_readme_names_is_there():
    for path in re.findall(r"\]\(([a-zA-Z][^):#]*)\)|`((?:study|grids|tests)/[\w./]+)`", TEXT):
        named = path[0] or path[1]
        assert (ROOT / named).exists(), named
    for line in BLOCKS["sh"]:
        for grid in re.findall(r"grids/\w+\.yaml", line):
            assert read_grid(ROOT / grid)


def test_the_lines_that_read_a_store_read_it(run, tmp_path, monkeypatch, capsys):
    run(name="quickstart", methods=["baseline", "oversampling"])
    monkeypatch.chdir(tmp_path)
    run_block("from analysis import load")
    assert "oversampling" in capsys.readouterr().out
