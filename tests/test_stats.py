"""Intervals, tests, ranks and variance parts, against other people's code and plain loops."""

import itertools
from unittest.mock import patch

import numpy as np
import pytest
import scikit_posthocs
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from analysis.stats import (
    RESAMPLES,
    Interval,
    bootstrap_means,
    holm,
    improvement,
    mean_of_cells,
    parts,
    ranking,
    redrawn,
    wilcoxon,
)
from analysis.variance import draws_of
from tests.test_figures import frame, record

RNG = np.random.default_rng(5)


def cells(sizes, spread=1.0):
    return [RNG.normal(10 * i, spread, n) for i, n in enumerate(sizes)]


def test_the_interval_over_cells_is_students():
    """The mean over cells has the variance sum(s_c^2 / n_c) / C^2, whatever lies between cells; its
    degrees of freedom are those of a cell, times the cells that its error averages out over.
    """
    groups = cells([9, 9, 9, 9], spread=3.0)
    parts_ = np.array([g.var(ddof=1) / len(g) for g in groups])
    freedom = 8 * parts_.sum() ** 2 / (parts_**2).sum()
    reach = scipy_stats.t.ppf(0.975, freedom) * np.sqrt(parts_.sum()) / len(groups)
    found = mean_of_cells(groups)
    assert found.mean == pytest.approx(np.mean([g.mean() for g in groups]))
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.06)
    assert found.low < found.mean < found.high


def test_cells_are_resampled_apart():
    """Two cells with the same values do not move together: their difference varies."""
    values = RNG.normal(size=(10, 1))
    draws = redrawn([values, values], [1, 2])
    assert draws.shape == (1 + RESAMPLES, 2, 1)
    assert draws[0].tolist() == [[values.mean()]] * 2
    assert abs(np.corrcoef(draws[1:, :, 0].T)[0, 1]) < 0.08


@pytest.mark.parametrize("n", [2, 3, 4, 6, 10, 50])
def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says(n):
    """Bare percentiles cover 50 % of n = 2 and 90 % of n = 10."""
    samples = np.random.default_rng(n).normal(0, 1, (2000, n))
    bounds = bootstrap_means(list(samples))
    assert 0.92 < ((bounds[:, 0] < 0) & (bounds[:, 1] > 0)).mean() < 0.97
    if n >= 4:
        low, high = scipy_stats.t.interval(
            0.95, n - 1, samples.mean(axis=1), scipy_stats.sem(samples, axis=1)
        )
        assert np.median((bounds[:, 1] - bounds[:, 0]) / (high - low)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("n", "of"), [(1, 6), (2, 6), (3, 4), (12, 6)])
def test_the_interval_over_cells_covers_the_truth_as_often_as_it_says(n, of):
    rng = np.random.default_rng(n)
    hits = 0
    for trial in range(300):
        spread = 0 if n == 1 else 1  # single draws: the cells are the sample
        groups = [rng.normal(spread * c, 1, n) for c in range(of)]
        seeds = [trial * of + c for c in range(of)]
        found = mean_of_cells(groups, seeds)
        hits += found.low < spread * (of - 1) / 2 < found.high
    assert 0.91 < hits / 300 < 0.99


def test_of_single_replicates_the_cells_are_resampled():
    groups = cells([1, 1, 1, 1, 1])
    values = np.concatenate(groups)
    found = mean_of_cells(groups)
    low, high = bootstrap_means([values])[0]
    assert found.low == pytest.approx(low, abs=0.15 * (high - low))
    assert found.high == pytest.approx(high, abs=0.15 * (high - low))


def test_a_cell_with_one_replicate_has_the_spread_of_the_others():
    one, many = np.array([[4.0]]), np.array([[1.0], [2.0], [6.0], [3.0]])
    draws = redrawn([one, many], [1, 2])[1:, :, 0]
    assert draws.mean(axis=0) == pytest.approx([4, 3], abs=0.2)
    assert draws[:, 0].std() == pytest.approx(many.std(ddof=1), rel=0.06)
    assert draws[:, 1].std() == pytest.approx(many.std(ddof=1) / 2, rel=0.06)


