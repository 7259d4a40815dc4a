"""Training fed with photographs: equal work for all, what is timed, and what is said of it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from operator import truediv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from bench import photo_script, photographs, reading, stream, streamed
from bench.apart import MeasureError, apart
from bench.feed import Fed, Task, together
from bench.machine import describe
from bench.reading import Reading
from bench.resnet10 import resnet10
from bench.stream_report import LOADER, LOOP, MEMORY, STREAM, Found, show
from bench.table import terminal
from study.data.imagenet import VIEW, Imagenet
from study.data.pictures import Pictures
from study.form import Form
from study.nets import NETS
from study.nets.layers import Pass
from tests.conftest import ROOT

FILES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A few photographs of noise, in the place of ILSVRC-2012."""
    place = tmp_path_factory.mktemp("data")
    photographs.write(place, FILES)
    return place


@pytest.fixture
def task(folder, monkeypatch):
    """Two images a batch, and no time to warm up."""
    monkeypatch.setattr("bench.clock.WARM_UP", 0.0)
    monkeypatch.setattr("bench.clock.LOOK", 0.0)
    threads = torch.get_num_threads()
    yield Task(folder, "cpu", batch=2, loaders=2, seconds=0.2)
    torch.set_num_threads(threads)


def test_photographs_lie_as_ilsvrc_does(folder):
    train, val = Imagenet(name="imagenet").load(folder)
    assert len(train) == len(val) == 1000
    theirs = datasets.ImageFolder(folder / "imagenet" / "train")
    ours = [
        (str(train.images.root / name), label)
        for name, label in zip(train.images.names, train.labels, strict=True)
    ]
    assert [(path, label) for path, label in theirs.samples] == ours
    assert len({Path(path).stat().st_ino for path, _ in ours}) == FILES


def test_a_photograph_costs_what_a_photograph_costs(tmp_path):
    """A byte a few pixels, as in ILSVRC-2012; white noise would take three times as much."""
    rng = np.random.default_rng(0)
    sizes, pixels = [], []
    for (width, height), share in photographs.SIDES.items():
        picture = photographs.photograph(width, height, rng)
        assert picture.shape == (height, width, 3)
        near = np.corrcoef(picture[:, 1:, 0].ravel(), picture[:, :-1, 0].ravel())[0, 1]
        assert 0.8 < near < 0.999
        path = tmp_path / "one.JPEG"
        Image.fromarray(picture).save(path, quality=photographs.QUALITY)
        sizes += [path.stat().st_size] * share
        pixels += [width * height] * share
    assert np.mean(sizes) == pytest.approx(110_000, rel=0.15)
    assert np.mean(pixels) == pytest.approx(200_000, rel=0.15)


def test_the_module_people_write_is_the_net_of_the_grids():
    torch.manual_seed(0)
    module, net = resnet10(1000), NETS["resnet10"](Form(64, 64, 3, 1000))
    kinds = ("weight", "bias", "running_mean", "running_var")
    held = [
        getattr(part, kind)
        for part in module.modules()
        for kind in kinds
        if isinstance(getattr(part, kind, None), torch.Tensor)
    ]
    theirs = iter(held)
    weights = [tuple(next(theirs)[None] for _ in layer) for layer in net.parameters]
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        ours = net.forward(x, weights, Pass(1))[0]
        torch.testing.assert_close(ours, module.eval()(x), atol=1e-4, rtol=1e-4)
    assert sum(w.numel() for w in module.parameters()) == 5_417_070


