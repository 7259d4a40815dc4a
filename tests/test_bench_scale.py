"""The study of jobs that only sleep: what they leave, what is measured, what is said of it."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pytest

from analysis.records import load
from analysis.stores import check_protocol
from bench import kept, napping, scale
from bench.diary import pace, tenths
from bench.kept import Kept, Times, chill, fill
from bench.machine import describe
from bench.naps import drawn
from bench.scale import Found, Ran, show, write_grid
from bench.table import terminal
from study.errors import UserError
from study.gridfile import read_grid
from study.job import run_job
from study.parts import find_parts
from study.plan import Job, plan
from study.schema import SCHEMA
from study.store import Store
from tests.conftest import CPU, ROOT, tiny_grid


@pytest.fixture
def grid_of(tmp_path):
    return lambda jobs: read_grid(write_grid(tmp_path / "scale.yaml", jobs)).grid


@pytest.mark.parametrize("jobs", [1, 80, 81, 100, 22_500])
def test_a_grid_has_as_many_cases_as_jobs_are_asked_for(grid_of, jobs):
    cases = list(grid_of(jobs).cases())
    cells = {(case.cell.rho, case.cell.mu) for case in cases}
    assert len({case.id for case in cases}) == len(cases) == jobs
    assert len(cells) == min(jobs, 81)
    each = [sum((case.cell.rho, case.cell.mu) == cell for case in cases) for cell in cells]
    assert max(each) - min(each) <= 1


def test_what_a_nap_leaves_looks_like_what_work_leaves():
    """The same columns are filled in, with lists as long, as by a job that trains."""
    grid = tiny_grid(methods="all", replicates=1)
    job = Job(tuple(plan(grid)))
    real = run_job(job, grid, grid.dataset.dataset(None, grid.seed, None), CPU, "").records
    made = drawn(job, grid)
    assert made.job == job.id
    assert [row["record_id"] for row in made.records] == [row["record_id"] for row in real]
    for left, right in zip(made.records, real, strict=True):
        for name in SCHEMA.names:
            one, other = left[name], right.get(name)
            assert (one is None) == (other is None), name
            if isinstance(one, list):
                assert len(one) == len(other), name
        same = ("case_id", "training_id", "method", "sampling", "second_phase", "to", "minority")
        assert [left[name] for name in same] == [right[name] for name in same]
    pa.Table.from_pylist(made.records, schema=SCHEMA).validate(full=True)


def test_parts_are_those_that_jobs_would_leave(grid_of, tmp_path):
    grid = grid_of(90)
    dues = plan(grid)
    store = Store(tmp_path / "store")
    fill(store, grid, dues[:85])
    names = {part.stem for part in find_parts(store.folder)}
    assert names == {Job((due,)).id for due in dues[:85]}
    assert store.records() == {row.id for due in dues[:85] for row in due.rows}
    data = load(store.folder)
    check_protocol("scale", data)
    assert len(data) == 8 * 85
    assert data["auc"].nunique() == 680
    before = data.drop(columns="finished_at")
    chill(store.folder)
    assert load(store.folder).drop(columns="finished_at").equals(before)


def test_the_command_itself_is_run_and_a_diary_kept(grid_of, tmp_path):
    dues = plan(grid_of(5))
    words = [f"{tmp_path / 'scale.yaml'}", "--results", f"{tmp_path}", "--executor", "inprocess"]
    assert napping.main([f"{tmp_path}", "0.05", *words]) == 0
    store = Store(tmp_path / "scale")
    assert store.records() == {row.id for due in dues for row in due.rows}
    times, megabytes = json.loads((tmp_path / napping.DIARY).read_text())
    assert len(times) == len(megabytes) == 5
    assert min(b - a for a, b in pairwise(times)) > 0.05
    assert min(megabytes) > 50
    subtracted, first = (
        float((tmp_path / name).read_text()) for name in (napping.SUBTRACTED, napping.FIRST)
    )
    assert subtracted < first < (tmp_path / napping.DIARY).stat().st_mtime


def test_a_diary_is_summed_up_without_its_first_jobs():
    times = [0.0, 5.0, 6.0, 6.5, 8.0]
    assert pace(times, skip=2) == pytest.approx(1000)
    held = [900.0, *range(100, 200)]
    assert tenths(held, skip=2) == [100 + round(i * 9.9) for i in range(11)]


def test_a_diary_tells_of_memory_that_is_taken():
    """In a process of its own: the peak of one that has done other things may lie higher."""
    words = [sys.executable, "-c", TAKES]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    more, later = map(float, told.split())
    assert 150 < more < 400
    assert later > 0


TAKES = """
from bench.diary import Diary
diary = Diary()
diary.mark()
filler = b"x" * 200_000_000
diary.mark()
print(diary.megabytes[1] - diary.megabytes[0], diary.times[1] - diary.times[0])
"""


def found_with(**others):
    cold, warm = Times(30, 11, 19.5, 50), Times(20, 8, 12.5, 40)
    store = Kept(20_001, 500_000_000, 560_000_000, cold, warm)
    fields = {
        "date": "2026-01-01",
        "jobs": 22_500,
        "done": 20_000,
        "sleep": 0.0,
        "workers": 2,
        "machine": describe("cpu"),
        "plan": 9.5,
        "loose": store,
        "compacting": 60.0,
        "folded": replace(store, files=2, bytes=60_000_000),
        "ran": Ran(800, 20, 30, 31.4, 7100, [500.0 + 11 * tenth for tenth in range(11)]),
        "busy": 0.1,
    }
    return Found(**fields | others)


def test_the_figures_are_shown(capsys):
    show(terminal(), found_with())
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    words = " ".join(said.split())
    assert "--plan of 22,500 jobs, nothing done: 9.5 s" in words
    assert "a part a job, cold 20,001 500.0 560.0 30.0 s 11.0 s 19.5 s 50.0 s" in words
    assert "as a run leaves them, warm 2 60.0 560.0 20.0 s 8.0 s 12.5 s 40.0 s" in words
    assert "31.4 ms each beside it (asked: under 40), 7.1 s at most; 800 s in all" in words
    assert "MB: 500, 511," in words
    assert "DISTURBED" not in words
    show(terminal(), found_with(busy=1.5))
    assert "DISTURBED: other programs kept up to 1.5 cores busy." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "5", "--done", "5"], "--done 5: needed: fewer than --jobs 5"),
        (["--jobs", "1"], "--done 1: needed: fewer than --jobs 1"),
        (["--out", "."], "--out .: cannot be written"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, message, capsys):
    assert scale.main(words) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("words", [["--jobs", "0"], ["--sleep", "-1"], ["--sleep", "inf"]])
def test_a_wrong_option_is_refused(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        scale.main(words)
    assert stopped.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_a_command_that_fails_is_told_of_in_its_last_words(tmp_path):
    with pytest.raises(UserError, match=r"^python -c .*: ended with 3: no luck$"):
        kept.said("-c", "import sys; sys.stderr.write('one\\nno luck\\n'); sys.exit(3)")
    with pytest.raises(UserError, match=r"^study.run: no job was begun: .*none.yaml: no such file"):
        kept.resumed([f"{tmp_path / 'none.yaml'}"])


@pytest.mark.slow
def test_every_measurement_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kept, "FOLD", 8)
    out = tmp_path / "scale.json"
    words = ["--jobs", "30", "--done", "20", "--sleep", "0.01", "--out", str(out)]
    assert scale.main(words) == 0
    found = json.loads(out.read_text())
    loose, folded = found["loose"], found["folded"]
    assert (loose["files"], folded["files"]) == (21, 7), "the grid, two of eight parts, and four"
    assert folded["bytes"] < loose["bytes"] / 2
    for store in (loose, folded):
        for times in (store["cold"], store["warm"]):
            assert 0 < times["subtracted"] < times["begun"]
            assert times["plan"] > 0
            assert times["load"] > 0
    ran = found["ran"]
    assert len(ran["megabytes"]) == 11
    assert ran["starting"] + ran["closing"] < ran["seconds"]
    assert ran["longest"] >= ran["milliseconds"]
    assert 30 * (ran["milliseconds"] + 5) / 1000 < ran["seconds"]
    assert "all of it" in capsys.readouterr().out
