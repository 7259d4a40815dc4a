"""What a grid comes to: the paper's counts, sharing, identity, and what is left to do."""

import copy

import numpy as np
import pytest

from study.counts import step_counts
from study.gridfile import check, read_grid
from study.identity import digest, digests
from study.methods import METHODS
from study.plan import count, gather, plan, remaining
from tests.conftest import ROOT, raw_grid, tiny_grid


@pytest.mark.parametrize(
    ("name", "cases", "networks", "full", "second"),
    [
        ("mnist_step", 4050, 20_250, 12_150, 8100),
        ("mnist_linear", 450, 2250, 1350, 900),
        ("cifar10_step", 12, 480, 288, 192),
        ("cifar10_linear", 4, 160, 96, 64),
        ("cifar10_resplit", 36, 1440, 864, 576),
        ("imagenet_step", 5, 15, 15, 0),
        ("full_mnist", 5, 5, 5, 0),
    ],
)
def test_the_papers_grids_come_to_the_papers_counts(name, cases, networks, full, second):
    total = count(plan(read_grid(ROOT / f"grids/{name}.yaml").grid))
    assert (total.cases, total.networks) == (cases, networks)
    assert (total.full, total.second) == (full, second)


CIFAR = {"batch": 256, "iterations": 70_000, "momentum": 0.9, "weight_decay": 0.001, "bias_rate": 1}
IMAGENET = {"batch": 256, "iterations": 320_000, "momentum": 0.9, "weight_decay": 1e-4}


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("cifar10_step", CIFAR), ("cifar10_linear", CIFAR), ("imagenet_step", IMAGENET)],
)
def test_the_recipes_of_the_larger_sets_are_the_papers(name, numbers):
    grid = read_grid(ROOT / f"grids/{name}.yaml").grid
    recipe = grid.recipe.resolved()
    assert {key: recipe[key] for key in numbers} == numbers
    rate, times = grid.recipe.rate, grid.recipe.iterations
    if numbers is CIFAR:
        assert rate.base == (0.05, 0.005, 0.0005, 0.00005)
        assert grid.runs == 2
        assert grid.dataset.preprocess == "gcn_zca"
        at = rate.at(1.0, np.array([0, 39_999, 40_000, 49_999, 50_000, 60_000]), times)
        assert at == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.001])
    else:
        assert (rate.base, grid.runs) == ((0.1,), 1)
        assert rate.at(0.1, np.array([0, times // 2, times]), times) == pytest.approx(
            [0.1, 0.05, 0]
        )


def test_the_papers_recipe_is_in_its_grids():
    for name in ("mnist_step", "mnist_linear"):
        grid = read_grid(ROOT / f"grids/{name}.yaml").grid
        recipe = grid.recipe
        assert (recipe.iterations, recipe.batch) == (10_000, 64)
        assert (recipe.momentum, recipe.weight_decay, recipe.bias_rate) == (0.9, 0.0005, 2)
        assert recipe.rate.resolved() == {
            "policy": "inv",
            "base": 0.01,
            "gamma": 0.0001,
            "power": 0.75,
        }
        assert (recipe.update, recipe.second_phase_rate) == ("caffe", 0.1)
        assert grid.replicates == 50
        assert list(grid.imbalance.rho) == [10, 25, 50, 100, 250, 500, 1000, 2500, 5000]


def test_every_grid_in_the_repository_is_good_small_and_whole():
    grids = sorted((ROOT / "grids").glob("*.yaml"))
    assert len(grids) >= 4
    for path in grids:
        whole = read_grid(path)
        assert whole.folder == whole.grid.name == path.stem
        small = read_grid(path, small=True)
        assert small.folder == f"{path.stem}-small"
        steps = [
            count(plan(grid)).full * grid.recipe.iterations for grid in (small.grid, whole.grid)
        ]
        assert 2 * steps[0] < steps[1]


def test_each_network_is_trained_once_however_many_methods_use_it():
    jobs = plan(tiny_grid(methods="all"))
    for job in jobs:
        assert len(job.rows) == 8
        assert (len(job.full), len(job.second)) == (3, 2)
        ids = [t.id for t in job.trainings]
        assert len(set(ids)) == len(ids)
        used = {row.method.id: row.training for row in job.rows}
        assert used["baseline"] == used["thresholding"]
        assert used["oversampling"] == used["oversampling_thresholding"]
        assert used["undersampling"] == used["undersampling_thresholding"]
        assert used["two_phase_oversampling"].parent == used["oversampling"]
        assert used["two_phase_undersampling"].parent == used["undersampling"]
    every = [t.id for job in jobs for t in job.trainings]
    assert len(set(every)) == len(every), "cases share no network"


def test_sharing_by_brute_force_over_every_set_of_methods():
    """Each method on its own list of (sampling, loss, phase, sampling of phase two)."""
    names = list(METHODS)
    for mask in range(1, 2 ** len(names)):
        chosen = [name for bit, name in enumerate(names) if mask >> bit & 1]
        first, second, networks = set(), set(), set()
        for name in chosen:
            m = METHODS[name]
            first.add((m.sampling, m.loss))
            networks.add((m.sampling, m.loss, m.second_phase))
            if m.second_phase is not None:
                second.add((m.sampling, m.loss, m.second_phase))
        total = count(plan(tiny_grid(methods=chosen, replicates=1)))
        assert (total.full, total.second) == (len(first), len(second)), chosen
        assert (total.networks, total.records) == (len(networks), len(chosen)), chosen


def test_ids_do_not_depend_on_what_is_not_science():
    raw = raw_grid(methods="all")
    turned = dict(reversed(raw.items())) | {"name": "other", "title": "Other words"}
    turned["recipe"] = dict(reversed(turned["recipe"].items()))
    assert ids(plan(check(raw, ""))) == ids(plan(check(turned, "")))


def test_a_default_written_out_changes_no_id():
    written = raw_grid(recipe={"update": "caffe", "second_phase_rate": 0.1}, seed=0)
    assert ids(plan(check(written, ""))) == ids(plan(tiny_grid()))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"model": "lenet5", "recipe": {"iterations": 9}},
        {"recipe": {"update": "torch"}},
        {"recipe": {"bias_rate": 1}},
        {"dataset": {"difficulty": 0.41}},
        {"dataset": {"train_per_class": 29}},
        {"imbalance": {"minority": "lowest"}},
        {"imbalance": {"rho": [11]}},
    ],
    ids=str,
)
def test_what_changes_a_number_changes_every_record(change):
    assert not set(ids(plan(tiny_grid(**change)))) & set(ids(plan(tiny_grid())))