def test_too_few_values_have_no_bounds():
    assert mean_of_cells([np.array([3.0])]).mean == 3
    assert np.isnan([mean_of_cells([np.array([3.0])]).low, mean_of_cells([]).mean]).all()
    assert isinstance(mean_of_cells([]), Interval)


def signed_rank(differences):
    """The exact two-sided p, by every choice of signs; zeros are ranked, then left out."""
    ranks = scipy_stats.rankdata(np.abs(differences))[differences != 0]
    signs = np.array(list(itertools.product((0, 1), repeat=len(ranks))))
    sums = signs @ ranks
    own = ranks[differences[differences != 0] > 0].sum()
    lower, upper = (sums <= own + 1e-9).mean(), (sums >= own - 1e-9).mean()
    return min(1.0, 2 * min(lower, upper))


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 12])
@pytest.mark.parametrize("kind", ["plain", "ties", "zeros"])
def test_the_signed_rank_test_against_every_choice_of_signs(n, kind):
    differences = RNG.normal(0.4, 1, n)
    if kind == "ties":
        differences = np.round(2 * differences) + 0.5
    if kind == "zeros":
        differences[0] = 0
    assert wilcoxon(differences) == pytest.approx(signed_rank(differences))


def accuracies(rng, n):
    """Two methods' accuracies on 10,000 images: many differences are equal, but for rounding."""
    own = rng.integers(9500, 9512, n)
    return own / 10_000, (own - rng.integers(-4, 9, n)) / 10_000


def test_rounding_breaks_no_ties():
    rng = np.random.default_rng(3)
    apart = 0
    for _ in range(8):
        a, b = accuracies(rng, 10)
        exact = np.round(10_000 * a) - np.round(10_000 * b)
        assert wilcoxon(100 * (a - b)) == pytest.approx(signed_rank(exact))
        assert improvement(100 * (a - b)) == improvement(exact)
        bare = scipy_stats.wilcoxon(100 * (a - b), zero_method="pratt").pvalue
        apart += abs(bare - wilcoxon(100 * (a - b))) > 1e-6
    assert apart > 1
    means = np.array([[0.95, 0.9500000000000001, 0.94]] * 6)  # as 0.1 + 0.2 is not 0.3
    found = ranking(means)
    assert found.ranks.tolist() == [1.5, 1.5, 3]
    assert found.nemenyi[0, 1] == pytest.approx(1)


def test_the_signed_rank_test_of_nothing():
    assert np.isnan(wilcoxon(np.array([])))
    assert wilcoxon(np.zeros(7)) == 1


@patch("gc.collect", lambda: 0)  # which statsmodels calls each time, for a fifth of a second
@given(st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=20))
def test_holm_against_statsmodels(ps):
    expected = multipletests(ps, method="holm")[1]
    assert holm(np.array(ps)) == pytest.approx(expected)


def test_holm_leaves_out_what_was_not_tested():
    found = holm(np.array([0.01, np.nan, 0.04]))
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(found[1])


def test_probability_of_improvement_counts_wins_and_half_the_ties():
    assert improvement(np.array([1.0, 2.0, -1.0, 0.0])) == pytest.approx(2.5 / 4)
    assert np.isnan(improvement(np.array([])))


def test_ranking_against_its_sources():
    scores = RNG.normal(0, 1, (15, 5)) + np.arange(5) / 2
    found = ranking(scores)
    by_hand = np.mean([[1 + sum(row > own) for own in row] for row in scores], axis=0)
    assert found.ranks == pytest.approx(by_hand)
    assert found.friedman == pytest.approx(scipy_stats.friedmanchisquare(*scores.T).pvalue)
    assert found.nemenyi == pytest.approx(
        scikit_posthocs.posthoc_nemenyi_friedman(scores).to_numpy()
    )
    assert found.critical == pytest.approx(2.728 * np.sqrt(5 * 6 / (6 * 15)), rel=1e-3)  # Demsar
    apart = np.abs(found.ranks[:, None] - found.ranks) > found.critical
    assert apart.any()
    assert (found.nemenyi < 0.05).tolist() == apart.tolist()


