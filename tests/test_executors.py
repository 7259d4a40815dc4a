"""Ray and in-process, one worker and two, killed and whole: the same records, bit for bit."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from tensorboardX.proto import event_pb2

from study.data import Split
from study.data.pictures import Pictures, View
from study.engine.means import Means
from study.errors import UserError
from study.execute import LOGGERS, Place, Work, executor
from study.execute.needs import Machine, Needs, needs, workers
from study.parts import find_parts
from study.plan import gather, plan
from study.results import Results
from study.schema import VOLATILE
from study.store import Store
from tests.conftest import CPU, ROOT, job_of, tiny_grid

CHANGES = {"replicates": 2, "imbalance": {"rho": [5, 10]}, "methods": "all"}
CASES, RECORDS = 4, 4 * 8


def start(path, results, *words):
    """The command; modules beside the grid can be imported."""
    command = [sys.executable, "-m", "study.run", str(path), "--results", str(results), *words]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{path.parent}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out


def stable(results):
    """Every record, without the columns that may differ between two runs of it."""
    return Store(results / "tiny").read().drop_columns(list(VOLATILE)).to_pylist()


def processes(results):
    return set(Store(results / "tiny").read(["record_id", "worker"])["worker"].to_pylist())


@pytest.fixture
def grid(grid_file):
    return grid_file(**CHANGES)


@pytest.fixture
def expected(grid, tmp_path):
    """The records of the in-process executor, with each case in a process of its own."""
    for number in range(1, CASES + 1):
        finish(start(grid, tmp_path / "fresh", "--executor", "inprocess", "--limit", str(number)))
    assert len(processes(tmp_path / "fresh")) == CASES
    records = stable(tmp_path / "fresh")
    assert len(records) == RECORDS
    return records


def test_every_way_of_running_gives_the_same_records(grid, expected, tmp_path):
    finish(start(grid, tmp_path / "one", "--workers", "1"))
    assert len(processes(tmp_path / "one")) == 1, "one process for all jobs: it was reused"
    assert stable(tmp_path / "one") == expected, "a reused worker gives the same as a fresh one"

    out = finish(start(grid, tmp_path / "two", "--workers", "2"))
    assert f"{CASES} of {CASES} cases, 0 failed" in out
    assert stable(tmp_path / "two") == expected, "two workers give the same as one"

    finish(start(grid, tmp_path / "inside", "--executor", "inprocess"))
    assert stable(tmp_path / "inside") == expected, "so does one process without Ray"


@pytest.mark.slow
def test_a_run_stopped_by_ctrl_c_and_resumed_gives_the_same_records(grid_file, tmp_path):
    grid = grid_file(**CHANGES | {"replicates": 5}, recipe={"iterations": 60})
    finish(start(grid, tmp_path / "whole", "--executor", "inprocess"))
    process = start(grid, tmp_path / "cut", "--workers", "2")
    store = Store(tmp_path / "cut" / "tiny")
    while not list(store.folder.glob("records/*.parquet")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # all its processes, as a terminal does
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    stored = len(store.records())
    assert 8 <= stored < 10 * 8
    finish(start(grid, tmp_path / "cut", "--workers", "2"))
    assert stable(tmp_path / "cut") == stable(tmp_path / "whole")
    parts = [pq.read_table(path, columns=["record_id"]) for path in find_parts(store.folder)]
    assert sum(map(len, parts)) == len(store.records()) == 10 * 8, "no record was stored twice"


MOODY = '''
"""Losses with a fault each, that shows in a job and nowhere else."""

import ctypes
import os
import sys
import time
from pathlib import Path

from study.errors import UserError
from study.methods import Method


def once(tries):
    if not tries:
        raise ZeroDivisionError("a bad day")


def hang(tries):
    time.sleep(600)


def hold(tries):
    ctypes.PyDLL(None).sleep(600)  # keeps Python's lock


def wrong(tries):
    raise UserError("moody: found a mistake; needed: none")


def loss(mood):
    def weights(counts):
        if sys._getframe(1).f_globals["__name__"] == "study.packs":
            log = Path(__file__).with_name("attempts.txt")
            before = log.read_text().split() if log.exists() else []
            with log.open("a") as out:
                out.write(f"{mood.__name__}:{os.getpid()} ")
            mood(sum(word.startswith(f"{mood.__name__}:") for word in before))

    return weights


for mood in (once, hang, hold, wrong):
    globals()[f"{mood.__name__}_loss"] = loss(mood)
    globals()[mood.__name__] = Method(
        f"{mood.__name__}", mood.__name__, loss=f"moody:{mood.__name__}_loss"
    )
'''

TELL = """
import json, sys
from pathlib import Path
from study.engine.means import Means
from study.errors import UserError
from study.execute import LOGGERS, Place, Work, executor
from study.gridfile import read_grid
from study.plan import gather, plan
from study.store import Store


