"""A store put to the proof: sound ones pass, one changed digit is found, mistakes are one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import study.anew
from study.gridfile import read_grid
from study.packs import Trainer
from study.plan import plan
from study.run import main as run
from study.schema import SCHEMA
from study.sound import at_odds, wrong
from study.store import Store
from study.verify import main
from tests.conftest import ROOT, raw_grid

STORES = {
    "crossed": {
        "replicates": 1,
        "subsets": 2,
        "runs": 2,
        "methods": ["baseline", "thresholding", "two_phase_oversampling"],
    },
    "splits": {"dataset": {"splits": 2}, "methods": ["baseline", "undersampling"]},
    "curve": {
        "curve": 4,
        "methods": "all",
        "replicates": 1,
        "dataset": {"validation_per_class": 2},
    },
    "candidates": {
        "runs": 2,
        "replicates": 1,
        "methods": ["baseline", {"oversampling": {"to": [1, 5]}}],
        "recipe": {"rate": {"base": [0.01, 1e12]}},
    },
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of each kind."""
    folder = tmp_path_factory.mktemp("made")
    for name, changes in STORES.items():
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(raw_grid(**changes, name=name)))
        words = ["--executor", "inprocess", "--results", str(folder / "results")]
        assert run([str(file), *words]) == 0
    return folder / "results"


@pytest.fixture
def store(made, tmp_path):
    """Copies one, to be spoilt."""

    def copy(name):
        shutil.copytree(made / name, tmp_path / name)
        return tmp_path / name

    return copy


def test_logits_that_do_not_decide_as_the_record_says_are_found(grid_file, tmp_path, capsys):
    file = grid_file(predictions=True, replicates=1, methods=["baseline", "thresholding"])
    words = ["--executor", "inprocess", "--results", str(tmp_path / "results")]
    assert run([str(file), *words]) == 0
    folder = tmp_path / "results" / "tiny"
    assert main([str(folder), "--sample", "0"]) == 0
    (logits,) = {*folder.glob("predictions/*.npy")} - {folder / "predictions" / "labels.npy"}
    np.save(logits, np.eye(4, dtype=np.float16)[np.load(folder / "predictions" / "labels.npy")])
    capsys.readouterr()
    assert main([str(folder), "--sample", "0"]) == 1
    assert "its logits decide" in capsys.readouterr().out
    labels, fine = folder / "predictions" / "labels.npy", np.load(logits)
    for path, array, said in (
        (logits, fine[1:], f"of {len(fine)} images and 4 classes"),
        (logits, fine[:, :0], "its logits are float16 of"),
        (logits, np.hstack([fine, fine]), "its logits are float16 of"),
        (logits, fine.astype("<U8"), "its logits are <U8 of"),
        (logits, np.zeros(fine.shape, [("a", "f4")]), "its logits are ["),
        (labels, np.array(3), "the labels of its logits are int64 of ()"),
        (labels, np.zeros(0, int), "the labels of its logits are int64 of (0,)"),
    ):
        kept = path.read_bytes()
        np.save(path, array)
        assert main([str(folder), "--sample", "0"]) == 1
        assert said in capsys.readouterr().out
        path.write_bytes(kept)
    for path in (logits, labels):
        for change in (lambda path: path.write_bytes(path.read_bytes()[:200]), Path.unlink):
            kept = path.read_bytes()
            change(path)
            assert main([str(folder), "--sample", "0"]) == 1
            assert capsys.readouterr().out.count("are not there or not whole") == 1
            path.write_bytes(kept)


@pytest.fixture
def verify(capsys, tmp_path):
    """Runs the command; gives exit code, output and errors."""

    def go(folder, *words):
        try:
            code = main([str(folder), "--data", str(tmp_path), *words])
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err

    return go


def rows(folder):
    return Store(folder).read().to_pylist()


def rewrite(folder, records):
    """The store with these records instead of its own."""
    for part in (folder / "records").glob("*.parquet"):
        part.unlink()
    pq.write_table(pa.Table.from_pylist(records, schema=SCHEMA), folder / "records" / "one.parquet")


def spoil(folder, change, of=lambda record: True):
    """Change the first record of the kind; gives its id."""
    records = rows(folder)
    record = next(record for record in records if of(record))
    change(record)
    rewrite(folder, records)
    return record["record_id"]


