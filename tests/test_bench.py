"""The race: equal work for all, and what is made of its rates. Nothing is timed here."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torchvision import datasets

from bench import images
from bench.child import measure as measure_here
from bench.command import main
from bench.contenders import (
    LINE_UP,
    OURS_IMAGES,
    OURS_SECOND,
    PACKS,
    SCRIPT_SECOND,
    TABLE,
    WAYS,
    chosen,
)
from bench.harness import rehearsed
from bench.learner import Start, decline, lenet5
from bench.machine import describe
from bench.measurement import IMAGE, SECOND_STEP, STEP, Measurement
from bench.processes import load, prepared
from bench.projection import Goal, fastest, figures, goals, spreads
from bench.race import busy_cores, measure
from bench.record import Record, Settings, save
from bench.record import load as load_record
from bench.report import show
from bench.table import terminal
from bench.work import BATCH, CASE_IMAGES, DECAY, MOMENTUM, RATE, SECOND_PHASE_RATE, STEP_FLOP
from study.engine.formulations import FORMULATIONS
from study.engine.losses import objective
from tests.conftest import ROOT

HERE = [
    row
    for row in TABLE.values()
    if (row.unit == STEP or row.name == SCRIPT_SECOND)
    and row.networks <= 2
    and "CUDA" not in row.name
    and row not in PACKS
]


@pytest.fixture(scope="module")
def one_batch(tmp_path_factory):
    """A training set of one batch: whatever the order, every step sees all of it."""
    folder = tmp_path_factory.mktemp("data") / "noise"
    images.write_noise(folder, BATCH)
    return folder


def plain_losses(folder, seed, steps, second_phase=False):
    """The losses of the plain module, its update written by hand."""
    module = lenet5(seed)
    pixels, labels = images.read(folder)
    x, y = torch.from_numpy(np.array(pixels)).unsqueeze(1) / 255, torch.from_numpy(labels)
    learned = list((module[-1] if second_phase else module).parameters())
    velocities = [torch.zeros_like(w) for w in learned]
    losses = []
    for step in range(steps):
        loss = F.cross_entropy(module(x), y)
        losses.append(loss.item())
        rate = (SECOND_PHASE_RATE if second_phase else RATE) * (1 + 1e-4 * step) ** -0.75
        with torch.no_grad():
            for w, v, g in zip(
                learned, velocities, torch.autograd.grad(loss, learned), strict=True
            ):
                v.mul_(MOMENTUM).add_(g + DECAY * w)
                w.sub_(rate * v)
    return losses


@pytest.fixture
def losses_of_fit(monkeypatch):
    """`fit` keeps its losses to itself: here they are."""
    seen = []

    def spy(*arguments):
        value = objective(*arguments)
        seen.append(value.detach().reshape(-1))
        return value

    monkeypatch.setattr("study.engine.train.objective", spy)
    return seen


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # loader workers fork; the compiler's
@pytest.mark.parametrize("row", HERE, ids=[row.name for row in HERE])
def test_contenders_do_the_same_work(row, one_batch, losses_of_fit, monkeypatch):
    """From the same weights, on the same batch, the same loss; and again after one update."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    threads = torch.get_num_threads()
    try:
        advance = prepared(row, Start(one_batch, "cpu", row.networks))
        found = [advance(1) for _ in range(2)]
    finally:
        torch.set_num_threads(threads)
    found = losses_of_fit if row.ours else found
    second = row.name == SCRIPT_SECOND
    for seed in range(row.networks):
        expected = plain_losses(one_batch, seed, 2, second)
        assert [losses[seed].item() for losses in found] == pytest.approx(expected, abs=1e-5)
        assert expected[0] - expected[1] > 5e-5  # the update counts


@pytest.mark.parametrize("name", [OURS_SECOND, OURS_IMAGES, "matrix product"])
def test_other_work_can_be_done(name, one_batch):
    load(TABLE[name].build)(Start(one_batch, "cpu"))(2)


@pytest.mark.parametrize("unit", [STEP, SECOND_STEP, IMAGE])
def test_a_pack_is_rehearsed(unit, one_batch):
    """On a CPU too, so that the code which a card needs runs somewhere without one."""
    row = next(row for row in PACKS if row.unit == unit)
    tally = rehearsed(replace(row, networks=1), Start(one_batch, "cpu"), 0.01)
    assert tally.steps >= 1
    assert tally.rate == pytest.approx(tally.steps / tally.seconds)


def test_every_formulation_of_the_engine_is_raced():
    assert set(WAYS) == set(FORMULATIONS)


def test_rate_declines_as_caffes_inv():
    assert decline(0) == 1
    assert decline(10_000) == pytest.approx(2**-0.75)


def test_torchvision_reads_the_noise(one_batch):
    pixels, labels = images.read(one_batch)
    data = datasets.MNIST(one_batch, train=True, download=False)
    np.testing.assert_array_equal(data.data.numpy(), pixels)
    np.testing.assert_array_equal(data.targets.numpy(), labels)
    assert pixels.shape == (BATCH, 28, 28)
    assert pixels.max() > 250


