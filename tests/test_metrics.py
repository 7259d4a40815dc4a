"""Metrics against scikit-learn and against brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, recall_score, roc_auc_score

from study import metrics
from study.metrics import DIVERGED, coin_error

properties = settings(deadline=None, max_examples=60)
N, C = 300, 5
COUNTS = np.array([500, 3, 40, 5000, 1])


def on_arrays(function):
    """A function of tensors, called with arrays."""

    def called(*arguments):
        given = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments]
        result = function(*given)
        return result.numpy() if isinstance(result, torch.Tensor) else result

    return called


argmax, prior, softmax, score, auc_per_class, confusion, cross_entropy = map(
    on_arrays,
    (
        metrics.argmax,
        metrics.prior,
        metrics.softmax,
        metrics.score,
        metrics.auc_per_class,
        metrics.confusion,
        metrics.cross_entropy,
    ),
)


def outputs(seed, skill=1.0, ties=False, dtype=np.float32):
    """Logits that know a little of the labels; whole numbers where ties are wanted."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(C), rng.integers(0, C, N - C)])
    logits = rng.normal(0, 2, (N, C)) + skill * np.eye(C)[labels]
    return (np.round(logits) if ties else logits).astype(dtype), labels


def sklearn_aucs(scores, labels):
    return [roc_auc_score(labels == c, scores[:, c]) for c in range(scores.shape[1])]


seeds = st.integers(0, 2**32)


@properties
@given(seeds, st.booleans(), st.sampled_from([0.0, 1.0, 6.0]))
def test_auc_is_scikit_learns_ties_included(seed, ties, skill):
    logits, labels = outputs(seed, skill, ties)
    outs = logits.astype(np.float64) if ties else softmax(logits)
    assert auc_per_class(outs, labels) == pytest.approx(sklearn_aucs(outs, labels), abs=1e-12)


@properties
@given(seeds, st.booleans())
def test_the_macro_mean_is_scikit_learns_on_the_softmax(seed, ties):
    logits, labels = outputs(seed, ties=ties)
    theirs = roc_auc_score(labels, softmax(logits), multi_class="ovr", average="macro")
    assert score(logits, labels, COUNTS, "argmax").auc == pytest.approx(theirs, abs=1e-12)


def test_a_class_that_is_absent_or_alone_has_no_auc_and_is_left_out_of_the_mean():
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [3.0, 1.0, 0.0]])
    got = score(logits, np.array([0, 1, 0]), np.array([1, 1, 1]), "argmax")
    assert got.auc_per_class == [1.0, 1.0, None]
    assert got.auc == 1.0
    assert got.recall_per_class == [1.0, 1.0, None]
    assert auc_per_class(softmax(logits), np.array([0, 0, 0])) == [None] * 3


@properties
@given(seeds, st.booleans())
def test_thresholding_changes_no_auc(seed, ties):
    logits, labels = outputs(seed, ties=ties)
    by_argmax = score(logits, labels, COUNTS, "argmax")
    by_prior = score(logits, labels, COUNTS, "prior")
    assert by_argmax.auc == by_prior.auc
    assert by_argmax.auc_per_class == by_prior.auc_per_class
    assert by_argmax.confusion != by_prior.confusion


@properties
@given(seeds)
def test_dividing_by_the_prior_changes_no_auc_of_scikit_learns(seed):
    logits, labels = outputs(seed)
    divided = softmax(logits) / (COUNTS / COUNTS.sum())
    got = score(logits, labels, COUNTS, "prior").auc_per_class
    assert sklearn_aucs(divided, labels) == pytest.approx(got, abs=1e-12)


@properties
@given(seeds)
def test_the_prior_decision_is_the_largest_quotient_of_softmax_and_prior(seed):
    logits, _ = outputs(seed, dtype=np.float64)
    chosen = []
    for row in logits:
        powers = [np.exp(value) for value in row]
        shares = [power / sum(powers) for power in powers]
        quotients = [p / (n / COUNTS.sum()) for p, n in zip(shares, COUNTS, strict=True)]
        chosen.append(quotients.index(max(quotients)))
    assert prior(logits, COUNTS).tolist() == chosen


def test_equal_priors_decide_as_argmax():
    logits, _ = outputs(0)
    assert np.array_equal(prior(logits, np.full(C, 7)), argmax(logits, np.full(C, 7)))