def files(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", STORES)
def test_what_was_run_is_computed_anew_bit_for_bit(made, verify, name):
    before = files(made)
    code, out, err = verify(made / name, "--sample", "99")
    number = len(rows(made / name))
    assert (code, err) == (0, "")
    assert f"{number} records; contradictions: 0" in out
    assert f"{number} computed anew: {number} identical, 0 within tolerance, 0 different" in out
    assert out.count(": identical\n") == number
    assert files(made) == before, "nothing is written"


@pytest.mark.parametrize("name", ["mnist_step-small", "mnist_convergence-small", "full_mnist"])
def test_no_real_record_contradicts_itself(verify, name):
    code, out, _ = verify(ROOT / "results" / "reference" / name, "--sample", "0")
    assert code == 0
    assert "contradictions: 0" in out


def times(factor):
    return lambda value: value * factor


def first(change):
    return lambda values: [change(values[0]), *values[1:]]


def second(change):
    return lambda values: [values[0], change(values[1]), *values[2:]]


CHEAP = {
    "auc": (times(0.99), "the mean of auc_per_class"),
    "accuracy": (times(0.99), "accuracy is"),
    "auc_per_class": (first(lambda area: area / 2), "the mean of auc_per_class"),
    "recall_per_class": (second(lambda share: 1 - share + 0.05), "recall_per_class[1] is"),
    "confusion": (first(first(lambda n: n + 1)), "test_counts"),
    "test_counts": (first(lambda n: n + 1), "test_counts"),
    "class_counts": (first(lambda n: n + 1), "class_counts is"),
    "minority": (lambda labels: [9, *labels[1:]], "minority is [9"),
    "n_minority": (lambda n: n + 1, "n_minority is 3"),
    "status": (lambda _: "fine", "status is 'fine'"),
    "train_accuracy": (lambda share: share + 0.001, "no share of"),
    "validation_accuracy": (lambda _: 1.25, "validation_accuracy is 1.25"),
    "validation_auc": (lambda _: -0.1, "validation_auc is -0.1"),
    "train_loss": (lambda loss: -loss, "it is finite and no less than 0"),
    "curve": (second(lambda point: point | {"test_accuracy": 0.51}), "curve[1].test_accuracy"),
    "curve ": (second(lambda point: None), "null in it where a number belongs"),
    "method": (lambda name: f"no_{name}", "grid.yaml plans"),
    "training_id": (lambda id: id[::-1], "grid.yaml plans"),
    "case_id": (lambda id: id[::-1], "grid.yaml plans"),
    "rho": (lambda _: 11.0, "rho is 11.0; grid.yaml plans 10"),
    "replicate": (lambda _: 5, "replicate is 5; grid.yaml plans 0"),
    "base_rate": (times(2), "base_rate is 0.02"),
    "iterations": (lambda _: 7, "iterations is 7"),
    "seconds": (lambda _: float("nan"), "seconds is nan"),
    "pack": (lambda _: -5, "pack is -5"),
    "threads": (lambda _: 0, "threads is 0"),
    "finished_at": (lambda _: None, "finished_at is not told"),
    "code": (lambda _: "", "code is not told"),
}
"""Column -> a change, and what is said of it without training anything."""


@pytest.mark.parametrize("column", CHEAP)
def test_a_changed_value_that_cannot_be_is_found_without_training(store, verify, column):
    change, words = CHEAP[column]
    column = column.strip()
    folder = store("curve")
    id = spoil(folder, lambda record: record.update({column: change(record[column])}))
    code, out, _ = verify(folder, "--sample", "0")
    assert code == 1
    assert any(line.startswith(id) and words in line for line in out.splitlines()), out


@pytest.mark.parametrize("column", ["auc", "accuracy", "confusion", "recall_per_class"])
def test_a_score_that_is_lost_and_one_that_cannot_be_there(made, column):
    records = rows(made / "candidates")
    fine = next(record for record in records if record["status"] != "diverged")
    lost = next(record for record in records if record["status"] == "diverged")
    assert list(wrong(fine)) == list(wrong(lost)) == []
    assert any(column in what for what in wrong(fine | {column: None}))
    assert any(column in what for what in wrong(lost | {column: fine[column]}))


def test_records_of_one_network_agree(made):
    """A change that no record shows alone: AUC and the areas it is the mean of, both moved."""
    records = rows(made / "curve")
    table = pa.Table.from_pylist(records, schema=SCHEMA)
    assert list(at_odds(table)) == []
    record = next(record for record in records if record["method"] == "thresholding")
    moved = [area - 0.01 for area in record["auc_per_class"]]
    record.update(auc_per_class=moved, auc=sum(moved) / len(moved))
    assert list(wrong(record)) == []
    told = list(at_odds(pa.Table.from_pylist(records, schema=SCHEMA)))
    pairs = {r["record_id"] for r in records if r["training_id"] == record["training_id"]}
    assert {id for id, _ in told} <= pairs
    assert {what.split()[0] for _, what in told} == {"auc", "auc_per_class"}


def digits(value):
    """The value with its fifth digit another."""
    text = repr(value)
    at = text.index(".") + 5
    return float(f"{text[:at]}{(int(text[at]) + 5) % 10}{text[at + 1 :]}")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("crossed", {"method": "two_phase_oversampling", "run": 1}),
        ("splits", {"split": 1}),
        ("candidates", {"base_rate": 0.01, "to": 5.0}),
    ],
)
def test_one_digit_is_found_by_computing_anew(store, verify, name, kind):
    folder = store(name)
    id = spoil(
        folder,
        lambda record: record.update(train_loss=digits(record["train_loss"])),
        lambda record: all(record[key] == value for key, value in kind.items()),
    )
    assert verify(folder, "--only", id)[0] == 1
    code, out, _ = verify(folder, "--sample", "99")
    assert code == 1
    (line,) = [line for line in out.splitlines() if "DIFFERENT" in line]
    assert id in line
    assert "DIFFERENT: train_loss: stored " in line
    assert " 1 different" in out.splitlines()[-1]


