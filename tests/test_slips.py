"""Slips in code of one's own that once ended a run, hung it or trained on what nobody set."""

import sys

import numpy as np
import pytest
from PIL import Image

from study.run import main
from study.store import Store

OWN = """
import sys
import numpy as np
from study.data import Source
from study.data.synthetic import Synthetic
from study.engine.rates import Rate
from study.imbalance import Cell, Profile, Roles
from study.methods import Method

class Leaving(Synthetic):
    name: str
    def load(self, folder): sys.exit(0)

class Plain(Synthetic):
    name: str

class Nan(Synthetic):
    name: str
    def load(self, folder):
        train, test = super().load(folder)
        return type(train)(train.images * np.float32(np.nan), train.labels), test

class Short(Rate):
    def at(self, base, iterations, of): return np.full(1, base)

class Exit(Rate):
    def at(self, base, iterations, of): sys.exit(0)

class Twice(Profile):
    def points(self): yield from [Cell(self.kind, 2.0), Cell(self.kind, 2.0)]
    @staticmethod
    def roles(cell, pool, n_max, rng): return Roles((5,) * len(pool), ())

class Wide(Profile):
    rho: float
    rhomax: float
    def points(self): yield Cell(self.kind, self.rho)
    @staticmethod
    def roles(cell, pool, n_max, rng): return Roles((5,) * len(pool), ())

class Half(Profile):
    needs_n_max = False
    def points(self): yield Cell(self.kind)
    @staticmethod
    def roles(cell, pool, n_max, rng): return Roles(tuple(n * n // n // 2 for n in pool), ())

class Strange(Twice):
    def points(self): yield Cell(self.kind, 2.0, more={"n": np.int64(3)})

class Later(Twice):
    def points(self): yield Cell(self.kind, 2.0)
    @staticmethod
    def roles(cell, pool, n_max, rng):
        if pool[0] != n_max: raise RuntimeError("on the real pool\\nof two lines")
        return Roles((5,) * len(pool), ())

def empty(labels, rng, to): return np.arange(len(labels) if len(labels) == 74 else 0)
def leaving(labels, rng, to):
    if len(labels) == 66: sys.exit(0)
    return np.arange(len(labels))

nothing = Method("nothing", "Nothing", sampling="own_slips:empty")
leaves = Method("leaves", "Leaves", sampling="own_slips:leaving")
low = Method("low", "Low", sampling="over", to=0.0)
"""


@pytest.fixture
def refused(tmp_path, monkeypatch, grid_file, capsys):
    """Runs the tiny grid, changed; gives the exit code and what is said."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_slips.py").write_text(OWN)
    monkeypatch.delitem(sys.modules, "own_slips", raising=False)

    def go(*more, **changes):
        path = grid_file(**changes)
        words = [*more, "--executor", "inprocess", "--results", str(tmp_path / "results")]
        code = main([str(path), *words, "--data", str(tmp_path)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.err + said.out

    return go


TINY_SET = {"size": 16, "classes": 4, "train_per_class": 30, "test_per_class": 10}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset": {"name": "own_slips:Leaving", **TINY_SET}}, "its load fails with SystemExit"),
        ({"dataset": {"name": "own_slips:Nan", **TINY_SET}}, "hold a value not finite"),
        (
            {"recipe": {"rate": {"policy": "own_slips:Short", "base": 0.1}}},
            "recipe.rate.policy: found 'own_slips:Short'; of 3 iterations it gives array([0.1])",
        ),
        (
            {"recipe": {"rate": {"policy": "own_slips:Exit", "base": 0.1}}},
            "tried, it fails with SystemExit",
        ),
        ({"imbalance": {"kind": "own_slips:Twice"}}, "its points give a Cell twice"),
        ({"imbalance": {"kind": "own_slips:Strange"}}, "int64 is not JSON serializable"),
        (
            {"imbalance": {"kind": "own_slips:Later"}},
            "its roles fail with RuntimeError: on the real pool of two lines",
        ),
        ({"methods": ["own_slips:low"]}, "methods[0]: to: found 0.0; needed: a ratio, 1 or more"),
        ({"methods": ["baseline", {}]}, "methods[1]"),
        (
            {"methods": ["baseline", {"oversampling": {"to": []}}]},
            "needed: a word, or oversampling",
        ),
        ({"methods": ["baseline", {"oversampling": {"to": None}}]}, "needed: a word, or over"),
        (
            {"methods": ["baseline", {"oversampling": {"to": [None]}}]},
            "oversampling: to: found null",
        ),
    ],
    ids=str,
)
def test_a_slip_is_told_before_anything_is_trained(refused, tmp_path, changes, told):
    code, said = refused(**changes)
    assert told in said
    assert code == 2
    assert not Store(tmp_path / "results" / "tiny").records()


def test_a_profile_that_lives_off_the_pool_is_planned_without_one(refused):
    """A plan has no data: it must not make a pool up."""
    bare = {key: value for key, value in TINY_SET.items() if key != "train_per_class"}
    source = {"name": "own_slips:Plain", **bare, "train_per_class": None}
    code, said = refused("--plan", dataset=source, imbalance={"kind": "own_slips:Half"})
    assert (code, "full trainings" in said) == (0, True)


def test_a_sampling_that_keeps_nothing_of_a_case_is_told(refused):
    code, said = refused(methods=["own_slips:nothing"])
    assert "sampling own_slips:empty: it keeps no image of case" in said
    assert code == 2


def test_code_that_leaves_in_a_job_ends_that_job_alone(refused, tmp_path):
    code, said = refused(methods=["own_slips:leaves"], replicates=1)
    assert code == 1
    assert "code of the grid's own calls sys.exit(0)" in said
    assert "1 of 1 cases are not done" in said


def test_a_key_that_begins_like_one_that_grows_is_protocol(refused):
    """`imbalance.mu` may grow; a parameter of one's own whose name begins so may not."""
    wide = {"kind": "own_slips:Wide", "rho": 2.0}
    for rhomax, code in ((1.5, 0), (1.5, 0), (9.5, 2)):
        found, said = refused(imbalance={**wide, "rhomax": rhomax}, methods=["baseline"])
        assert found == code
    assert "another protocol: imbalance.rhomax is 1.5 there, 9.5 in this grid" in said
    assert refused(imbalance={**wide, "rho": 3.0, "rhomax": 1.5}, methods=["baseline"])[0] == 0


@pytest.mark.parametrize("executor", ["inprocess", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_damaged_picture_on_disk_ends_with_its_name_and_code_2(
    grid_file, tmp_path, executor, capsys
):
    rng = np.random.default_rng(0)
    for part, number in (("train", 6), ("test", 2)):
        for label in "abcd":
            place = tmp_path / "pics" / part / label
            place.mkdir(parents=True)
            for i in range(number):
                pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.jpg")
    torn = tmp_path / "pics" / "test" / "c" / "1.jpg"
    torn.write_bytes(torn.read_bytes()[:300])
    source = {
        "name": "folder",
        "path": "pics",
        "classes": 4,
        "size": 16,
        "short_side": 18,
        "augment": "crop_mirror",
        "train_per_class": 5,
    }
    path = grid_file(dataset=source, imbalance={"rho": [5]}, methods=["baseline"])
    words = ["--executor", executor, "--results", str(tmp_path / "results")]
    assert main([str(path), *words, "--data", str(tmp_path), "--workers", "1"]) == 2
    said = capsys.readouterr().err
    assert "test/c/1.jpg" in said
    assert "Traceback" not in said
