"""Faults, with real processes: after each the same command, and the store of an undisturbed run.

Its records are equal one for one and bit for bit, and each stands in one part alone. With
STUDY_FAULTS=FILE a line a fault is appended, its tries and the records lost and doubled: the table
of docs/faults.md.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from study import job
from study.parts import find_parts
from study.run import main
from study.schema import SCHEMA, VOLATILE
from study.store import Store
from tests.conftest import ROOT, raw_grid

CASES = 10
INPROCESS = ["--executor", "inprocess"]
RAY = ["--workers", "2"]

MISHAP = '''
"""A loss that weighs every class alike, unless it is told to fail."""
import os, signal, time
from pathlib import Path
from study.methods import Method

row = Method("mishap", "Mishap", loss="mishap:weigh")
here = Path(__file__).parent

def raises():
    raise RuntimeError("a mishap")

def runs_out():
    raise MemoryError("no more")

def hangs():
    time.sleep(3600)

def waits():
    time.sleep(60)

def dies():  # as at the hands of the kernel, when memory is short
    os.kill(os.getpid(), signal.SIGKILL)

def weigh(counts):
    if not list(here.glob("results/tiny/drivers/*.json")):
        return  # the grid is being checked
    for file in here.glob("tell-*"):
        what, times = file.name.split("-")[1:]
        for number in range(int(times)):
            try:
                done = (here / f"done-{number}").open("x")
            except FileExistsError:
                continue
            with done:
                done.write(f"{os.getpid()}\\n")
            globals()[what]()
'''


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The grid, its own loss beside it, and the records of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "mishap.py").write_text(MISHAP)
    methods = ["baseline", "oversampling", "two_phase_undersampling", "thresholding", "mishap:row"]
    raw = raw_grid(
        methods=methods,
        replicates=CASES // 2,
        imbalance={"rho": [5, 10]},
        recipe={"iterations": 60},
    )
    (folder / "tiny.yaml").write_text(yaml.safe_dump(raw))
    finish(start(folder, folder / "results", *INPROCESS))
    return folder, stable(folder / "results")


@pytest.fixture
def place(whole, tmp_path):
    """A copy of the grid and its loss, with no records yet."""
    shutil.copy(whole[0] / "mishap.py", tmp_path)
    shutil.copy(whole[0] / "tiny.yaml", tmp_path)
    return tmp_path


def start(place, results, *words):
    command = [sys.executable, "-m", "study.run", str(place / "tiny.yaml"), "--results"]
    return subprocess.Popen(
        [*command, str(results), *words],
        cwd=place,
        env=dict(os.environ, PYTHONPATH=f"{ROOT}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, code=0):
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, (out, err)
    assert "Traceback" not in err
    return out + err


def stable(results):
    table = Store(results / "tiny").read()
    return table.drop_columns(list(VOLATILE)).to_pylist()


def settled(fault, place, whole, tries=1, words=INPROCESS):
    """Run the same command to its end, and hold the store against the undisturbed one."""
    results = place / "results"
    finish(start(place, results, *words))
    store = Store(results / "tiny")
    ids = [
        id
        for part in find_parts(store.folder)
        for id in pq.read_table(part, columns=["record_id"])["record_id"].to_pylist()
    ]
    expected = {record["record_id"] for record in whole[1]}
    lost, doubled = len(expected - set(ids)), len(ids) - len(set(ids))
    if file := os.environ.get("STUDY_FAULTS"):
        with Path(file).open("a") as out:
            out.write(json.dumps([fault, tries, len(expected), lost, doubled]) + "\n")
    assert (lost, doubled) == (0, 0)
    assert stable(results) == whole[1]
    assert not (store.folder / "drivers").exists()
    assert not (store.folder / "failures").exists()
    assert not list(store.folder.rglob(".*.part"))


def tell(place, what, times):
    (place / f"tell-{what}-{times}").touch()


def untell(place):
    for file in [*place.glob("tell-*"), *place.glob("done-*")]:
        file.unlink()


def stored(place):
    return len(list((place / "results" / "tiny" / "records").glob("*.parquet")))


# ---- the driver is killed


def killed(place, moments, *words):
    """The command killed at each of the moments, in seconds from its start."""
    for moment in moments:
        process = start(place, place / "results", *words)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moment)
        process.kill()
        process.communicate(timeout=60)


def test_a_driver_killed_half_way(place, whole):
    process = start(place, place / "results", *INPROCESS)
    while not stored(place):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    assert 0 < stored(place) < CASES
    settled("driver killed half-way, in process", place, whole)


@pytest.mark.slow
@pytest.mark.parametrize("words", [INPROCESS, RAY], ids=["in process", "ray"])
def test_a_driver_killed_at_ten_random_moments(place, whole, words):
    begin = time.monotonic()
    finish(start(place, place / "undisturbed", *words))
    length = time.monotonic() - begin
    killed(place, [random.uniform(0.2, 1) * length for _ in range(10)], *words)
    name = "in process" if words == INPROCESS else "Ray"
    settled(f"driver killed at a random moment, {name}", place, whole, 10, words)


# ---- a worker, or a job

WHAT = {
    "raises": "raises",
    "runs_out": "runs out of memory",
    "dies": "has its worker killed",
    "hangs": "hangs",
}


def test_a_job_that_raises_once(place, whole):
    tell(place, "raises", 1)
    settled("job raises once, in process", place, whole)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["raises", "runs_out", "dies", "hangs"])
def test_a_job_that_fails_once_under_ray(place, whole, what):
    tell(place, what, 1)
    limit = ["--job-minutes", "0.2"] if what == "hangs" else []
    settled(f"job {WHAT[what]} once, Ray", place, whole, words=[*RAY, *limit])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raises", "RuntimeError: a mishap"),
        ("runs_out", "MemoryError: no more"),
        ("dies", "worker process died"),
        ("hangs", "time limit of 0.2 min"),
    ],
)
def test_a_job_that_always_fails_stops_no_other(place, whole, what, said):
    """Every try of the first jobs that come: three of each. The others are done."""
    tell(place, what, 6)
    limit = ["--job-minutes", "0.2"] if what == "hangs" else []
    told = finish(start(place, place / "results", *RAY, *limit), code=1)
    assert "cases are not done; the same command retries" in told
    again = [line for line in told.splitlines() if "tried again, after" in line]
    assert again
    assert all(said in line for line in again)
    failures = list((place / "results" / "tiny" / "failures").glob("*.txt"))
    assert failures
    assert all(said in failure.read_text() for failure in failures)
    assert stored(place) + len(failures) == CASES
    untell(place)
    settled(f"job {WHAT[what]} always, Ray", place, whole, 3, RAY)


@pytest.mark.slow
def test_a_job_that_hangs_in_process(place, whole):
    tell(place, "hangs", 1)
    settled("job hangs once, in process", place, whole, words=[*INPROCESS, "--job-minutes", "0.1"])


@pytest.mark.slow
def test_a_worker_killed_from_outside(place, whole):
    """As by hand, or by a scheduler that is short of memory."""
    tries = 2
    tell(place, "waits", tries)
    process = start(place, place / "results", *RAY)
    for number in range(tries):
        told = place / f"done-{number}"
        while not (told.exists() and told.read_text().endswith("\n")):
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(int(told.read_text()), signal.SIGKILL)
    finish(process)
    settled("worker killed from outside, Ray", place, whole, tries, RAY)


def process_of(mark, title):
    """The number of a process of the run started with that mark; None where there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            said = (folder / "cmdline").read_bytes().decode(errors="replace")
            if title in said and mark in (folder / "environ").read_bytes().decode(errors="replace"):
                return int(folder.name)
    return None