def test_what_was_computed_elsewhere_is_within_tolerance_and_says_why(store, verify):
    folder = store("splits")
    records = rows(folder)
    for record in records:
        record["train_loss"] = digits(record["train_loss"])
        record["versions"] = json.dumps(json.loads(record["versions"]) | {"torch": "2.11.0"})
    rewrite(folder, records)
    code, out, _ = verify(folder, "--sample", "1")
    assert code == 0
    assert "within tolerance: train_loss " in out
    assert "(torch 2.11.0 there, 2." in out
    for record in records:
        record["train_loss"] += 0.2
    rewrite(folder, records)
    code, out, _ = verify(folder, "--sample", "1")
    assert code == 1
    assert "DIFFERENT: train_loss" in out
    assert "(torch 2.11.0 there, 2." in out


def test_a_choice_can_be_made_again(made, verify):
    def chosen(*words):
        _, out, _ = verify(made / "crossed", *words)
        lines = out.splitlines()[2:-1]
        return [line.split()[1] for line in lines], out.splitlines()[1]

    once, told = chosen("--sample", "4")
    seed = told.rpartition("--seed ")[2]
    assert 4 <= len(once) <= 5, "whole trainings"
    assert chosen("--sample", "4", "--seed", seed)[0] == once
    assert len({tuple(chosen("--sample", "2", "--seed", str(n))[0]) for n in range(4)}) > 1


def test_records_that_share_a_training_share_the_work(made, verify, monkeypatch):
    fitted, fit = [], Trainer.fit

    def counted(trainer, networks):
        fitted.extend(network.training for network in networks)
        return fit(trainer, networks)

    monkeypatch.setattr(Trainer, "fit", counted)
    case = read_grid(made / "crossed" / "grid.yaml").grid
    due = plan(case)[0]
    assert verify(made / "crossed", "--only", due.case.id)[0] == 0
    assert len(fitted) == len(set(fitted)) == 6
    fitted.clear()
    (row,) = [row for row in due.rows if row.training.run == 1 and row.training.parent]
    assert verify(made / "crossed", "--only", row.id)[0] == 0
    assert fitted == [row.training.parent, row.training], "a second phase with what it goes on from"


def test_a_record_that_the_grid_does_not_plan_is_named_and_left(store, verify):
    folder = store("splits")
    records = rows(folder)
    stranger = records[0] | {"record_id": "f" * 16, "training_id": "e" * 16}
    rewrite(folder, [*records, stranger])
    code, out, _ = verify(folder, "--sample", "99")
    assert code == 0
    assert f"1 that grid.yaml does not plan, not computed anew: {'f' * 16}" in out
    assert "8 computed anew: 8 identical" in out
    assert "no record stored here that grid.yaml plans" in verify(folder, "--only", "ffff")[2]
    rewrite(folder, [stranger])
    assert verify(folder)[::2] == (2, f"{folder}: its grid.yaml plans none of its records\n")


