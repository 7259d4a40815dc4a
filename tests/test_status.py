"""How a sweep stands: counted by a brute-force loop, while others write, and in one line if not."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from study import driver
from study.driver import Card, Driver
from study.parts import find_parts
from study.plan import plan
from study.run import main as run
from study.standing import Looker, Standing
from study.status import View, main, watch
from study.store import Store
from tests.conftest import ROOT, tiny_grid, without_privileges

INPROCESS = ["--executor", "inprocess"]
CHANGES = {"replicates": 3, "imbalance": {"rho": [5, 10]}, "methods": ["baseline", "thresholding"]}


@pytest.fixture
def half(grid_file, tmp_path):
    """A store with four of six cases."""
    words = ["--results", str(tmp_path / "results"), "--limit", "4"]
    assert run([str(grid_file(**CHANGES)), *INPROCESS, *words]) == 0
    return Store(tmp_path / "results" / "tiny")


def told(capsys, *words):
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def states(standing):
    return {cell: dict(+counted) for cell, counted in standing.cells.items()}


def test_done_and_missing_are_counted_by_cell(half, capsys):
    standing = Looker(half.folder).look()
    assert states(standing) == {
        "step rho 5 mu 0.5": {"done": 3},
        "step rho 10 mu 0.5": {"done": 1, "missing": 2},
    }
    assert (standing.records, standing.planned) == (8, 12)
    out = told(capsys, half.folder)
    assert "8 of 12 records" in out
    assert out.splitlines()[-1].split() == ["in", "all", "6", "4", "0", "0", "2"]
    (fields,) = json.loads(told(capsys, half.folder, "--json"))
    assert (fields["cases"], fields["done"], fields["missing"]) == (6, 4, 2)
    assert (fields["driver"], fields["cases_per_hour"], fields["seconds_left"]) == (
        None,
        None,
        None,
    )


def test_a_case_is_done_with_its_last_record(half):
    """Against a loop over every id there is."""
    part = find_parts(half.folder)[0]
    grid = tiny_grid(**CHANGES, predictions=True)
    half.open(grid)
    standing = Looker(half.folder).look()
    assert standing.total["done"] == 0, "none has its predictions"
    half.open(tiny_grid(**CHANGES))
    part.unlink()
    stored = half.records()
    full = sum(all(row.id in stored for row in due.rows) for due in plan(tiny_grid(**CHANGES)))
    standing = Looker(half.folder).look()
    assert (full, standing.total["done"], standing.records) == (3, 3, 6)


def test_running_and_failed_cases_and_the_last_errors(half, capsys):
    cases = [due.case.id for due in plan(tiny_grid(**CHANGES))]
    half.fail(cases[4], "Traceback\n  deep\nValueError: the first of two\n")
    time.sleep(0.02)
    half.fail(cases[5], "Traceback\nOSError: the second\n")
    with Driver(half, print, "study.run") as held:
        held.tell(cases=6, done=1, failed=1, running=[cases[5], cases[0]])
        held._start -= 3600
        held._write()
        assert Looker(half.folder).look().rate is None, "too early to tell: as many are running"
        held.tell(cases=6, done=2, failed=1, running=[cases[5], cases[0]])
        held._write()
        standing = Looker(half.folder).look()
        out = told(capsys, half.folder)
        (fields,) = json.loads(told(capsys, half.folder, "--json"))
    assert dict(standing.total) == {"done": 4, "running": 1, "failed": 1}, "what is done stays done"
    assert list(standing.errors.values()) == ["OSError: the second", "ValueError: the first of two"]
    assert f"process {os.getpid()}, since " in out
    assert f"failed: {cases[4]}: ValueError: the first of two" in out
    assert fields["driver"]["pid"] == os.getpid()
    assert fields["cases_per_hour"] == 3
    assert fields["seconds_left"] == pytest.approx(3600, rel=0.01)


def test_the_rate_is_of_the_run_under_way():
    card = Card("h", driver.machine(), os.getpid(), driver.birth(os.getpid()), "now", "study.run")
    going = replace(card, seconds=1800.0, cases=100, done=20, failed=5)

    def of(one):
        return Standing(None, tiny_grid(), 0, 0, {}, {}, [], one)

    assert of(going).rate == 50
    assert of(going).left == 75 / 50 * 3600
    assert of(card).rate is None
    assert of(replace(going, done=0, failed=0)).rate is None
    assert of(replace(going, started="1")).rate is None, "its process is gone"
    assert of(None).left is None


def test_a_watch_ends_where_the_card_of_another_machine_stands_still(half, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("study.standing.monotonic", lambda: now[0])
    path = half.folder / "drivers" / "theirs.json"
    path.parent.mkdir()
    card = Card("afar", "another", 77, "5", "then", "study.run", running=("x",))
    looker = Looker(half.folder)
    for time_, beat, gone in ((0, 0, None), (30, 1, None), (64, 1, None), (66, 1, True)):
        now[0] = time_
        path.write_text(json.dumps(asdict(replace(card, beat=beat))))
        assert looker.look().driver.gone is gone


def test_what_failed_once_and_is_done_is_no_error(half):
    """As after a run that was killed between its last record and the end of the failure."""
    done, *_ = [due.case.id for due in plan(tiny_grid(**CHANGES))]
    half.fail(done, "Traceback\nOSError: once\n")
    assert Looker(half.folder).look().errors == {}


def test_a_driver_that_was_killed_is_told_of(half, capsys):
    path = half.folder / "drivers" / "theirs.json"
    path.parent.mkdir()
    gone = Card("here", driver.machine(), 999999, "5", "then", "study.run", running=("x",))
    path.write_text(json.dumps(asdict(gone)))
    out = told(capsys, half.folder)
    assert "study.run on here, process 999999, since then: killed, or its machine lost" in out
    assert Looker(half.folder).look().total["running"] == 0
    assert path.exists(), "it only looks"


def test_a_part_is_read_once_and_may_be_merged_meanwhile(half, monkeypatch):
    looker = Looker(half.folder)
    first = looker.look()
    from study import standing

    def refuse(part, columns):
        raise AssertionError(f"{part} was read before")

    read = standing.read_part
    monkeypatch.setattr(standing, "read_part", refuse)
    assert looker.look() == first
    monkeypatch.setattr(standing, "read_part", read)
    half.compact()
    assert looker.look() == first


def test_parts_merged_while_it_looks_are_listed_again(half, monkeypatch):
    from study import standing

    first, read = Looker(half.folder).look(), standing.read_part

    def late(part, columns):
        half.compact()
        return read(part, columns)

    monkeypatch.setattr(standing, "read_part", late)
    assert Looker(half.folder).look() == first


def test_a_damaged_part_is_told_of_and_left(half, capsys):
    part = find_parts(half.folder)[0]
    part.write_bytes(b"garbage")
    out = told(capsys, half.folder)
    assert f"damaged: {part}: not a readable part of records" in out
    assert part.read_bytes() == b"garbage"


def test_what_is_wrong_with_one_store_hides_no_other(half, grid_file, capsys):
    for name in ("nogrid", "torn"):
        shutil.copytree(half.folder, half.folder.parent / name)
    (half.folder.parent / "nogrid" / "grid.yaml").unlink()
    find_parts(half.folder.parent / "torn")[0].write_bytes(b"garbage")
    out = " ".join(told(capsys, half.folder.parent).split())
    assert "tiny 6 4 0 0 2" in out
    assert "torn 6 3 0 0 3" in out
    assert "damaged: " in out
    assert "nogrid/grid.yaml: no such file; it says by which protocol" in out
    assert [one["done"] for one in json.loads(told(capsys, half.folder.parent, "--json"))] == [4, 3]


@pytest.mark.parametrize("name", ["failures", "drivers", "predictions"])
def test_a_folder_that_may_not_be_read_is_not_empty(name, grid_file, capsys):
    with tempfile.TemporaryDirectory() as folder:  # where others may look
        Path(folder).chmod(0o755)
        words = [*INPROCESS, "--results", folder, "--limit", "1"]
        assert run([str(grid_file(predictions=True)), *words]) == 0
        hidden = Path(folder) / "tiny" / name
        hidden.mkdir(exist_ok=True)
        hidden.chmod(0)
        capsys.readouterr()
        with without_privileges():
            assert main([f"{folder}/tiny"]) == 2
        assert capsys.readouterr().err == f"{hidden}: Permission denied\n"


def test_a_folder_that_may_not_be_looked_into_hides_no_store(grid_file, capsys):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        assert run([str(grid_file()), *INPROCESS, "--results", folder, "--limit", "1"]) == 0
        (Path(folder) / "lost+found").mkdir(0o700)
        with without_privileges():
            out = told(capsys, folder)
        assert "lost+found/grid.yaml: Permission denied" in out
        assert any(line.split()[:3] == ["tiny", "2", "1"] for line in out.splitlines())


def test_a_name_does_nothing_to_the_terminal(half, capsys):
    shutil.copytree(half.folder, half.folder.with_name("e\x1b[31mred\nline"))
    out = told(capsys, half.folder.parent)
    assert "\x1b" not in out
    assert "e\\x1b[31mred\\nline" in out


def test_a_watch_on_a_terminal_that_moves_no_cursor_is_printed_again_and_again(half, monkeypatch):
    out = StringIO()
    console = Console(file=out, force_terminal=True, _environ={"TERM": "dumb"})
    monkeypatch.setattr("study.status.BEGIN", 0.3)
    watch(View(half.folder), 0.1, console)
    assert out.getvalue().count("8 of 12 records") >= 2


def test_several_stores_are_a_line_each(half, grid_file, tmp_path, capsys):
    words = ["--set", "replicates=1", "--set", "name=other", "--results", str(half.folder.parent)]
    assert run([str(grid_file()), *INPROCESS, *words]) == 0
    lines = told(capsys, half.folder.parent).splitlines()
    assert lines[0].split()[0] == "store"
    assert len(lines) == 4
    assert ["tiny", "6", "4", "0", "0", "2"] in [line.split() for line in lines]
    assert lines[-1].split() == ["in", "all", "7", "5", "0", "0", "2"]
    assert len(json.loads(told(capsys, half.folder.parent, "--json"))) == 2


def test_watching_ends_when_nobody_drives(half, capsys, monkeypatch):
    monkeypatch.setattr("study.status.BEGIN", 1.0)
    begin = time.monotonic()
    out = told(capsys, half.folder, "--watch", "0.2")
    assert 1 < time.monotonic() - begin < 4
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n", out), "a pipe wants the time of each"
    assert out.count("8 of 12 records") >= 3
    assert out.splitlines()[-1] == "nobody runs it; the same command goes on"


def test_watching_what_is_done_ends_at_once(half, capsys):
    half.open(tiny_grid(**CHANGES | {"replicates": 1}))
    begin = time.monotonic()
    assert told(capsys, half.folder, "--watch", "60").splitlines()[-1] == "all is done"
    assert time.monotonic() - begin < 4


def test_watching_waits_for_a_store_that_is_not_there_yet(half, monkeypatch, capsys):
    later = half.folder.with_name("later")
    monkeypatch.setattr("study.status.time.sleep", lambda seconds: half.folder.rename(later))
    half.open(tiny_grid(**CHANGES | {"replicates": 1}))
    out = told(capsys, later, "--watch")
    assert "waiting for a run to begin" in out
    assert "4 of 4 records" in out
    monkeypatch.setattr("study.status.BEGIN", 0.0)
    assert main([str(half.folder), "--watch"]) == 2, "but not for ever"


@pytest.mark.parametrize(("height", "cells"), [(24, 12), (13, 5), (8, 0)])
def test_a_watch_is_no_longer_than_the_terminal_is_high(half, height, cells, monkeypatch):
    """What is done makes room; the number, the total and the errors stay."""
    monkeypatch.chdir(half.folder.parent)  # a path of one line
    half.open(tiny_grid(**CHANGES | {"imbalance": {"rho": [5, 10, *range(20, 30)]}}))
    half.fail(plan(tiny_grid(**CHANGES))[5].case.id, f"OSError: {'long ' * 20}")
    console = Console(file=StringIO(), width=80, height=height, force_terminal=True)
    lines = console.render_lines(View(Path("tiny")).shown(console), pad=False)
    told = ["".join(piece.text for piece in line) for line in lines]
    assert len(told) < height
    assert sum("mu" in line for line in told) == cells
    assert any(line.split()[:3] == ["in", "all", "36"] for line in told)
    assert any("failed: " in line for line in told)
    if cells < 12:
        assert f"and {12 - cells} more" in "\n".join(told)
        assert not any("rho 5 " in line for line in told), "it is done"


def test_a_watch_of_several_is_no_longer_either(half):
    for name in "abcdefgh":
        shutil.copytree(half.folder, half.folder.with_name(name))
    console = Console(file=StringIO(), width=80, height=9, force_terminal=True)
    lines = console.render_lines(View(half.folder.parent).shown(console), pad=False)
    assert len(lines) == 8
    assert "and 4 more" in "".join(piece.text for line in lines for piece in line)


def test_watching_a_run(grid_file, tmp_path):
    """A run and its watcher, each a process; the watcher ends with the run."""
    grid = grid_file(**CHANGES, recipe={"iterations": 200})
    results = tmp_path / "results"
    words = ["-m", "study.run", str(grid), *INPROCESS, "--results", str(results)]
    with subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE) as process:
        while not list(results.glob("tiny/drivers/*.json")):
            assert process.poll() is None
            time.sleep(0.02)
        watch = [sys.executable, "-m", "study.status", str(results / "tiny"), "--watch", "0.2"]
        done = subprocess.run(watch, cwd=ROOT, capture_output=True, text=True, timeout=120)
        process.communicate(timeout=60)
    assert (process.returncode, done.returncode, done.stderr) == (0, 0, "")
    assert "12 of 12 records" in done.stdout


def test_ctrl_c_is_one_line(half):
    words = [sys.executable, "-m", "study.status", str(half.folder), "--watch", "60"]
    with Driver(half, print, "test"):
        pipe = subprocess.PIPE
        with subprocess.Popen(words, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
            time.sleep(6)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert process.returncode == 130 or process.returncode == -signal.SIGINT
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: no such folder; needed: a store, or the folder of several"),
        (["file"], "file: not a folder"),
        (["empty"], "empty: no store in it; python -m study.run makes one"),
        (["tiny", "--watch", "0"], "found '0'; needed: a number above 0"),
        (["tiny", "--watch", "--json"], "--watch: found beside --json"),
        ([], "the following arguments are required: DIR"),
        (["ftp://x"], "no such kind of place"),
        (["broken"], "grid.yaml"),
        (["own"], "mine_missing"),
    ],
)
def test_mistakes_are_one_line(words, said, half, capsys, monkeypatch):
    monkeypatch.chdir(half.folder.parent)
    for name in ("empty", "broken", "own"):
        Path(name).mkdir()
    Path("file").write_text("x")
    Path("broken/grid.yaml").write_text("name: [")
    text = (
        (half.folder / "grid.yaml").read_text().replace("model: lenet5", "model: mine_missing:net")
    )
    Path("own/grid.yaml").write_text(text)
    try:
        code = main(words)
    except SystemExit as error:
        code = error.code
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert "Traceback" not in err
