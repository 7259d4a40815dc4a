"""Two records compared: bit for bit, by what rounding does to real nets, and by nothing else."""

import json
import pathlib
import platform
from copy import deepcopy
from itertools import combinations

import numpy as np
import pytest
import torch

from study.compare import compare
from study.engine import machine
from study.engine.means import Means
from study.job import run_job
from study.schema import SCHEMA, VOLATILE
from study.store import Store
from study.tolerance import TOLERANCE
from tests.conftest import ROOT, job_of, tiny_grid

GRID = {"methods": "all", "curve": 4, "dataset": {"validation_per_class": 4}}


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """The records of a case, computed with packs of so many networks."""
    grid = tiny_grid(**GRID)
    dataset = grid.dataset.dataset(tmp_path_factory.mktemp("data"), grid.seed)

    def go(pack):
        means = Means("cpu", pack)
        return run_job(job_of(grid), grid, dataset, means, "test").records

    return go


@pytest.fixture(scope="module")
def records(computed):
    return computed(1)


@pytest.fixture
def pair(records):
    """A record twice."""
    return deepcopy(records[0]), deepcopy(records[0])


def elsewhere(record, **changes):
    return record | {"versions": json.dumps(json.loads(record["versions"]) | changes)}


def names(changes):
    return [change.name for change in changes]


def test_a_record_is_identical_to_itself_wherever_and_whenever(records):
    for record in records:
        other = deepcopy(record) | {"seconds": 9.0, "worker": "x:1", "code": "y", "finished_at": 0}
        found = compare(record, other)
        assert found.identical
        assert found.circumstances == found.moved == found.different == ()


def test_not_a_number_is_not_a_number(pair):
    for record in pair:
        record["train_loss"] = float("nan")
        record["auc_per_class"] = [None, float("nan"), 0.5, 0.5]
    assert compare(*pair).identical
    pair[1]["auc_per_class"][0] = float("nan")
    assert names(compare(*pair).different) == ["auc_per_class[0]"]


def other(value):
    """A value that is nearly this one."""
    if isinstance(value, list):
        return [other(value[0]), *value[1:]] if value else [1]
    if isinstance(value, dict):
        return value | {"test_loss": other(value["test_loss"])}
    if isinstance(value, float):
        return float(np.nextafter(value, 2)) if value else 1e-9  # denormals are flushed
    return "other" if isinstance(value, str) else 7 if value is None else value + 1


@pytest.mark.parametrize("column", [n for n in SCHEMA.names if n not in (*VOLATILE, "grid")])
def test_computed_alike_the_last_bit_of_any_column_tells(pair, column):
    pair[1][column] = other(pair[0][column])
    found = compare(*pair)
    assert [name.partition("[")[0] for name in names(found.different)] == [column]
    assert not found.identical
    assert found.moved == ()


METRICS = {
    *("status", "auc", "accuracy", "auc_per_class", "recall_per_class", "confusion"),
    *("validation_auc", "validation_accuracy", "train_accuracy", "train_loss", "curve"),
}


@pytest.mark.parametrize("column", [n for n in SCHEMA.names if n not in (*VOLATILE, "grid")])
def test_computed_differently_only_a_metric_may_differ(pair, column):
    pair[1][column] = other(pair[0][column])
    if column == "status":
        pair[1][column] = "chance" if pair[0][column] == "ok" else "ok"
    elif column == "confusion":
        row = list(pair[0][column][0])
        most = row.index(max(row))
        row[most], row[most - 1] = row[most] - 1, row[most - 1] + 1
        pair[1][column][0] = row
    found = compare(elsewhere(pair[0], torch="2.11.0"), pair[1])
    changed = found.moved if column in METRICS else found.different
    assert {name.partition("[")[0] for name in names(changed)} == {column}
    assert len(found.moved) + len(found.different) == len(changed)


def test_a_grid_may_have_been_renamed_and_an_old_record_lacks_its_test_counts(pair):
    pair[0]["grid"], pair[0]["test_counts"] = "before", None
    assert compare(*pair).identical
    assert compare(*reversed(pair)).identical


def test_what_was_different_is_named(pair):
    here = json.loads(pair[1]["versions"])
    then = elsewhere(pair[0], torch="2.11.0", cpu="Old") | {"pack": 3, "device": "NVIDIA H100"}
    assert compare(then, pair[1]).reasons == (
        f"device NVIDIA H100 there, cpu here, pack 3 there, 1 here, "
        f"processor Old there, {here['cpu']} here, torch 2.11.0 there, {here['torch']} here"
    )
    for column, value in (("threads", 2), ("formulation", "im2col")):
        found = compare(pair[0] | {column: value}, pair[1])
        assert found.reasons.startswith(f"{column} {value} there, ")
    without = elsewhere(pair[0], cpu="")
    assert compare(without, pair[1]).reasons == "processor not recorded there"
    assert compare(pair[0], without).reasons == "processor not recorded here"
    assert compare(without, without).reasons == "processor not recorded"
    for unreadable in ("", "[]", "torch 2.11"):
        reasons = compare(pair[0] | {"versions": unreadable}, pair[1]).reasons
        assert "torch not recorded there" in reasons


