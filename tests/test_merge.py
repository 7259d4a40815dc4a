"""Stores put together: nothing lost, nothing doubled, whenever it is killed; conflicts named."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from study.driver import Driver
from study.job import run_job
from study.parts import find_parts, read_parts
from study.plan import Job, plan
from study.schema import SCHEMA
from study.store import Store
from study.upkeep import main
from tests.conftest import CPU, ROOT, tiny_grid

GRID = {"methods": ["baseline", "thresholding", "two_phase_undersampling"], "predictions": True}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The stores of a grid run by halves, of it run whole, and of more replicates of it."""
    folder = tmp_path_factory.mktemp("made")
    grid, wide = tiny_grid(**GRID), tiny_grid(**GRID, replicates=3)
    dataset = grid.dataset.dataset(folder, grid.seed)
    one, two, three = (run_job(Job((due,)), wide, dataset, CPU, "test") for due in plan(wide))
    for name, of, parts in (
        ("whole", grid, (one, two)),
        ("left", grid, (one,)),
        ("right", grid, (two,)),
        ("wide", wide, (two, three)),
        ("all", wide, (one, two, three)),
    ):
        store = Store(folder / name)
        store.open(of)
        for part in parts:
            store.write(part)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "stores")
    return tmp_path / "stores"


@pytest.fixture
def merge(folder, capsys, monkeypatch):
    """Runs the command on stores by name; gives exit code, output and errors."""
    monkeypatch.chdir(folder)

    def go(*names):
        code = main(["merge", *names])
        said = capsys.readouterr()
        return code, said.out, said.err

    return go


