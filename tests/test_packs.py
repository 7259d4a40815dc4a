"""Networks in packs: the same as alone, whatever the pack, its size, its mates and its memory."""

from time import sleep
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.fx.experimental.proxy_tensor import make_fx

from study import packs
from study.engine import formulations, machine, rehearsal
from study.engine.means import MOST, Means
from study.engine.rehearsal import Rehearsal, choose, race, room
from study.engine.train import Lockstep
from study.errors import UserError
from study.form import Form
from study.job import run_job
from study.metrics import auc_per_class
from study.nets import NETS, convolve
from study.packs import even, pad, rectangle
from study.plan import Due, gather, plan
from study.schema import VOLATILE
from tests.conftest import CPU, job_of, tiny_grid

CLOSE = ("auc", "accuracy", "train_accuracy", "train_loss")
GRID = tiny_grid(
    methods="all", replicates=3, predictions=True, recipe={"iterations": 12, "batch": 8}
)
WIDE = {
    "model": "allcnn",
    "dataset": {"size": 12, "train_images": 20, "test_images": 8, "train_per_class": 12},
}


def data(grid, tmp_path_factory):
    return grid.dataset.dataset(tmp_path_factory.mktemp("data"), grid.seed)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return data(GRID, tmp_path_factory)


@pytest.fixture(scope="module")
def alone(dataset):
    """The records of each case in a job of its own, network after network."""
    return [run_job(job_of(GRID, i), GRID, dataset, CPU, "test") for i in range(3)]


def assert_same(packed, alone, tolerance=1e-4):
    """The same records in the same order, up to rounding."""
    single = [record for results in alone for record in results.records]
    assert [r["record_id"] for r in packed.records] == [r["record_id"] for r in single]
    for ours, theirs in zip(packed.records, single, strict=True):
        for column in ours.keys() - {*VOLATILE, *CLOSE, "auc_per_class", "recall_per_class"}:
            if column != "confusion":
                assert ours[column] == theirs[column], column
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], abs=tolerance)
        assert ours["auc"] == pytest.approx(theirs["auc"], abs=2e-3)
    for results in alone:
        for name, logits in results.predictions.items():
            np.testing.assert_allclose(packed.predictions[name], logits, atol=4e-3)  # float16


@pytest.mark.parametrize(("size", "used"), [(2, 2), (4, 3), (5, 5), (9, 9), (100, 9)])
def test_a_job_in_packs_leaves_the_records_of_networks_trained_alone(dataset, alone, size, used):
    """Nine full trainings and six second phases; a pack of five is padded."""
    packed = run_job(job_of(GRID, 0, 1, 2), GRID, dataset, Means("cpu", size), "test")
    assert_same(packed, alone)
    assert packed.notes == ()
    by_phase = {r["second_phase"]: r["pack"] for r in packed.records}
    assert by_phase[None] == used
    assert {r["formulation"] for r in packed.records} == {"plain"}


@pytest.mark.parametrize("formulation", ["planes", "im2col"])
def test_a_formulation_changes_rounding_and_no_more(dataset, alone, formulation):
    means = Means("cpu", 9, formulation)
    packed = run_job(job_of(GRID, 0, 1, 2), GRID, dataset, means, "test")
    assert_same(packed, alone)
    assert {r["formulation"] for r in packed.records} == {formulation}


def test_a_net_with_dropout_trains_its_second_phases_on_images(tmp_path_factory):
    """The same keys in every pack; and the phases of a case are two, not one."""
    grid = tiny_grid(
        methods=["baseline", "oversampling", "two_phase_oversampling"],
        recipe={"iterations": 5, "batch": 8},
        **WIDE,
    )
    whole = data(grid, tmp_path_factory)
    alone = [run_job(job_of(grid, i), grid, whole, CPU, "test") for i in range(2)]
    packed = run_job(job_of(grid, 0, 1), grid, whole, Means("cpu", 4), "test")
    assert_same(packed, alone)
    losses = [record["train_loss"] for record in packed.records]
    assert len(set(losses)) == len(losses)


def short_of_memory(monkeypatch, most):
    """Training more than `most` networks at once fails, as a card's allocator fails."""
    tried = []

    def refuse(courses, start):
        tried.append(courses)
        return "CUDA out of memory" if courses > most else None

    refusing(monkeypatch, refuse, torch.OutOfMemoryError)
    return tried


