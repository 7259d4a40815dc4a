"""The paper's printed numbers, and ours beside them wherever a store has the cell."""

import csv

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import outcome
from analysis.against import COLUMNS, PUBLISHED, against, published
from analysis.checks.testset import auc_bounds, error_bounds
from tests.test_claims import TABLE_4, diverged, frame, snapshot, stores, study

TABLE = {
    "baseline": ([99.41], [96.31], [90.74, 90.46, 90.05]),
    "oversampling": ([99.35], [95.06], [88.38, 88.39, 88.17]),
    "undersampling": ([96.85], [94.98], [88.35, 84.08, 83.74]),
}
"""Table 4, typed a second time."""


def table_4(**changes):
    """Records as the paper has them: one network in two cells, three in the third."""
    rows = study("imagenet", "step", n=3, noise=0.2, **changes)
    return [row for row in rows if row["rho"] == 100 or row["replicate"] == 0]


def row_of(found, **values):
    """The one row with these values."""
    for name, value in values.items():
        found = found[found[name] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_table_4_is_as_printed():
    own = published()
    for method, cells in TABLE.items():
        for (rho, mu), values in zip(TABLE_4, cells, strict=True):
            rows = own[(own["method"] == method) & (own["rho"] == rho) & (own["mu"] == mu)]
            rows = rows[rows["measure"] == "auc"]
            assert list(rows["published"]) == values
            assert set(rows["table"]) == {"4"}
            assert set(rows["page"]) == {"section 4.2"}
            assert set(rows["iterations"]) == {320_000}


def test_the_full_sets_are_as_printed():
    own = published()
    own = own[own["imbalance"] == "natural"]
    errors = own[own["measure"] == "error"]
    assert list(zip(errors["dataset"], errors["relation"], errors["published"], strict=True)) == [
        ("mnist", "<", 1),
        ("cifar10", "=", 9.75),
        ("cifar10", "=", 9.87),
        ("imagenet", "=", 62.56),
        ("imagenet", "=", 37.44),
    ]
    assert list(own[own["measure"] == "auc"]["published"]) == [99.5]


def test_every_file_has_the_columns_that_the_page_explains():
    page = (PUBLISHED / "README.md").read_text()
    files = sorted(PUBLISHED.glob("*.csv"))
    assert [path.name for path in files] == ["full_sets.csv", "table4.csv", "text.csv"]
    for path in files:
        with path.open() as text:
            rows = list(csv.DictReader(text))
        assert f"`{path.name}`" in page
        assert all(f"`{column}`" in page for column in rows[0])
        assert all(row["source"] and row["measure"] and row["published"] for row in rows)
        assert all(row["page"] or "log" in row["source"] for row in rows)
        assert {row["relation"] for row in rows} <= {"=", "<", ">", "~"}


def test_nothing_of_ours_is_an_empty_table():
    for held in ({}, stores(study("digits", "step")), stores(study("mnist", "step"))):
        found = against(held)
        assert list(found.columns) == COLUMNS
        assert found.empty


def test_table_4_beside_ours():
    rows = table_4()
    found = against(stores(rows))
    assert list(found["table"]) == ["4"] * 9
    data = frame(rows)
    for method, cells in TABLE.items():
        for (rho, mu), values in zip(TABLE_4, cells, strict=True):
            own = data[(data["method"] == method) & (data["rho"] == rho)]["auc"]
            row = row_of(found, method=method, rho=rho, mu=mu)
            assert row["published"] == pytest.approx(np.mean(values))
            assert row["ours"] == pytest.approx(100 * own.mean())
            assert row["difference"] == pytest.approx(row["ours"] - row["published"])
            assert row["inside"] == (row["low"] <= row["published"] <= row["high"])
            assert row["n"] == len(own) == len(values)
            assert row["what"].endswith(", mean of 3 runs") == (len(values) == 3)
            assert (row["iterations"], row["paper_iterations"]) == (320_000, 320_000)
    assert found["inside"].any()
    assert not found["inside"].all()


def test_of_three_networks_the_interval_is_over_networks_and_of_one_over_images():
    rows = table_4()
    found = against(stores(rows))
    own = frame(rows)
    own = own[own["method"] == "baseline"]
    three = 100 * own[own["rho"] == 100]["auc"].to_numpy()
    row = row_of(found, method="baseline", rho=100.0)
    low, high = stats.t.interval(0.95, 2, three.mean(), stats.sem(three))
    assert row["high"] - row["low"] == pytest.approx(high - low, rel=0.2)
    one = own[own["rho"] == 10].iloc[0]
    row = row_of(found, method="baseline", rho=10.0)
    assert (row["low"], row["high"]) == pytest.approx(
        [100 * bound for bound in auc_bounds(one["auc"], one)]
    )


def test_the_full_sets_beside_ours():
    found = against(
        stores(
            study("mnist", "natural", n=1, accuracy=0.991),
            study("cifar10", "natural", n=1, accuracy=0.9, curve=snapshot(9.7)),
            study("imagenet", "natural", n=1, accuracy=0.623),
        )
    )
    errors = found[found["measure"] == "error"]
    assert list(errors["ours"]) == pytest.approx([0.9, 9.7, 10.0, 37.7, 37.7])
    assert list(errors["difference"]) == pytest.approx([-0.1, -0.05, 0.13, -24.86, 0.26])
    assert list(errors["inside"]) == [True, True, True, False, True]
    low, high = error_bounds(0.009, pd.Series({"test_counts": [1000] * 10}))
    assert list(errors.iloc[0][["low", "high"]]) == pytest.approx([100 * low, 100 * high])
    assert len(found[found["measure"] == "auc"]) == 1


@pytest.mark.parametrize(("error", "inside"), [(0.5, True), (1.1, True), (1.5, False)])
def test_under_an_upper_bound_our_interval_must_reach(error, inside):
    """10,000 images leave 0.2 points open either way at 1 %."""
    found = against(stores(study("mnist", "natural", n=1, accuracy=1 - error / 100)))
    assert list(found["inside"]) == [inside]


def test_without_a_curve_the_snapshot_is_left_out():
    found = against(stores(study("cifar10", "natural", n=1)))
    assert list(found["published"]) == [9.87]


def test_without_an_interval_nothing_is_inside_or_outside():
    found = against(stores(study("mnist", "natural", n=1, test_counts=None)))
    assert found["inside"].isna().all()
    assert found[["low", "high"]].isna().all(axis=None)
    assert found["ours"].notna().all()


def test_shorter_training_can_be_seen():
    found = against(stores(table_4(iterations=1000)))
    assert set(found["iterations"]) == {1000}
    assert set(found["paper_iterations"]) == {320_000}


def test_what_is_less_than_the_papers_can_be_seen():
    own = against(stores(study("mnist", "natural")))
    assert list(own["shorter"]) == [""]
    changes = {"batch": 32, "test_counts": [100] * 10}
    found = against(stores(study("mnist", "natural", **changes)))
    said = "1,000 of the paper's 10,000 test images, batch 32, the paper's 64"
    assert list(found["shorter"]) == [said]
    (row,) = outcome.published(found).rows
    assert row[-1].text == said


def test_of_two_protocols_the_papers_own_is_held_then_the_one_with_most_networks():
    few, many = study("mnist", "natural", n=2), study("mnist", "natural", n=3, iterations=500)
    assert list(against(stores(few, many))["iterations"]) == [10_000]
    less = study("mnist", "natural", n=2, iterations=900)
    assert list(against(stores(less, many))["iterations"]) == [500]
    short = study("mnist", "natural", n=2, iterations=500)
    for held in (stores(less, short), stores(short, less)):
        assert list(against(held)["iterations"]) == [900]


def test_a_diverged_network_is_left_out_and_counted():
    rows = [diverged(row) if row["replicate"] == 0 else row for row in study("mnist", "natural")]
    found = against(stores(rows))
    assert (list(found["n"]), list(found["diverged"])) == ([3], [1])
    (shown,) = outcome.published(found).rows
    assert "3 (1 diverged)" in [cell.text for cell in shown]
    assert against(stores([diverged(row) for row in rows])).empty


def test_how_records_were_selected_stands_beside_their_numbers():
    said = "Best of 8 (4 rates x 2 runs) by AUC on the test set, which flatters."
    held = {"full": frame(study("mnist", "natural", n=1)), "other": frame(table_4())}
    found = against(held, {}, {"full": said})
    assert list(found["remark"][found["dataset"] == "mnist"]) == [f"full: {said}"]
    assert set(found["remark"][found["dataset"] != "mnist"]) == {""}
    assert outcome.published(found).note.count(said) == 1


def test_sampling_to_another_ratio_is_another_method():
    rows = [row | {"to": 5.0} for row in table_4() if row["method"] == "oversampling"]
    assert against(stores(rows)).empty