class Told:
    def say(self, kind, job, *words):
        rows = [row.method.id for due in job.dues for row in due.rows]
        print(json.dumps([kind, rows, *words]), flush=True)

    def begun(self, job):
        self.say("begun", job)

    def done(self, job):
        self.say("done", job)

    def failed(self, job, text):
        self.say("failed", job, text)

    def note(self, text):
        print(json.dumps(["note", text]))


path, results, limit, *log = sys.argv[1:]
grid, store = read_grid(Path(path)).grid, Store(Path(results))
store.open(grid)
work = Work(grid, grid.dataset.dataset(Path("data"), grid.seed), store, "")
try:
    place = Place(Means("cpu"), 2, limit=float(limit), log=tuple(log))
    executor("ray")(plan(grid), work, Told(), place)
except UserError as error:
    print(json.dumps(["wrong", str(error)]))
"""


@pytest.fixture
def moody(grid_file, tmp_path):
    """Writes a grid of the baseline and of methods with these faults."""

    def write(*faults, **changes):
        (tmp_path / "moody.py").write_text(MOODY)
        return grid_file(methods=["baseline", *(f"moody:{fault}" for fault in faults)], **changes)

    return write


def told(path, results, limit, *log, **environment):
    """What the watch of a run under Ray is told."""
    found = os.pathsep.join([str(ROOT), str(path.parent), os.environ.get("PYTHONPATH", "")])
    out = subprocess.run(
        [sys.executable, "-c", TELL, str(path), str(results), str(limit), *log],
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": found, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = [json.loads(line) for line in out.stdout.splitlines() if line.startswith('["')]
    assert lines, out.stderr
    return lines


def attempts(folder):
    """The processes that tried each fault's job, in their order."""
    tried = {}
    for word in (folder / "attempts.txt").read_text().split():
        fault, process = word.split(":")
        tried.setdefault(fault, []).append(process)
    return tried


@pytest.mark.slow
def test_each_fault_of_a_job_is_met_three_times_and_told_and_the_others_go_on(moody, tmp_path):
    faults = ["once", "hang", "hold"]
    lines = told(moody(*faults, replicates=1), tmp_path / "results", limit=5)
    done = {line[1][0] for line in lines if line[0] == "done"}
    failed = {line[1][0]: line[2] for line in lines if line[0] == "failed"}
    assert done == {"baseline", "once"}
    assert failed.keys() == {*faults} - {"once"}
    begun = Counter(line[1][0] for line in lines if line[0] == "begun")
    assert begun == {"baseline": 1, "once": 2} | dict.fromkeys(failed, 3)

    tried = attempts(tmp_path)
    assert {fault: len(pids) for fault, pids in tried.items()} == {"once": 2} | dict.fromkeys(
        failed, 3
    )
    assert all(len(set(pids)) == len(pids) for pids in tried.values()), "each in a fresh process"

    for fault in ("hang", "hold"):
        assert "time limit of 0.083 min" in failed[fault].splitlines()[-1]
        assert "--job-minutes" in failed[fault].splitlines()[-1]
    assert "in hang\n    time.sleep(600)" in failed["hang"], "where it hung"
    assert "Python's lock" in failed["hold"]


@pytest.mark.slow
def test_what_is_wrong_with_every_job_stops_the_run_at_the_first(moody, tmp_path):
    lines = told(moody("wrong", replicates=30), tmp_path / "results", limit=60)
    assert lines[-1] == ["wrong", "moody: found a mistake; needed: none"]
    assert len(attempts(tmp_path)["wrong"]) <= 4, "of thirty jobs, two at a time"


def test_a_store_that_cannot_be_written_stops_the_run_and_it_goes_on_afterwards(
    grid_file, tmp_path
):
    """The writer finds a file where the folder of the logits should be."""
    path = grid_file(predictions=True, methods=["baseline", "thresholding"], replicates=6)
    words = ["--executor", "inprocess"]
    store = Store(tmp_path / "results" / "tiny")
    store.folder.mkdir(parents=True)
    (store.folder / "predictions").write_text("in the way")
    process = start(path, tmp_path / "results", *words)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2, err
    [line] = err.strip().splitlines()
    assert line.startswith(f"{store.folder}/predictions: cannot be written (File exists); ")
    assert "the same command goes on" in line
    assert not list(store.folder.glob("failures/*.txt")), "no job is at fault"
    (store.folder / "predictions").unlink()
    finish(start(path, tmp_path / "results", *words))
    assert len(store.records()) == 12


