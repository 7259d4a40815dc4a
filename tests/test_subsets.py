"""Subsets crossed with replicates: the same minority classes, other images, and nothing renamed."""

import json
from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest
import yaml

from analysis.figures import main as draw
from analysis.selection import remark, select
from study.errors import GridError, UserError
from study.gridfile import read_grid
from study.imbalance import PROFILES, Cell, Profile, Roles
from study.plan import count, plan
from study.run import main
from study.store import Store
from tests.conftest import ROOT, tiny_grid
from tests.test_figures import frame, record

LABELS = np.repeat(np.arange(4), 40)
POOL = (40,) * 4


def sha(fields):
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def facts(grid):
    """Of each case by its id: replicate, subset, roles, and the images drawn."""
    found = {}
    for case in grid.cases():
        roles = case.roles(POOL)
        images = tuple(int(place) for place in case.draw(LABELS, roles))
        found[case.id] = (case.replicate, case.subset, roles, images)
    return found


# What is drawn


@pytest.mark.parametrize(
    "imbalance",
    [{"kind": "step", "rho": 10, "mu": 0.5}, {"kind": "linear", "rho": [10]}],
    ids=lambda imbalance: imbalance["kind"],
)
def test_a_replicate_keeps_its_classes_while_every_class_has_other_images(imbalance):
    drawn = facts(tiny_grid(imbalance=imbalance, replicates=12, subsets=4)).values()
    assert [each[:2] for each in drawn] == [(r, s) for r in range(12) for s in range(4)]
    roles_of = {}
    for replicate, _, roles, _ in drawn:
        roles_of.setdefault(replicate, set()).add(roles)
    assert all(len(roles) == 1 for roles in roles_of.values())
    assert len({roles.pop() for roles in roles_of.values()}) > 3, "replicates are other classes"
    for label in range(4):
        own = [{place for place in images if LABELS[place] == label} for *_, images in drawn]
        assert all(own)
        pairs = list(combinations(range(len(own)), 2))
        same = sum(own[a] == own[b] for a, b in pairs)
        assert same < 0.01 * len(pairs), "of 40 images 3 or more are rarely the same twice"


def test_subsets_of_one_number_are_others_in_other_replicates():
    lowest = {"minority": "lowest"}
    drawn = facts(tiny_grid(imbalance=lowest, replicates=3, subsets=3)).values()
    assert len({images for *_, images in drawn}) == 9


@pytest.mark.parametrize("more", [{"subsets": 5}, {"replicates": 4}, {"runs": 3}], ids=str)
def test_a_subset_is_the_same_however_many_there_are(more):
    few = {"replicates": 3, "subsets": 2}
    before, after = tiny_grid(**few), tiny_grid(**(few | more))
    assert facts(before).items() <= facts(after).items()
    assert ids(before) < ids(after)


def test_a_subset_with_the_replicates_number_is_the_one_drawn_without_the_key():
    alone, crossed = facts(tiny_grid(replicates=3)), facts(tiny_grid(replicates=3, subsets=4))
    assert len(crossed) == 12
    assert alone.items() <= crossed.items()


# What it is called


def test_without_the_key_every_id_is_what_it_was():
    """By the fields that named cases and trainings before there was such a key."""
    grid = tiny_grid(methods=["baseline"])
    identity = grid.identity()
    assert "subsets" not in identity
    fields = {key: value for key, value in identity.items() if key not in ("name", "title")}
    assert grid.hash == sha(fields)
    recipe = {k: v for k, v in identity["recipe"].items() if k != "second_phase_rate"}
    recipe["rate"] = recipe["rate"] | {"base": 0.01}
    dues = plan(grid)
    assert len(dues) == 2
    for replicate, due in enumerate(dues):
        place = {"kind": "step", "rho": 10.0, "mu": 0.5, "order": "random"}
        case = {
            "dataset": identity["dataset"],
            "seed": 0,
            "imbalance": place,
            "replicate": replicate,
            "subset": replicate,
        }
        assert due.case.id == sha(case)
        training = {
            "case": sha(case),
            "model": "lenet5",
            "recipe": recipe,
            "loss": "cross_entropy",
            "run": 0,
            "sampling": "none",
            "parent": None,
        }
        assert [t.id for t in due.trainings] == [sha(training)]
        record = {"training": sha(training), "method": "baseline", "decision": "argmax"}
        assert [row.id for row in due.rows] == [sha(record)]