def contents(folder):
    """Every file with what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def same(one, other):
    """Whether two stores hold the same records, logits and grid."""
    tables = [Store(folder).read() for folder in (one, other)]
    logits = [contents(folder / "predictions") for folder in (one, other)]
    grids = [(folder / "grid.yaml").read_bytes() for folder in (one, other)]
    return tables[0].equals(tables[1]) and logits[0] == logits[1] and grids[0] == grids[1]


def change(folder, alter, of=lambda record: True):
    """Alter the first record of the kind in a store; gives it."""
    records = Store(folder).read().to_pylist()
    record = next(record for record in records if of(record))
    alter(record)
    for part in find_parts(folder):
        part.unlink()
    pq.write_table(pa.Table.from_pylist(records, schema=SCHEMA), folder / "records" / "a.parquet")
    return record


def test_two_halves_are_the_whole(merge, folder):
    before = contents(folder / "right")
    code, out, err = merge("left", "right")
    assert (code, err) == (0, "")
    assert out == "right: 3 records added\nleft: 6 records\n"
    assert same(folder / "left", folder / "whole")
    assert contents(folder / "right") == before
    parts = [part.name for part in find_parts(folder / "left")]
    assert len(parts) == 2
    assert sum(name.startswith("merged-") for name in parts) == 1
    after = contents(folder / "left")
    code, out, _ = merge("left", "right")
    assert out == "right: 0 records added; there already: 3 identical\nleft: 6 records\n"
    assert contents(folder / "left") == after, "again, there is nothing to do"


def test_a_store_that_is_not_there_yet_and_several_at_once(merge, folder):
    code, out, _ = merge("new", "left", "right", "whole", "wide")
    assert code == 0
    assert out.splitlines() == [
        "grid.yaml is that of wide, which plans more",
        "left: 3 records added",
        "right: 3 records added",
        "whole: 0 records added; there already: 6 identical",
        "wide: 3 records added; there already: 3 identical",
        "new: 9 records",
    ]
    assert same(folder / "new", folder / "all")
    assert not (folder / "new" / "drivers").exists()
    assert len(find_parts(folder / "new")) == 1


def test_the_grid_that_plans_more_is_kept(merge, folder):
    assert merge("wide", "left")[0] == 0
    assert same(folder / "wide", folder / "all")
    title = folder / "right" / "grid.yaml"
    title.write_text(title.read_text().replace("title: ''", "title: other"))
    kept = (folder / "left" / "grid.yaml").read_bytes()
    assert merge("left", "right")[0] == 0
    assert (folder / "left" / "grid.yaml").read_bytes() == kept, "of two that plan alike, INTO's"


def test_where_neither_plans_all_it_is_said(merge, folder):
    less = tiny_grid(**GRID | {"methods": ["baseline"]}, replicates=5)
    (folder / "right" / "grid.yaml").write_text(yaml.safe_dump(less.resolved()))
    code, out, _ = merge("left", "right")
    assert code == 0
    assert "right: its grid.yaml plans some records that the other does not" in out
    assert same(folder / "left", folder / "whole")


@pytest.mark.parametrize("into", ["whole", "new"])
def test_a_conflict_is_named_and_nothing_is_written(merge, folder, into):
    of = {"method": "thresholding"}
    record = change(
        folder / "right",
        lambda record: record.update(auc=0.123, iterations=9),
        lambda record: of.items() <= record.items(),
    )
    sound = next(
        r for r in Store(folder / "all").read().to_pylist() if r["record_id"] == record["record_id"]
    )
    before = contents(folder)
    code, out, err = merge(into, "whole", "right") if into == "new" else merge(into, "right")
    assert (code, err) == (1, "")
    assert out == (
        f"conflict: {record['record_id']} (thresholding, case {record['case_id']}): "
        f"iterations is 9 in right, 8 in whole; auc is 0.123 in right, {sound['auc']} in whole\n"
        f"1 conflicts; nothing was merged\n"
    )
    assert contents(folder) == before
    assert not (folder / "new").exists()


@pytest.mark.parametrize("store", ["left", "right"])
def test_a_store_that_contradicts_itself_is_a_conflict(merge, folder, store):
    record = Store(folder / store).read().to_pylist()[0]
    for name, value in (("aa", record["accuracy"]), ("bb", 0.125)):
        again = pa.Table.from_pylist([record | {"accuracy": value}], schema=SCHEMA)
        pq.write_table(again, folder / store / "records" / f"{name}.parquet")
    before = contents(folder)
    code, out, _ = merge("left", "right")
    assert code == 1
    assert f"conflict: {record['record_id']}" in out
    assert f"once in {store}" in out
    assert contents(folder) == before


def test_what_rounding_explains_stays_as_it_is(merge, folder):
    def elsewhere(record):
        versions = json.loads(record["versions"]) | {"torch": "2.11.0"}
        record.update(versions=json.dumps(versions), train_loss=record["train_loss"] + 1e-7)

    record = change(folder / "right", elsewhere)
    before = Store(folder / "whole").read()
    code, out, _ = merge("whole", "right")
    assert code == 0
    here = json.loads(before.to_pylist()[0]["versions"])["torch"]
    why = f"1 within tolerance (torch 2.11.0 there, {here} here)"
    assert out.startswith(f"right: 0 records added; there already: 2 identical, {why}")
    assert Store(folder / "whole").read().equals(before)
    change(folder / "right", lambda record: record.update(train_loss=record["train_loss"] + 1))
    code, out, _ = merge("whole", "right")
    assert code == 1
    assert f"conflict: {record['record_id']}" in out
    assert ": train_loss is " in out


def test_many_conflicts_are_counted(merge, folder):
    rows = Store(folder / "all").read().to_pylist()
    many = [
        row | {"record_id": f"{number}-{row['record_id']}"} for number in range(9) for row in rows
    ]
    for name, change in (("one", {}), ("two", {"accuracy": 0.123})):
        shutil.copytree(folder / "left", folder / name)
        table = pa.Table.from_pylist([row | change for row in many], schema=SCHEMA)
        pq.write_table(table, folder / name / "records" / "many.parquet")
    code, out, _ = merge("one", "two")
    assert code == 1
    assert len(out.splitlines()) == 51
    assert out.splitlines()[-1] == "81 conflicts (50 of them above); nothing was merged"


def test_labels_that_differ_are_a_conflict(merge, folder):
    file = folder / "right" / "predictions" / "labels.npy"
    np.save(file, np.load(file)[::-1])
    before = contents(folder)
    code, out, _ = merge("left", "right")
    assert code == 1
    assert "conflict: right/predictions/labels.npy: not the test labels that left/" in out
    assert contents(folder) == before


@pytest.mark.parametrize("first", ["left", "right"])
def test_logits_that_differ_are_a_conflict(merge, folder, first):
    """Of a training that both have; those of NaN are no logits of a network that is judged."""
    shutil.copytree(folder / "left", folder / "copy")
    file = next((folder / "copy" / "predictions").glob("[!l]*.npy"))
    np.save(file, np.full_like(np.load(file), np.nan))
    names = ["new", "left", "copy"] if first == "left" else ["new", "copy", "left"]
    code, out, _ = merge(*names)
    assert code == 1
    assert f"predictions/{file.name}: decides 100.0% of the images otherwise than" in out
    assert not (folder / "new").exists()


def test_records_that_their_own_grid_does_not_plan_are_refused(merge, folder):
    shutil.copytree(folder / "left", folder / "swapped")
    grid = folder / "swapped" / "grid.yaml"
    grid.write_text(grid.read_text().replace("iterations: 8", "iterations: 9"))
    code, _, err = merge("new", "swapped")
    assert (code, "swapped: its grid.yaml plans none of its records" in err) == (2, True)


def test_logits_that_are_damaged_in_one_store_come_from_the_other(merge, folder):
    file = next((folder / "whole" / "predictions").glob("[!l]*.npy"))
    sound = file.read_bytes()
    file.write_bytes(sound[:-5])
    source = "left" if (folder / "left" / "predictions" / file.name).exists() else "right"
    assert merge("whole", source)[0] == 0
    assert file.read_bytes() == sound


def test_the_traceback_of_a_case_that_is_done_now_is_dropped(merge, folder):
    _, not_done, other = (due.case.id for due in plan(tiny_grid(**GRID, replicates=3)))
    for case in (not_done, other):
        Store(folder / "left").fail(case, "Traceback: boom")
    assert merge("left", "right")[0] == 0
    assert [path.stem for path in (folder / "left" / "failures").iterdir()] == [other]


def test_another_protocol_is_refused(merge, folder):
    other = tiny_grid(**GRID, recipe={"iterations": 9})
    (folder / "right" / "grid.yaml").write_text(yaml.safe_dump(other.resolved()))
    before = contents(folder)
    for into in ("left", "new"):
        names = (into, "left", "right") if into == "new" else (into, "right")
        code, _, err = merge(*names)
        assert code == 2
        assert "right: cannot be merged: left: holds records of another protocol" in err
        assert "recipe.iterations is 8 there, 9 in this grid" in err
    assert contents(folder) == before
    assert not (folder / "new").exists()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["left", "nowhere"], "nowhere: no such folder; needed: a store"),
        (["left", "."], "holds stores; name one: "),
        ([".", "left"], "left: is ., lies in it or holds it"),
        (["left", "left"], "left: is left, lies in it or holds it"),
        (["left/sub", "left"], "left: is left/sub, lies in it or holds it"),
        (["left/../left/", "right", "left"], "lies in it or holds it"),
        (["left", "right/records"], "no store's place"),
        (["left/grid.yaml", "right"], "left/grid.yaml"),
        (["half", "right"], "half: holds records, but no grid.yaml"),
        (["left", "half"], "half/grid.yaml: no such file; it says by which protocol"),
        (["left", "torn"], "torn/records/a.parquet: not a readable part of records"),
        (["torn", "left"], "torn/records/a.parquet: not a readable part of records"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(merge, folder, names, said):
    shutil.copytree(folder / "left", folder / "half")
    (folder / "half" / "grid.yaml").unlink()
    shutil.copytree(folder / "left", folder / "torn")
    (folder / "torn" / "records" / "a.parquet").write_bytes(b"garbage")
    before = contents(folder)
    code, out, err = merge(*names)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert contents(folder) == before


def test_a_store_in_use_is_left_alone(merge, folder):
    with Driver(Store(folder / "left"), print, "study.run"):
        before = contents(folder)
        code, _, err = merge("left", "right")
        assert (code, "in use by study.run" in err) == (2, True)
        assert contents(folder).keys() == before.keys()


@pytest.mark.parametrize("there", [True, False])
def test_killed_at_any_step_nothing_is_lost_or_doubled(folder, there):
    """In processes of their own, before each file gets its name where INTO is there, and after it
    where it is not.
    """
    before = contents(folder / "wide"), contents(folder / "left")
    words = [sys.executable, "-c", PROGRAM, str(folder), "left" * there]
    said = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    killed = int(said)
    assert 10 < killed < 40
    held = set(Store(folder / "left").records()) if there else set()
    whole = Store(folder / "all").read()
    added = 0
    for number in range(1 - there, killed + 1, 2):
        into = folder / f"into-{number}"
        raw = read_parts([into / "records"])
        ids = [
            id for part in find_parts(into) for id in pq.read_table(part)["record_id"].to_pylist()
        ]
        assert set(ids) in (held, set(whole["record_id"].to_pylist()))
        assert len(ids) == len(set(ids)) == len(raw)
        added += len(ids) > len(held)
        assert main(["merge", str(into), str(folder / "left"), str(folder / "wide")]) == 0
        assert same(into, folder / "all")
        assert not list(into.rglob(".*.part"))
    assert 0 < added < killed
    assert (contents(folder / "wide"), contents(folder / "left")) == before


PROGRAM = """
import os, shutil, signal, sys
from pathlib import Path
from study.gridfile import read_grid
from study.upkeep import main

folder, there = Path(sys.argv[1]), sys.argv[2]
read_grid(folder / "left" / "grid.yaml")  # what is slow the first time
replace = Path.replace


def dies(step):
    left = [step]

    def late(path, target):
        for act in (lambda: None, lambda: replace(path, target)):
            act()
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    Path.replace = late


for number in range(0 if there else 1, 40, 2):
    into = folder / f"into-{number}"
    if there:
        shutil.copytree(folder / there, into)
    child = os.fork()
    if not child:
        sys.stdout = open(os.devnull, "w")
        dies(number)
        os._exit(main(["merge", str(into), str(folder / "left"), str(folder / "wide")]))
    if not os.waitpid(child, 0)[1]:
        break
print(number)
"""
