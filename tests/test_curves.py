"""Curves: how a network fares on its way, measured without a trace in what it becomes."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from study import packs
from study.engine.means import Means
from study.engine.train import Lockstep
from study.job import run_job
from study.metrics import softmax
from study.plan import plan
from study.schema import VOLATILE
from study.store import Store
from tests.conftest import CPU, job_of, tiny_grid

ITERATIONS = 12


def grid_of(curve, **changes):
    recipe = {"iterations": ITERATIONS, "batch": 8, **changes.pop("recipe", {})}
    held_out = {"validation_per_class": 3}
    methods = changes.pop("methods", "all")
    return tiny_grid(methods=methods, curve=curve, recipe=recipe, dataset=held_out, **changes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    grid = grid_of(None)
    return grid.dataset.dataset(tmp_path_factory.mktemp("data"), grid.seed)


@pytest.fixture(scope="module")
def plain(dataset):
    """The records of the first case without a curve."""
    grid = grid_of(None)
    return run_job(job_of(grid), grid, dataset, CPU, "test").records


@pytest.mark.parametrize("pack", [1, 3])
@pytest.mark.parametrize(
    ("every", "points"),
    [(1, range(1, 13)), (5, [5, 10]), (6, [6, 12]), (12, [12]), (13, None), (100, None)],
)
def test_points_stand_at_every_multiple_and_nowhere_else(dataset, every, points, pack):
    grid = grid_of(every, methods=["two_phase_oversampling", "thresholding"])
    for record in run_job(job_of(grid), grid, dataset, Means("cpu", pack), "test").records:
        curve = record["curve"]
        assert (curve and [point["iteration"] for point in curve]) == (points and list(points))


@pytest.mark.parametrize(("iterations", "every"), [(210, 70), (230, 115)])
def test_points_stand_there_too_where_the_loop_looks_up_on_its_own(dataset, iterations, every):
    """It does so after every hundred steps."""
    grid = grid_of(every, methods=["baseline"], recipe={"iterations": iterations, "batch": 2})
    (record,) = run_job(job_of(grid), grid, dataset, CPU, "test").records
    expected = list(range(every, iterations + 1, every))
    assert [point["iteration"] for point in record["curve"]] == expected


@pytest.fixture(scope="module")
def curved(dataset):
    grid = grid_of(4)
    return run_job(job_of(grid), grid, dataset, CPU, "test").records


def test_asking_for_a_curve_changes_nothing_else(plain, curved):
    """No id, no bit."""
    for one, other in zip(plain, curved, strict=True):
        assert one["curve"] is None
        assert len(other["curve"]) == 3
        for column in one.keys() - {*VOLATILE, "curve"}:
            assert one[column] == other[column], column


def test_no_id_and_no_name_of_a_job_depends_on_it():
    assert plan(grid_of(4)) == plan(grid_of(None))
    assert job_of(grid_of(4)).id == job_of(grid_of(None)).id
    assert grid_of(4).identity() | {"curve": None} == grid_of(None).identity() | {"curve": None}


def test_the_last_point_is_the_record(curved):
    """By the record's own way of deciding; on the test set, of which validation is no part."""
    for record in curved:
        last = record["curve"][-1]
        assert last["iteration"] == ITERATIONS
        assert last["test_accuracy"] == record["accuracy"]
        assert last["train_accuracy"] == record["train_accuracy"]
        assert last["train_loss"] == record["train_loss"]
    by = {record["method"]: record["curve"] for record in curved}
    points = list(zip(by["baseline"], by["thresholding"], strict=True))
    assert all(one["test_loss"] == other["test_loss"] for one, other in points)
    assert any(one["train_accuracy"] != other["train_accuracy"] for one, other in points)