@pytest.mark.parametrize("way", [streamed.in_memory, streamed.streamed, photo_script.plain_loop])
def test_a_way_trains(way, task):
    told = []
    fed = way(task, lambda: told.append(1))
    assert fed.rate > 0
    assert fed.threads == 1
    assert told == [1]
    assert fed.loaders == (2 if way is streamed.streamed else 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # loader workers fork
def test_the_data_loader_trains(task, monkeypatch):
    monkeypatch.setattr(photo_script, "cores", lambda: 1)
    fed = photo_script.data_loader(task, lambda: None)
    assert fed.rate > 0
    assert fed.loaders == 1


def test_peers_see_images_of_the_studys_size(task):
    image, label = photo_script._images(task)[3]
    assert image.shape == (3, VIEW.size, VIEW.size)
    assert label == 3
    assert 0 <= image.min() < 0.3 < image.max() <= 1


def test_waiting_is_what_reading_makes_it(task, monkeypatch):
    """Where reading is slow the loop waits for it; where it is quick it hardly does."""

    def waited(slow):
        def read(self, position, crop=None):
            time.sleep(slow)
            return np.zeros((VIEW.size, VIEW.size, 3), np.uint8)

        monkeypatch.setattr(Pictures, "read", read)
        return streamed.streamed(replace(task, batch=1, loaders=1, seconds=1.0), lambda: None)

    monkeypatch.setitem(streamed.EVERY, "cpu", 1)
    quick, slow = waited(0.0), waited(1.0)
    assert slow.waited > quick.waited + 0.3
    assert slow.rate == pytest.approx(1, rel=0.3)  # an image a second


def test_threads_are_timed(folder, monkeypatch):
    monkeypatch.setattr(reading, "SHARE", 1.0)
    found = [reading._rate(lambda i: time.sleep(0.01), n, 0.3) for n in (1, 4)]
    assert found[0] < 101
    assert 2 * found[0] < found[1] < 401
    train, _ = Imagenet(name="imagenet").load(folder)
    (one,) = reading.measure(train.images, [1], 0.1)
    assert one.threads == 1
    assert min(one.decoded, one.cropped, one.both) > 0
    assert [reading.steps(n) for n in (1, 2, 6, 16)] == [
        [1],
        [1, 2],
        [1, 2, 4, 6],
        [1, 2, 4, 8, 16],
    ]


def number(task, ready):
    ready()
    return task, os.getpid(), time.monotonic()


def gone(task, ready):
    os._exit(3)


@pytest.mark.slow
def test_processes_of_their_own_start_together():
    found = apart(number, "it", 2)
    assert [task for task, *_ in found] == ["it", "it"]
    assert len({os.getpid(), *(pid for _, pid, _ in found)}) == 3
    assert abs(found[0][2] - found[1][2]) < 1  # though one was started before the other


@pytest.mark.parametrize(
    ("measure", "words"), [(truediv, "TypeError: unsupported"), (gone, "ended without a word")]
)
def test_a_process_that_fails_says_why(measure, words):
    with pytest.raises(MeasureError, match=words):
        apart(measure, "it")


def test_rates_of_processes_add_up():
    both = together([Fed(2.0, threads=1, waited=0.1), Fed(3.0, threads=1, waited=0.3)])
    assert both == Fed(5.0, 2, 1, waited=pytest.approx(0.2))
    assert together([Fed(2.0)]).waited is None


def found_with(memory, read, streamed_rate, device="cuda", **others):
    ours = {"threads": 1, "formulation": "planes"}
    ways = {
        MEMORY: Fed(memory, **ours),
        STREAM: Fed(streamed_rate, loaders=4, waited=0.25, **ours),
        LOOP: Fed(10.0, threads=1),
        LOADER: Fed(20.0, threads=4, loaders=4),
        **others.pop("ways", {}),
    }
    readings = [Reading(1, 300, 400, 170), Reading(4, 1200, 1600, read)]
    rest = {"machine": describe("cpu"), "readings": readings, "ways": ways, "busy": 0.0, **others}
    return Found("2026-01-01", "noise", 256, 8, device, **rest)


def said_of(found, capsys):
    show(terminal(), found)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    assert "…" not in said
    return " ".join(said.split())


def test_what_limits_is_the_slower(capsys):
    said = said_of(found_with(1000, 600, 540), capsys)
    assert "reading limits." in said
    assert "Streamed, 540.0: 90% of the most" in said
    assert "waiting for images 25.0% of the time" in said
    assert "harness, images streamed 540.0 54.00 27.00 25.0% 1 1 4" in said
    said = said_of(found_with(500, 600, 450), capsys)
    assert "training limits." in said
    assert "90% of the most" in said
    assert "DISTURBED" not in said


def test_on_a_cpu_both_share_the_cores(capsys):
    said = said_of(found_with(30, 600, 20, "cpu", busy=1.2), capsys)
    assert "training limits. As they share the cores, 28.6 is the most for both." in said
    assert "70% of the most" in said
    assert "DISTURBED: other programs kept up to 1.2 cores busy" in said


def test_what_failed_is_told_of(capsys):
    ways = {MEMORY: Fed(failure="no memory"), LOADER: Fed(failure="torchvision is lost")}
    said = said_of(found_with(0, 600, 20, ways=ways), capsys)
    assert "harness, images in memory: not measured: no memory" in said
    assert "DataLoader: not measured: torchvision is lost" in said
    assert "limits" not in said


@pytest.fixture
def quick(monkeypatch):
    """No process and no time: what each way is asked for."""
    asked = []

    def here(function, task, processes):
        asked.append((function, task, processes))
        if function is photo_script.plain_loop:
            raise MeasureError("out of patience")
        return [Fed(1.0, loaders=task.loaders, waited=0.0)] * processes

    monkeypatch.setattr(stream, "apart", here)
    monkeypatch.setattr(stream, "busy_cores", lambda: 0.1)
    monkeypatch.setattr(stream, "cores", lambda: 4)
    monkeypatch.setattr(
        reading, "measure", lambda pictures, threads, s: [Reading(n, 9, 9, 9) for n in threads]
    )
    return asked


def test_the_command_measures_and_keeps(folder, quick, tmp_path, capsys):
    out = tmp_path / "new" / "stream.json"
    words = ["--device", "cpu", "--data", str(folder), "--loaders", "3", "--out", str(out)]
    assert stream.main([*words, "--batch", "5", "--seconds", "2"]) == 0
    assert [(ours.__name__, n) for ours, _, n in quick] == [
        ("in_memory", 4),
        ("streamed", 4),
        ("plain_loop", 1),
        ("data_loader", 1),
    ]
    assert {task for _, task, _ in quick} == {Task(folder, "cpu", 5, 3, 2)}
    kept = json.loads(out.read_text())
    assert [one["threads"] for one in kept["readings"]] == [1, 2, 4, 12]
    assert kept["ways"][LOOP]["failure"] == "out of patience"
    assert kept["ways"][STREAM]["rate"] == 4
    assert kept["busy"] == 0.1
    assert kept["machine"]["revision"]
    said = capsys.readouterr()
    assert f"all of it: {out}" in said.out
    assert "out of patience" in said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--batch", "1001"], "--batch 1001: found 1,000 training images"),
        (["--out", "."], "--out .: cannot be written"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, message, folder, quick, capsys):
    assert stream.main(["--device", "cpu", "--data", str(folder), *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert not said.out


@pytest.mark.parametrize("words", [["--batch", "0"], ["--device", "tpu"], ["--out", ""]])
def test_a_wrong_option_is_refused(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        stream.main(words)
    assert stopped.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_peers_never_import_the_engine():
    code = (
        "import sys, bench.photo_script; "
        "print([m for m in sys.modules if m.startswith(('study.engine', 'study.nets', 'ray'))])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert said.stdout.strip() == "[]"
