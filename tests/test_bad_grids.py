"""Mistakes in a grid: refused with code 2 and a line that says where, what was found, what may be.

Each file in bad_grids begins with the texts to be found in its message: every text must be in some
line of the message, and every line must hold some text, so a mistake is told once and alone.
"""

import tempfile
from pathlib import Path

import pytest
import yaml

from study import strictyaml
from study.errors import GridError
from study.gridfile import check, read_grid
from study.methods import METHODS, Method
from study.nets import NETS, Net
from study.nets.layers import Conv, Flatten, Linear
from study.run import main
from tests.conftest import raw_grid, tiny_grid, without_privileges

BAD = sorted((Path(__file__).parent / "bad_grids").glob("*.yaml"))
FOREIGN = (
    *("Traceback", "pydantic", "Input should", "String should", "dictionary", "instance of"),
    *("NoneType", "datetime", "Error:"),
)
"""Words of the program's insides."""


@pytest.fixture
def refused(capsys):
    """Plans a grid that must be refused; gives the message."""

    def go(path, *words):
        assert main([str(path), "--plan", *words]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert not [word for word in FOREIGN if word in said.err]
        assert max(map(len, said.err.splitlines())) < 600
        return said.err

    return go


# Files


def test_there_are_bad_grids():
    assert len(BAD) > 100


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_grid_is_refused_in_words(path, refused):
    start = "# expect: "
    lines = path.read_text().splitlines()
    expected = [line.removeprefix(start).lower() for line in lines if line.startswith(start)]
    told = refused(path).lower().splitlines()
    assert all(line.startswith(str(path).lower()) for line in told)
    assert [text for text in expected if not any(text in line for line in told)] == []
    assert [line for line in told if not any(text in line for text in expected)] == []


def test_a_file_that_is_not_there_is_named_with_its_near_sibling(refused, grid_file):
    near = grid_file().with_name("tinny.yaml")
    told = refused(near)
    assert str(near) in told
    assert f"Did you mean '{grid_file()}'?" in told


def test_a_folder_that_is_not_there_is_named(refused, tmp_path):
    assert str(tmp_path / "none" / "x.yaml") in refused(tmp_path / "none" / "x.yaml")


def test_a_folder_in_the_place_of_a_grid_is_named(refused, tmp_path):
    assert f"{tmp_path}: is a folder" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"name: \xff\xfe", b"name: \xe9t\xe9"])
def test_bytes_that_are_no_text_are_named(content, refused, tmp_path):
    path = tmp_path / "bytes.yaml"
    path.write_bytes(content)
    assert f"{path}: not a text file in UTF-8" in refused(path)


def test_a_file_without_end_is_not_read_to_its_end(refused):
    assert "/dev/zero: longer than 1,000,000 characters" in refused("/dev/zero")


def test_a_control_character_is_told_in_one_line(refused, tmp_path):
    path = tmp_path / "control.yaml"
    path.write_bytes(b"name: a\x00b")
    told = refused(path)
    assert str(path) in told
    assert len(told.splitlines()) == 1


def test_a_file_that_may_not_be_read_is_named(refused):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # pytest's own folders let nobody else in
        path = folder / "secret.yaml"
        path.write_text("name: secret")
        path.chmod(0)
        with without_privileges():
            told = refused(path)
    assert str(path) in told
    assert "Permission denied" in told


