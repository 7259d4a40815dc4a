"""What a training sees: properties of the samplings, and imbalanced-learn as the oracle."""

from collections import Counter
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

from study.sampling import SAMPLINGS, none, over, under

properties = settings(deadline=None, max_examples=100)
label_arrays = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(np.array)
seeds = st.integers(0, 2**32)


@properties
@given(label_arrays, seeds)
def test_none_is_every_image_once(labels, seed):
    assert none(labels, np.random.default_rng(seed)).tolist() == list(range(len(labels)))


@properties
@given(label_arrays, seeds)
def test_over_brings_each_class_to_the_largest_and_keeps_every_original(labels, seed):
    places = over(labels, np.random.default_rng(seed))
    held = Counter(labels.tolist())
    assert Counter(labels[places].tolist()) == dict.fromkeys(held, max(held.values()))
    assert places[: len(labels)].tolist() == list(range(len(labels)))  # each once, then repeats
    largest = {label for label, count in held.items() if count == max(held.values())}
    assert not largest & set(labels[places[len(labels) :]].tolist())


@properties
@given(label_arrays, seeds)
def test_under_cuts_each_class_to_the_smallest_without_repeats(labels, seed):
    places = under(labels, np.random.default_rng(seed))
    held = Counter(labels.tolist())
    assert Counter(labels[places].tolist()) == dict.fromkeys(held, min(held.values()))
    assert len(set(places.tolist())) == len(places)
    assert set(places.tolist()) <= set(range(len(labels)))


ratios = st.floats(1, 50) | st.integers(1, 50)


@properties
@given(label_arrays, ratios, seeds)
def test_over_to_a_ratio_raises_only_what_is_smaller(labels, to, seed):
    places = over(labels, np.random.default_rng(seed), to)
    held = Counter(labels.tolist())
    least = max(1, floor(max(held.values()) / Fraction(to) + Fraction(1, 2)))
    expected = {label: max(count, least) for label, count in held.items()}
    assert Counter(labels[places].tolist()) == expected
    assert places[: len(labels)].tolist() == list(range(len(labels)))


@properties
@given(label_arrays, ratios, seeds)
def test_under_to_a_ratio_cuts_only_what_is_larger(labels, to, seed):
    places = under(labels, np.random.default_rng(seed), to)
    held = Counter(labels.tolist())
    most = floor(min(held.values()) * Fraction(to) + Fraction(1, 2))
    expected = {label: min(count, most) for label, count in held.items()}
    assert Counter(labels[places].tolist()) == expected
    assert len(set(places.tolist())) == len(places)


@pytest.mark.parametrize(
    ("to", "raised", "cut"),
    [(1, [5000, 5000], [5, 5]), (50, [100, 5000], [5, 250]), (1000, [5, 5000], [5, 5000])],
)
def test_the_ratio_afterwards_is_the_one_asked_for(to, raised, cut):
    labels, rng = np.repeat([0, 1], [5, 5000]), np.random.default_rng(0)
    assert np.bincount(labels[over(labels, rng, to)]).tolist() == raised
    assert np.bincount(labels[under(labels, rng, to)]).tolist() == cut


@properties
@given(label_arrays.filter(lambda labels: len(set(labels.tolist())) > 1), seeds)
def test_class_counts_are_those_of_imbalanced_learn(labels, seed):
    index = np.arange(len(labels))[:, None]
    for ours, theirs in ((over, RandomOverSampler), (under, RandomUnderSampler)):
        sampler = theirs(random_state=seed % 2**31)
        chosen = sampler.fit_resample(index, labels)[0].ravel()
        places = ours(labels, np.random.default_rng(seed))
        assert np.array_equal(np.bincount(labels[places]), np.bincount(labels[chosen]))


@pytest.mark.parametrize("name", SAMPLINGS)
def test_a_seed_draws_the_same_again(name):
    labels = np.repeat([0, 1, 2], [5, 20, 40])
    first, again, other = (
        SAMPLINGS[name](labels, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (name == "none")


@pytest.mark.parametrize(("sampling", "each"), [(none, None), (over, 3), (under, 2)])
def test_an_absent_class_stays_absent(sampling, each):
    labels = np.array([3, 0, 3, 0, 3])
    counts = np.bincount(labels[sampling(labels, np.random.default_rng(0))]).tolist()
    assert counts == ([each, 0, 0, each] if each else [2, 0, 0, 3])


def test_over_repeats_every_image_of_a_class_equally_often():
    labels = np.repeat([0, 1], [4, 2004])
    times = np.bincount(over(labels, np.random.default_rng(0)))[:4] - 1
    assert times.sum() == 2000
    assert abs(times - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


def test_under_keeps_every_image_of_a_class_equally_often():
    labels = np.repeat([0, 1], [5, 20])
    kept = np.zeros(25)
    for seed in range(400):
        kept[under(labels, np.random.default_rng(seed))] += 1
    assert (kept[:5] == 400).all()
    assert abs(kept[5:] - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


@properties
@given(label_arrays, st.lists(ratios, min_size=2, max_size=2), seeds)
def test_ratios_are_nested(labels, two, seed):
    """So that a curve over ratios compares like with like: the draws of a case go on, not anew."""
    low, high = sorted(two)
    for sampling, more, fewer in ((over, low, high), (under, high, low)):
        larger, smaller = (
            Counter(sampling(labels, np.random.default_rng(seed), to).tolist())
            for to in (more, fewer)
        )
        assert smaller <= larger