def refusing(monkeypatch, why, error=RuntimeError):
    """Steps of so many networks from layer `start` on are not taken where there is a reason why."""

    class Refusing(Lockstep):
        def run(self, every=None):
            if words := why(len(self._courses), self._start):
                raise error(words)
            yield from super().run(every)

    monkeypatch.setattr(packs, "Lockstep", Refusing)


def test_out_of_memory_halves_the_pack_says_so_and_loses_nothing(dataset, alone, monkeypatch):
    tried = short_of_memory(monkeypatch, 2)
    packed = run_job(job_of(GRID, 0, 1, 2), GRID, dataset, Means("cpu", 9), "test")
    assert tried[:3] == [9, 4, 2]
    assert packed.notes == (
        "out of memory with packs of 9 networks; going on with 4",
        "out of memory with packs of 4 networks; going on with 2",
    )
    assert_same(packed, alone)
    assert {record["pack"] for record in packed.records} <= {1, 2}


def test_out_of_memory_in_a_second_phase_repeats_the_pack(dataset, alone, monkeypatch):
    def refuse(courses, start):
        return "CUDA out of memory" if start and courses > 2 else None

    refusing(monkeypatch, refuse, torch.OutOfMemoryError)
    packed = run_job(job_of(GRID, 0, 1, 2), GRID, dataset, Means("cpu", 9), "test")
    assert packed.notes
    assert_same(packed, alone)


@pytest.mark.parametrize(
    ("words", "halves"),
    [
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("Triton Error [CUDA]: out of memory", True),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", True),
        ("the sizes of tensors must match", False),
    ],
)
def test_memory_that_another_library_misses_halves_too(dataset, monkeypatch, words, halves):
    refusing(monkeypatch, lambda courses, start: words if courses > 1 else None)
    if halves:
        assert run_job(job_of(GRID), GRID, dataset, Means("cpu", 2), "test").notes
    else:
        with pytest.raises(RuntimeError, match=words):
            run_job(job_of(GRID), GRID, dataset, Means("cpu", 2), "test")


def test_the_race_is_no_part_of_a_networks_seconds(dataset, monkeypatch):
    def slow(*_):
        sleep(0.6)
        return "plain"

    monkeypatch.setattr(packs, "choose", slow)
    grid = tiny_grid(methods=["baseline"], recipe={"iterations": 1})
    (record,) = run_job(job_of(grid), grid, dataset, CPU, "test").records
    assert record["seconds"] < 0.6