def test_line_ups_are_of_the_table():
    for device, names in LINE_UP.items():
        assert [row.name for row in chosen(device, [])] == list(names)
    assert all(TABLE[name].name == name for name in TABLE)


def test_contenders_are_chosen_by_part_of_their_name_or_by_all_of_it():
    assert [row.name for row in chosen("cpu", ["vmap"])] == ["vmap, 8 networks"]
    assert [row.name for row in chosen("cpu", ["script"])] == ["script"]
    assert [row.name for row in chosen("cpu", ["vmap, 2 networks", "Tune"])] == [
        "Ray Tune, a trial a training",
        "vmap, 2 networks",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "vmapp"], "--only vmapp: no contender's name contains it"),
        (["--data", "nowhere"], "lacks train-images-idx3-ubyte"),
        (["--rounds", "0"], "needed: a whole number, 1 or more"),
    ],
)
def test_wrong_use_is_refused(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["--device", "cpu", *arguments])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_data_of_another_shape_are_refused(one_batch, tmp_path, capsys):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (one_batch / "MNIST" / "raw").iterdir():
        (raw / file.name).write_bytes(file.read_bytes())
    labels = raw / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1])
    assert main(["--device", "cpu", "--data", str(tmp_path)]) == 2
    assert "does not hold the (64,) it promises" in capsys.readouterr().err
    labels.write_bytes(b"\x1f\x8b")
    assert main(["--device", "cpu", "--data", str(tmp_path)]) == 2
    assert "not an idx file" in capsys.readouterr().err


def test_a_contender_that_cannot_run_says_why(one_batch, tmp_path, monkeypatch):
    graph = measure(TABLE["CUDA graph"], one_batch, "cpu", 1, tmp_path)
    assert graph.failure == "RuntimeError: a CUDA graph needs a CUDA device"
    monkeypatch.setitem(sys.modules, "ray", None)
    trials = measure_here(TABLE["Ray Tune, a trial a training"], one_batch, "cpu", 1)
    assert trials.failure == "ray is not installed"
    assert trials.rate == 0


def test_a_contender_whose_process_dies_is_told_of(one_batch, tmp_path):
    lost = replace(TABLE["script"], name="no such contender")
    failure = measure(lost, one_batch, "cpu", 1, tmp_path).failure
    assert failure.startswith("ended with code 2: ")
    assert "invalid choice: 'no such contender'" in failure