def test_equal_methods_rank_equal():
    found = ranking(np.ones((8, 4)))
    assert found.ranks.tolist() == [2.5] * 4
    assert (found.friedman, found.nemenyi.min()) == (1, 1)


def nested(sizes, sds, seed=0):
    """Scores whose parts have these standard deviations."""
    a, b, c = sizes
    rng = np.random.default_rng(seed)
    return (
        sds[0] * rng.normal(size=(a, 1, 1))
        + sds[1] * rng.normal(size=(a, b, 1))
        + sds[2] * rng.normal(size=(a, b, c))
    )


def test_variance_parts_are_those_that_were_put_in():
    found = parts(nested((400, 12, 6), (3.0, 2.0, 1.0)))
    assert found.choice == pytest.approx(9, rel=0.15)
    assert found.subset == pytest.approx(4, rel=0.08)
    assert found.run == pytest.approx(1, rel=0.05)


def test_variance_parts_are_unbiased_in_small_tables():
    """Means over many small tables, before a negative one is cut to 0: none is, so far apart."""
    found = [parts(nested((4, 3, 2), (30.0, 10.0, 1.0), seed)) for seed in range(3000)]
    assert np.mean([p.choice for p in found]) == pytest.approx(900, rel=0.1)
    assert np.mean([p.subset for p in found]) == pytest.approx(100, rel=0.05)
    assert np.mean([p.run for p in found]) == pytest.approx(1, rel=0.05)


def test_variance_parts_by_the_sums_of_squares():
    """The estimates against expected mean squares, written out with loops."""
    table = nested((5, 4, 3), (3.0, 2.0, 1.0))
    run = np.mean([table[i, j].var(ddof=1) for i in range(5) for j in range(4)])
    means = table.mean(axis=2)
    subset = np.mean([means[i].var(ddof=1) for i in range(5)])
    choice = table.mean(axis=(1, 2)).var(ddof=1)
    found = parts(table)
    assert found.run == pytest.approx(run)
    assert found.subset == pytest.approx(subset - run / 3)
    assert found.choice == pytest.approx(choice - subset / 4)


def test_a_part_that_was_drawn_once_is_in_the_one_above():
    table = nested((200, 5, 4), (3.0, 2.0, 1.0))
    no_runs = parts(table[:, :, :1])
    assert np.isnan(no_runs.run)
    assert no_runs.subset == pytest.approx(5, rel=0.1)
    no_subsets = parts(table[:, :1])
    assert np.isnan(no_subsets.subset)
    assert no_subsets.choice == pytest.approx(13, rel=0.25)
    assert np.isnan(parts(table[:1]).choice)


def test_a_negative_estimate_is_none():
    table = np.array([[[0.0, 9.0], [0.0, 9.0]], [[9.0, 0.0], [9.0, 0.0]]])
    found = parts(table)
    assert (found.choice, found.subset) == (0, 0)
    assert found.run == pytest.approx(40.5)


@pytest.mark.parametrize(("random", "choice"), [(False, "Replicates"), (True, "Minority classes")])
def test_that_cells_differ_in_mu_is_no_choice_of_classes(random, choice):
    """With the lowest labels in the minority every replicate of a cell has the same sizes."""
    rows = [
        record("step", 10.0, mu, replicate, "baseline", run=run) | {"record_id": f"{mu}-{at}"}
        for mu in (0.2, 0.5)
        for at, (replicate, run) in enumerate(itertools.product(range(5), range(2)))
    ]
    if random:
        for row in rows:
            row["class_counts"] = list(np.roll(row["class_counts"], row["replicate"]))
    assert next(iter(draws_of(frame(rows)).looks)).startswith(choice)