def test_more_cells_methods_and_replicates_keep_what_is_there():
    before = set(ids(plan(tiny_grid(methods=["baseline", "thresholding"]))))
    wide = tiny_grid(
        imbalance={"rho": [5, 10], "mu": [0.25, 0.5]}, methods="all", replicates=3, title="wider"
    )
    assert before < set(ids(plan(wide)))


def test_a_case_is_a_cell_and_a_replicate():
    grid = tiny_grid(imbalance={"rho": [5, 10], "mu": [0.25, 0.5]}, replicates=3)
    cases = list(grid.cases())
    assert len({case.id for case in cases}) == len(cases) == 12
    for case in cases:
        roles = case.roles([40] * 4)
        assert roles.counts == step_counts(4, 30, case.cell.rho, roles.minority)
        assert len(roles.minority) == case.cell.mu * 4


def test_the_minority_of_a_replicate_does_not_hang_on_methods_net_or_recipe():
    plain = [case.roles([40] * 4) for case in tiny_grid().cases()]
    other = tiny_grid(methods=["oversampling"], recipe={"iterations": 99}, replicates=2)
    assert plain == [case.roles([40] * 4) for case in other.cases()]


def test_what_is_stored_is_subtracted_and_a_parent_comes_back_for_its_second_phase():
    jobs = plan(tiny_grid(methods="all"))
    rows = {row.method.id: row for row in jobs[0].rows}
    done = {row.id for name, row in rows.items() if name != "two_phase_oversampling"}
    left = remaining(jobs, done, {None: set()})
    assert [job.case.id for job in left] == [job.case.id for job in jobs]
    assert [row.method.id for row in left[0].rows] == ["two_phase_oversampling"]
    assert [t.sampling for t in left[0].full] == ["over"]
    assert len(left[0].second) == 1
    assert left[1] == jobs[1]
    everything = {row.id for job in jobs for row in job.rows}
    assert remaining(jobs, everything, {None: set()}) == []


def test_predictions_asked_for_later_are_work_without_records():
    jobs = plan(tiny_grid(methods="all", predictions=True))
    everything = {row.id for job in jobs for row in job.rows}
    left = remaining(jobs, everything, {None: {jobs[0].predictions[0].id}})
    assert count(left).records == 0
    assert len(left[0].predictions) == 4
    assert len(left[1].predictions) == 5