@pytest.mark.parametrize("pack", [1, 3])
def test_points_are_scikit_learns_on_the_test_set_and_each_of_the_cases_images_once(
    dataset, monkeypatch, pack
):
    """Oracle: from the logits of each pass over the images, in their order."""
    grid, real, seen = grid_of(5, methods="all"), packs.outputs, []

    def outputs(*arguments):
        found = real(*arguments)
        seen.append(found[0].numpy())
        return found

    monkeypatch.setattr(packs, "outputs", outputs)
    records = run_job(job_of(grid), grid, dataset, Means("cpu", pack), "test").records
    case = job_of(grid).dues[0].case
    members = case.draw(dataset.pool.labels, case.roles(dataset.pool.counts(4)))
    labels, tests = dataset.pool.labels[members], dataset.test.labels
    assert len(labels) == 30 + 30 + 3 + 3
    prior = np.bincount(labels) / len(labels)
    # judged, own, judged, own at 5 and 10, then both at the end; phase by phase
    measured = []
    for phase in range(0, len(seen), 6):
        judged, own = (np.stack(seen[phase + part : phase + 4 : 2], axis=1) for part in (0, 1))
        measured += zip(judged, own, strict=True)
    found = []
    for judged, own in measured:
        points = []
        for number in range(2):
            test, train = judged[number, : len(tests)], own[number]
            points.append(
                {
                    "iteration": 5 * (number + 1),
                    "train_loss": loss(labels, train),
                    "test_loss": loss(tests, test),
                    **{
                        (part, decision): accuracy_score(truth, decide(logits, divisor))
                        for part, truth, logits in (("train", labels, train), ("test", tests, test))
                        for decision, divisor in (("argmax", 1.0), ("prior", prior))
                    },
                }
            )
        found.append(points)
    for record in records:
        assert any(matches(record, points) for points in found), record["method"]


def test_in_a_pack_each_network_is_measured_on_its_own_case(dataset):
    """Cases of different sizes; oracle: each in a job of its own."""
    grid = grid_of(6, imbalance={"rho": [2, 10]}, replicates=1, methods=["baseline"])
    both = run_job(job_of(grid, 0, 1), grid, dataset, Means("cpu", 2), "test").records
    assert sum(both[0]["class_counts"]) != sum(both[1]["class_counts"])
    for number, ours in enumerate(both):
        (theirs,) = run_job(job_of(grid, number), grid, dataset, CPU, "test").records
        for one, other in zip(ours["curve"], theirs["curve"], strict=True):
            assert one == pytest.approx(other, abs=1e-5)


def loss(labels, logits):
    return log_loss(labels, softmax(torch.from_numpy(logits)).numpy())


def decide(logits, divisor):
    return (softmax(torch.from_numpy(logits)).numpy() / divisor).argmax(axis=1)


def matches(record, points):
    return len(points) == len(record["curve"]) and all(
        ours["iteration"] == theirs["iteration"]
        and ours[f"{part}_loss"] == pytest.approx(theirs[f"{part}_loss"], rel=1e-9)
        and ours[f"{part}_accuracy"] == pytest.approx(theirs[part, record["decision"]])
        for ours, theirs in zip(record["curve"], points, strict=True)
        for part in ("train", "test")
    )


@pytest.mark.parametrize("pack", [1, 2])
def test_the_curve_of_a_network_that_diverges_ends_where_it_is_lost(
    dataset, monkeypatch, tmp_path, pack
):
    """Also beside a pack-mate that goes on; what is left can be stored and read."""
    real = Lockstep.step

    def step(self):
        real(self)
        for place, course in enumerate(self._courses):
            if course.base == 0.02 and self._done + int(self._at) == 7:
                with torch.no_grad():
                    self._moving[-1][0][place, 0, 0] = float("nan")

    monkeypatch.setattr(Lockstep, "step", step)
    rate = {"policy": "fixed", "base": [0.01, 0.02]}
    grid = grid_of(3, methods=["baseline"], recipe={"rate": rate})
    results = run_job(job_of(grid), grid, dataset, Means("cpu", pack), "test")
    well, lost = results.records
    assert (well["status"] == "diverged", lost["status"] == "diverged") == (False, True)
    assert [point["iteration"] for point in well["curve"]] == [3, 6, 9, 12]
    assert [point["iteration"] for point in lost["curve"]] == [3, 6]
    assert all(math.isfinite(value) for point in lost["curve"] for value in point.values())
    store = Store(tmp_path)
    store.write(results)
    stored = {record["base_rate"]: record["curve"] for record in store.read().to_pylist()}
    assert stored == {0.01: well["curve"], 0.02: lost["curve"]}


def test_one_that_is_lost_at_once_has_none(dataset):
    grid = grid_of(3, recipe={"rate": {"policy": "fixed", "base": 1e9}})
    for record in run_job(job_of(grid), grid, dataset, CPU, "test").records:
        assert record["status"] == "diverged"
        assert record["curve"] is None
