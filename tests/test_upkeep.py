"""Parts merged into one: the same records, whenever it is stopped, and one line for a mistake."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from study import parts as parts_room
from study import store as store_room
from study.execute import writer as writer_room
from study.parts import find_parts, read_parts
from study.results import Results
from study.schema import SCHEMA, SINCE
from study.store import Store
from study.upkeep import main
from tests.conftest import ROOT
from tests.test_figures import step, write


def rows():
    return step([(10.0, 0.2), (10.0, 0.5)], replicates=3)


def rows_of(number):
    """Three records of a job of that number."""
    return [row | {"record_id": f"{number}-{row['record_id']}"} for row in rows()[:3]]


@pytest.fixture
def folder(tmp_path):
    return write(rows(), tmp_path / "sweep", parts=7)


def test_one_part_holds_every_record(folder, capsys):
    before = Store(folder).read()
    assert main(["compact", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}: 48 records, 7 parts before, 1 now\n"
    assert len(find_parts(folder)) == 1
    assert Store(folder).read().equals(before)
    assert main(["compact", str(folder)]) == 0, "again, there is nothing to do"
    assert capsys.readouterr().out.endswith("1 part before, 1 now\n")
    assert Store(folder).read().equals(before)


def test_a_record_in_two_parts_is_one(folder):
    extra = Store(folder).read().slice(0, 5)
    pq.write_table(extra, folder / "records" / "again.parquet")
    assert Store(folder).compact() == (8, 48)
    (part,) = find_parts(folder)
    assert pq.read_metadata(part).num_rows == 48


def test_records_that_contradict_each_other_are_left(folder, capsys):
    """Which of two is right is not ours to say: no part goes."""
    table = Store(folder).read().slice(0, 1)
    place = table.schema.get_field_index("accuracy")
    other = table.set_column(place, table.schema.field(place), pa.array([0.123]))
    pq.write_table(other, folder / "records" / "again.parquet")
    assert main(["compact", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "stands in two parts, in which accuracy is " in said
    assert said.endswith("nothing was removed\n")
    assert len(find_parts(folder)) == 8


def test_parts_of_an_older_version_are_written_in_this_one(folder):
    lacking = set(SINCE["2"])
    schema = pa.schema(
        [field for field in SCHEMA if field.name not in lacking],
        metadata={"schema_version": "2"},
    )
    old = [{k: v for k, v in row.items() if k not in lacking} for row in step([(50.0, 0.2)])]
    pq.write_table(pa.Table.from_pylist(old, schema=schema), folder / "records" / "old.parquet")
    before = Store(folder).read()
    Store(folder).compact()
    assert Store(folder).read().equals(before)


def test_what_another_run_writes_meanwhile_stays(folder, monkeypatch):
    """A part that appears after the list was made is not removed, whether it was read or not."""
    late = pa.Table.from_pylist(step([(99.0, 0.2)]), schema=SCHEMA)
    read = store_room.read_all

    def and_write(folders):
        table = read(folders)
        pq.write_table(late, folder / "records" / "late.parquet")
        return table

    monkeypatch.setattr(store_room, "read_all", and_write)
    Store(folder).compact()
    monkeypatch.undo()
    assert len(Store(folder).read()) == 48 + len(late)


def test_a_part_that_cannot_be_read_stops_it_before_anything_goes(folder, capsys):
    (folder / "records" / "3.parquet").write_bytes(b"garbage")
    assert main(["compact", str(folder)]) == 2
    assert "3.parquet: not a readable part of records" in capsys.readouterr().err
    assert len(find_parts(folder)) == 7


@pytest.mark.parametrize("words", [["compact"], ["merge"], [], ["compact", "nowhere"]])
def test_mistakes_are_one_line(words, capsys):
    try:
        code = main(words)
    except SystemExit as error:
        code = error.code
    said = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in said
    assert said.strip()


@pytest.mark.parametrize("fold", [1, 2, 3, 100])
def test_a_writer_folds_the_parts_that_it_has_written(fold, tmp_path, monkeypatch):
    """Read at any moment, the store holds what was written up to then, each record once."""
    monkeypatch.setattr(writer_room, "FOLD", fold)
    store, written = Store(tmp_path / "tiny"), []
    writer = writer_room.Writer(store)
    for number in range(7):
        own = rows_of(number)
        written += [row["record_id"] for row in own]
        assert writer.write(Results(f"job{number}", own, {})) is None
        assert store.read()["record_id"].to_pylist() == sorted(written)
        assert len(find_parts(store.folder)) == (number + 1) // fold + (number + 1) % fold


def test_parts_that_go_while_they_are_read_are_read_where_they_went(folder, monkeypatch):
    expected = Store(folder).read()
    read, gone = parts_room.read_part, []

    def and_fold(part, columns):
        if not gone:
            gone.append(Store(folder).folder)
            monkeypatch.setattr(parts_room, "read_part", read)
            Store(folder).compact()
        return read(part, columns)

    monkeypatch.setattr(parts_room, "read_part", and_fold)
    assert Store(folder).read().equals(expected)
    assert gone


def test_an_empty_folder_and_a_folder_of_stores(folder, tmp_path, capsys):
    write(step([(99.0, 0.2)]), tmp_path / "other")
    assert main(["compact", str(tmp_path)]) == 2
    assert "holds stores; name one: " in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["compact", str(tmp_path / "empty")]) == 2
    assert "no records in it; needed: a store" in capsys.readouterr().err


def test_killed_at_any_step_nothing_is_lost_or_doubled(tmp_path):
    """In processes of their own, before and after each file that gets its name or goes."""
    folder = write(rows(), tmp_path / "sweep", parts=4)
    before = read_parts([folder])
    words = [sys.executable, "-c", PROGRAM, str(folder)]
    said = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    killed, left = int(said), set()
    for number in range(killed):
        own = tmp_path / f"sweep-{number}"
        left.add(len(find_parts(own)))
        assert read_parts([own]).equals(before)
        assert main(["compact", str(own)]) == 0
        assert read_parts([own]).equals(before)
        assert len(find_parts(own)) == 1
    assert left == {*range(1, 6)}, "with all parts, with the new one too, and with each of less"


PROGRAM = """
import os, shutil, signal, sys
from pathlib import Path
from study.upkeep import main