def test_the_default_written_out_renames_nothing():
    written = tiny_grid(subsets=None)
    assert written.hash == tiny_grid().hash
    assert ids(written) == ids(tiny_grid())
    assert tiny_grid(subsets=1).hash != tiny_grid().hash


def test_a_case_names_its_subset_where_it_is_crossed():
    (case, *_) = tiny_grid(subsets=3).cases()
    assert str(case) == f"{case.id} (step rho 10 mu 0.5, replicate 0, subset 0)"
    *_, case = tiny_grid(subsets=3, dataset={"splits": 2}).cases()
    assert str(case) == f"{case.id} (step rho 10 mu 0.5, replicate 1, subset 2, split 1)"
    *_, case = tiny_grid().cases()
    assert str(case) == f"{case.id} (step rho 10 mu 0.5, replicate 1)"


# What it comes to


def test_every_replicate_of_a_cell_has_as_many_subsets():
    cells = [{"rho": 5, "mu": 0.25}, {"rho": 10, "mu": 0.5, "replicates": 1}]
    listed = {"rho": None, "mu": None, "cells": cells}
    total = count(plan(tiny_grid(imbalance=listed, replicates=4, subsets=3, runs=2)))
    assert total.cases == (4 + 1) * 3
    assert (total.networks, total.records) == (15 * 2 * 5, 15 * 2 * 8)
    assert (total.full, total.second) == (15 * 2 * 3, 15 * 2 * 2)


@pytest.mark.parametrize(("small", "cases", "networks"), [(False, 50, 450), (True, 20, 120)])
def test_the_grid_of_the_variance(small, cases, networks):
    grid = read_grid(ROOT / "grids/mnist_variance.yaml", small=small).grid
    total = count(plan(grid))
    assert (total.cases, total.networks, total.full) == (cases, networks, networks)
    step = read_grid(ROOT / "grids/mnist_step.yaml", small=small).grid
    assert (grid.recipe, grid.dataset, grid.seed) == (step.recipe, step.dataset, step.seed)
    assert ids(grid) & ids(step), "subset r of replicate r is a case of mnist_step"