def test_set_changes_go_to_a_folder_of_their_own(grid_file):
    path = grid_file(small={"replicates": 1})
    plain = read_grid(path)
    assert plain.folder == "tiny"
    assert read_grid(path, small=True).folder == "tiny-small"
    changed = read_grid(path, ["recipe.iterations=9"])
    assert changed.grid.recipe.iterations == 9
    assert changed.folder == f"tiny-{changed.grid.hash[:8]}"
    assert read_grid(path, ["recipe.iterations=9"], small=True).folder.startswith("tiny-small-")
    assert read_grid(path, ["recipe.iterations=8"]).folder == "tiny", "nothing was changed"
    assert read_grid(path, ["imbalance.rho=[5, 10]"]).grid.imbalance.rho == (5, 10)


def test_reading_a_grid_leaves_its_keys_alone():
    raw = raw_grid()
    before = copy.deepcopy(raw)
    check(raw, "")
    assert raw == before


def ids(jobs):
    return [row.id for job in jobs for row in job.rows]


def test_the_rate_of_a_second_phase_renames_the_second_phases_alone():
    before, after = (
        {row.method.id: row for row in plan(tiny_grid(methods="all", **change))[0].rows}
        for change in ({}, {"recipe": {"second_phase_rate": 0.2}})
    )
    for name, row in before.items():
        assert (row.id == after[name].id) == (not name.startswith("two_phase")), name


@pytest.mark.parametrize("pack", [1, 3, 128])
@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_every_record_is_dealt_out_once_and_no_case_stands_in_a_job_twice(pack, workers):
    grid = tiny_grid(
        replicates=3,
        predictions=True,
        runs=2,
        recipe={"rate": {"base": [0.1, 0.01]}},
    )
    dues = plan(grid)
    jobs = gather(dues, pack, workers)
    for job in jobs:
        cases = [due.case.id for due in job.dues]
        assert len(set(cases)) == len(cases)
    assert len({job.id for job in jobs}) == len(jobs)
    parts = [due for job in jobs for due in job.dues]
    for ids in (
        lambda due: [row.id for row in due.rows],
        lambda due: [training.id for training in due.predictions],
    ):
        dealt, whole = ([i for due in some for i in ids(due)] for some in (parts, dues))
        assert sorted(dealt) == sorted(whole)
    trained = [t.id for due in parts for t in due.trainings]
    assert len(set(trained)) == len(trained), "no network is fitted in two places"
    assert len(jobs) <= 36, "as many as there are trainings from fresh weights"
    assert len(jobs) >= min(workers, 36) or pack == 1


def test_ids_are_hashes_of_what_they_name_one_by_one():
    """The plan hashes what its cases share once: here every record is hashed from its fields."""
    grid = tiny_grid(
        methods=["two_phase_oversampling", "thresholding", {"undersampling": {"to": 2}}],
        recipe={"rate": {"base": [0.1, 0.01]}, "second_phase_rate": 0.2},
        runs=2,
        model="lenet5",
    )
    expected = []
    for case in grid.cases():
        for base in grid.recipe.rate.base:
            recipe = grid.recipe.identity()
            recipe["rate"] = {**grid.recipe.rate.identity(), "base": base}
            alone = {key: value for key, value in recipe.items() if key != "second_phase_rate"}
            for run in range(2):
                for method in (choice.method for choice in grid.methods):
                    fields = {"case": case.id, "model": "lenet5", "loss": method.loss, "run": run}
                    to = {"to": method.to} if method.to != 1 else {}
                    first = {"recipe": alone, "sampling": method.sampling, "parent": None}
                    training = digest(fields | first | to)
                    if method.second_phase:
                        then = {"sampling": method.second_phase, "parent": training}
                        training = digest(fields | {"recipe": recipe} | then)
                    record = {"training": training, "method": method.id}
                    expected.append(digest(record | {"decision": method.decision}))
    assert ids(plan(grid)) == expected


def test_fields_are_hashed_alike_in_one_piece_and_with_one_to_be_filled_in():
    fields = {"b": "100 % {b} %(case)s", "z": [1.5, None, {"case": "x"}]}
    of = digests(fields, "case", "parent")
    for case in ("0123456789abcdef", "fedcba9876543210"):
        whole = fields | {"case": case, "parent": case[::-1]}
        assert of(case=case, parent=case[::-1]) == digest(whole)
