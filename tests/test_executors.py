"""Ray and in-process, one worker and two, killed and whole: the same records, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from study.parts import find_parts
from study.schema import VOLATILE
from study.store import Store
from tests.conftest import CPU, ROOT, job_of, tiny_grid

CHANGES = {"replicates": 2, "imbalance": {"rho": [5, 10]}, "methods": "all"}
CASES, RECORDS = 4, 4 * 8


def start(path, results, *words):
    command = [sys.executable, "-m", "study.run", str(path), "--results", str(results), *words]
    return subprocess.Popen(
        command,
        cwd=ROOT,
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


def workers(results):
    return set(Store(results / "tiny").read(["record_id", "worker"])["worker"].to_pylist())


@pytest.fixture
def grid(grid_file):
    return grid_file(**CHANGES)


@pytest.fixture
def expected(grid, tmp_path):
    """The records of the in-process executor, with each case in a process of its own."""
    for number in range(1, CASES + 1):
        finish(start(grid, tmp_path / "fresh", "--executor", "inprocess", "--limit", str(number)))
    assert len(workers(tmp_path / "fresh")) == CASES
    records = stable(tmp_path / "fresh")
    assert len(records) == RECORDS
    return records


def test_every_way_of_running_gives_the_same_records(grid, expected, tmp_path):
    finish(start(grid, tmp_path / "one", "--workers", "1"))
    assert len(workers(tmp_path / "one")) == 1, "one process for all jobs: it was reused"
    assert stable(tmp_path / "one") == expected, "a reused worker gives the same as a fresh one"

    out = finish(start(grid, tmp_path / "two", "--workers", "2"))
    assert f"{CASES} of {CASES} cases, 0 failed" in out
    assert stable(tmp_path / "two") == expected, "two workers give the same as one"

    finish(start(grid, tmp_path / "inside", "--executor", "inprocess"))
    assert stable(tmp_path / "inside") == expected, "so does one process without Ray"


@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGKILL,
        *(pytest.param(later, marks=pytest.mark.slow) for later in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_a_run_stopped_half_way_and_resumed_gives_the_same_records(grid_file, tmp_path, signum):
    grid = grid_file(**CHANGES | {"replicates": 5}, recipe={"iterations": 60})
    finish(start(grid, tmp_path / "whole", "--executor", "inprocess"))
    process = start(grid, tmp_path / "cut", "--workers", "2")
    store = Store(tmp_path / "cut" / "tiny")
    while not list(store.folder.glob("records/*.parquet")) and process.poll() is None:
        time.sleep(0.02)
    # Ctrl-C reaches every process of the terminal; a kill only the driver
    (os.killpg if signum == signal.SIGINT else os.kill)(process.pid, signum)
    _, err = process.communicate(timeout=60)
    if signum != signal.SIGKILL:
        assert process.returncode == 130
        assert "the same command goes on from there" in err
        assert "Traceback" not in err
    stored = len(store.records())
    assert 8 <= stored < 10 * 8
    finish(start(grid, tmp_path / "cut", "--workers", "2"))
    assert stable(tmp_path / "cut") == stable(tmp_path / "whole")
    parts = [pq.read_table(path, columns=["record_id"]) for path in find_parts(store.folder)]
    assert sum(map(len, parts)) == len(store.records()) == 10 * 8, "no record was stored twice"


def test_jobs_that_raise_in_a_worker_are_tried_again_and_reported(grid_file, tmp_path):
    """The writer finds a file where the folder of the logits should be."""
    path = grid_file(predictions=True, methods=["baseline", "thresholding"])
    store = Store(tmp_path / "results" / "tiny")
    store.folder.mkdir(parents=True)
    (store.folder / "predictions").write_text("in the way")
    process = start(path, tmp_path / "results", "--workers", "1")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "2 of 2 cases are not done" in out
    assert len(store.records()) == 0, "a failure is never stored as a result"
    failures = list(store.folder.glob("failures/*.txt"))
    assert len(failures) == 2
    for failure in failures:
        assert "FileExistsError" in failure.read_text()
        assert "predictions" in failure.read_text()
    (store.folder / "predictions").unlink()
    finish(start(path, tmp_path / "results", "--workers", "1"))
    assert len(store.records()) == 4
    assert not list(store.folder.glob("failures/*.txt"))


def test_when_tune_itself_gives_up_the_rest_is_put_to_it_again(monkeypatch):
    from study.execute import Place, ray

    jobs = [job_of(tiny_grid(replicates=4), number) for number in range(4)]
    told, heard, calls = [], [], []

    class Told:
        def done(self, job):
            told.append(("done", job.id))

        def note(self, text):
            heard.append(text)

        def failed(self, job, traceback):
            told.append(("failed", job.id, traceback.splitlines()[-1]))

    def gives_up(left, work, place, writer, relay):
        """Does one job a call, the third call on none."""
        calls.append(len(left))
        relay.jobs = left
        if len(calls) < 3:
            trial = SimpleNamespace(config={"job": 0}, last_result={"notes": ("hear",)})
            relay.on_trial_complete(0, [], trial)
        raise RuntimeError("node low on memory")

    monkeypatch.setattr(ray, "_fit", gives_up)
    ray._finish(jobs, None, Told(), Place(CPU), None)
    assert calls == [4, 3, 2, 2]
    assert heard == ["hear", "hear"]
    assert told[:2] == [("done", jobs[0].id), ("done", jobs[1].id)]
    assert told[2:] == [("failed", job.id, "RuntimeError: node low on memory") for job in jobs[2:]]