def test_the_plan_says_so(grid_file, tmp_path, capsys):
    words = ["--plan", "--json", "--executor", "inprocess", "--results", str(tmp_path)]
    assert main([str(grid_file(subsets=3, methods=["baseline"])), *words]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert (fields["cases"], fields["cases_left"]) == (6, 6)
    assert (fields["networks"], fields["records"], fields["records_left"]) == (6, 6, 6)


# A store of it


def test_subsets_may_grow_but_are_no_growth_of_none(tmp_path):
    none, two, five = (tiny_grid(subsets=number) for number in (None, 2, 5))
    for first, other, words in (
        (none, two, "subsets is None there, 2 in this grid"),
        (two, none, "subsets is 2 there, None in this grid"),
    ):
        store = Store(tmp_path / f"{first.subsets}")
        store.open(first)
        with pytest.raises(UserError, match=f"another protocol: {words}"):
            store.compare(other)
    store.compare(two)
    store.compare(five)


def test_a_store_from_before_the_key_is_one_without_subsets(tmp_path):
    store = Store(tmp_path / "old")
    store.open(tiny_grid())
    file = store.folder / "grid.yaml"
    fields = yaml.safe_load(file.read_text())
    assert fields.pop("subsets", "missing") is None
    file.write_text(yaml.safe_dump(fields))
    store.compare(tiny_grid(replicates=5))
    with pytest.raises(UserError, match="subsets is None there, 1 in this grid"):
        store.compare(tiny_grid(subsets=1))


def test_a_run_on_digits_stores_each_run_of_each_subset_of_each_replicate(grid_file, tmp_path):
    digits = {"name": "digits", "train_per_class": 100, "test_per_class": 20}
    methods = ["baseline", "undersampling"]
    often = {"replicates": 2, "runs": 2, "recipe": {"iterations": 2}}
    results = tmp_path / "results"

    def records(subsets):
        path = grid_file(dataset=digits, methods=methods, subsets=subsets, **often)
        assert main([str(path), "--executor", "inprocess", "--results", str(results)]) == 0
        return Store(results / "tiny").read().to_pylist()

    first = records(2)
    whole = records(3)
    kept = [row for row in whole if row["subset"] < 2]
    assert kept == first, "what was there stays as it was"
    keys = ("replicate", "subset", "run", "method")
    assert sorted(tuple(row[key] for key in keys) for row in whole) == [
        (replicate, subset, run, method)
        for replicate in range(2)
        for subset in range(3)
        for run in range(2)
        for method in methods
    ]
    for columns, different in (
        (("replicate", "minority"), 2),
        (("case_id", "replicate", "subset"), 6),
        (("training_id",), 24),
    ):
        assert len({str([row[key] for key in columns]) for row in whole}) == different, columns
    losses = {(row["case_id"], row["run"], row["method"]): row["train_loss"] for row in whole}
    assert len(set(losses.values())) == 24
    assert draw(["--results", str(results)]) == 0, "the analysis tells them apart"


# What it cannot do


class Half(Profile):
    """Half of each class, whatever there is."""

    kind: str

    def points(self):
        yield Cell(self.kind)

    @staticmethod
    def roles(cell, pool, n_max, rng):
        return Roles(tuple(n // 2 for n in pool), ())


class Whole(Half):
    """Half of each class in one cell, in another all of it, as numbers of NumPy's."""

    def points(self):
        yield from (Cell(self.kind, 2.0), Cell(self.kind, 1.0))

    @staticmethod
    def roles(cell, pool, n_max, rng):
        return Roles(tuple(np.array(pool) // int(cell.rho)), ())


class Fussy(Half):
    """All that there is, of classes that are not too large for it."""

    @staticmethod
    def roles(cell, pool, n_max, rng):
        if max(pool) > n_max:
            raise RuntimeError("too large")
        return Roles(tuple(pool), ())


NO_MAX = {"name": "synthetic", "size": 16, "classes": 4, "difficulty": 0.4, "train_images": 40}


def test_where_every_image_is_taken_subsets_are_refused(monkeypatch):
    monkeypatch.setitem(PROFILES, "whole", Whole)
    for kind, dataset in (("natural", NO_MAX | {"test_images": 10}), ("whole", {})):
        words = f"subsets: found 3; {kind} imbalance takes every training image, .*leave this key"
        with pytest.raises(GridError, match=words) as refused:
            tiny_grid(dataset=dataset, imbalance={"kind": kind}, subsets=3)
        assert len(refused.value.problems) == 1
        assert tiny_grid(dataset=dataset, imbalance={"kind": kind}, replicates=3)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("balanced", {}),
        ("linear", {"rho": [1]}),
        ("counts", {"counts": [1000, 1000, 1000, 1000]}),
        (f"{__name__}:Half", {}),
        (f"{__name__}:Fussy", {}),
    ],
)
def test_where_something_is_left_to_chance_they_are_not(kind, more):
    changes = {"dataset": NO_MAX | {"test_images": 10}} if kind == "counts" else {}
    assert tiny_grid(imbalance={"kind": kind, **more}, subsets=3, **changes).subsets == 3


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, [2]])
def test_what_is_no_number_of_subsets_is_refused(value):
    with pytest.raises(GridError, match="subsets: found"):
        tiny_grid(subsets=value)


def ids(grid):
    return {row.id for due in plan(grid) for row in due.rows}


def test_subsets_that_would_take_the_whole_pool_are_refused(grid_file, tmp_path, capsys):
    path = grid_file(
        dataset={"train_images": 30, "test_images": 40},
        imbalance={"kind": "balanced"},
        subsets=2,
    )
    code = main([str(path), "--results", str(tmp_path), "--executor", "inprocess"])
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (2, 1)
    assert "subsets: case" in said
    assert "it takes every training image there is" in said
    assert not list(tmp_path.glob("*/records/*"))


# What figures make of them


def test_what_is_drawn_is_the_first_subset_of_each_replicate():
    rows = [
        record("step", 10.0, 0.5, replicate, "baseline", subset=subset)
        | {"case_id": f"{replicate}-{subset}", "record_id": f"{replicate}-{subset}"}
        for replicate in range(3)
        for subset in range(2)
    ]
    data = frame(rows)
    kept = select(data, "best_on_test")
    assert list(kept["case_id"]) == ["0-0", "1-0", "2-0"]
    assert remark(data, "best_on_test") == "The first subset of each replicate."
    plain = data.assign(subset=data["replicate"])
    assert len(select(plain, "best_on_test")) == 6
    assert remark(plain, "best_on_test") == ""
