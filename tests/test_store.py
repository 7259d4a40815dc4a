"""The store: parts that are whole or absent, read once, and of one protocol."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from study import parts
from study.errors import UserError
from study.job import run_job
from study.parts import DamagedError, find_parts, read_part
from study.plan import Due, Job, plan
from study.schema import SCHEMA, VOLATILE
from study.store import Store
from tests.conftest import CPU, job_of, tiny_grid


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    grid = tiny_grid(methods="all", predictions=True)
    dataset = grid.dataset.dataset(tmp_path_factory.mktemp("data"), grid.seed)
    return grid, [
        run_job(job_of(grid, i), grid, dataset, CPU, "test") for i in range(grid.replicates)
    ]


@pytest.fixture
def store(tmp_path, work):
    made = Store(tmp_path / "tiny")
    made.open(work[0])
    for results in work[1]:
        made.write(results)
    return made


def test_what_is_written_is_read_as_it_was(store, work):
    table = store.read()
    assert table.schema.equals(SCHEMA)
    expected = sorted((r for w in work[1] for r in w.records), key=lambda r: r["record_id"])
    assert table.to_pylist() == expected
    assert store.records() == {r["record_id"] for r in expected}


def test_columns_come_in_the_order_of_the_ids_whether_these_are_among_them(store):
    assert store.read(["auc"])["auc"] == store.read()["auc"]
    assert store.read(["auc"]).column_names == ["auc"]


def test_the_metadata_says_version_and_volatile_columns(store):
    for path in store.folder.rglob("*.parquet"):
        metadata = pq.read_schema(path).metadata
        assert metadata[b"schema_version"] == b"3"
        assert tuple(json.loads(metadata[b"volatile"])) == VOLATILE


def test_every_file_that_ends_in_parquet_is_complete(store, work, monkeypatch):
    """Even where the writer dies in the middle of a part."""
    before = sorted(store.folder.rglob("*"))

    def dies(table, out, **options):
        out.write(b"PAR1 half a part")
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", dies)
    other = work[1][0].__class__("other", work[1][0].records, {})
    with pytest.raises(KeyboardInterrupt):
        store.write(other)
    assert sorted(store.folder.rglob("*")) == before


def test_a_temporary_file_left_by_a_killed_writer_is_no_part(store):
    whole = store.read()
    (store.folder / "records" / ".x.parquet.123.part").write_bytes(b"half")
    assert store.read().equals(whole)


def test_records_written_twice_are_read_once(store, work):
    whole = store.read()
    store.write(work[1][0].__class__("again", work[1][0].records, {}))
    assert len(list(store.folder.rglob("*.parquet"))) == 3
    assert store.read().equals(whole)


def test_a_part_that_is_there_is_never_overwritten(store, work):
    path = store.folder / "records" / f"{work[1][0].job}.parquet"
    before = path.read_bytes(), path.stat().st_ino
    store.write(work[1][0])
    assert (path.read_bytes(), path.stat().st_ino) == before


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"garbage" * 99]
)
def test_a_damaged_part_is_an_error_that_names_it(store, spoil):
    path = next((store.folder / "records").glob("*.parquet"))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=str(path)):
        store.read()


def packed(number):
    """A number as the end of a Parquet file holds it: its sign last, seven bits a byte."""
    number, out = 2 * number, b""
    while number > 127:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


def places(column):
    """Where a column lies, as that end says it: after each field's head its value."""
    data, words = column.data_page_offset, column.dictionary_page_offset
    return b"\x26" + packed(data) + b"\x26" + packed(words)


def test_an_end_that_makes_one_column_of_another_is_damage(store):
    """Unlike pages it has no checksum."""
    part = find_parts(store.folder)[0]
    content = part.read_bytes()
    group = pq.read_metadata(part).row_group(0)
    ids, other = group.column(0), group.column(SCHEMA.get_field_index("precision"))
    length = int.from_bytes(content[-8:-4], "little")
    body, end = content[: -8 - length], content[-8 - length : -8]
    assert end.count(places(ids)) == 1
    end = end.replace(places(ids), places(other))
    part.write_bytes(body + end + len(end).to_bytes(4, "little") + b"PAR1")
    [found] = {*pq.read_table(part, columns=["record_id"])["record_id"].to_pylist()}
    assert found == "strict", "as Parquet reads it"
    with pytest.raises(DamagedError, match="its end contradicts what stands before"):
        read_part(part, ["record_id"])