def test_what_is_stored_twice_and_differently_is_told(store, verify):
    folder = store("splits")
    record = rows(folder)[0]
    again = pa.Table.from_pylist([record], schema=SCHEMA)
    pq.write_table(again, folder / "records" / "zz.parquet")
    assert verify(folder, "--sample", "0")[0] == 0
    record["train_loss"] = digits(record["train_loss"])
    again = pa.Table.from_pylist([record], schema=SCHEMA)
    pq.write_table(again, folder / "records" / "zz.parquet")
    code, out, _ = verify(folder, "--sample", "0")
    assert code == 1
    assert f"{record['record_id']}: stored twice, train_loss: once " in out


def test_a_damaged_page_is_named_and_the_rest_is_proved(store, verify):
    """A bit in the values of one column, which a look at the ids alone would not meet."""
    folder = store("splits")
    part = max((folder / "records").glob("*.parquet"))
    column = pq.read_metadata(part).row_group(0).column(SCHEMA.names.index("train_loss"))
    content = bytearray(part.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 3] ^= 1
    lost = pq.read_metadata(part).num_rows
    part.write_bytes(content)
    code, out, _ = verify(folder, "--sample", "99")
    assert code == 1
    assert f"{part}: not a readable part of records" in out
    assert f"{8 - lost} computed anew: {8 - lost} identical" in out


def test_what_cannot_be_computed_any_more_is_different(made, verify, monkeypatch):
    def fails(*words):
        raise SystemExit("gone")

    monkeypatch.setattr(study.anew, "run_job", fails)
    code, out, _ = verify(made / "splits", "--sample", "1")
    assert code == 1
    assert "DIFFERENT: stored, but now it fails with SystemExit: gone" in out


def test_to_stop_is_no_failure(made, verify, monkeypatch):
    def stopped(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr(study.anew, "run_job", stopped)
    assert verify(made / "splits")[::2] == (130, "stopped; nothing was written\n")


def test_many_contradictions_are_counted(store, verify):
    folder = store("crossed")
    rewrite(folder, [record | {"accuracy": 1.5} for record in rows(folder)])
    code, out, _ = verify(folder, "--sample", "0")
    assert code == 1
    assert "and 4 more\n" in out
    assert "contradictions: 24\n" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: no such folder; needed: a store"),
        (["empty"], "empty: no records in it; needed: a store"),
        (["."], "holds stores; name one: "),
        (["splits/records"], "no store's place; needed: a store"),
        (["splits/grid.yaml"], "splits/grid.yaml: "),
        (["splits", "--only", "zz"], "--only zz: no record stored here"),
        (["splits", "--only", "a", "--seed", "1"], "--seed: draws a --sample"),
        (["splits", "--only", "a", "--sample", "1"], "not allowed with argument"),
        (["splits", "--sample", "-1"], "found '-1'; needed: a whole number, 0 or more"),
        (["splits", "--seed", "x"], "found 'x'; needed: a whole number, 0 or more"),
        (["splits", "--pack", "none"], "found 'none'; needed: auto"),
        (["splits", "--formulation", "triton"], "needs a CUDA device"),
    ],
)
def test_mistakes_are_one_line(made, verify, monkeypatch, words, said):
    monkeypatch.chdir(made)
    (made / "empty").mkdir(exist_ok=True)
    code, _, err = verify(*words)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "no such file; it says by which protocol"),
        (lambda file: file.write_text("a: ["), "grid.yaml: line"),
        (lambda file: file.write_text("[1]"), "holds no grid"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda file: file.write_text(file.read_text().replace("lenet5", "lenet")), "model: found"),
    ],
)
def test_a_grid_that_is_none_is_named(store, verify, spoil, said):
    folder = store("splits")
    spoil(folder / "grid.yaml")
    code, _, err = verify(folder)
    assert code == 2
    assert said in err


def test_data_that_is_not_there_is_named(tmp_path, verify):
    """The records are looked at all the same."""
    changes = {"name": "npz", "path": "mine.npz", "height": 16, "width": 16, "channels": 1}
    keys = {"name", "classes", "train_per_class", "test_per_class"}
    raw = raw_grid(name="own", methods=["baseline"], replicates=1)
    raw["dataset"] = {key: raw["dataset"][key] for key in keys} | changes
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(raw))
    images = np.random.default_rng(0).integers(0, 256, (200, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(200) % 4)
    words = ["--executor", "inprocess", "--data", str(tmp_path), "--results", str(tmp_path)]
    assert run([str(tmp_path / "own.yaml"), *words]) == 0
    assert verify(tmp_path / "own")[0] == 0
    (tmp_path / "mine.npz").unlink()
    code, out, err = verify(tmp_path / "own")
    assert code == 2
    assert "1 records; contradictions: 0" in out
    assert "mine.npz" in err
