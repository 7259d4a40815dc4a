"""The frame that `load` gives, and the page that documents it; `python -m tests.test_records`
writes the page's table anew.
"""

import re
import textwrap
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from analysis import load
from analysis.records import ABOUT
from study.errors import UserError
from study.methods import METHODS
from study.run import main
from study.schema import COLUMNS, POINT, SCHEMA, SINCE, VERSION, VOLATILE
from tests.conftest import ROOT, raw_grid
from tests.test_figures import diverged, frame, linear, step, write

PAGE = ROOT / "docs" / "records.md"
HEADING = "## The columns\n"

TYPES = {
    pa.string(): "string",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.float64(): "float64",
    pa.list_(pa.int32()): "object: array of int32",
    pa.list_(pa.float64()): "object: array of float64",
    pa.list_(pa.list_(pa.int32())): "object: array of arrays of int32",
    pa.list_(POINT): "object: array of dicts",
    pa.timestamp("us", "UTC"): "datetime64[us, UTC]",
}

LOST = "diverged"
NULL = {
    "rho": "natural",
    **dict.fromkeys(["mu", "n_minority", "minority"], "not step"),
    "split": "the published one",
    "second_phase": "none",
    **dict.fromkeys(["auc", "accuracy", "auc_per_class", "recall_per_class", "confusion"], LOST),
    "test_counts": "before version 3",
    **dict.fromkeys(["validation_auc", "validation_accuracy"], f"none held out; {LOST}"),
    **dict.fromkeys(["train_accuracy", "train_loss"], LOST),
    "curve": "not asked for",
}
"""Columns that may be null, and when."""