@pytest.mark.slow
def test_a_writer_killed_from_outside(place, whole, monkeypatch):
    """The one process that touches the store under Ray; another takes its place."""
    mark = f"STUDY_MARK={place.name}-{os.getpid()}"
    monkeypatch.setenv(*mark.split("="))
    process = start(place, place / "results", *RAY)
    while not stored(place):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process_of(mark, "ray::Writer"), signal.SIGKILL)
    assert stored(place) < CASES
    finish(process)
    assert stored(place) == CASES
    settled("writer killed from outside, Ray", place, whole, words=RAY)


# ---- the disk


@contextmanager
def small_disk(place, size):
    """A file system of that size in the place of the results."""
    disk = place / "results"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def moved(disk, place):
    """What was on the small disk, now on a larger one."""
    shutil.copytree(disk, place / "kept")


@pytest.mark.slow
@pytest.mark.parametrize("words", [INPROCESS, RAY], ids=["in process", "ray"])
def test_a_disk_that_fills_up(place, whole, words):
    with small_disk(place, "160k") as disk:
        told = finish(start(place, disk, *words), code=2)
        assert "No space left on device" in told
        assert "the same command goes on" in told
        assert 0 < stored(place) < CASES
        moved(disk, place)
    (place / "results").rmdir()
    (place / "kept").rename(place / "results")
    name = "in process" if words == INPROCESS else "Ray"
    settled(f"disk full while writing, {name}", place, whole, words=words)


