"""The command, typed as people type it, mistakes included."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import study.job
import study.run
import study.where
from study import __version__
from study.gridfile import read_grid
from study.parts import find_parts
from study.plan import plan
from study.run import main
from study.store import Store
from tests.conftest import ROOT, raw_grid, without_privileges


@pytest.fixture
def run(grid_file, tmp_path, capsys):
    """Runs the tiny grid in this process; gives exit code, output and errors."""

    def go(*words, **changes):
        path = grid_file(**changes)
        code = main(
            [str(path), "--executor", "inprocess", "--results", str(tmp_path / "results"), *words]
        )
        said = capsys.readouterr()
        return code, said.out, said.err

    return go


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results" / "tiny")


def test_a_run_stores_a_record_for_each_case_and_method(run, store):
    code, out, _ = run()
    assert code == 0
    assert len(store.read()) == 16
    assert "Baseline" in out
    assert "2 of 2 cases, 0 failed" in out
    assert "16 records in" in out
    assert read_grid(store.folder / "grid.yaml").grid.name == "tiny"


def test_the_same_command_again_does_nothing(run, store):
    run()
    before = {p: p.stat().st_mtime_ns for p in store.folder.rglob("*.parquet")}
    code, out, _ = run()
    assert code == 0
    assert {p: p.stat().st_mtime_ns for p in store.folder.rglob("*.parquet")} == before
    assert "nothing left to do" in out
    assert "16 records in" in out


def test_only_what_is_missing_is_computed(run, store, monkeypatch):
    run(methods=["baseline", "oversampling"])
    calls = []
    real = study.packs.Lockstep
    monkeypatch.setattr(study.packs, "Lockstep", lambda *a: calls.append(a) or real(*a))
    assert run(methods=["baseline", "oversampling", "undersampling_thresholding"])[0] == 0
    assert len(calls) == 2, "one undersampled network for each of two cases"
    assert len(store.read()) == 6


def test_a_plan_for_a_pack_larger_than_the_work_times_no_more_than_the_work(run, monkeypatch):
    timed = []
    real = study.estimate.Rehearsal
    monkeypatch.setattr(study.estimate, "Rehearsal", lambda *a: timed.append(a[3]) or real(*a))
    assert run("--plan", "--pack", "4096")[0] == 0
    assert run("--plan", "--pack", "2")[0] == 0
    assert timed == [6, 2]


@pytest.mark.parametrize("pack", ["0", "-1", "2.5", "", "4097", "AUTO"])
def test_a_pack_that_is_none_is_refused(run, pack, capsys):
    with pytest.raises(SystemExit) as stop:
        run(f"--pack={pack}")
    assert stop.value.code == 2
    assert f"--pack: found '{pack}'; needed: auto, or a whole number" in capsys.readouterr().err


def test_limit_and_only_take_a_part(run, store, grid_file):
    assert run("--limit", "1")[0] == 0
    assert len(store.read()) == 8
    row = plan(read_grid(grid_file()).grid)[1].rows[3]
    assert run("--only", row.id[:12])[0] == 0
    assert len(store.read()) == 9
    case = plan(read_grid(grid_file()).grid)[1].case
    assert run("--only", case.id)[0] == 0
    assert len(store.read()) == 16
    shutil.rmtree(store.folder)
    first, second = (due.rows[0].id for due in plan(read_grid(grid_file()).grid))
    assert run("--only", first, row.id, "--only", second)[0] == 0
    assert store.records() == {first, row.id, second}
    assert run("--only", first, "zzz")[0] == 2


def test_plan_says_what_would_be_done_and_does_nothing(run, store):
    code, out, _ = run("--plan")
    assert code == 0
    assert not store.folder.exists()
    assert "networks, as the paper counts them" in out
    code, out, _ = run("--plan", "--json")
    fields = json.loads(out)
    assert (fields["cases"], fields["networks"], fields["full_trainings"]) == (2, 10, 6)
    assert (fields["second_phases"], fields["records"], fields["records_done"]) == (4, 16, 0)
    assert fields["seconds_left"] > 0
    run("--limit", "1")
    fields = json.loads(run("--plan", "--json")[1])
    assert (fields["records_done"], fields["cases_left"], fields["full_trainings_left"]) == (
        8,
        1,
        3,
    )
    run()
    assert json.loads(run("--plan", "--json")[1])["seconds_left"] == 0


def test_plan_needs_no_data(capsys, tmp_path):
    grid = str(ROOT / "grids/mnist_step.yaml")
    assert main([grid, "--plan", "--json", "--data", str(tmp_path), "--results", "nowhere"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert (fields["cases"], fields["networks"]) == (4050, 20_250)
    assert (fields["full_trainings"], fields["second_phases"]) == (12_150, 8100)


def test_a_changed_grid_goes_to_a_folder_of_its_own(run, tmp_path):
    run("--limit", "1")
    run("--limit", "1", "--set", "recipe.iterations=9")
    run("--limit", "1", "--small", small={"replicates": 1})
    names = sorted(p.name for p in (tmp_path / "results").iterdir())
    assert len(names) == 3
    assert names[0] == "tiny"
    assert "tiny-small" in names


def test_an_edited_grid_of_the_same_name_is_refused(run, store):
    run("--limit", "1")
    for words in ((), ("--plan",)):
        code, _, err = run(*words, recipe={"iterations": 9})
        assert code == 2
        assert "recipe.iterations is 8 there, 9 in this grid" in err
    assert len(store.read()) == 8


def test_what_another_has_written_since_the_look_is_neither_mixed_nor_done_twice(
    run, store, monkeypatch
):
    """While images load, another run comes and ends: of another protocol, and of this one."""
    load, others = study.run.load, iter([{"recipe": {"iterations": 9}}, {}])

    def slow(*words):
        monkeypatch.setattr(study.run, "load", load)
        assert run(**next(others))[0] == 0
        return load(*words)

    monkeypatch.setattr(study.run, "load", slow)
    code, _, err = run()
    assert code == 2
    assert "holds records of another protocol: recipe.iterations is 9 there" in err
    assert set(store.read()["iterations"].to_pylist()) == {9}
    shutil.rmtree(store.folder)
    monkeypatch.setattr(study.run, "load", slow)
    code, _, err = run()
    assert code == 2
    assert "another has written there since this run looked" in err
    assert "nothing left to do" in run()[1]


def test_a_failure_that_a_killed_run_has_left_of_a_case_now_done_goes(run, store):
    run()
    case = store.read(["case_id"])["case_id"][0].as_py()
    store.fail(case, "Traceback\nOSError: once\n")
    assert run()[0] == 0
    assert not (store.folder / "failures").exists()


def test_a_job_that_fails_once_is_tried_again(run, store, monkeypatch):
    real, calls = study.execute.run_job, []

    def flaky(*a):
        calls.append(a)
        if len(calls) == 1:
            raise RuntimeError("a passing fault")
        return real(*a)

    monkeypatch.setattr(study.execute, "run_job", flaky)
    assert run()[0] == 0
    assert len(calls) == 3
    assert len(store.read()) == 16
    assert not list(store.folder.glob("failures/*"))


def test_a_job_that_fails_always_is_reported_and_the_others_go_on(run, store, monkeypatch):
    real = study.execute.run_job
    broken = []

    def run_job(job, *rest):
        broken[:] = broken or [job.id]
        if job.id in broken:
            raise RuntimeError("boom [bold]not markup[/bold]")
        return real(job, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(study.execute, "run_job", run_job)
        code, out, _ = run()
    assert code == 1
    assert len(store.read()) == 8
    assert "1 of 2 cases are not done" in out
    assert "boom [bold]not markup[/bold]" in out
    (failure,) = store.folder.glob("failures/*.txt")
    assert "RuntimeError: boom" in failure.read_text()
    assert "Traceback" in failure.read_text()
    assert run()[0] == 0
    assert not list(store.folder.glob("failures/*"))
    assert len(store.read()) == 16


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "zzz"], "--only zzz: no case or record"),
        (["--workers", "2"], "--executor inprocess runs one job at a time"),
        (["--address", "auto"], "--executor inprocess runs one job at a time"),
        (["--small"], "small: found nothing; --small needs this section"),
        (["--json"], "--json: needs --plan"),
        (["--set", "replicates=0"], "replicates: found 0; needed: greater than or equal to 1"),
    ],
)
def test_a_wrong_use_is_one_line_and_exit_2(run, words, message):
    code, out, err = run(*words)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--workers", "0"],
        ["--workers", "two"],
        ["--limit", "-1"],
        ["--executor", "rey"],
        ["--device", "tpu"],
        ["--nonsense"],
        ["--only", ""],
        ["--share", "2"],
        ["--share", "0/2"],
        ["--share", "3/2"],
        ["--share", "a/b"],
        ["--address", ""],
        ["--data", " "],
        ["--job-minutes", "1e9"],
        ["--checkpoint", "nan"],
        ["--pla"],
    ],
)
def test_a_wrong_argument_is_exit_2_and_names_it(run, words, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_too_few_images_are_refused_with_the_arithmetic_before_anything_is_written(run, store):
    code, _, err = run(dataset={"train_per_class": 41})
    assert code == 2
    assert "needs 41 training images, but 40 are left" in err
    assert not store.folder.exists()


def test_a_folder_that_may_not_be_written_is_one_line(capsys):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # pytest's own folders let nobody else in
        grid = folder / "tiny.yaml"
        grid.write_text(yaml.safe_dump(raw_grid()))
        words = ["--executor", "inprocess", "--results", str(folder / "results")]
        with without_privileges():
            assert main([str(grid), *words]) == 2
    err = capsys.readouterr().err
    assert f"{folder / 'results'}: cannot be written (Permission denied)" in err


def test_results_below_a_file_are_one_line(run, tmp_path):
    (tmp_path / "results").write_text("a file")
    for words in ((), ("--plan",)):
        code, _, err = run(*words)
        assert code == 2
        assert err == f"{tmp_path / 'results' / 'tiny'}: Not a directory\n"


def test_a_folder_that_may_not_be_read_is_no_empty_store(capsys):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        grid = folder / "tiny.yaml"
        grid.write_text(yaml.safe_dump(raw_grid()))
        words = [str(grid), "--executor", "inprocess", "--results", str(folder / "results")]
        assert main([*words, "--limit", "1"]) == 0
        (folder / "results" / "tiny" / "records").chmod(0o700)
        capsys.readouterr()
        with without_privileges():
            assert main([*words, "--plan"]) == 2
        err = capsys.readouterr().err
        assert err == f"{folder / 'results' / 'tiny' / 'records'}: Permission denied\n"


def test_a_reader_that_goes_away_is_no_traceback(grid_file, tmp_path):
    command = f"{sys.executable} -m study.run {grid_file()} --plan --json --results {tmp_path}"
    done = subprocess.run(f"{command} | true", shell=True, cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_a_path_that_the_terminal_cannot_show_is_no_traceback(grid_file, tmp_path):
    words = ["--executor", "inprocess", "--results", str(tmp_path / "é")]
    done = subprocess.run(
        [sys.executable, "-m", "study.run", str(grid_file()), *words],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0
    assert b"records in" in done.stdout


@pytest.mark.parametrize("origin", ["--address", "RAY_ADDRESS"])
@pytest.mark.parametrize(
    "text",
    ["local", "AUTO", "here", "here:0", "here:99999", "here:-5", "ray://", ":6379", "http://a:1"],
)
def test_an_address_that_is_none_is_refused_before_anything_is_written(
    grid_file, tmp_path, monkeypatch, capsys, origin, text
):
    words = [str(grid_file()), "--results", str(tmp_path / "results")]
    if origin == "RAY_ADDRESS":
        monkeypatch.setenv("RAY_ADDRESS", text)
    else:
        words += ["--address", text]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"{origin}: found {text!r}; needed: auto, HOST:PORT")
    assert not (tmp_path / "results").exists()


def test_a_submitted_job_is_told_where_its_records_go(run, tmp_path, monkeypatch):
    """Ray runs it in a copy of the folder, which goes: a relative folder would go with it."""
    copy = tmp_path / "working_dir_files" / "_ray_pkg_1d15fb"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    said = "Ray's copy of the folder that was submitted"
    assert said not in run()[2], "an absolute path"
    assert said in run("--results", "results")[2]


@pytest.mark.parametrize("typed", ["auto", "10.0.0.1:6379", "ray://head:10001", "[::1]:6379"])
def test_an_address_that_is_one_is_taken_as_it_is(typed, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert study.where.cluster_address(typed) == typed
    monkeypatch.setenv("RAY_ADDRESS", "other:1")
    found = "other:1" if typed == "auto" else typed  # Ray takes auto for it
    assert study.where.cluster_address(typed) == found
    assert study.where.cluster_address(None) == "other:1"
    monkeypatch.delenv("RAY_ADDRESS")
    assert study.where.cluster_address(None) is None


def test_a_traceback_that_cannot_be_written_is_said(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study.execute, "run_job", full)
    monkeypatch.setattr(Store, "fail", full)
    code, out, _ = run()
    assert code == 1
    assert "its traceback could not be written (No space left on device)" in out
    assert "2 of 2 cases are not done" in out


def test_inprocess_imports_no_ray(grid_file, tmp_path):
    program = (
        "import sys; from study.run import main;"
        f"code = main([{str(grid_file())!r}, '--executor', 'inprocess', '--limit', '1',"
        f" '--results', {str(tmp_path / 'r')!r}]);"
        "sys.exit(code or ('ray' in sys.modules and 9))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_shares_are_the_whole_between_them(run, store, tmp_path):
    words = {"replicates": 5}
    stored = []
    for share in ("1/3", "2/3", "3/3"):
        assert run("--share", share, **words)[0] == 0
        stored.append(store.records())
        shutil.rmtree(store.folder)
    assert [len(ids) // 8 for ids in stored] == [2, 2, 1], "of five cases"
    assert run(**words)[0] == 0
    assert store.records() == stored[0] | stored[1] | stored[2]


def test_records_behind_a_link_are_those_of_the_store(run, store, tmp_path):
    """As where a folder was moved to a larger disk."""
    assert run("--limit", "1")[0] == 0
    (store.folder / "records").rename(tmp_path / "moved")
    (store.folder / "records").symlink_to(tmp_path / "moved")
    (tmp_path / "moved" / "back").symlink_to(store.folder)
    (tmp_path / "moved" / "again").symlink_to(store.folder)
    assert [part.parent.name for part in find_parts(store.folder)] == ["records"]
    (store.folder / "grid.yaml").rename(tmp_path / "grid.yaml")
    code, _, err = run()
    assert (code, "holds records, but no grid.yaml" in err) == (2, True)
    (tmp_path / "grid.yaml").rename(store.folder / "grid.yaml")
    assert run()[0] == 0
    assert len(store.read()) == 16


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_what_is_finished_and_the_next_run_goes_on(
    grid_file, tmp_path, store, signum
):
    path = grid_file(replicates=40)
    command = [sys.executable, "-m", "study.run", str(path), "--executor", "inprocess"]
    command += ["--results", str(tmp_path / "results")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not list(store.folder.glob("records/*.parquet")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    done = len(store.records())
    assert 8 <= done < 320
    assert all(pq.read_metadata(p) for p in store.folder.rglob("*.parquet"))
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    assert len(store.records()) == 320


def test_the_record_says_which_code_made_it(run, store):
    run("--limit", "1")
    codes = set(store.read()["code"].to_pylist())
    assert len(codes) == 1
    assert Path(ROOT / ".git").exists() == (len(codes.pop().removesuffix("-dirty")) == 40)


def test_code_without_git_is_named_by_what_its_files_hold(tmp_path, monkeypatch):
    from study import revision

    package = tmp_path / "study"
    shutil.copytree(ROOT / "study", package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(revision, "HERE", package)
    subprocess.run(
        ["git", "-c", "init.defaultBranch=main", "init", "-q", str(tmp_path)], check=True
    )
    first = revision.code_version()
    assert first == f"{__version__}-{revision.digest(ROOT / 'study')}"
    (package / "notes.txt").write_text("no module")
    (package / ".#run.py").symlink_to("nobody@nowhere.7:1")  # an editor's lock
    (package / "d.py").mkdir()
    assert revision.code_version() == first
    with (package / "nets" / "net.py").open("a") as out:
        out.write("\n")
    changed = revision.code_version()
    (package / "nets" / "net.py").rename(package / "net.py")
    assert len({first, changed, revision.code_version()}) == 3


def test_a_pack_of_parts_of_few_cases_leaves_every_record(run, store):
    """Two cases come in parts, and several parts of one case in a job."""
    assert run("--pack", "4", runs=2, recipe={"rate": {"base": [0.01, 0.001]}})[0] == 0
    assert len(store.read()) == 2 * 2 * 2 * 8