@dataclass(frozen=True)
class Sleepy(Work):
    """Jobs that sleep for so many seconds, the first of them first."""

    naps: list[float] = field(default_factory=list)

    def do(self, job, means, keeper):
        time.sleep(self.naps.pop(0))
        return Results(job.id, [], {})


class Told:
    """A watch that remembers."""

    def __init__(self):
        self.lines = []

    def begun(self, job):
        self.lines.append(("begun", job.id))

    def done(self, job):
        self.lines.append(("done", job.id))

    def failed(self, job, traceback):
        self.lines.append(("failed", job.id, traceback))

    def note(self, text):
        self.lines.append(("note", text))


def test_in_process_a_job_is_ended_at_its_limit_and_tried_again(tmp_path):
    grid, watch, before = tiny_grid(), Told(), signal.getsignal(signal.SIGALRM)
    work = Sleepy(grid, None, Store(tmp_path), "", [60, 0, 60, 60, 60])
    begin = time.monotonic()
    executor("inprocess")(plan(grid), work, watch, Place(CPU, limit=0.3))
    assert time.monotonic() - begin < 20
    first, second = (job_of(grid, number).id for number in (0, 1))
    notes = [text for kind, text, *_ in watch.lines if kind == "note"]
    assert len(notes) == 1 + 2, "each attempt that is not the last is told of"
    assert all("tried again, after study.execute.watchdog.Overtime: ended at" in n for n in notes)
    *lines, (kind, job, text) = [line for line in watch.lines if line[0] != "note"]
    assert lines == [("begun", first), ("done", first), ("begun", second)]
    assert (kind, job) == ("failed", second)
    assert "time limit of 0.005 min; --job-minutes" in text.splitlines()[-1]
    assert "time.sleep" in text, "where it hung"
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_in_process_beside_the_main_thread_no_job_is_ended(tmp_path):
    grid, watch = tiny_grid(replicates=1), Told()
    work = Sleepy(grid, None, Store(tmp_path), "", [0.5])
    words = plan(grid), work, watch, Place(CPU, limit=0.1)
    thread = threading.Thread(target=executor("inprocess"), args=words)
    thread.start()
    thread.join()
    assert [line[0] for line in watch.lines] == ["begun", "done"]


def test_when_tune_itself_gives_up_the_rest_is_put_to_it_again(monkeypatch):
    from study.execute import trials

    jobs = [job_of(tiny_grid(replicates=4), number) for number in range(4)]
    watch, calls = Told(), []

    def gives_up(left, crew, relay):
        """Does one job a call, the third call on none."""
        calls.append(len(left))
        relay.jobs = left
        if len(calls) < 3:
            trial = SimpleNamespace(config={"job": 0}, last_result={"notes": ("hear",)})
            relay.on_trial_complete(0, [], trial)
        raise RuntimeError("node low on memory")

    monkeypatch.setattr(trials, "fit", gives_up)
    trials.finish(jobs, None, watch)
    assert calls == [4, 3, 2, 2, 2]
    said = "Ray Tune gave up (RuntimeError: node low on memory)"
    assert watch.lines[:9] == [
        *(("note", "hear"), ("done", jobs[0].id), ("note", said)),
        *(("note", "hear"), ("done", jobs[1].id), ("note", said)),
        *[("note", said)] * 3,
    ]
    assert [(kind, job, text.splitlines()[-1]) for kind, job, text in watch.lines[9:]] == [
        ("failed", job.id, "RuntimeError: node low on memory") for job in jobs[2:]
    ]


def test_what_the_watch_raises_stops_the_run(monkeypatch):
    from study.execute import trials

    class Full(Told):
        def done(self, job):
            raise OSError(28, "No space left on device")

    def fit(left, crew, relay):
        relay.jobs = left
        relay.on_trial_complete(0, [], SimpleNamespace(config={"job": 0}, last_result={}))
        relay.on_step_end(0, [])
        raise AssertionError("goes on")

    monkeypatch.setattr(trials, "fit", fit)
    with pytest.raises(OSError, match="No space left"):
        trials.finish([job_of(tiny_grid())], None, Full())