def test_a_record_says_on_what_processor_it_was_made(records):
    cpu = json.loads(records[0]["versions"])["cpu"]
    assert cpu == machine.processor()
    if platform.system() == "Linux" and platform.machine() == "x86_64":
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2] for line in lines if line.startswith("model name"))
        assert cpu.startswith(" ".join(model.split()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, float("nan")) for name in ("auc", "accuracy", "train_accuracy", "train_loss")),
        ("train_accuracy", float("-inf")),
        ("confusion", [[1], [2, 3]]),
        ("confusion", [[None]]),
    ],
)
def test_what_cannot_be_is_different_and_no_traceback(pair, name, value):
    """Also of records that were computed in another way, which may differ by rounding."""
    there, here = pair
    changed = there | {name: value, "device": "another"}
    assert name in {change.name.partition("[")[0] for change in compare(changed, here).different}
    assert name in {change.name.partition("[")[0] for change in compare(here, changed).different}


def test_a_processor_that_tells_nothing_stops_no_training(monkeypatch):
    def fails(*words, **more):
        raise OSError("no such thing")

    def asked():
        machine.processor.cache_clear()
        return machine.processor()

    try:
        monkeypatch.setattr(machine.Path, "read_text", fails)
        assert asked(), "the platform's own words"
        monkeypatch.setattr(machine.platform, "processor", lambda: "")
        assert asked().startswith(platform.machine())
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", fails)
        assert asked() == ""
    finally:
        machine.processor.cache_clear()


def test_diverged_here_and_not_there_is_different(pair):
    lost = dict.fromkeys(
        ["auc", "accuracy", "auc_per_class", "recall_per_class", "confusion", "validation_auc"]
    )
    lost |= dict.fromkeys(["validation_accuracy", "train_accuracy", "train_loss", "curve"])
    then = elsewhere(pair[0], torch="2.11.0") | lost | {"status": "diverged"}
    for one, two in ((then, pair[1]), (pair[1], then)):
        found = compare(one, two)
        assert set(names(found.different)) == {"status", *lost}
        assert found.moved == ()
    assert compare(then, then).identical


def test_packs_are_within_tolerance_and_say_so(records, computed):
    moved = 0
    for one, three in zip(records, computed(3), strict=True):
        found = compare(one, three, packed=True)
        assert found.different == ()
        assert "pack" in found.reasons
        moved += not found.identical
    assert moved, "or this test shows nothing"


def test_a_second_phase_does_not_say_in_what_pack_the_first_was(pair, records):
    second = next(record for record in records if record["second_phase"])
    then = second | {"train_loss": float(np.nextafter(second["train_loss"], 2))}
    assert names(compare(then, second).different) == ["train_loss"]
    found = compare(then, second, packed=True)
    assert found.different == ()
    assert found.reasons == "pack of the first phase not recorded"
    then = pair[0] | {"train_loss": float(np.nextafter(pair[0]["train_loss"], 2))}
    assert names(compare(then, pair[1], packed=True).different) == ["train_loss"]


def test_no_two_networks_of_a_case_pass_for_one():
    """Real nets on MNIST that differ in their initial weights, trained for long or not."""
    groups = {}
    for name in ("mnist_variance-small", "full_mnist"):
        for record in Store(ROOT / "results" / "reference" / name).read().to_pylist():
            case = None if name == "full_mnist" else record["case_id"]
            groups.setdefault((case, record["method"]), []).append(
                elsewhere(record, torch="2.11.0")
            )
    pairs = [pair for group in groups.values() for pair in combinations(group, 2)]
    assert len(pairs) == 70
    own = ("record_id", "training_id", "case_id", "run", "replicate", "subset")
    for there, here in pairs:
        versions = {"versions": here["versions"].replace("2.11.0", "2.15.0")}
        found = compare(there, here | versions | {name: there[name] for name in own})
        assert {name.partition("[")[0] for name in names(found.different)} & METRICS


def test_a_small_class_moves_by_whole_images():
    """One of ten images is a tenth of the recall; where a net errs, one more may go."""
    assert [TOLERANCE.many(wrong) for wrong in (0, 1, 10, 100, 1000)] == [0, 2, 6, 27, 187]
    assert TOLERANCE.near(0.9, 0.8, 10)
    assert not TOLERANCE.near(0.9, 0.4, 10)
    assert not TOLERANCE.near(0.9, 0.8, 1000)
    assert TOLERANCE.near(0.9, 0.888, 1000)
    assert TOLERANCE.near(1.0, 1.0, 1000)
    assert not TOLERANCE.near(1.0, 0.9, 20_000)


def test_images_that_change_places_are_counted_by_class(pair):
    """As many rights as before, so no accuracy tells; the table does."""
    then, now = elsewhere(pair[0], torch="2.11.0"), pair[1]
    for record, table in ((then, [[90, 10], [10, 90]]), (now, [[90, 10], [10, 90]])):
        record.update(confusion=table, test_counts=[100, 100], recall_per_class=[0.9, 0.9])
        record.update(auc_per_class=[0.9, 0.9], accuracy=0.9)
    assert compare(then, now).different == ()
    now["confusion"] = [[70, 30], [0, 100]]
    assert {n.partition("[")[0] for n in names(compare(then, now).different)} == {"confusion"}
    now["confusion"] = [[90, 10], [10, 91]]
    assert names(compare(then, now).different) == ["confusion[1][1]"], "another number of images"


def test_each_point_of_a_curve_counts(pair):
    then, now = elsewhere(pair[0], torch="2.11.0"), pair[1]
    assert len(now["curve"]) == 2
    for name, value in (("test_loss", 9.0), ("train_accuracy", 1.0), ("iteration", 5)):
        curve = deepcopy(pair[0]["curve"])
        curve[1][name] = value
        assert names(compare(then, now | {"curve": curve}).different) == [f"curve[1].{name}"]
    found = compare(then, now | {"curve": now["curve"][:1]})
    assert names(found.different) == ["curve"]