@pytest.mark.slow
def test_no_bit_of_an_end_makes_other_ids(store):
    part = find_parts(store.folder)[0]
    content = part.read_bytes()
    ids = read_part(part, ["record_id"])
    told = 0
    for place in range(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), len(content)):
        for bit in (3, 4, place % 8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            part.write_bytes(flipped)
            try:
                assert read_part(part, ["record_id"]).equals(ids)
            except UserError:
                told += 1
    assert told


def test_a_part_whose_records_lack_an_id_is_damaged(store):
    path = next((store.folder / "records").glob("*.parquet"))
    table = pq.read_table(path)
    null = pa.array([None] * len(table), pa.string())
    pq.write_table(table.set_column(0, table.schema.field(0), null), path)
    assert table.schema.names[0] == "record_id"
    for columns in (None, ["record_id"], ["auc"]):
        damaged = []
        store.read(columns, damaged)
        assert [trouble.part for trouble in damaged] == [path]


def test_a_pipe_in_the_place_of_a_part_is_damage_and_hangs_nobody(store):
    os.mkfifo(store.folder / "records" / "x.parquet")
    with pytest.raises(UserError, match=r"x.parquet: not a readable part of records .not a file"):
        store.read()


def test_labels_that_are_not_those_of_the_data_are_refused(store, work):
    (file,) = store.folder.glob("predictions/labels.npy")
    np.save(file, np.load(file)[::-1])
    with pytest.raises(UserError, match=r"labels.npy: not the labels of the test images"):
        store.write(work[1][0])


def test_a_part_that_is_listed_and_not_there_is_an_error_and_no_endless_search(store):
    (store.folder / "records" / "lost.parquet").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"lost.parquet: cannot be read \(no such file, though"):
        store.read()


def test_parts_merged_while_they_are_read_are_listed_again(store, monkeypatch):
    """What was damaged among them is told of once."""
    expected, read = store.read(), parts.read_part
    (store.folder / "records" / "0.parquet").write_bytes(b"garbage")

    whole, once = find_parts(store.folder)[1:], iter([True])

    def late(part, columns=None):
        if next(once, False):
            store.fold(whole)
        return read(part, columns)

    monkeypatch.setattr(parts, "read_part", late)
    damaged = []
    assert store.read(damaged=damaged).equals(expected)
    assert [trouble.part.name for trouble in damaged] == ["0.parquet"]


def test_a_part_of_another_schema_is_refused_by_its_version(store):
    path = store.folder / "records" / "old.parquet"
    pq.write_table(pa.table({"record_id": ["a"]}).replace_schema_metadata({}), path)
    with pytest.raises(UserError, match="schema version none, this program reads 1, 2, 3"):
        store.read()


def test_a_part_that_lacks_a_column_is_refused(store):
    path = next((store.folder / "records").glob("*.parquet"))
    pq.write_table(pq.read_table(path).drop_columns(["worker"]), path)
    with pytest.raises(UserError, match="its columns are not those of schema version 3"):
        store.read()


SINCE_2 = {"precision": "strict", "pack": 1, "formulation": "plain"}
SINCE_3 = {
    **dict.fromkeys(["split", "test_counts", "validation_auc", "validation_accuracy", "curve"]),
    "to": 1.0,
}


@pytest.mark.parametrize(("version", "later"), [("1", SINCE_2 | SINCE_3), ("2", SINCE_3)])
def test_a_part_of_an_older_version_is_read_with_what_it_did_not_say(store, version, later):
    """1: its records were all trained alone, strictly, by the only formulation there was. 2: all
    were sampled to full balance, on the published split; the rest is not known.
    """
    path = next((store.folder / "records").glob("*.parquet"))
    own = set(pq.read_table(path)["record_id"].to_pylist())
    expected = [r | (later if r["record_id"] in own else {}) for r in store.read().to_pylist()]
    old = pq.read_table(path).drop_columns(list(later))
    metadata = {**old.schema.metadata, b"schema_version": version.encode()}
    pq.write_table(old.replace_schema_metadata(metadata), path)
    assert store.read().to_pylist() == expected
    assert store.read().schema.equals(SCHEMA)
    assert store.read().schema.metadata[b"schema_version"] == b"3"
    for columns in (["record_id", "pack"], ["precision", "auc"], ["auc"], ["curve", "auc", "to"]):
        assert parts.read_part(path, columns).column_names == columns
        assert parts.read_part(path, columns).num_rows == len(own)