def test_what_tune_stores_with_every_trial_does_not_grow_with_the_jobs(monkeypatch):
    """It pickles the configuration for each trial, and all of them every few seconds."""
    from ray import cloudpickle, tune

    from study.execute import trials

    sizes = []

    class Tuner:
        def __init__(self, trainable, param_space, tune_config, run_config):
            run_config.storage_path = None
            sizes.append(len(cloudpickle.dumps([tune_config, run_config])))

        def fit(self):
            pass

    monkeypatch.setattr(tune, "Tuner", Tuner)
    monkeypatch.setattr(tune, "with_parameters", lambda trainable, **shared: trainable)
    crew = trials.Crew(None, Means("cpu"), None, Needs(1, 0), 2, lambda job: 60.0)
    jobs = gather(plan(tiny_grid(replicates=50)), 1, 1)
    assert len(jobs) == 50
    for some in (jobs[:1], jobs):
        trials.fit(some, crew, trials.Relay(None, crew))
    assert sizes[0] == sizes[1]


def _tensorboard(folder):
    """Tags of the scalars below the store, by the run's name."""
    tags = {}
    for file in folder.glob("tensorboard/*/events*"):
        content, at = file.read_bytes(), 0
        while at < len(content):
            [size] = struct.unpack("<Q", content[at : at + 8])
            event = event_pb2.Event.FromString(content[at + 12 : at + 12 + size])
            tags.setdefault(file.parent.name, set()).update(v.tag for v in event.summary.value)
            at += 16 + size
    return {name: {tag.removeprefix("ray/tune/") for tag in own} for name, own in tags.items()}


def _mlflow(folder):
    import mlflow

    mlflow.set_tracking_uri(f"file://{folder.parent}/mlruns")
    runs = mlflow.search_runs(experiment_names=[folder.name], output_format="list")
    assert {run.info.status for run in runs} == {"FINISHED"}
    return {run.info.run_name: set(run.data.metrics) for run in runs}


def _wandb(folder):
    """Offline, a run's file is named by it; what is in it, only its own program reads."""
    return {file.parent.name: None for file in folder.glob("wandb/**/run-*.wandb")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("log", "package", "read"),
    [
        ("tensorboard", "tensorboardX", _tensorboard),
        ("mlflow", "mlflow", _mlflow),
        ("wandb", "wandb", _wandb),
    ],
)
def test_a_logger_is_told_the_means_of_each_job(
    grid_file, tmp_path, monkeypatch, log, package, read
):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[{log}]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # in the place of a server
    folder = tmp_path / "logged"
    lines = told(
        *(grid_file(methods=["baseline", "thresholding"], replicates=8), folder, 600, log),
        MLFLOW_TRACKING_URI=f"file://{tmp_path}/mlruns",
        WANDB_MODE="offline",
    )
    assert not [line for line in lines if line[0] == "note"], "the logger had no trouble"
    assert [line[0] for line in lines].count("done") == 8
    logged = read(folder)
    assert len(logged) == 8
    for tags in logged.values():
        wanted = {f"{m}/{row}" for m in ("auc", "accuracy") for row in ("baseline", "thresholding")}
        assert tags is None or wanted | {"seconds"} <= tags


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tensorbord"], "choose from"),
        (["tensorboard", "--log", "mlflow"], "pip install 'imbalance-study[mlflow]'"),
        (["wandb"], "pip install 'imbalance-study[wandb]'"),
        (["mlflow", "--executor", "inprocess"], "needed: --executor ray"),
        (["mlflow", "--address", "ray://h:1"], "by ray job submit"),
        (["wandb", "--results", "s3://b/p"], "needed: --results on a disk"),
    ],
)
def test_a_logger_that_cannot_be_told_is_refused_before_anything_is_written(
    words, said, grid_file, tmp_path, monkeypatch, capsys
):
    from study.execute import loggers
    from study.run import main

    assert loggers.MAKERS.keys() == LOGGERS.keys()
    monkeypatch.setitem(LOGGERS, "mlflow", "no_such_package")
    monkeypatch.setitem(LOGGERS, "wandb", "merely_a_folder")
    (tmp_path / "merely_a_folder").mkdir()  # as wandb leaves where it was used
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("study.store.Store.compare", lambda store, grid: None)  # asks the bucket
    try:
        code = main([str(grid_file()), "--results", str(tmp_path / "r"), "--log", *words])
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert f"--log {words[-1] if words[-1] == 'mlflow' else words[0]}" in err or words[:1] == [
        "tensorbord"
    ]
    assert said in err
    assert not (tmp_path / "r").exists()


