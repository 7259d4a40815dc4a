"""Class counts by hand and by exact fractions, the draw of a subset, and what a case hangs on."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.counts import class_order, draw, linear_counts, shortage, step_counts
from study.grid import Case
from study.imbalance import Balanced, Cell, Counts, Linear, Natural, Step
from tests.conftest import tiny_grid

properties = settings(deadline=None, max_examples=100)
tenths = st.integers(10, 20_000)  # ratios of 1.0 to 2000.0, as whole numbers of tenths


def step(rho=10, mu=0.5, minority="random"):
    return Step(kind="step", rho=rho, mu=mu, minority=minority)


def linear(rho=10, order="random"):
    return Linear(kind="linear", rho=rho, order=order)


def roles(profile, pool=(5000,) * 10, n_max=5000, seed=0):
    return [
        profile.roles(cell, pool, n_max, np.random.default_rng(seed)) for cell in profile.points()
    ]


# Counts


@pytest.mark.parametrize(
    ("rho", "mu", "few", "minority"),
    [(10, 0.5, 500, 5), (2, 0.9, 2500, 9), (5000, 0.1, 1, 1), (2500, 0.8, 2, 8), (1, 0.3, 5000, 3)],
)
def test_step_gives_the_papers_counts(rho, mu, few, minority):
    (got,) = roles(step(rho, mu, "lowest"))
    assert got.counts == (few,) * minority + (5000,) * (10 - minority)
    assert got.minority == tuple(range(minority))


def test_linear_gives_the_papers_counts():
    rising = (500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000)
    assert linear_counts(5000, 10, range(10)) == rising
    assert linear_counts(5000, 10, range(9, -1, -1)) == rising[::-1]
    assert linear_counts(5000, 5000, range(10)) == (
        *(1, 556, 1112, 1667, 2223, 2778),
        *(3334, 3889, 4445, 5000),
    )


@pytest.mark.parametrize(
    ("n_max", "rho", "few"),
    [(5000, 400, 13), (5, 2, 3), (7, 2, 4), (5, 10, 1), (1, 1000, 1), (20, 16, 1), (3, 1.2, 3)],
)
def test_counts_round_halves_up_and_never_below_one(n_max, rho, few):
    assert step_counts(2, n_max, rho, [0]) == (few, n_max)
    assert linear_counts(n_max, rho, [0, 1]) == (few, n_max)


def is_nearest(count, exact):
    """Is the whole number the nearest one, halves up, or else the least there may be?"""
    return Fraction(-1, 2) < count - exact <= Fraction(1, 2) or (count == 1 and exact < 1)


@properties
@given(st.integers(1, 6000), tenths, st.integers(2, 30), st.data())
def test_step_counts_have_two_values_the_smaller_nearest_to_the_exact_one(n_max, rho, n, data):
    minority = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 1))
    counts = step_counts(n, n_max, rho / 10, tuple(minority))
    few = {counts[label] for label in minority}
    assert len(few) == 1
    assert is_nearest(few.pop(), Fraction(10 * n_max, rho))
    assert {counts[label] for label in set(range(n)) - minority} == {n_max}


@properties
@given(st.integers(1, 6000), tenths, st.integers(2, 30), st.randoms())
def test_linear_counts_lie_on_a_line_before_rounding(n_max, rho, n, random):
    order = random.sample(range(n), n)
    counts = linear_counts(n_max, rho / 10, order)
    least = Fraction(10 * n_max, rho)
    for rank, label in enumerate(order):
        assert is_nearest(counts[label], least + rank * (n_max - least) / (n - 1))
    assert counts[order[-1]] == n_max


@properties
@given(st.integers(1, 50), st.integers(1, 100))
def test_the_largest_class_is_rho_times_the_smallest_where_that_is_whole(rho, few):
    (stepped,), (sloped,) = roles(step(rho), n_max=rho * few), roles(linear(rho), n_max=rho * few)
    assert max(stepped.counts) == rho * min(stepped.counts)
    assert max(sloped.counts) == rho * min(sloped.counts)


@pytest.mark.parametrize("tenth", range(1, 10))
def test_mu_counts_the_minority_exactly_despite_floats(tenth):
    (got,) = roles(step(mu=tenth / 10))
    assert len(got.minority) == tenth
    assert got.counts.count(500) == tenth


def test_natural_keeps_the_pools_own_counts():
    (got,) = roles(Natural(kind="natural"), pool=(7, 3, 5), n_max=None)
    assert got.counts == (7, 3, 5)
    assert got.minority == ()


# Which classes


@properties
@given(st.integers(2, 40), st.integers(0, 2**32))
def test_a_random_order_holds_each_class_once_and_repeats_with_its_seed(n, seed):
    order = class_order("random", n, np.random.default_rng(seed))
    assert sorted(order) == list(range(n))
    assert order == class_order("random", n, np.random.default_rng(seed))


def test_a_named_order_follows_the_labels_and_a_list_is_taken_as_it_is():
    rng = np.random.default_rng()
    assert class_order("lowest", 4, rng) == class_order("ascending", 4, rng) == (0, 1, 2, 3)
    assert class_order((2, 0), 4, rng) == (2, 0)


@pytest.mark.parametrize(
    ("minority", "smallest"),
    [("lowest", [{0, 1}, {0, 1, 2, 3, 4}]), ([7, 3, 9, 0, 4], [{7, 3}, {7, 3, 9, 0, 4}])],
)
def test_minorities_by_rule_or_list_are_nested(minority, smallest):
    got = roles(step(mu=[0.2, 0.5], minority=minority))
    assert [set(r.minority) for r in got] == smallest
    assert all(set(np.flatnonzero(np.array(r.counts) == 500)) == set(r.minority) for r in got)


def test_a_linear_order_lists_the_classes_from_the_smallest_up():
    (got,) = roles(linear(order=[2, 0, 1]), pool=(100,) * 3, n_max=100)
    assert got.counts == (55, 100, 10)


def test_every_class_is_equally_often_minority():
    times = np.zeros(10)
    for seed in range(400):
        times[list(roles(step(mu=0.3), seed=seed)[0].minority)] += 1
    assert abs(times - 120).max() < 5 * np.sqrt(400 * 0.3 * 0.7)


# The draw


@st.composite
def pools(draw_from):
    """Labels in any order, and class counts that they can give."""
    labels = draw_from(st.lists(st.integers(0, 5), min_size=1, max_size=80))
    counts = [draw_from(st.integers(0, labels.count(label))) for label in range(6)]
    return np.array(labels), counts


@properties
@given(pools(), st.integers(0, 2**32))
def test_a_draw_has_the_counts_asked_for_without_repeats_in_ascending_order(pool, seed):
    labels, counts = pool
    places = draw(labels, counts, np.random.default_rng(seed))
    assert [int((labels[places] == label).sum()) for label in range(6)] == counts
    assert (np.diff(places) > 0).all()
    assert set(places) <= set(range(len(labels)))
    assert np.array_equal(places, draw(labels, counts, np.random.default_rng(seed)))


def test_a_draw_takes_every_image_of_a_class_equally_often():
    labels = np.repeat([0, 1], 10)
    times = np.zeros(20)
    for seed in range(500):
        times[draw(labels, [3, 10], np.random.default_rng(seed))] += 1
    assert abs(times[:10] - 150).max() < 5 * np.sqrt(500 * 0.3 * 0.7)
    assert (times[10:] == 500).all()


def test_a_draw_of_more_than_there_is_names_the_class_and_both_numbers():
    with pytest.raises(ValueError, match="class 1 holds 2 images, 3 are needed"):
        draw(np.array([0, 1, 1]), [1, 3], np.random.default_rng(0))


@pytest.mark.parametrize(
    ("counts", "pool", "words"),
    [
        ((5, 5), (5, 6), None),
        ((5, 6000), (5, 5421), ["class 1", "6,000", "5,421"]),
        ((0, 5), (0, 5), ["class 0", "no training image"]),
    ],
)
def test_a_shortage_is_told_by_its_arithmetic(counts, pool, words):
    told = shortage(counts, pool)
    assert (told is None) == (words is None)
    assert all(word in told for word in words or ())


# What cannot be had


@pytest.mark.parametrize(
    ("profile", "key", "words"),
    [
        (step(5001), "rho", ["5001", "5,000 / 5001", "1 to 5,000", "train_per_class"]),
        (linear([10, 6000]), "rho", ["6000", "5,000 / 6000 = 0.833"]),
        (step(0.5), "rho", ["0.5", "1 (balanced) or more"]),
        (linear(0.99), "rho", ["0.99", "1 (balanced) or more"]),
        (step(mu=0.25), "mu", ["0.25 x 10 classes = 2.5", "0.2, 0.3"]),
        (step(mu=0.01), "mu", ["0.01 x 10 classes = 0.1", "from 1 to 9"]),
        (step(mu=1.0), "mu", ["1 x 10 classes = 10", "from 1 to 9"]),
        (step(mu=2), "mu", ["2 x 10 classes = 20"]),
        (step(minority=[0, 1, 2]), "minority", ["[0, 1, 2]", "5 labels", "not 3"]),
        (step(minority=[0, 1, 2, 3, 10]), "minority", ["10]", "labels 0 to 9"]),
        (step(mu=[0.2, 0.5], minority=[0, 1]), "minority", ["0.5 x 10", "5 labels", "not 2"]),
        (linear(order=[0, 1, 2]), "order", ["[0, 1, 2]", "each label 0 to 9 once"]),
        (linear(order=list(range(1, 11))), "order", ["10]", "each label 0 to 9 once"]),
    ],
)
def test_an_impossible_request_is_told_by_its_arithmetic(profile, key, words):
    found_key, found, why = profile.problem(10, 5000)
    assert found_key == key
    assert all(word in f"{found}; {why}" for word in words)


@pytest.mark.parametrize(
    "profile",
    [
        step([1, 10, 5000], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        step(mu=[0.3, 0.7], minority=[9, 8, 7, 6, 5, 4, 3]),
        linear([1, 5000], order=[3, 1, 2, 0, 4, 9, 8, 7, 6, 5]),
        Natural(kind="natural"),
    ],
)
def test_what_can_be_had_is_no_problem(profile):
    assert profile.problem(10, 5000) is None


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 75])
def test_every_mu_that_the_message_allows_is_allowed(classes):
    _, _, why = step(mu=1).problem(classes, 100)
    listed = why.rpartition("allowed: ")[2].replace("...", ",").split(",")
    allowed = [mu for mu in map(str.strip, listed) if mu.count(".") == 1 and mu[:2] == "0."]
    assert len(allowed) >= min(classes - 1, 4)
    for place, mu in enumerate(allowed[:4], start=1):  # a long list is cut in its middle
        assert step(mu=float(mu)).problem(classes, 100) is None
        assert len(roles(step(mu=float(mu)), (100,) * classes, 100)[0].minority) == place


# What a case hangs on


def case(kind="step", rho=10.0, mu=0.5, order="random", replicate=0, **fields):
    given_fields = {"dataset": {"name": "digits"}, "seed": 1, "subset": replicate, **fields}
    return Case(cell=Cell(kind, rho, mu, order), replicate=replicate, n_max=100, **given_fields)


LABELS = np.repeat(np.arange(10), 120)


def minorities(**fields):
    """The minority classes of twenty replicates: equal by chance only once in 10^47 times."""
    return [case(replicate=r, **fields).roles([120] * 10).minority for r in range(20)]


def drawn(one):
    return one.draw(LABELS, one.roles([120] * 10))


def test_a_case_draws_the_same_again():
    assert minorities() == minorities()
    assert np.array_equal(drawn(case()), drawn(case()))


def test_replicates_differ_in_their_minority_and_in_their_images():
    assert len(set(minorities())) > 15
    first, second = drawn(case(order="lowest")), drawn(case(order="lowest", replicate=1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    "other", [{"rho": 20.0}, {"seed": 2}, {"dataset": {"name": "mnist"}}, {"mu": 0.4}]
)
def test_cells_seeds_and_datasets_share_no_draw(other):
    mine, others = minorities(), minorities(**other)
    nested = [set(a) <= set(b) or set(b) <= set(a) for a, b in zip(mine, others, strict=True)]
    assert sum(nested) < 5
    own, foreign = case(order="lowest"), case(order="lowest", **other)
    counts = case().roles([120] * 10)
    assert not np.array_equal(own.draw(LABELS, counts), foreign.draw(LABELS, counts))


def test_step_and_linear_share_no_order():
    for replicate in range(3):
        stepped = case(replicate=replicate).roles([120] * 10)
        sloped = case("linear", replicate=replicate).roles([120] * 10)
        assert set(stepped.minority) != set(np.argsort(sloped.counts)[:5])


def test_the_subset_moves_the_images_and_not_the_roles():
    first, second = case(subset=0), case(subset=1)
    assert first.roles([120] * 10) == second.roles([120] * 10)
    assert not np.array_equal(drawn(first), drawn(second))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other", "title": "Other"},
        {"methods": ["baseline"]},
        {"recipe": {"iterations": 99, "batch": 2, "momentum": 0.0}},
        {"imbalance": {"kind": "step", "rho": [20, 10], "mu": [0.25, 0.5]}},
        {"replicates": 9},
        {"predictions": True},
    ],
)
def test_what_is_not_of_the_case_moves_neither_its_id_nor_its_draw(change):
    labels = np.repeat(np.arange(4), 40)

    def facts(grid):
        for one in grid.cases():
            got = one.roles([40] * 4)
            yield one.id, (got, tuple(one.draw(labels, got)))

    before, after = dict(facts(tiny_grid())), dict(facts(tiny_grid(**change)))
    assert before.items() <= after.items()


def test_the_minority_rule_names_another_case():
    assert case().id != case(order="lowest").id != case(order=(0, 1, 2, 3, 4)).id


# Cells that are listed, classes that are short, balance and counts.


def test_cells_are_taken_as_listed_each_as_often_as_it_says():
    cells = [
        {"rho": 10, "mu": 0.1},
        {"rho": 50, "mu": 0.8},
        {"rho": 100, "mu": 0.9, "replicates": 3},
    ]
    grid = tiny_grid(
        dataset={"name": "mnist", "train_per_class": 5000},
        imbalance={"kind": "step", "rho": None, "mu": None, "cells": cells},
        replicates=1,
    )
    cases = list(grid.cases())
    assert [(c.cell.rho, c.cell.mu, c.replicate) for c in cases] == [
        *[(10, 0.1, 0), (50, 0.8, 0)],
        *[(100, 0.9, 0), (100, 0.9, 1), (100, 0.9, 2)],
    ]


def test_a_cell_listed_is_the_cell_of_the_product():
    """Its cases are the same ones, so the one grid may become the other."""
    listed = tiny_grid(imbalance={"rho": None, "mu": None, "cells": [{"rho": 10, "mu": 0.5}]})
    assert [c.id for c in listed.cases()] == [c.id for c in tiny_grid().cases()]


@properties
@given(st.sets(st.integers(0, 9), max_size=5), st.integers(0, 2**32))
def test_classes_that_are_short_are_always_minority(short, seed):
    pool = [20 if label in short else 5000 for label in range(10)]
    (drawn,) = roles(step(rho=500, mu=0.5), pool, seed=seed)
    assert short <= set(drawn.minority)
    assert shortage(drawn.counts, pool) is None
    (free,) = roles(step(rho=500, mu=0.5), seed=seed)
    if not short:
        assert drawn == free


def test_beside_the_short_ones_the_minority_is_as_random_as_before():
    pool = [20, *[5000] * 9]
    times = np.zeros(10)
    for seed in range(900):
        times[list(roles(step(rho=500, mu=0.2), pool, seed=seed)[0].minority)] += 1
    assert times[0] == 900
    assert abs(times[1:] - 100).max() < 5 * np.sqrt(900 * (1 / 9) * (8 / 9))


def test_a_listed_minority_is_never_changed():
    pool = [*[5000] * 9, 20]
    (drawn,) = roles(step(rho=500, mu=0.1, minority=[0]), pool)
    assert drawn.minority == (0,)
    assert "class 9 needs 5,000" in shortage(drawn.counts, pool)


def test_balanced_and_counts_hold_what_they_say():
    (drawn,) = roles(Balanced(kind="balanced"))
    assert (drawn.counts, drawn.minority) == ((5000,) * 10, ())
    listed = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    profile = Counts(kind="counts", counts=listed)
    (drawn,) = roles(profile)
    assert drawn.counts == listed
    assert [cell.rho for cell in profile.points()] == [100]
    other = Counts(kind="counts", counts=(*listed[:-1], 51))
    ids = [
        {Case({}, 0, cell, 0, 0, None).id for cell in each.points()} for each in (profile, other)
    ]
    assert not ids[0] & ids[1]