# --set


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("recipe.iterations=abc", ["recipe.iterations: found 'abc'"]),
        ("recipe.iteratons=5", ["recipe.iteratons: found an unknown key", "'iterations'?"]),
        ("recipe.rate.polcy=inv", ["recipe.rate.polcy: found an unknown key", "'policy'?"]),
        ("recipe.rate.base=0", ["recipe.rate.base: found 0; needed: greater than 0"]),
        ("recipe=3", ["recipe: found 3"]),
        ("nonsense", ["needed: key.path=value"]),
        ("=3", ["needed: key.path=value"]),
        ("recipe.=3", ["needed: key.path=value"]),
        ("recipe..batch=3", ["needed: key.path=value"]),
        ("name.foo=1", ["name is a value, not a section"]),
        ("replicates=[1", ["line 1, column 3", "expected ',' or ']'"]),
        ("replicates=", ["replicates: found"]),
        ("replicates=*a", ["aliases are not read"]),
        ("imbalance.rho=[10, 1000]", ["imbalance.rho: found 1000; 30 / 1000 = 0.03"]),
        ("imbalance.kind=stp", ["imbalance.kind: found 'stp'", "Did you mean 'step'?"]),
        ("name=a/b", ["name: found 'a/b'"]),
        ("a.b=3", ["a: found an unknown key"]),
    ],
)
def test_a_bad_change_is_named(change, words, refused, grid_file):
    told = refused(grid_file(), "--set", change)
    assert all(word in told for word in [f"--set {change}", *words])


@pytest.mark.parametrize("change", ["small=3", "small.replicates=1"])
def test_a_change_of_the_small_section_is_refused_without_allowing_it(change, refused, grid_file):
    told = refused(grid_file(small={"replicates": 2}), "--set", change)
    assert "small" in told
    assert "Did you mean 'small'?" not in told


def test_small_without_a_small_section_is_refused(refused, grid_file):
    assert "--small needs this section" in refused(grid_file(), "--small")


# What is no mistake


def backwards(value):
    """The same keys, last first, in every section."""
    if not isinstance(value, dict):
        return value
    return {key: backwards(value[key]) for key in reversed(value)}


def test_the_order_of_the_keys_plays_no_part(tmp_path):
    grids = []
    for place, keys in enumerate((raw_grid(), backwards(raw_grid()))):
        path = tmp_path / f"{place}.yaml"
        path.write_text(yaml.safe_dump(keys, sort_keys=False))
        grids.append(read_grid(path).grid)
    assert list(raw_grid()) != list(backwards(raw_grid()))
    assert grids[0].hash == grids[1].hash
    assert [case.id for case in grids[0].cases()] == [case.id for case in grids[1].cases()]


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "1E-4", "+1e-04", "0.0001", "10.0e-5"])
def test_a_number_is_the_same_however_it_is_written(text):
    assert strictyaml.parse(f"gamma: {text}", "") == {"gamma": 0.0001}


def test_a_whole_number_is_the_number_it_equals():
    one, other = (
        check(raw_grid(imbalance={"rho": rho}, recipe={"bias_rate": rate}), "tiny")
        for rho, rate in ((10, 2), ([10.0], 2.0))
    )
    assert one.hash == other.hash
    assert [case.id for case in one.cases()] == [case.id for case in other.cases()]


@pytest.mark.parametrize(
    ("field", "word", "near"),
    [
        ("sampling", "ovr", "over"),
        ("loss", "cross_entrpy", "cross_entropy"),
        ("second_phase", "none_", "none"),
        ("decision", "argmx", "argmax"),
    ],
)
def test_a_method_of_ones_own_with_a_wrong_word_is_refused(monkeypatch, field, word, near):
    monkeypatch.setitem(METHODS, "mine", Method("mine", "Mine", **{field: word}))
    with pytest.raises(GridError, match=f"method mine: {field}: found '{word}'.*'{near}'"):
        tiny_grid(methods=["mine"])


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (lambda form: Net(form, (Flatten()), head=1), "TypeError: 'Flatten' object"),
        (lambda form: Net(form, (Flatten, Linear(4)), head=1), "fails with TypeError"),
        (lambda form: Net(form, (Conv(4, 3, stride=0), Linear(4)), 1), "ZeroDivisionError"),
        (lambda form: Net(form, (Flatten(), Linear(4)), head=-1), "learns from head -1 on"),
        (lambda form: None, "its function gives no Net but None"),
    ],
)
def test_a_net_of_ones_own_with_a_slip_is_refused_in_words(monkeypatch, net, words):
    monkeypatch.setitem(NETS, "mine", net)
    with pytest.raises(GridError, match=f"model: found 'mine'; .*{words}"):
        tiny_grid(model="mine")