def table():
    """What the page says of the columns."""
    rows = [
        f"| `{name}` | {TYPES[kind]} | {NULL.get(name, '')} | {about} |"
        for name, kind, about in COLUMNS
    ]
    points = ", ".join(f"`{field.name}`" for field in POINT)
    volatile = ", ".join(f"`{name}`" for name in VOLATILE)
    said = [
        f"A point of a `curve` is a dict: {points}. In `auc_per_class` and `recall_per_class` a "
        f"class that the test set lacks is NaN.",
        f"Volatile, which is to say that two runs of the same record may differ in them: "
        f"{volatile}. All other columns are equal bit for bit where device, pack, formulation and "
        f"versions are.",
    ]
    below = "\n\n".join(textwrap.fill(text, 100, break_on_hyphens=False) for text in said)
    head = ["| column | type in the frame | null where | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + f"\n\n{below}\n"


def written():
    """The page with its table as the schema has it."""
    return PAGE.read_text().partition(HEADING)[0] + HEADING + "\n" + table()


def test_the_page_is_the_schema():
    assert PAGE.read_text() == written(), "python -m tests.test_records writes it anew"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the tiny grid, changed, in this process; gives the study's folder."""

    def go(name, **changes):
        folder = tmp_path_factory.mktemp("results")
        raw = deepcopy(raw_grid(**{"replicates": 1, **changes}, name=name))
        if raw["imbalance"]["kind"] == "natural":
            raw["dataset"].pop("train_per_class")
        (folder / "grid.yaml").write_text(yaml.safe_dump(raw))
        assert (
            main([str(folder / "grid.yaml"), "--executor", "inprocess", "--results", str(folder)])
            == 0
        )
        return folder / name

    return go


@pytest.fixture(scope="module")
def plain(run):
    return load(run("plain", methods="all", curve=4, dataset={"validation_per_class": 2}))


@pytest.fixture(scope="module")
def lost(run):
    rate = {"rate": {"base": 1e12}}
    return load(run("lost", recipe=rate, methods=["baseline"], dataset={"validation_per_class": 2}))


def test_types_are_those_that_the_page_says(plain):
    for name, kind, _ in COLUMNS:
        dtype, _, inside = TYPES[kind].partition(": ")
        assert str(plain[name].dtype) == dtype, name
        if inside and name != "curve":
            (value,) = {type(list_) for list_ in plain[name]}
            assert value is np.ndarray
            first = plain[name].iloc[0]
            first = first[0] if "arrays" in inside else first
            assert inside.endswith(str(first.dtype)), name
    assert set(plain["curve"].iloc[0][0]) == {field.name for field in POINT}


def test_columns_are_null_where_the_page_says_and_nowhere_else(plain, lost, run, tmp_path):
    assert set(lost["status"]) == {"diverged"}
    gone = {name for name, when in NULL.items() if LOST in when}
    assert set(nulls(lost)) == gone | {"split", "second_phase", "curve"}
    assert set(nulls(plain)) == {"split", "second_phase"}
    assert set(plain.loc[plain["second_phase"].isna(), "method"]) == {
        id for id, method in METHODS.items() if method.second_phase is None
    }
    held_out = {"validation_auc", "validation_accuracy"}
    others = {"split", "second_phase", "curve", *held_out}
    place = {"mu", "n_minority", "minority"}
    natural = load(run("natural", imbalance={"kind": "natural"}, methods=["baseline"]))
    assert set(nulls(natural)) == others | place | {"rho"}
    linear = load(run("linear", imbalance={"kind": "linear", "rho": 5}, methods=["baseline"]))
    assert set(nulls(linear)) == others | place
    resplit = load(run("resplit", methods=["baseline"], dataset={"splits": 2}))
    assert set(nulls(resplit)) == others - {"split"}
    assert set(resplit["split"]) == {0, 1}
    old = load(older(write(step(), tmp_path / "old"), "2"))
    assert "test_counts" in nulls(old)
    assert set(NULL) == {*nulls(lost), *nulls(natural), "test_counts"}


def nulls(data):
    """The columns with a null."""
    return [name for name in data.columns if data[name].isna().any()]


def older(folder, version):
    """Rewrites a store's parts as that version of the program wrote them."""
    for path in (folder / "records").glob("*.parquet"):
        table = pq.read_table(path).drop_columns(list(SINCE[version]))
        metadata = {**SCHEMA.metadata, b"schema_version": version.encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path)
    return folder


def test_the_pages_examples_run(run, tmp_path, monkeypatch):
    longer = {"imbalance": {"rho": [5, 10]}, "recipe": {"iterations": 60}}
    study = run("quickstart", methods="all", replicates=2, **longer)
    (tmp_path / "results").symlink_to(study.parent)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    rows = load("results/quickstart").to_dict("records")
    assert len(names["records"]) == len(names["everything"]) == len(names["several"]) == 32
    for (rho, mu), means in names["table"].iterrows():
        own = [r["auc"] for r in rows if (r["rho"], r["mu"], r["method"]) == (rho, mu, "baseline")]
        assert means["baseline"] == pytest.approx(np.mean(own))
        assert len(own) == 2
    scores = {(row["case_id"], row["method"]): 100 * row["accuracy"] for row in rows}
    assert len(names["gain"]) == 4
    assert names["gain"].any()
    for (_, _, case), gain in names["gain"].items():
        assert gain == pytest.approx(scores[case, "thresholding"] - scores[case, "baseline"])
    for size, method in ((3, "baseline"), (30, "oversampling")):
        own = [
            recall
            for row in rows
            if row["method"] == method
            for count, recall in zip(row["class_counts"], row["recall_per_class"], strict=True)
            if count == size
        ]
        assert names["recall"].loc[size, method] == pytest.approx(np.mean(own))


def test_a_folder_is_text_or_a_path_or_several(tmp_path):
    one, other = write(step(), tmp_path / "all" / "one"), write(linear(), tmp_path / "all" / "two")
    rows = load(one)
    assert len(rows) == len(step())
    assert list(rows.columns) == SCHEMA.names
    for folders in (str(one), Path(one), [one], (str(one),), [one, one], [one, one / "records"]):
        pd.testing.assert_frame_equal(load(folders), rows)
    both = load([str(one), other])
    assert len(both) == len(step()) + len(linear())
    for folders in (tmp_path / "all", [other, one], [tmp_path / "all", one]):
        pd.testing.assert_frame_equal(load(folders), both)
    assert list(both["record_id"]) == sorted(both["record_id"])


def test_a_record_in_two_stores_is_one_row(tmp_path):
    one = write(step()[:10], tmp_path / "one")
    other = write(step()[5:], tmp_path / "two")
    rows = load([one, other])
    assert rows["record_id"].is_unique
    assert len(rows) == len(step())


def test_a_sweep_under_way_loads_as_far_as_it_has_come(tmp_path):
    folder = write(step(), tmp_path / "half")
    (folder / "records" / "1.parquet").rename(folder / "records" / ".1.parquet.77-ab.part")
    (folder / "records" / ".2.parquet.78-cd.part").write_bytes(b"PAR1 half a part")
    assert sorted(load(folder)["record_id"]) == sorted(row["record_id"] for row in step()[::2])


def test_a_store_without_records_has_all_columns_typed(tmp_path):
    (tmp_path / "records").mkdir()
    empty, full = load(tmp_path), frame(step())
    assert len(empty) == 0
    assert (empty.dtypes == full.dtypes).all()
    assert load(tmp_path, ["auc"]).dtypes.to_dict() == full[["auc", "record_id"]].dtypes.to_dict()
    assert len(load([])) == 0


@pytest.mark.parametrize("wrap", [str, Path, lambda path: [path.parent, path]])
def test_a_folder_that_is_not_there_is_an_error_that_names_it(wrap, tmp_path):
    path = tmp_path / "resluts"
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: no such folder$"):
        load(wrap(path))
    path.write_text("")
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: not a folder$"):
        load(wrap(path))


SINCE_2 = {"precision": "strict", "pack": 1, "formulation": "plain"}
SINCE_3 = {"to": 1.0}
UNKNOWN = {"split", "test_counts", "validation_auc", "validation_accuracy", "curve"}


@pytest.mark.parametrize(("version", "known"), [("1", SINCE_2 | SINCE_3), ("2", SINCE_3)])
def test_an_older_version_is_read_with_what_was_the_case(version, known, tmp_path):
    """Alone, and beside a store of this version."""
    rows = step(precision="strict", pack=1, formulation="plain", test_counts=[10] * 10)
    new = write(rows, tmp_path / "new")
    old = older(write(rows, tmp_path / "old"), version)
    found = load(old)
    assert list(found.columns) == SCHEMA.names
    assert (found.dtypes == load(new).dtypes).all()
    assert {name: set(found[name]) for name in known} == {n: {v} for n, v in known.items()}
    assert found[list(UNKNOWN)].isna().all(axis=None)
    same = [name for name in SCHEMA.names if name not in {*known, *UNKNOWN}]
    pd.testing.assert_frame_equal(found[same], load(new)[same])
    beside = write([row | {"record_id": f"{row['record_id']}-2"} for row in rows], tmp_path / "2")
    assert len(load([old, beside])) == 2 * len(rows)


@pytest.mark.parametrize("version", ["0", "4", "none"])
def test_a_version_that_is_not_known_is_refused_by_name(version, tmp_path):
    folder = write(step(), tmp_path / "made_up", parts=1)
    (path,) = (folder / "records").glob("*.parquet")
    metadata = {b"schema_version": version.encode()}
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
    known = ", ".join([*SINCE, VERSION])
    words = rf"^{re.escape(str(path))}: schema version {version}, this program reads {known}$"
    with pytest.raises(UserError, match=words):
        load(tmp_path)


def test_a_part_that_is_damaged_is_refused_by_name(tmp_path):
    folder = write(step(), tmp_path / "made_up")
    path = folder / "records" / "1.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=re.escape(str(path))):
        load(folder)


def test_some_columns_alone_and_what_they_mean(tmp_path):
    folder = write(step(), tmp_path / "made_up")
    whole = load(folder)
    some = load(folder, ["method", "auc"])
    assert set(some.columns) == {"method", "auc", "record_id"}
    pd.testing.assert_frame_equal(some, whole[list(some.columns)])
    assert {name: about for name, _, about in COLUMNS} == ABOUT
    assert not whole.attrs, "pandas copies them at every step, which is slow"


def test_a_column_that_is_not_there(tmp_path):
    folder = write(step(), tmp_path / "made_up")
    with pytest.raises(UserError, match="no column 'metod' in a record"):
        load(folder, ["metod"])


def test_a_diverged_record_is_a_row_with_no_scores(tmp_path):
    rows = step()
    rows[0] = diverged(rows[0])
    found = load(write(rows, tmp_path / "made_up")).set_index("record_id")
    assert found.loc[rows[0]["record_id"], ["auc", "accuracy"]].isna().all()
    assert len(found) == len(rows)


if __name__ == "__main__":
    PAGE.write_text(written())