def test_one_network_that_does_not_fit_is_an_error(dataset, monkeypatch):
    short_of_memory(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError):
        run_job(job_of(GRID), GRID, dataset, Means("cpu", 2), "test")


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 200))
def test_packs_are_as_few_as_can_be_and_as_even(number, most):
    size = even(number, most)
    packs = -(-number // size)
    assert size <= most
    assert packs == -(-number // most)
    assert packs * size - number < packs, "no pack could be smaller by one"
    assert even(0, most) == 0


def test_a_pack_is_padded_with_its_last_network():
    assert pad(["a", "b"], 4) == ["a", "b", "b", "b"]
    assert pad(["a", "b"], 2) == ["a", "b"]
    rows = rectangle([np.array([3, 4]), np.array([7]), np.array([1, 2, 5])])
    assert rows.tolist() == [[3, 4, 3], [7, 7, 7], [1, 2, 5]]


def test_jobs_fill_packs_and_leave_no_worker_idle():
    dues = plan(tiny_grid(replicates=18))
    assert [len(job.dues) for job in gather(dues, 1, 2)] == [1] * 18
    assert [len(job.dues) for job in gather(dues, 4, 1)] == [4, 4, 4, 4, 2]
    assert [len(job.dues) for job in gather(dues, 128, 4)] == [5, 5, 5, 3]
    assert gather([], 4, 2) == []
    assert tuple(due for job in gather(dues, 3, 1) for due in job.dues) == tuple(dues)


def test_workers_that_would_stand_idle_take_parts_of_cases(dataset, alone):
    """Oracle: the whole cases' records, bit for bit; each once, and no network in two parts."""
    dues = plan(GRID)
    jobs = gather(dues, 1, 4)
    assert len(jobs) == 9, "the trainings from fresh weights, each with what goes on from it"
    networks = [training.id for job in jobs for training in job.dues[0].trainings]
    assert len(networks) == len(set(networks)) == 3 * 5
    for due in dues:
        own = [job.dues[0] for job in jobs if job.dues[0].case == due.case]
        for part in ("rows", "predictions"):
            whole = [one for some in own for one in getattr(some, part)]
            assert len(whole) == len(getattr(due, part))
            assert set(whole) == set(getattr(due, part))
    expected = {r["record_id"]: r for results in alone for r in results.records}
    logits = {name: array for results in alone for name, array in results.predictions.items()}
    seen = []
    for job in jobs[:3]:
        results = run_job(job, GRID, dataset, CPU, "test")
        for record in results.records:
            seen.append(record["record_id"])
            for column in record.keys() - set(VOLATILE):
                assert record[column] == expected[record["record_id"]][column], column
        for name, array in results.predictions.items():
            assert np.array_equal(array, logits[name])
    assert sorted(seen) == sorted(row.id for row in dues[0].rows)


def test_a_part_of_a_case_takes_along_what_its_rows_need():
    """A second phase its parent; logits that are missing their training."""
    whole = plan(GRID)[0]
    second = next(row for row in whole.rows if row.training.parent)
    (job,) = gather([Due(whole.case, (second,))], 1, 2)
    assert job.dues[0].rows == (second,)
    assert job.dues[0].trainings == (second.training.parent, second.training)
    only = Due(whole.case, (), whole.predictions[2:3])
    assert [job.dues for job in gather([only], 1, 2)] == [(only,)]
    many = plan(tiny_grid(methods=["baseline", "oversampling"], runs=3, replicates=1))
    assert len(gather(many, 1, 7)) == 6


LENET = NETS["lenet5"](Form(28, 28, 1, 10))
RECIPE = tiny_grid().recipe


def test_a_pack_is_what_is_asked_for_else_one_on_a_cpu(monkeypatch):
    assert room(LENET, RECIPE, Means("cpu"), 100) == 1
    assert room(LENET, RECIPE, Means("cpu", 7), 100) == 7
    assert room(LENET, RECIPE, Means("cuda", 300), 100) == 300
    assert choose(LENET, RECIPE, Means("cpu"), 8) == "plain"
    assert choose(LENET, RECIPE, Means("cuda", None, "im2col"), 8) == "im2col"


@pytest.mark.parametrize(("free", "size"), [(0, 1), (1e9, 8), (1e12, MOST)])
def test_a_pack_on_a_card_is_what_its_free_memory_holds(monkeypatch, free, size):
    """A network takes 90 MB a step here and 10 MB of features (5,000 images x 500 x 4 bytes)."""
    monkeypatch.setattr(rehearsal, "_memory_a_network", lambda _: 90_000_000)
    released = []
    monkeypatch.setattr(machine, "release", released.append)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (int(free) * len(released), 0))
    assert room(LENET, RECIPE, Means("cuda"), 5000) == size


def test_a_formulation_that_is_wrong_or_fails_loses_the_race_with_its_reason(monkeypatch):
    def wrong(x, weight, bias, stride, padding):
        return convolve.grouped(x, weight, bias, stride, padding) * 1.01

    def broken(*_):
        raise RuntimeError("no kernel image\nis available")

    for name, way in (("wrong", wrong), ("broken", broken)):
        monkeypatch.setitem(convolve.CONVOLUTIONS, name, way)
        monkeypatch.setitem(formulations.FORMULATIONS, name, formulations.Formulation(name))
    small = Rehearsal(LENET, RECIPE, "cpu", 2)
    laps = race(small, ["broken", "im2col", "wrong", "plain"], laps=2)
    assert {lap.formulation for lap in laps[:2]} == {"im2col", "plain"}
    assert laps[0].seconds <= laps[1].seconds
    reasons = {lap.formulation: lap.reason for lap in laps[2:]}
    assert reasons["broken"] == "RuntimeError: no kernel image"
    assert reasons["wrong"].startswith("its gradient is ")


def test_a_formulation_that_spreads_divergence_is_out_of_the_race():
    """A CPU's grouped convolution in bfloat16 does, where a network has three channels."""
    resnet = NETS["resnet10"](Form(24, 24, 3, 4))
    recipe = RECIPE.model_copy(update={"batch": 8, "precision": "bf16"})
    laps = race(Rehearsal(resnet, recipe, "cpu", 2), ["plain", "im2col"], laps=1)
    assert [lap.formulation for lap in laps] == ["im2col", "plain"]
    assert laps[1].reason == "a network that diverges takes its pack-mates with it"
    assert choose(resnet, recipe, CPU, 2) == "im2col"
    assert choose(resnet, recipe, CPU, 1) == "plain"


def test_the_race_is_run_once_a_process_and_its_winner_taken(monkeypatch):
    raced = []

    def laps(one, names):
        raced.append((one.k, tuple(names)))
        return [SimpleNamespace(formulation="im2col", seconds=1.0)]

    monkeypatch.setattr(rehearsal, "race", laps)
    rehearsal._winner.cache_clear()
    try:
        for k in (9, 8, 15):
            assert choose(LENET, RECIPE, Means("cuda"), k) == "im2col"
        assert raced == [(8, tuple(formulations.FORMULATIONS))]
    finally:
        rehearsal._winner.cache_clear()


@pytest.mark.parametrize("each", [1e-6, 1e-3])
def test_the_pace_is_none_of_what_others_take(monkeypatch, each):
    """A short run that is held up for longer than the steps of the long one take."""
    clock, held_up = [0.0], [0.0, 0.0, 0.01, 0.0, 0.005]

    def run(steps):
        clock[0] += steps * each + (held_up.pop() if held_up else 0.0)

    monkeypatch.setattr(rehearsal, "perf_counter", lambda: clock[0])
    assert rehearsal._pace(run, 2) == pytest.approx(each, rel=0.01)


def test_a_pace_that_cannot_be_told_is_no_endless_search():
    assert 0 < rehearsal._pace(lambda steps: None, 20) < 1e-6


def test_what_a_cpu_does_not_have_is_refused():
    for means, precision, words in (
        (Means("cpu"), "tf32", "a.yaml: recipe.precision: found tf32"),
        (Means("cpu", 1, "triton"), "strict", "--formulation triton"),
    ):
        with pytest.raises(UserError, match=words):
            means.check(precision, "a.yaml")
    Means("cuda", 1, "triton").check("tf32", "")
    Means("cpu").check("bf16", "")


def traced(step, device):
    """What a card's graph is, on any device: the step's operations, recorded without taking it."""
    lockstep = step.__self__
    places = [w for layer in lockstep._moving for w in layer]
    places += [*lockstep._velocities, lockstep._at]
    before = [place.detach().clone() for place in places]
    graph = make_fx(lambda: step() or lockstep._at)()
    with torch.no_grad():
        for place, value in zip(places, before, strict=True):
            place.copy_(value)
    return torch.no_grad()(graph)


@pytest.mark.parametrize(("model", "size"), [("lenet5", 20), ("allcnn", 12), ("resnet10", 24)])
def test_a_step_recorded_once_and_replayed_is_the_loop(model, size, monkeypatch):
    """Positions, rates, dropout's keys, running statistics: nothing changes but in place."""
    net = NETS[model](Form(size, size, 3, 4))
    small = Rehearsal(net, RECIPE.model_copy(update={"batch": 4}), "cpu", 2, torch.float64)
    plain = small.trained(9)
    monkeypatch.setattr(machine, "recorded", traced)
    for layer, expected in zip(small.trained(9), plain, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(layer, expected, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lenet5", "allcnn"])
def test_compiled_formulations_take_the_plain_step(model):
    net = NETS[model](Form(20, 20, 3, 4))
    small = Rehearsal(net, RECIPE.model_copy(update={"batch": 4}), "cpu", 2)
    laps = race(small, ["grouped", "compiled"], laps=1)
    assert not [lap.reason for lap in laps if lap.reason]


def test_the_auc_is_the_same_on_every_device():
    """One device here; on a machine with a card, both."""
    logits = torch.randn(400, 5).softmax(1).double()
    labels = torch.arange(400) % 5
    areas = auc_per_class(logits, labels)
    if torch.cuda.is_available():
        assert auc_per_class(logits.cuda(), labels.cuda()) == pytest.approx(areas, abs=1e-12)
    assert len(areas) == 5