def test_peers_never_import_the_engine():
    """Only bench.harness does, so that a peer's process is as its author would have it."""
    code = (
        "import sys, bench.child, bench.script, bench.resident, bench.packed, bench.graph, "
        "bench.product, bench.tune; "
        "print([m for m in sys.modules if m.startswith(('study.engine', 'study.nets', 'ray'))])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert said.stdout.strip() == "[]"


RATES = {
    "script": (50.0, STEP),
    "resident loop": (80.0, STEP),
    "resident loop, 1 thread": (40.0, STEP),
    "harness": (100.0, STEP),
    "harness, one process": (60.0, STEP),
    "script, second phase": (100.0, "second-phase step"),
    "harness, second phase": (5000.0, "second-phase step"),
    "harness, evaluation": (10_000.0, "image"),
    "matrix product": (150.0, "GFLOP"),
    "matrix product, 1 thread": (100.0, "GFLOP"),
}


def measured(rounds=(0.5, 1.0, 3.0), **without):
    return [
        Measurement(name, "cpu", unit, name.startswith("harness"), turn, rate=rate * factor)
        for turn, factor in enumerate(rounds, 1)
        for name, (rate, unit) in RATES.items()
        if name not in without.get("without", ())
    ]


def test_rates_are_medians_of_what_did_not_fail():
    failed = Measurement("vmap, 8 networks", "cpu", STEP, failure="no memory")
    found = spreads([*measured(), failed])
    assert found.keys() == RATES.keys()
    script = found["script"]
    assert (script.median, script.low, script.high) == (50, 25, 150)


def test_projection_is_that_done_by_hand():
    found = figures(measured())
    # script: 50,000 steps at 50 and 20,000 at 100 a second
    assert found.case_script == pytest.approx(1200)
    assert found.networks_script == pytest.approx(15)
    assert found.study_script == pytest.approx(5_400_000)
    # harness: 30,000 steps at 100, 20,000 at 5,000, 3 x 35,500 images at 10,000 a second
    assert found.case_ours == pytest.approx(300 + 4 + 10.65)
    assert found.networks_ours == pytest.approx(18_000 / 314.65)
    assert found.ratio_networks == pytest.approx(1200 / 314.65)
    assert found.study_ours == pytest.approx(4500 * 314.65)


def test_ratios_are_those_done_by_hand():
    found = figures(measured())
    assert found.ratio_script == pytest.approx(2)
    assert found.ratio_resident == pytest.approx(1.25)
    assert found.share_one_thread == pytest.approx(40 / 60)
    assert found.share_second_phase == pytest.approx(0.02)
    assert found.step_ms == pytest.approx(1000 / 60)
    assert found.floor_ms == pytest.approx(2.81216)  # 843.648 MFLOP, best round 300 GFLOP/s
    assert found.times_floor == pytest.approx(1000 / 60 / 2.81216)
    assert found.step_us == pytest.approx(10_000)


def test_floor_counts_every_product_of_a_step():
    """LeNet-5's multiplications: forward, by weights, and by inputs but those of the images."""
    layers = [24**2 * 20 * 25, 8**2 * 50 * 500, 800 * 500, 500 * 10]
    assert 64 * 2 * (2 * sum(layers) + sum(layers[1:])) == STEP_FLOP


def test_a_case_has_as_many_images_as_the_grids_give_it_on_average():
    sizes = []
    for name in ("mnist_step", "mnist_linear"):
        grid = yaml.safe_load((ROOT / "grids" / f"{name}.yaml").read_text())
        assert grid["dataset"]["train_per_class"] == 5000
        for rho in grid["imbalance"]["rho"]:
            small = 5000 / rho
            if name == "mnist_step":
                sizes += [50_000 * (1 - mu) + 10 * mu * small for mu in grid["imbalance"]["mu"]]
            else:
                sizes.append(10 * (5000 + small) / 2)
    assert np.mean(sizes) == pytest.approx(CASE_IMAGES, rel=0.005)


def test_what_was_not_measured_is_not_made_up():
    found = figures(measured(without=("harness, evaluation", "matrix product, 1 thread")))
    assert found.case_ours is None
    assert found.study_ours is None
    assert found.times_floor is None
    assert found.case_script is not None
    verdicts = {goal.goal: goal.verdict for goal in goals(found, "cpu")}
    assert verdicts["networks an hour, times the script's"] == "not measured"
    assert verdicts["network-steps of the script's, times"] == "met"


def test_goals_are_met_or_missed():
    reached = [(goal.bound, goal.verdict) for goal in goals(figures(measured()), "cpu")]
    assert reached == [
        (2.0, "met"),
        (1.5, "missed"),
        (0.75, "met"),
        (0.5, "missed"),
        (1.4, "missed"),
        (3.3, "met"),
        (0.08, "met"),
    ]
    assert Goal("at the bound", "<=", 1, 1).verdict == "met"
    assert [goal.bound for goal in goals(figures(measured()), "cuda")] == [
        2.0,
        1.5,
        26.0,
        3.3,
        0.08,
        3600.0,
    ]


def test_the_fastest_of_ours_is_projected():
    pack = Measurement("harness, 32 networks", "cuda", STEP, ours=True, rate=1e4)
    alone = Measurement("harness, one process", "cpu", STEP, ours=True, rate=1e5)
    assert fastest([*measured(), alone, alone]) == "harness"
    assert fastest([*measured(), pack]) == "harness, 32 networks"
    assert fastest([]) is None


@pytest.fixture
def record():
    measurements = [
        *measured(),
        Measurement("CUDA graph", "cpu", STEP, round=1, failure="needs a card", others=0.9),
    ]
    found = figures(measurements)
    settings = Settings("2026-01-01T00:00:00+00:00", "50,000 images of noise", 8, 3)
    return Record(settings, describe("cpu"), measurements, found, goals(found, "cpu"))


def test_parquet_gives_back_what_was_kept(record, tmp_path):
    path = tmp_path / "new" / "bench.parquet"
    save(record, path)
    assert load_record(path) == record
    save(replace(record, measurements=record.measurements[:1]), path)
    assert len(load_record(path).measurements) == 1
    assert [file.name for file in path.parent.iterdir()] == ["bench.parquet"]


def test_a_file_without_measurements_of_ours_is_kept_too(record, tmp_path):
    found = figures([])
    empty = replace(record, measurements=[], figures=found, goals=goals(found, "cuda"))
    save(empty, tmp_path / "bench.parquet")
    assert load_record(tmp_path / "bench.parquet") == empty


def test_the_report_fits_a_hundred_columns_and_tells_all(record, capsys):
    show(terminal(), record)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    for words in (
        "CUDA graph: not measured: needs a card",
        "DISTURBED: other programs kept up to 0.9 cores busy",
        "20.0 min",
        "62.5 days",
        "3.81",
        "missed",
    ):
        assert words in said


def test_machine_is_described():
    machine = describe("cpu")
    assert machine.cores >= 1
    assert torch.__version__.startswith(machine.torch)
    assert json.dumps(machine.__dict__)
    assert 0 <= busy_cores() <= (os.cpu_count() or 1) + 0.5


@pytest.mark.parametrize("name", ["file/x.parquet", ".", "file"])
def test_a_file_that_cannot_be_written_is_refused_before_the_race(name, tmp_path, capsys):
    (tmp_path / "file").mkdir() if name == "file" else (tmp_path / "file").write_text("")
    assert main(["--only", "script", "--out", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"--out {tmp_path / name}: cannot be written (")
    assert not said.out