@pytest.mark.slow
def test_a_disk_that_turns_read_only(place, whole):
    with small_disk(place, "4m") as disk:
        process = start(place, disk, *RAY)
        while not stored(place):
            assert process.poll() is None
            time.sleep(0.02)
        words = ["mount", "-o", "remount,ro", str(disk)]
        while subprocess.run(
            words, capture_output=True
        ).returncode:  # while a file is being written
            time.sleep(0.01)
        told = finish(process, code=2)
        assert "Read-only file system" in told
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        moved(disk, place)
    (place / "results").rmdir()
    (place / "kept").rename(place / "results")
    settled("directory turns read-only, Ray", place, whole, words=RAY)


# ---- a part


def truncated(part):
    part.write_bytes(part.read_bytes()[:-1000])


def garbage(part):
    part.write_bytes(random.randbytes(4000))


def empty(part):
    part.write_bytes(b"")


def flipped(part):
    """One bit of a page, far from the column that a resume reads."""
    column = SCHEMA.get_field_index("class_counts")
    pages = pq.ParquetFile(part).metadata.row_group(0).column(column)
    content = bytearray(part.read_bytes())
    content[pages.dictionary_page_offset + pages.total_compressed_size - 1] ^= 1
    part.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [truncated, garbage, empty])
def test_a_part_that_is_damaged(place, whole, harm):
    finish(start(place, place / "results", *INPROCESS))
    part = find_parts(place / "results")[3]
    harm(part)
    content = part.read_bytes()
    settled(f"part {harm.__name__}", place, whole)
    (aside,) = (place / "results" / "tiny" / "damaged").iterdir()
    assert aside.read_bytes() == content, "what was there is kept"


def test_a_part_with_one_bit_flipped(place, whole):
    """It is found when every column is read, at the end, and then by the next run."""
    finish(start(place, place / "results", *INPROCESS))
    flipped(find_parts(place / "results")[3])
    told = finish(start(place, place / "results", *INPROCESS), code=1)
    assert "moved to" in told
    settled("part with a bit flipped", place, whole)


@pytest.mark.slow
def test_a_part_of_another_schema(place, whole):
    """It may be of a later version of this program: it is named, and left."""
    results = place / "results"
    finish(start(place, results, *INPROCESS))
    part = find_parts(results)[3]
    content = part.read_bytes()
    table = pq.read_table(part)
    pq.write_table(table.replace_schema_metadata({"schema_version": "99"}), part)
    told = finish(start(place, results, *INPROCESS), code=2)
    assert f"{part}: schema version 99, this program reads 1, 2, 3" in told
    part.write_bytes(content)
    settled("part of another schema", place, whole)


# ---- who drives, and the clock


def test_two_drivers_at_once(place, whole):
    first = start(place, place / "results", *INPROCESS)
    while not list((place / "results").glob("tiny/drivers/*.json")):
        assert first.poll() is None
        time.sleep(0.01)
    told = finish(start(place, place / "results", *INPROCESS), code=2)
    assert f"in use by study.run on {os.uname().nodename}, process {first.pid}" in told
    finish(first)
    settled("two drivers on one store", place, whole)


@pytest.mark.slow
def test_a_clock_that_is_set_back(place, whole, monkeypatch):
    """By a year, with half of the cases done, and forward again."""
    words = [str(place / "tiny.yaml"), *INPROCESS, "--results", str(place / "results")]
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))

    def at(days):
        class Shifted(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(days=days)

        monkeypatch.setattr(job, "datetime", Shifted)
        monkeypatch.setattr(time, "time", lambda: datetime.now(UTC).timestamp() + 86400 * days)

    at(365)
    assert main([*words, "--limit", "4"]) == 0
    at(-365)
    assert main([*words, "--limit", "8"]) == 0
    monkeypatch.undo()
    years = (
        Store(place / "results" / "tiny")
        .read(["record_id", "finished_at"])["finished_at"]
        .to_pylist()
    )
    assert len({year.year for year in years}) == 2
    settled("clock set back by two years", place, whole)


@pytest.mark.slow
@pytest.mark.parametrize("words", [INPROCESS, RAY], ids=["in process", "ray"])
def test_a_scheduler_that_stops_the_job(place, whole, words):
    """SIGTERM to every process of the job, and half a minute later SIGKILL, which finds nobody."""
    process = start(place, place / "results", *words)
    while not stored(place):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)
    begin = time.monotonic()
    told = finish(process, code=130)
    assert time.monotonic() - begin < 30
    assert "the same command goes on from there" in told
    name = "in process" if words == INPROCESS else "Ray"
    settled(f"SIGTERM to all processes, {name}", place, whole, words=words)