folder = Path(sys.argv[1])
acts = {name: getattr(Path, name) for name in ("replace", "unlink")}


def dies(step):
    left = [step]

    def late(name, path, *words, **more):
        for act in (lambda: None, lambda: acts[name](path, *words, **more)):
            act()
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    for name in acts:
        setattr(Path, name, lambda *words, name=name, **more: late(name, *words, **more))


for number in range(100):
    own = folder.with_name(f"sweep-{number}")
    shutil.copytree(folder, own)
    child = os.fork()
    if not child:
        sys.stdout = open(os.devnull, "w")
        dies(number)
        os._exit(main(["compact", str(own)]))
    if not os.waitpid(child, 0)[1]:
        break
print(number)
"""


def test_a_job_that_was_written_twice_is_folded_like_any(tmp_path, monkeypatch):
    """As after a node that went between the writing and the word of it."""
    monkeypatch.setattr(writer_room, "FOLD", 3)
    store = Store(tmp_path / "tiny")
    writer = writer_room.Writer(store)
    for number in (0, 0, 1):
        assert writer.write(Results(f"job{number}", rows_of(number), {})) is None
    assert len(find_parts(store.folder)) == 1
    assert len(store.read()) == 6


def test_a_writer_folds_what_others_have_left_too(tmp_path, monkeypatch):
    """A queue that ends every run early would else leave small parts for ever."""
    monkeypatch.setattr(writer_room, "FOLD", 3)
    store = Store(tmp_path / "tiny")
    for number in range(7):
        results = Results(f"job{number}", rows_of(number), {})
        assert writer_room.Writer(store).write(results) is None
    assert len(find_parts(store.folder)) == 3
    assert len(store.read()) == 21