def test_a_part_that_has_more_than_its_version_knew_is_refused(store):
    path = next((store.folder / "records").glob("*.parquet"))
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"schema_version": b"2"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(UserError, match="its columns are not those of schema version 2"):
        store.read()


def test_a_store_without_records_reads_as_an_empty_table(tmp_path):
    assert Store(tmp_path / "nothing").read().schema.equals(SCHEMA)
    assert Store(tmp_path / "nothing").read(["record_id"]).column_names == ["record_id"]
    assert parts.read_parts([]).num_rows == 0


def test_logits_and_labels_are_stored_once(store, work):
    folder = store.folder / "predictions"
    trainings = {t.id for job in plan(work[0]) for t in job.predictions}
    assert store.predictions([None, 1]) == {None: trainings | {"labels"}, 1: set()}
    assert len(trainings) == 10
    for training in trainings:
        logits = np.load(folder / f"{training}.npy", allow_pickle=False)
        assert logits.dtype == np.float16
        assert logits.shape == (40, 4)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    for record in store.read().to_pylist():
        if record["decision"] == "argmax":
            logits = np.load(folder / f"{record['training_id']}.npy").astype(float)
            right = np.mean(logits.argmax(axis=1) == labels)
            assert right == pytest.approx(record["accuracy"], abs=0.03)


def test_a_store_holds_one_protocol(store):
    store.compare(tiny_grid(methods="all", replicates=9, title="more", predictions=True))
    store.compare(tiny_grid(imbalance={"rho": [5, 10], "mu": [0.25, 0.5]}))
    for change, words in (
        ({"recipe": {"iterations": 9}}, "recipe.iterations is 8 there, 9 in this grid"),
        ({"seed": 4}, "seed is 0 there, 4 in this grid"),
        ({"imbalance": {"minority": "lowest"}}, "imbalance.minority is random there, lowest"),
        ({"dataset": {"difficulty": 0.5}}, "dataset.difficulty is 0.4 there, 0.5"),
        ({"curve": 2}, "curve is None there, 2 in this grid"),
        ({"recipe": {"rate": {"base": [0.01, 0.001]}}}, r"recipe.rate.base is 0.01 there, \[0.01"),
    ):
        with pytest.raises(UserError, match=words):
            store.compare(tiny_grid(**change))


def test_a_failure_is_kept_until_its_job_succeeds(store):
    path = store.fail("job", "Traceback: boom")
    assert path.read_text() == "Traceback: boom"
    store.forget_failure("job")
    store.forget_failure("job")
    assert not path.exists()


def test_a_job_is_named_by_what_it_leaves():
    one, other = plan(tiny_grid(methods="all"))
    part = Due(one.case, one.rows[:3])
    assert Job((part,)).id == Job((Due(one.case, one.rows[:3]),)).id
    assert len({Job(dues).id for dues in ((one,), (part,), (one, other))}) == 3


@pytest.mark.parametrize("name", ["labels", "logits"])
def test_predictions_that_were_damaged_are_due_again_and_written_anew(store, work, name):
    training = work[1][0].records[0]["training_id"]
    path = store.folder / "predictions" / f"{'labels' if name == 'labels' else training}.npy"
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    assert training not in store.predictions([None])[None]
    store.write(work[1][0])
    assert path.read_bytes() == before
    assert training in store.predictions([None])[None]


def test_records_of_a_protocol_that_is_not_known_are_not_added_to(store, work):
    (store.folder / "grid.yaml").unlink()
    with pytest.raises(UserError, match="holds records, but no grid"):
        store.compare(work[0])


@pytest.mark.parametrize("content", ["", "[1, 2]", "a: [", "a: !!x 1", "[" * 5000, "1: 2", "a: &b"])
def test_a_stored_grid_that_is_none_is_an_error_that_names_it(store, work, content):
    (store.folder / "grid.yaml").write_text(content)
    with pytest.raises(UserError, match="tiny"):
        store.compare(work[0])


def test_splits_may_grow_but_are_no_growth_of_the_published_one(tmp_path):
    published, two, three = (tiny_grid(dataset={"splits": number}) for number in (None, 2, 3))
    for first, others in ((published, [two]), (two, [published])):
        store = Store(tmp_path / f"{first.dataset.splits}")
        store.open(first)
        for other in others:
            with pytest.raises(UserError, match=r"another protocol: dataset\.splits is"):
                store.compare(other)
    store.compare(three)
