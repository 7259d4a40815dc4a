"""Two methods compared case by case, against plain loops over the records."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from analysis import scores
from analysis.pairs import CELL, FEWEST, compare, overall, paired
from analysis.stats import holm
from analysis.study import Study
from tests import test_claims
from tests.test_figures import diverged, frame, linear, step

CELLS = [(10.0, 0.2), (10.0, 0.5), (100.0, 0.2)]


def by_cell(rows, a, b, measure="auc"):
    """Cell -> differences in points, by looking every record up."""
    found = {}
    for row in rows:
        for other in rows:
            same = row["case_id"] == other["case_id"]
            scored = row[measure] is not None and other[measure] is not None
            if same and scored and (row["method"], other["method"]) == (a, b):
                place = (row["imbalance"], row["rho"], row["mu"])
                found.setdefault(place, []).append(100 * (row[measure] - other[measure]))
    return found


@pytest.fixture
def rows():
    made = step(CELLS, replicates=8, methods=("baseline", "oversampling", "undersampling"))
    made += linear((50.0,), replicates=8)
    return [diverged(row) if i % 31 == 0 else row for i, row in enumerate(made)]


@pytest.mark.parametrize("measure", ["auc", "accuracy"])
def test_a_row_a_cell(rows, measure):
    table = compare(frame(rows), "undersampling", "baseline", measure)
    expected = by_cell(rows, "undersampling", "baseline", measure)
    places = [
        (kind, rho, None if np.isnan(mu) else mu)
        for kind, rho, mu in zip(table["imbalance"], table["rho"], table["mu"], strict=True)
    ]
    assert sorted(map(str, places)) == sorted(map(str, expected))
    ps = []
    for place, (_, row) in zip(places, table.iterrows(), strict=True):
        own = np.array(expected[place])
        assert row["n"] == len(own) >= FEWEST
        assert row["mean"] == pytest.approx(own.mean())
        assert row["low"] < row["mean"] < row["high"]
        assert row["improvement"] == pytest.approx(((own > 0) + (own == 0) / 2).mean())
        ps.append(scipy_stats.wilcoxon(own).pvalue)
    assert table["p"].to_numpy() == pytest.approx(np.array(ps))
    assert table["holm"].to_numpy() == pytest.approx(holm(np.array(ps)))


def test_a_pair_is_a_case(rows):
    """Cases that lack one of the two, or where one diverged, are left out."""
    lacking = [r for r in rows if (r["case_id"], r["method"]) != ("step-10.0-0.2-3", "baseline")]
    pairs = paired(frame(lacking), "oversampling", "baseline")
    expected = by_cell(lacking, "oversampling", "baseline")
    assert len(pairs) == sum(map(len, expected.values()))
    assert not pairs["case_id"].duplicated().any()
    assert "step-10.0-0.2-3" not in set(pairs["case_id"])


def test_the_mean_over_cells_weighs_cells_alike(rows):
    """A cell with few replicates counts as much as another."""
    fewer = [r for r in rows if r["rho"] != 10.0 or r["replicate"] < 2]
    found = overall(frame(fewer), "undersampling", "baseline")
    expected = np.mean([np.mean(v) for v in by_cell(fewer, "undersampling", "baseline").values()])
    assert found.mean == pytest.approx(expected)
    assert found.low < found.mean < found.high


def test_too_few_replicates_have_no_p():
    table = compare(frame(step(CELLS, replicates=FEWEST - 1)), "oversampling", "undersampling")
    assert not table["enough"].any()
    assert np.isnan(table[["p", "holm"]].to_numpy()).all()
    assert scipy_stats.wilcoxon(np.arange(1.0, FEWEST)).pvalue > 0.05
    assert scipy_stats.wilcoxon(np.arange(1.0, FEWEST + 1)).pvalue < 0.05


def test_methods_that_were_not_run_together():
    table = compare(frame(step(CELLS, methods=("baseline",))), "oversampling", "baseline")
    assert table.empty
    assert [*CELL, "n", "mean", "low", "high", "p", "holm", "improvement", "enough"] == list(table)
    assert np.isnan(overall(frame(step(CELLS, methods=("baseline",))), "a", "b").mean)


def test_other_ratios_of_sampling_are_no_pairs():
    rows = step(CELLS[:1], methods=("baseline", "oversampling"))
    reduced = [r | {"to": 5.0} if r["method"] == "oversampling" else r for r in rows]
    assert paired(frame(reduced), "oversampling", "baseline").empty


@pytest.mark.parametrize("n", [1, 3, 10])
def test_a_difference_over_cells_has_the_interval_that_its_verdict_has(n):
    rows = test_claims.study("mnist", "step", n=n, noise=0.5)
    found = overall(frame(rows[::-1]), "oversampling", "baseline")
    verdict = test_claims.part("C3", 1, test_claims.stores(rows))
    assert [verdict.effect, verdict.low, verdict.high] == pytest.approx(
        [found.mean, found.low, found.high]
    )


def test_a_cell_where_all_diverged_is_in_the_tables(tmp_path):
    rows = [
        diverged(row)
        if (row["rho"], row["mu"], row["method"]) == (10, 0.2, "oversampling")
        else row
        for row in step(CELLS, methods=("baseline", "oversampling", "undersampling"))
    ]
    data = frame(rows)
    studies = [Study("made_up", tmp_path, data, data, "", {})]
    table = scores.means(studies).data
    lost = table[(table["rho"] == 10) & (table["mu"] == 0.2) & (table["method"] == "oversampling")]
    assert len(table) == 9
    assert lost["n"].tolist() == [0]
    assert lost[["auc", "auc_low", "accuracy", "accuracy_high"]].isna().all(axis=None)
    over, under = scores.against_baseline(studies)[0].rows
    assert [cell.text for cell in over[1:3]] == ["Oversampling", "2 of 3"]
    assert [cell.text for cell in under[1:3]] == ["Undersampling", "3 of 3"]
    (row,) = [row for row in scores.means(studies).rows if "0" in [cell.text for cell in row]]
    assert [cell.text for cell in row[-2:]] == ["\u2013", "\u2013"]