def test_a_logger_in_trouble_says_so_once_and_stops_nothing():
    from study.execute.loggers import Gentle

    class Broken:
        def on_trial_start(self, trial):
            raise ConnectionError("no server")

    said = []
    logger = Gentle("mlflow", Broken, said.append)
    logger.on_trial_start(trial=None)
    logger.on_trial_start(trial=None)
    logger.on_trial_complete(trial=None)
    assert said == ["--log mlflow: no longer told (ConnectionError: no server)"]
    Gentle("wandb", lambda: 1 / 0, said.append).on_trial_start(trial=None)
    assert said[1:] == ["--log wandb: no longer told (ZeroDivisionError: division by zero)"]


def test_the_means_of_a_job_leave_out_what_diverged():
    from study.execute.loggers import means

    def row(training, method, auc, to=1.0):
        shown = {"auc": auc, "accuracy": auc and auc / 2, "seconds": 3.0}
        return {"training_id": training, "method": method, "to": to, **shown}

    rows = [row("a", "over", 0.8), row("b", "over", 0.6), row("b", "prior", None)]
    rows.append(row("c", "over", 0.5, to=10.0))
    assert means(Results("job", rows, {})) == pytest.approx(
        {
            "auc/over": 0.7,
            "accuracy/over": 0.35,
            "auc/over_to_10": 0.5,
            "accuracy/over_to_10": 0.25,
            "seconds": 9.0,
        }
    )


SMALL, LARGE = Machine("s", {"CPU": 4.0}), Machine("l", {"CPU": 16.0})
CARDS, MORE = Machine("c", {"CPU": 8.0, "GPU": 2.0}), Machine("m", {"CPU": 8.0, "GPU": 2.0})
HEAD = Machine("h", {"memory": 1e9})


@pytest.mark.parametrize(
    ("device", "asked", "machines", "reads", "jobs", "expected"),
    [
        ("cpu", None, [HEAD, SMALL, LARGE], False, 20, Needs(1, 0)),
        ("cpu", 2, [SMALL, LARGE], False, 2, Needs(1, 0)),
        ("cpu", None, [HEAD, SMALL, LARGE, CARDS], True, 20, Needs(1, 0, avoids=("c",))),
        ("cpu", None, [CARDS, MORE, SMALL], False, 4, Needs(1, 0, avoids=("c", "m"))),
        ("cpu", None, [HEAD, CARDS], False, 8, Needs(1, 0)),  # there are no others
        ("cpu", 5, [SMALL, LARGE], True, 5, Needs(4, 0)),
        ("cuda", None, [SMALL, LARGE, CARDS], False, 2, Needs(1, 1)),
        ("cuda", None, [LARGE, CARDS], True, 2, Needs(4, 1)),
        ("cuda", 4, [CARDS], False, 4, Needs(1, 0.5)),
        ("cuda", 3, [CARDS], True, 3, Needs(2, 0.5)),
        ("cuda", 1, [CARDS, MORE], False, 1, Needs(1, 1)),
        ("cuda", None, [SMALL], False, 1, Needs(1, 1)),  # nodes with cards are yet to come
        ("cpu", None, [], True, 1, Needs(1, 0)),
    ],
)
def test_a_job_asks_for_what_it_needs(device, asked, machines, reads, jobs, expected):
    place = Place(Means(device), asked, address="auto")
    assert workers(place, machines) == jobs
    assert needs(place, machines, reads) == expected


def test_what_a_job_asks_for_in_rays_words():
    asks = Needs(2, 0.5, 10**9, ("c", "m"))
    assert asks.bundle() == {"CPU": 2, "GPU": 0.5, "memory": 1e9}
    assert asks.labels() == {"ray.io/node-id": "!in(c, m)"}
    assert Needs(1, 0).bundle() == {"CPU": 1}
    assert Needs(1, 0).labels() == {}


def test_more_loaders_than_any_node_has_cores_are_refused():
    place = Place(Means("cpu", loaders=17), address="auto")
    with pytest.raises(UserError, match=r"--loaders 17: .*allowed: 1 to 16"):
        needs(place, [SMALL, LARGE], reads=True)
    assert needs(place, [SMALL, LARGE], reads=False) == Needs(1, 0)
    here = Place(Means("cpu", loaders=17), workers=1)
    assert needs(here, [SMALL], reads=True) == Needs(1, 0), "here a core is a worker"


def test_a_node_without_the_images_is_named_with_their_folder(tmp_path):
    from study.execute.trials import look

    images = Pictures(tmp_path / "away", np.array(["a.png"]), View(8, 8, 3, False))
    split = Split(images, np.zeros(1, int))
    dataset = SimpleNamespace(all_three=(split,))
    with pytest.raises(UserError, match=r"/away: no such folder on node \d.*--data"):
        look(SimpleNamespace(dataset=dataset))
    (tmp_path / "away").mkdir()
    look(SimpleNamespace(dataset=dataset))