def test_outputs_that_float32_saturates_are_still_ranked():
    margin = np.linspace(18, 33, 40)  # 1 - softmax is below float32's resolution, not float64's
    labels = np.repeat([0, 1], 20)
    for logits in (
        np.stack([-margin, np.zeros(40)], axis=1),  # class 1 near 1, and surer up to the middle
        np.stack([-10 * margin, np.zeros(40)], axis=1),  # class 0 below float32's least number
    ):
        low = np.exp(logits.astype(np.float32))
        assert len(np.unique(low[:, 1] / low.sum(axis=1, dtype=np.float32))) == 1
        assert score(logits.astype(np.float32), labels, COUNTS[:2], "argmax").auc_per_class[0] == 1
    assert auc_per_class(softmax(np.stack([-margin, 0 * margin], axis=1)), labels) == [1, 1]


def test_softmax_of_huge_logits_is_finite_and_of_sum_one():
    for logits in (np.array([[3e38, -3e38, 0]], np.float32), np.array([[1e300, 0, -1e300]])):
        assert softmax(logits).tolist() == [[1.0, 0.0, 0.0]]
        assert prior(logits, np.array([5000, 1, 1])).tolist() == [0]


@properties
@given(seeds, st.sampled_from(["argmax", "prior"]))
def test_decisions_are_counted_as_scikit_learn_counts_them(seed, decision):
    logits, labels = outputs(seed)
    chosen = {"argmax": argmax, "prior": prior}[decision](logits, COUNTS)
    table = confusion_matrix(labels, chosen, labels=range(C))
    assert np.array_equal(confusion(labels, chosen, C), table)
    got = score(logits, labels, COUNTS, decision)
    assert got.confusion == table.tolist()
    assert got.accuracy == pytest.approx(accuracy_score(labels, chosen), abs=1e-15)
    assert got.recall_per_class == pytest.approx(
        list(recall_score(labels, chosen, average=None)), abs=1e-15
    )


@properties
@given(seeds)
def test_cross_entropy_is_scikit_learns_log_loss(seed):
    logits, labels = outputs(seed, dtype=np.float64)
    theirs = log_loss(labels, softmax(logits), labels=range(C))
    assert cross_entropy(logits, labels) == pytest.approx(theirs, rel=1e-12)


def test_cross_entropy_of_extreme_logits_is_finite():
    logits = np.array([[1000.0, 0.0], [1000.0, 0.0]], np.float32)
    assert cross_entropy(logits, np.array([0, 1])) == 500.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("decision", ["argmax", "prior"])
def test_an_output_that_is_not_finite_is_divergence_without_metrics(bad, decision):
    logits, labels = outputs(0)
    logits[7, 2] = bad
    got = score(logits, labels, COUNTS, decision)
    assert got == DIVERGED
    assert got.status == "diverged"
    assert {got.auc, got.accuracy, got.auc_per_class, got.recall_per_class, got.confusion} == {None}


def test_a_net_that_says_always_the_same_is_at_chance():
    _, labels = outputs(0)
    got = score(np.tile(np.float32([1, 2, 3, 4, 5]), (N, 1)), labels, COUNTS, "argmax")
    assert (got.status, got.auc) == ("chance", 0.5)
    assert got.accuracy == pytest.approx((labels == 4).mean())


def test_random_outputs_are_at_chance_and_a_skilled_net_is_not():
    statuses = [score(*outputs(seed, skill=0), COUNTS, "argmax").status for seed in range(50)]
    assert statuses == ["chance"] * 50
    assert score(*outputs(0, skill=3), COUNTS, "argmax").status == "ok"


def test_outputs_worse_than_a_coin_are_at_chance():
    assert score(*outputs(0, skill=-3), COUNTS, "argmax").status == "chance"


def test_the_coins_error_is_what_random_outputs_scatter_by():
    rng = np.random.default_rng(0)
    for sizes in ([50, 50], [10, 10, 10], [30] * 10, [20, 40, 60]):
        labels = np.repeat(np.arange(len(sizes)), sizes)
        outputs = np.log(rng.dirichlet([1] * len(sizes), size=(2000, len(labels))))
        areas = [np.mean(auc_per_class(each, labels)) for each in outputs]
        assert coin_error(np.array(sizes)) == pytest.approx(np.std(areas), rel=0.15), sizes
    assert coin_error(np.array([100, 0])) == 0
