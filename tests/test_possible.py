"""Records that cannot be: each is one line that names it, and none is drawn."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import claims, figures, load, report
from analysis.possible import impossible
from study.errors import UserError
from study.store import Store
from tests.test_figures import diverged, frame, step, write

POINT = {
    "iteration": 10,
    "train_loss": 1.0,
    "train_accuracy": 0.5,
    "test_loss": 1.0,
    "test_accuracy": 0.5,
}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Rows as a store holds them, scores by class and all."""
    folder = write(step([(10.0, 0.2), (10.0, 0.5)]), tmp_path_factory.mktemp("real") / "sweep")
    return Store(folder).read().to_pylist()


def test_what_is_fine_stays(real):
    assert impossible(frame(real)) is None
    lost = diverged(real[0]) | {"auc_per_class": None, "recall_per_class": None, "confusion": None}
    assert impossible(frame([lost, *real[1:]])) is None
    losing = real[0] | {"curve": [POINT | {"train_loss": np.inf, "test_loss": np.nan}]}
    assert impossible(frame([losing])) is None, "a loss may run away"
    natural = real[0] | {"rho": None, "mu": None, "n_minority": None, "minority": None}
    assert impossible(frame([natural])) is None


WRONG = [
    ("auc", 7.0, "0 to 1"),
    ("auc", np.inf, "0 to 1"),
    ("auc", None, "a value, unless the network diverged"),
    ("accuracy", -3.0, "0 to 1"),
    ("accuracy", np.nan, "a value, unless the network diverged"),
    ("validation_auc", 1.5, "0 to 1"),
    ("status", "OK", "ok, chance, diverged"),
    ("status", "diverged", "a value, unless the network diverged"),
    ("mu", 3.0, "0 to 1"),
    ("rho", -1.0, "1 or more"),
    ("rho", np.inf, "1 or more"),
    ("to", 0.0, "1 or more"),
    ("iterations", -5, "1 or more"),
    ("seconds", np.inf, "0 or more"),
    ("case_id", None, "a value"),
    ("method", None, "a value"),
    ("method", "$x", "a name without $"),
    ("dataset", "a\x07b", "a name without $"),
    ("model", None, "a value"),
    ("class_counts", None, "a value"),
    ("class_counts", [], "whole numbers"),
    ("class_counts", [-1] * 10, "whole numbers"),
    ("recall_per_class", [0.5] * 3, "a value for each class"),
    ("auc_per_class", [0.5] * 11, "a value for each class"),
    ("curve", [None], "shares in [0, 1]"),
    ("curve", [POINT | {"test_accuracy": 7.0}], "shares in [0, 1]"),
    ("curve", [POINT | {"test_accuracy": None}], "shares in [0, 1]"),
]


@pytest.mark.parametrize(("name", "value", "needed"), WRONG)
def test_what_cannot_be_is_named(real, name, value, needed):
    said = impossible(frame([*real[:3], real[3] | {name: value}, *real[4:]]))
    assert said is not None
    assert said.startswith(f"record {real[3]['record_id']}: ")
    assert needed in said


@pytest.mark.parametrize("command", [claims.main, figures.main, report.main])
def test_the_commands_say_it_in_one_line(real, command, tmp_path, capsys):
    folder = write(real, tmp_path / "results" / "sweep", parts=1)
    (part,) = (folder / "records").glob("*.parquet")
    table = pq.read_table(part)
    place = table.schema.get_field_index("auc")
    values = pa.array([7.0] + [0.5] * (len(table) - 1))
    pq.write_table(table.set_column(place, table.schema.field(place), values), part)
    assert command(["--results", str(tmp_path / "results")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{folder}: record ")
    assert "auc is 7.0; needed: 0 to 1" in said
    assert said.count("\n") == 1
    with pytest.raises(UserError, match=r"auc is 7\.0"):
        load(folder)


@pytest.mark.parametrize("given", [None, 3, "", [None]])
def test_what_is_no_folder_is_one_line(given):
    with pytest.raises(UserError, match="needed: a folder, or several"):
        load(given)


@pytest.mark.parametrize("columns", ["auc", [1]])
def test_what_are_no_columns_is_one_line(real, tmp_path, columns):
    folder = write(real, tmp_path / "sweep")
    with pytest.raises(UserError, match=r"columns: found .*; needed: a list of names"):
        load(folder, columns=columns)
