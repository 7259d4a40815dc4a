"""The verdicts: each check on made-up worlds that agree, do not, cannot tell, or lack it."""

import itertools
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from analysis import claims, load, verdicts
from analysis.checks import limits
from analysis.checks.check import (
    CONTRADICTED,
    NOT_RUN,
    PAPER,
    REPRODUCED,
    UNDERPOWERED,
    Finding,
    Range,
    rule,
)
from analysis.checks.effects import LEAST, MEAN, found, share
from analysis.checks.gains import ends, steps
from analysis.checks.planes import Pick, Plane, picked, plane
from analysis.checks.protocols import protocols
from analysis.checks.reasons import numbers as numbers_of
from analysis.checks.reasons import wanted
from analysis.checks.table import CLAIMS
from analysis.checks.testset import auc_bounds, error_bounds
from analysis.stats import redrawn
from analysis.study import Study
from analysis.verdicts import judge
from study.methods import METHODS
from tests.conftest import ROOT
from tests.test_figures import diverged, frame, record, write

ALL = tuple(METHODS)
TRAINED = ALL[:3]
STEP = list(itertools.product((10.0, 50.0, 1000.0, 5000.0), (0.2, 0.5, 0.8)))
SHORT = list(itertools.product((2.0, 10.0, 20.0, 50.0), (0.2, 0.5, 0.8)))
TABLE_4 = [(10.0, 0.1), (50.0, 0.8), (100.0, 0.9)]
RATIOS = (1.0, 10.0, 50.0, 250.0)


@dataclass(frozen=True)
class Place:
    """Where a record stands: what a made-up world's scores depend on."""

    dataset: str
    kind: str
    rho: float
    mu: float
    method: str
    to: float = 1.0


# ---- a world in which every claim of the paper holds


def drop(place):
    """How far imbalance lowers the baseline: on CIFAR-10 as on MNIST at a hundredfold ratio."""
    hundredfold = 0 if place.dataset == "mnist" else 2
    return 2 * (np.log10(place.rho) + hundredfold) * place.mu


def step_auc(place):
    low = 99 - drop(place)
    over, under = 99 - 0.6 * drop(place), 99 - 0.55 * drop(place) / place.mu
    scores = {
        "baseline": low,
        "oversampling": over,
        "undersampling": under,
        "two_phase_oversampling": low + 0.6 * (over - low),
        "two_phase_undersampling": (low + under) / 2,
    }
    return scores[SAME.get(place.method, place.method)]


SAME = {
    "thresholding": "baseline",
    "oversampling_thresholding": "oversampling",
    "undersampling_thresholding": "undersampling",
}


def linear_auc(place):
    fall = {"baseline": 0.1, "oversampling": 0.05, "two_phase_oversampling": 0}
    if SAME.get(place.method, place.method) == "undersampling":
        return 99 - 15 * place.rho / (5000 if place.dataset == "mnist" else 50)
    return 99 - fall.get(SAME.get(place.method, place.method), 1) * np.log10(place.rho)


def reduced_auc(place):
    if place.method == "oversampling":
        return 98 - np.log10(place.to)
    to = place.rho if place.method == "baseline" else place.to
    return 95 - 3 * (np.log10(to) - 3 * (1 - place.mu)) ** 2


def imagenet_auc(place):
    best = {10.0: 99.4, 50.0: 96.3, 100.0: 90.4}[place.rho]
    return best - {"baseline": 0, "oversampling": 1.6, "undersampling": 5}[place.method]


ACCURACY = {
    "baseline": 70,
    "oversampling": 85,
    "undersampling": 80,
    "thresholding": 82,
    "oversampling_thresholding": 88,
    "undersampling_thresholding": 72,
    "two_phase_oversampling": 80,
    "two_phase_undersampling": 78,
}
PUBLISHED = {"mnist": (99.99, 99.3), "cifar10": (99.3, 90.2), "imagenet": (99.5, 62.6)}


def world(place):
    """The AUC and the accuracy of a place, in %."""
    if place.kind == "natural":
        return PUBLISHED[place.dataset]
    if place.kind == "balanced":
        return 99.5, 90.0
    if place.kind == "step" and place.dataset == "imagenet":
        return imagenet_auc(place), 50.0
    auc = {"step": step_auc, "linear": linear_auc, "reduced": reduced_auc}[place.kind](place)
    return auc, ACCURACY[place.method]


# ---- records of such a world


def grid(dataset, kind):
    """What a study of this kind holds: cells, methods, ratios of sampling."""
    cells = {
        ("mnist", "step"): STEP,
        ("cifar10", "step"): SHORT,
        ("imagenet", "step"): TABLE_4,
        ("digits", "step"): STEP[:6],
    }
    if kind == "step":
        return cells[dataset, kind], TRAINED if dataset == "imagenet" else ALL
    if kind == "linear":
        return [(rho, None) for rho in sorted({rho for rho, _ in cells[dataset, "step"]})], ALL
    if kind == "reduced":
        return [(1000.0, mu) for mu in (0.2, 0.5, 0.8)], TRAINED
    return [(1.0 if kind == "balanced" else None, None)], ("baseline",)


def study(dataset, kind, scores=world, noise=0.01, n=4, drawn=0, curve=None, **changes):
    """The records of one study, with noise on every score."""
    rng = np.random.default_rng([drawn, len(kind), len(dataset)])
    cells, methods = grid(dataset, kind)
    rows = []
    for (rho, mu), replicate in itertools.product(cells, range(n)):
        shared = {}
        base = bare(dataset, kind, rho, mu) | {"replicate": replicate, "subset": replicate}
        place = f"{dataset}-{kind}-{rho}-{mu}-{replicate}"
        for method in methods:
            reached = RATIOS if kind == "reduced" and method != "baseline" else (1.0,)
            for to in reached:
                auc, accuracy = scores(Place(dataset, kind, rho, mu, method, to))
                network = SAME.get(method, method), to
                jitter = shared.setdefault(network, noise * rng.standard_normal())
                row = base | {
                    "record_id": f"{place}-{method}-{to}-{drawn}",
                    "case_id": place,
                    "method": method,
                    "to": to,
                    "auc": (auc + jitter) / 100,
                    "accuracy": (accuracy + noise * rng.standard_normal()) / 100,
                    "auc_per_class": [auc / 100] * 10,
                }
                if curve:
                    row["curve"] = curve(place, rng)
                rows.append(row | changes)
    return rows


@cache
def bare(dataset, kind, rho, mu):
    """What all records of a cell have in common: as in the paper, but for data of one's own."""
    setup = PAPER.get(dataset, replace(PAPER["mnist"], iterations=1000))
    return record("step" if kind == "reduced" else kind, rho or 1.0, mu, 0, "baseline") | {
        "dataset": dataset,
        "rho": rho,
        "class_counts": sizes(kind, rho or 1.0, mu, setup.largest),
        "test_counts": [setup.tested // 10] * 10,
        "iterations": setup.iterations,
        "batch": setup.batch,
        "model": setup.model,
        "precision": "strict",
    }


def sizes(kind, rho, mu, largest):
    """The images of ten classes."""
    if kind == "linear":
        return [max(1, round(size)) for size in np.linspace(largest / rho, largest, 10)]
    return [max(1, round(largest / rho)) if c < 10 * (mu or 0) else largest for c in range(10)]


def rising(growth, noise=0.1):
    """Curves whose gap between train and test accuracy grows so far after half-way."""

    def curve(place, rng):
        gap = {1000: 2, 2000: 2 + growth + noise * rng.standard_normal(), 0: 0}
        return [point(at, 90 + gap[at], 90) for at in gap]

    return curve


def point(iteration, train, test):
    return {
        "iteration": iteration,
        "train_loss": 0.1,
        "train_accuracy": train / 100,
        "test_loss": 0.1,
        "test_accuracy": test / 100,
    }


def snapshot(error):
    return lambda place, rng: [point(52_000, 100, 100 - error), point(70_000, 100, 90)]


def stores(*studies):
    return {f"made_{i}": frame(rows) for i, rows in enumerate(studies)}


def check_of(id, number):
    claim = next(claim for claim in CLAIMS if claim.id == id)
    return claim.checks[number]


def part(id, number, held, dataset=None):
    """One check of a claim, on the first of its data sets or on the one named."""
    check = check_of(id, number)
    datasets = next(d for d in check.datasets if dataset is None or dataset in d)
    return verdicts.part_of(check, datasets, protocols(held, {}))


def altered(auc=None, accuracy=None):
    """The world with other scores: each a function of the place and of what stands there."""

    def scores(place):
        high, right = world(place)
        return (
            auc(place, high) if auc else high,
            accuracy(place, right) if accuracy else right,
        )

    return scores


def of(method, value, kind=None):
    """Scores of one method: a number, or a function of the place."""

    def score(place, other):
        if place.method != method or kind not in (None, place.kind):
            return other
        return value(place) if callable(value) else value

    return score


def at(place, method):
    """What the world has for another method in the same place."""
    return world(Place(place.dataset, place.kind, place.rho, place.mu, method, place.to))[0]


@dataclass(frozen=True)
class Trial:
    """A check with the studies it needs, and what makes it fail and what makes it doubtful."""

    id: str
    number: int
    studies: tuple[tuple[str, str], ...]
    wrong: dict = field(default_factory=dict)
    weak: dict = field(default_factory=lambda: {"noise": 25.0, "n": 3})
    right: dict = field(default_factory=dict)

    def held(self, how):
        return stores(*(study(*names, **how) for names in self.studies))


def wrong(auc=None, accuracy=None):
    return {"scores": altered(auc, accuracy)}


MNIST, CIFAR10, IMAGENET = ("mnist", "step"), ("cifar10", "step"), ("imagenet", "step")
WHOLE = ("mnist", "balanced")
LINEAR, REDUCED = ("mnist", "linear"), ("mnist", "reduced")
HARM = (MNIST, CIFAR10, WHOLE, ("cifar10", "balanced"))
NATURAL = {name: ((name, "natural"),) for name in PAPER}


def middle(sampling, beyond):
    """Two-phase training beyond one of its two ends."""
    limit = min if beyond < 0 else max
    ends_of = lambda p: (at(p, "baseline"), at(p, sampling))  # noqa: E731
    return wrong(of(f"two_phase_{sampling}", lambda p: limit(ends_of(p)) + beyond))


def off(number, **more):
    return {"scores": lambda place: (99.5, 100 - number), "noise": 0.0, "n": 1} | more


TRIALS = (
    Trial("C1", 0, (MNIST,), wrong(of("baseline", lambda p: 90 + np.log10(p.rho)))),
    Trial("C1", 1, (MNIST,), wrong(of("baseline", lambda p: 90 + p.mu))),
    Trial("C1", 2, (MNIST, WHOLE), wrong(of("baseline", 50, "balanced"))),
    Trial("C1", 3, (IMAGENET,), wrong(of("baseline", lambda p: 80 + p.rho / 10))),
    Trial(
        "C2", 0, HARM, wrong(lambda p, a: a - 60 * (p.dataset == "cifar10" and p.kind == "step"))
    ),
    Trial("C2", 1, HARM, wrong(lambda p, a: 99.4 if p.dataset == "cifar10" else a)),
    Trial("C3", 0, (MNIST, LINEAR), wrong(of("baseline", 50, "linear"))),
    Trial("C3", 1, (MNIST,), wrong(of("oversampling", lambda p: at(p, "baseline") - 1))),
    Trial("C3", 2, (MNIST, WHOLE), wrong(of("baseline", 50, "balanced"))),
    Trial(
        "C4",
        0,
        (MNIST,),
        wrong(of("undersampling", lambda p: at(p, "oversampling") + 1)),
        weak={"noise": 2.0, "n": 3},
    ),
    Trial(
        "C4",
        1,
        (MNIST,),
        wrong(of("oversampling", lambda p: at(p, "baseline") - 5 * (p.rho == p.mu * 100))),
    ),
    Trial("C5", 0, (MNIST,), wrong(of("undersampling", lambda p: at(p, "baseline") + 1))),
    Trial("C5", 1, (MNIST,), wrong(of("undersampling", lambda p: at(p, "baseline") - 10 * p.mu))),
    Trial("C5", 2, (MNIST,), wrong(of("undersampling", lambda p: 90 + 10 * p.mu))),
    Trial(
        "C5", 3, (MNIST,), wrong(of("undersampling", lambda p: at(p, "oversampling") - 10 * p.mu))
    ),
    Trial("C6", 0, (MNIST,), middle("oversampling", -1)),
    Trial("C6", 1, (MNIST,), middle("undersampling", 1)),
    Trial("C7", 0, (MNIST,), wrong(accuracy=of("thresholding", 60)), {"noise": 60.0, "n": 2}),
    Trial(
        "C7",
        1,
        (MNIST,),
        wrong(accuracy=of("undersampling_thresholding", 99)),
        {"noise": 60.0, "n": 2},
    ),
    Trial(
        "C7",
        2,
        (MNIST,),
        wrong(accuracy=of("undersampling_thresholding", 90)),
        {"noise": 400.0, "n": 2},
    ),
    Trial(
        "C7",
        3,
        (MNIST,),
        wrong(accuracy=of("oversampling_thresholding", 60)),
        {"noise": 60.0, "n": 2},
    ),
    Trial("C7", 4, (MNIST,), wrong(accuracy=of("baseline", 99)), {"noise": 60.0, "n": 2}),
    Trial(
        "C8",
        0,
        (MNIST,),
        wrong(of("thresholding", lambda p: at(p, "baseline") + 1e-6)),
        weak={"status": "diverged", "auc": None, "accuracy": None},
    ),
    Trial("C9", 0, (REDUCED,), wrong(lambda p, a: a + 9 * (p.to == 10))),
    Trial(
        "C9",
        1,
        (REDUCED,),
        wrong(lambda p, a: a + 9 * (p.to == 10 and p.mu == 0.2)),
        weak={"noise": 25.0, "n": 3, "drawn": 1},
    ),
    Trial("C9", 2, (REDUCED,), wrong(lambda p, a: a - 9 * (p.to in RATIOS[1:]))),
    Trial(
        "C9",
        3,
        (REDUCED,),
        wrong(
            lambda p, a: (
                95 - 3 * (np.log10(p.rho if p.method == "baseline" else p.to) - 3 * p.mu) ** 2
            )
        ),
    ),
    Trial(
        "C10",
        0,
        (MNIST,),
        {"curve": rising(5)},
        weak={"curve": rising(1, 3)},
        right={"curve": rising(0)},
    ),
    Trial(
        "C11",
        0,
        (LINEAR,),
        wrong(of("baseline", lambda p: 90 + (p.rho < 5000)))
        | {"scores": altered(of("baseline", lambda p: 99 - 9 * (p.rho == 5000)))},
    ),
    Trial(
        "C11",
        1,
        (LINEAR,),
        wrong(of("oversampling", lambda p: at(p, "baseline") + 1 - 2 * (p.rho == 50))),
    ),
    Trial("C11", 2, (LINEAR,), wrong(of("undersampling", lambda p: 90 + np.log10(p.rho)))),
    Trial(
        "C11",
        3,
        (LINEAR,),
        wrong(of("undersampling", lambda p: 99 - 4 * np.log10(p.rho))),
    ),
    Trial(
        "C12",
        0,
        (IMAGENET,),
        wrong(of("undersampling", lambda p: at(p, "baseline") - 9 * (p.rho != 50))),
    ),
    Trial("C12", 1, (IMAGENET,), wrong(of("oversampling", 70))),
    Trial("C13", 0, NATURAL["mnist"], off(5), off(0.95), off(0.5)),
    Trial("C13", 1, NATURAL["cifar10"], off(15), off(10.7), off(9.7)),
    Trial(
        "C13",
        2,
        NATURAL["cifar10"],
        off(9.7, curve=snapshot(15)),
        off(9.7, curve=snapshot(10.6)),
        off(9.7, curve=snapshot(9.8)),
    ),
    Trial("C13", 3, NATURAL["imagenet"], off(50), off(39.2), off(62)),
    Trial(
        "C13",
        4,
        NATURAL["imagenet"],
        {"noise": 0.0, "n": 1, "auc": 0.95},
        {"noise": 0.0, "n": 1, "auc": 0.9969, "auc_per_class": [0.9969] * 10},
        {"noise": 0.0, "n": 1},
    ),
    Trial("C14", 0, (MNIST,), wrong(of("undersampling", 80))),
)
EACH = pytest.mark.parametrize("trial", TRIALS, ids=[f"{t.id}.{t.number}" for t in TRIALS])


def test_every_check_has_a_trial():
    every = {(claim.id, i) for claim in CLAIMS for i in range(len(claim.checks))}
    assert {(trial.id, trial.number) for trial in TRIALS} == every
    assert [claim.id for claim in CLAIMS] == [f"C{i}" for i in range(1, 15)]


@EACH
def test_a_world_that_agrees_is_reproduced(trial):
    assert part(trial.id, trial.number, trial.held(trial.right)).verdict == REPRODUCED


@EACH
def test_a_world_that_does_not_is_contradicted(trial):
    found = part(trial.id, trial.number, trial.held(trial.wrong))
    assert found.verdict == CONTRADICTED
    assert "wholly outside" in found.reason


@EACH
def test_a_world_that_cannot_tell_is_underpowered(trial):
    assert part(trial.id, trial.number, trial.held(trial.weak)).verdict == UNDERPOWERED


@EACH
def test_a_store_that_lacks_it_is_not_run(trial):
    """Of each study that it needs the others alone are there, or another method in its place."""
    for left_out in range(len(trial.studies)):
        rest = [study(*names) for i, names in enumerate(trial.studies) if i != left_out]
        name = trial.studies[left_out][0]
        other = study(name, "balanced", method="mine:row", record_id="other")[:1]
        found = part(trial.id, trial.number, stores(*rest, other))
        assert found.verdict == NOT_RUN
        assert found.effect is found.low is found.high is found.n is None
        assert "run grids/" in found.reason
        grids = found.reason.split("run ")[1].rstrip(".").split(" and ")
        assert all((ROOT / path).is_file() for path in grids)


# ---- claims


def everything():
    """A folder of every study that the claims need, the paper's world throughout."""
    return stores(
        study("mnist", "step"),
        study("mnist", "linear"),
        study("mnist", "balanced"),
        study("cifar10", "step"),
        study("cifar10", "linear"),
        study("cifar10", "balanced"),
        study("imagenet", "step"),
        study("mnist", "reduced", iterations=500),
        study("mnist", "step", iterations=2000, curve=rising(0)),
        study("cifar10", "step", iterations=2000, curve=rising(0)),
        study("mnist", "natural", n=1),
        study("cifar10", "natural", n=1, curve=snapshot(9.8)),
        study("imagenet", "natural", n=1),
    )


@pytest.fixture(scope="module")
def whole():
    return judge(everything())


def test_in_a_world_that_agrees_throughout_every_claim_is_reproduced(whole):
    assert [claim.id for claim in whole] == [f"C{i}" for i in range(1, 15)]
    assert {claim.verdict for claim in whole} == {REPRODUCED}
    assert {part.verdict for claim in whole for part in claim.parts} == {REPRODUCED}
    assert [part.where.split(" (")[0] for part in whole[0].parts[:2]] == ["MNIST", "CIFAR-10"]


def test_every_verdict_follows_from_its_numbers(whole):
    for claim, declared in zip(whole, CLAIMS, strict=True):
        allowed = {check.says: check.allowed for check in declared.checks}
        for part in claim.parts:
            assert rule(part.low, part.high, allowed[part.says]) == part.verdict
            assert part.low <= part.effect <= part.high
            assert part.threshold == str(allowed[part.says])
            assert part.why
            assert part.reason


def test_a_part_names_the_figure_that_shows_it(whole):
    shown = {claim.id: claim.figure for claim in whole}
    assert shown["C1"] == "made_0/fig3"
    assert whole[0].parts[2].figure == "made_0/fig4"
    assert shown["C9"] == "made_7/fig7"
    assert shown["C10"] == "made_8/fig8"
    assert shown["C13"] == ""


def test_shorter_training_is_marked(whole):
    marked = {part.shorter for part in whole[8].parts}
    assert marked == {"500 of the paper's 10,000 iterations"}
    assert {part.shorter for part in whole[0].parts} == {""}


def test_the_worst_part_decides_and_what_was_not_run_does_not():
    scores = altered(of("undersampling", lambda p: 90 + 10 * p.mu))
    held = stores(study("mnist", "step", scores=scores))
    claim = next(claim for claim in judge(held) if claim.id == "C5")
    verdicts_ = [part.verdict for part in claim.parts]
    assert verdicts_[::2] == [REPRODUCED, REPRODUCED, CONTRADICTED, REPRODUCED]
    assert set(verdicts_[1::2]) == {NOT_RUN}
    assert (claim.parts_run, claim.parts_total, claim.extent) == (4, 8, "4 of 8 parts run")
    assert claim.verdict == CONTRADICTED
    assert claim.deciding is claim.parts[4]
    assert (claim.effect, claim.low, claim.n) == (
        claim.parts[4].effect,
        claim.parts[4].low,
        claim.parts[4].n,
    )


def test_what_contradicts_outweighs_what_cannot_tell():
    low = of("undersampling", lambda p: 90 + 10 * p.mu)
    loud = study("mnist", "step", scores=altered(low), n=3)
    for row in loud:
        if row["method"] == "baseline":
            row["auc"] += 0.5 * (row["replicate"] - 1)
    claim = next(claim for claim in judge(stores(loud)) if claim.id == "C5")
    assert [part.verdict for part in claim.parts[::2]][1:3] == [UNDERPOWERED, CONTRADICTED]
    assert claim.verdict == CONTRADICTED
    assert claim.deciding is claim.parts[4]


def test_no_records_at_all_are_fourteen_claims_not_run():
    assert {claim.verdict for claim in judge({})} == {NOT_RUN}
    assert {claim.verdict for claim in judge({"empty": frame([])})} == {NOT_RUN}


# ---- data sets and protocols


def test_a_data_set_of_ones_own_is_put_to_the_general_claims_alone():
    found = {claim.id: claim for claim in judge(stores(study("digits", "step")))}
    for id in ("C2", "C9", "C11", "C12", "C13"):
        assert found[id].verdict == NOT_RUN
    for id in ("C1", "C4", "C5", "C6", "C7", "C8", "C14"):
        assert found[id].verdict == REPRODUCED, id
        assert "Digits" in found[id].deciding.where
    assert "grids/" not in found["C9"].deciding.reason


def test_beside_a_data_set_of_the_papers_ones_own_is_not_judged():
    held = stores(study("digits", "step"), study("mnist", "step"))
    assert not any("Digits" in part.where for claim in judge(held) for part in claim.parts)


@pytest.mark.parametrize("changes", [{"iterations": 500}, {"batch": 32}, {"model": "allcnn"}])
def test_of_two_protocols_the_papers_own_is_used_however_few_its_cases(changes):
    """The other's verdict is told."""
    short = study("mnist", "step", n=6, **changes)
    long = study("mnist", "step", scores=altered(of("baseline", 99.9)), n=2)
    found = part("C3", 1, stores(short, long))
    assert (found.n, found.verdict, found.shorter) == (24, CONTRADICTED, "")
    assert "By another protocol, " in found.reason
    assert "(made_0, n 72): reproduced, " in found.reason


def test_of_two_short_protocols_the_one_with_most_cases_is_used():
    few, many = study("mnist", "step", n=2, iterations=900), study("mnist", "step", iterations=500)
    for held in (stores(few, many), stores(many, few)):
        found = part("C3", 1, held)
        assert (found.n, found.shorter) == (48, "500 of the paper's 10,000 iterations")
    less = [row | {"class_counts": [c // 2 for c in row["class_counts"]]} for row in many]
    full = [row | {"iterations": 10_000} for row in less[: len(few)]]
    assert part("C3", 1, stores(many, full)).shorter == (
        "2,500 of the paper's 5,000 images in the largest class"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch": 32}, "batch 32, the paper's 64"),
        ({"model": "allcnn"}, "net allcnn, the paper's lenet5"),
        ({"test_counts": [100] * 10}, "1,000 of the paper's 10,000 test images"),
        ({"test_counts": None}, ""),
        (
            {"class_counts": [600] * 10, "iterations": 500},
            "500 of the paper's 10,000 iterations, "
            "600 of the paper's 5,000 images in the largest class",
        ),
    ],
)
def test_what_is_less_than_the_papers_is_marked(changes, said):
    found = part("C3", 1, stores(study("mnist", "step", noise=60.0, **changes)))
    assert found.shorter == said
    assert (said in found.reason) == (found.verdict != REPRODUCED)


def test_of_equally_many_cases_the_longest_training_is_used():
    short, long = study("mnist", "step", iterations=500), study("mnist", "step", iterations=900)
    for held in (stores(short, long), stores(long, short)):
        assert part("C1", 0, held).shorter.startswith("900")


@pytest.mark.parametrize(
    "other",
    [
        {"iterations": 500},
        {"batch": 32},
        {"seed": 7},
        {"model": "allcnn"},
        {"precision": "tf32"},
        {"base_rate": 0.5},
        {"split": 0},
        {"class_counts": [60] * 10},
        {"test_counts": [50] * 10},
    ],
)
def test_records_of_two_protocols_are_never_compared(other):
    held = stores(study("mnist", "step"), study("mnist", "balanced", **other))
    assert part("C3", 2, held).verdict == NOT_RUN
    assert part("C3", 2, stores(study("mnist", "step"), study("mnist", "balanced"))).n == 52


def test_a_selected_rate_may_differ_from_case_to_case():
    rows = study("mnist", "step")
    for i, row in enumerate(rows):
        row["base_rate"] = (0.05, 0.005)[i % 2]
    held = stores(rows, study("mnist", "balanced", base_rate=0.0005))
    assert part("C3", 2, held).verdict == REPRODUCED


def test_a_record_of_two_studies_counts_once():
    rows = study("mnist", "step")
    again = [row for row in rows if row["rho"] == 1000]
    assert part("C1", 0, stores(rows, again)).n == part("C1", 0, stores(rows)).n == 48


def test_of_a_record_of_two_studies_the_one_with_a_curve_is_kept():
    bare_, curved = study("mnist", "step"), study("mnist", "step", n=3, curve=rising(0))
    for held in (stores(bare_, curved), stores(curved, bare_)):
        assert part("C10", 0, held).n == 36
        assert part("C1", 0, held).n == 48


def test_cases_with_two_different_records_are_of_two_protocols():
    """Such as two values of the momentum, which no column shows."""
    one, other = study("mnist", "step"), study("mnist", "step", drawn=1, n=3)
    found = part("C1", 0, stores(one, other))
    assert found.n == 48
    assert found.where == "MNIST (made_0)"


def test_subsets_of_one_replicate_are_one_draw():
    rows = [
        row
        | {
            "subset": subset,
            "case_id": f"{row['case_id']}-{subset}",
            "record_id": f"{row['record_id']}-{subset}",
        }
        for subset in range(5)
        for row in study("mnist", "step", n=2, noise=5.0)
    ]
    crossed = protocols({"a": frame(rows)}, {})[0]
    assert set(plane(crossed, "step", ["baseline"]).units) == {2}
    assert set(plane(crossed, "step", ["baseline"]).cases) == {10}
    assert len(protocols({"a": frame(rows), "b": frame(study("mnist", "balanced"))}, {})) == 2


# ---- one draw a cell, diverged networks


def test_with_one_draw_a_cell_the_cells_are_the_sample():
    held = stores(*(study("cifar10", kind, n=1) for kind in ("step", "linear", "balanced")))
    found = {
        (claim.id, i): part(claim.id, i, held, "cifar10")
        for claim in CLAIMS
        for i, check in enumerate(claim.checks)
        if ("cifar10",) in check.datasets and claim.id in ("C1", "C3", "C4", "C5", "C6", "C11")
    }
    for key in (("C1", 0), ("C3", 1), ("C4", 0), ("C5", 0), ("C6", 0), ("C6", 1)):
        assert found[key].verdict == REPRODUCED, key
    assert "With one draw a cell the interval is over these" in found["C3", 1].reason
    gains = [0.4 * drop(Place("cifar10", "step", rho, mu, "")) for rho, mu in SHORT]
    low, high = stats.t.interval(0.95, 11, np.mean(gains), stats.sem(gains))
    assert found["C3", 1].low == pytest.approx(low, rel=0.1)
    assert found["C3", 1].high == pytest.approx(high, rel=0.1)
    for key in (("C4", 1), ("C11", 1), ("C11", 3)):
        assert found[key].verdict == UNDERPOWERED
        assert found[key].effect is not None
        assert found[key].low is found[key].high is None
        assert "too few draws" in found[key].reason


def test_of_twelve_cells_with_one_draw_the_share_has_its_exact_interval():
    found = part("C4", 0, stores(study("cifar10", "step", n=1)), "cifar10")
    assert found.effect == found.high == 100
    assert found.low == pytest.approx(100 * 0.025 ** (1 / 12))


def test_a_cell_with_one_draw_borrows_the_spread_of_the_others():
    """As in table 4: one network in two cells, three in the third."""
    rows = [
        row
        for row in study("imagenet", "step", n=3, noise=0.3)
        if row["rho"] == 100 or row["replicate"] == 0
    ]
    found = part("C12", 0, stores(rows))
    assert found.n == 5
    assert "given the spread of the others" in found.reason
    three = plane(protocols(stores(rows), {})[0], "step", ["oversampling", "undersampling"])
    spread = three.less("oversampling", "undersampling")[1:].std(axis=0)
    assert spread[0] == pytest.approx(spread[2] * math.sqrt(3), rel=0.1)
    pieces = three.less("oversampling", "undersampling")[0]
    low = (pieces - stats.t.ppf(0.975, 2) * spread).min()
    assert found.low == pytest.approx(low)


def test_a_diverged_network_leaves_its_case_out_and_is_counted():
    rows = [
        diverged(row) if row["method"] == "oversampling" and row["replicate"] == 0 else row
        for row in study("mnist", "step")
    ]
    found = part("C3", 1, stores(rows))
    assert (found.verdict, found.n) == (REPRODUCED, 36)
    assert "12 cases left out: a network diverged." in found.reason
    assert part("C1", 0, stores(rows)).n == 48


def gone(kind, rho, mu, method, n=4):
    """A study where every network of a method diverged in one cell."""
    return [
        diverged(row) if (row["rho"], row["mu"], row["method"]) == (rho, mu, method) else row
        for row in study("mnist", kind, n=n)
    ]


@pytest.mark.parametrize(
    ("id", "number", "kind", "cell", "method"),
    [
        ("C14", 0, "step", (5000, 0.8), "undersampling"),
        ("C5", 2, "step", (1000, 0.8), "undersampling"),
        ("C11", 0, "linear", (5000, None), "baseline"),
        ("C11", 1, "linear", (50, None), "oversampling"),
        ("C11", 3, "linear", (50, None), "undersampling"),
        ("C4", 0, "step", (50, 0.5), "oversampling"),
        ("C4", 1, "step", (50, 0.5), "oversampling"),
    ],
)
def test_a_cell_that_decides_and_has_no_survivor_is_no_other_cell(id, number, kind, cell, method):
    found = part(id, number, stores(gone(kind, *cell, method)))
    assert (found.verdict, found.effect) == (UNDERPOWERED, None)
    named = f"rho {cell[0]}" + (f", mu {cell[1]}" if cell[1] else "")
    assert found.reason == f"No number: in every case at {named} a network diverged."


def test_a_cell_without_a_survivor_is_left_out_of_a_mean_and_named():
    for id, number, n in (("C3", 1, 44), ("C1", 0, 40)):  # 10 to 1000 is no step
        method = "oversampling" if id == "C3" else "baseline"
        found = part(id, number, stores(gone("step", 50, 0.5, method)))
        assert (found.verdict, found.n) == (REPRODUCED, n)
        assert "a network diverged in every case: rho 50, mu 0.5." in found.reason


def test_of_a_data_set_as_published_the_networks_that_diverged_are_counted():
    rows = [diverged(row) if row["replicate"] < 2 else row for row in study("mnist", "natural")]
    found = part("C13", 0, stores(rows))
    assert (found.verdict, found.n) == (REPRODUCED, 2)
    assert "2 of 4 diverged, left out." in found.reason


@pytest.mark.parametrize("trial", [t for t in TRIALS if t.id != "C2"], ids=lambda t: t.id)
def test_where_all_diverged_the_check_is_underpowered(trial):
    held = trial.held({"status": "diverged", "auc": None, "accuracy": None, **trial.right})
    found = part(trial.id, trial.number, held)
    assert (found.verdict, found.effect, found.n) == (UNDERPOWERED, None, 0)
    assert "diverged" in found.reason


# ---- what else a verdict must say


def test_that_thresholding_leaves_the_auc_is_looked_for_in_every_protocol():
    """The strongest protocol has it right, one of few cases and another batch has it not."""
    wrong_ = altered(of("thresholding", lambda p: at(p, "baseline") + 1e-6))
    short = study("mnist", "step", n=1, scores=wrong_, iterations=500, batch=32)
    found = part("C8", 0, stores(study("mnist", "step"), short))
    assert (found.verdict, found.n) == (CONTRADICTED, 3 * 12 * 5)
    assert found.where == "MNIST (made_0 + made_1)"


def test_how_records_were_selected_stands_in_the_reason():
    said = "Best of 8 (4 rates x 2 runs) by AUC on the test set, which flatters."
    held = {"full": frame(study("cifar10", "natural", n=1)), "other": frame(study("mnist", "step"))}
    found = {claim.id: claim for claim in judge(held, {}, {"full": said, "other": ""})}
    (own,) = [p for p in found["C13"].parts if p.effect is not None]
    assert own.reason.endswith(f"full: {said}")
    assert said in json.dumps(claims.fields(found["C13"]))
    assert not any(said in p.reason for p in found["C4"].parts)


def test_every_study_that_is_pooled_is_named():
    rows = study("mnist", "step")
    halves = [[row for row in rows if (row["rho"] > 50) == more] for more in (True, False)]
    assert part("C1", 0, stores(*halves)).where == "MNIST (made_0 + made_1)"
    linear = study("mnist", "linear")
    found = part("C3", 0, stores(linear, *halves))
    assert found.where == "MNIST (made_0 + made_1 + made_2)"


def test_where_one_draw_a_cell_cannot_decide_the_reason_says_what_can():
    step_ = part("C4", 1, stores(study("cifar10", "step", n=1)), "cifar10")
    assert "grids/cifar10_resplit.yaml has three a cell." in step_.reason
    assert (ROOT / "grids/cifar10_resplit.yaml").is_file()
    linear = part("C11", 1, stores(study("cifar10", "linear", n=1)), "cifar10")
    assert "Replicates in the grid make more draws." in linear.reason
    split = [
        row
        | {"split": split, "replicate": 0, "subset": 0}
        | {name: f"{row[name]}-{split}" for name in ("case_id", "record_id")}
        for split in range(3)
        for row in study("cifar10", "step", n=1, drawn=split)
    ]
    for number in (0, 1):
        found = part("C4", number, stores(study("cifar10", "step", n=1), split), "cifar10")
        assert (found.verdict, found.n) == (REPRODUCED, 36)


def test_margins_are_what_chance_gives():
    """As the reasons say, by the records that they name."""
    rows = load(ROOT / "results/reference/mnist_variance-small")
    rows = rows.assign(auc=100 * rows["auc"]).groupby("method")
    two = 1.96 * math.sqrt(2)
    drawn, again = ({}, {})
    for method, own in rows:
        drawn[method] = two * own["auc"].std()
        runs = own.groupby(["replicate", "subset"])["auc"]
        again[method] = two * math.sqrt(runs.var().mean())
    assert f"up to {again['baseline']:.2f} points, two draws of a cell by" in limits.POINT
    assert f"of a cell by up to {drawn['baseline']:.2f} (95 %" in limits.POINT
    assert f"up to {again['oversampling']:.2f}, two draws of a cell by" in limits.TRIFLING
    assert f"of a cell by up to {drawn['oversampling']:.2f} (95 %" in limits.TRIFLING


def test_best_with_no_allowance_is_told():
    over = of("oversampling", lambda p: at(p, "baseline") - 0.05 * (p.rho == 10))
    low = {"undersampling": 50, "two_phase_oversampling": 50, "two_phase_undersampling": 50}
    scores = altered(lambda p, a: low.get(p.method, over(p, a) + (p.method == "oversampling") / 99))
    found = part("C4", 0, stores(study("mnist", "step", scores=scores, noise=0.001)))
    assert found.effect == 100
    assert "without the allowance it is the best in 9 of 12." in found.reason


# ---- the rule and the numbers

numbers = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)
intervals = st.tuples(numbers, numbers).map(sorted)


@st.composite
def ranges(draw):
    low, high = draw(intervals)
    side = draw(st.sampled_from(["both", "low", "high"]))
    return Range(
        low if side != "high" else -math.inf,
        high if side != "low" else math.inf,
        draw(st.booleans()) and low < high,
    )


@given(intervals, ranges())
def test_the_rule(interval, allowed):
    low, high = interval
    values = [low, high, (low + high) / 2]
    inside = [allowed.low <= v <= allowed.high for v in values]
    if allowed.open:
        inside = [allowed.low < v < allowed.high for v in values]
    spans = low < allowed.low < high or low < allowed.high < high
    verdict = rule(low, high, allowed)
    assert verdict in (REPRODUCED, CONTRADICTED, UNDERPOWERED)
    assert (verdict == REPRODUCED) == (inside[0] and inside[1])
    if verdict == CONTRADICTED:
        assert not any(inside)
        assert not spans
    if verdict == UNDERPOWERED:
        assert spans or any(inside)


@given(intervals, ranges(), st.floats(0, 1e6, allow_subnormal=False))
def test_a_wider_interval_never_turns_a_verdict_round(interval, allowed, more):
    low, high = interval
    before, after = rule(low, high, allowed), rule(low - more, high + more, allowed)
    assert after in (before, UNDERPOWERED)


@given(ranges())
def test_no_interval_is_underpowered(allowed):
    assert rule(None, None, allowed) == rule(0.0, None, allowed) == UNDERPOWERED


def test_an_effect_of_exactly_nothing_does_not_agree_with_a_direction():
    assert rule(0.0, 0.0, Range(low=0, open=True)) == CONTRADICTED
    assert rule(0.0, 0.0, Range(low=0)) == REPRODUCED


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        (Range(low=0, open=True), "> 0"),
        (Range(high=0, open=True), "< 0"),
        (Range(low=-1), ">= -1"),
        (Range(high=1), "<= 1"),
        (Range(-1, 1), "-1 to 1"),
        (Range(0, 0), "= 0"),
    ],
)
def test_a_range_in_words(allowed, said):
    assert str(allowed) == said


def one_cell(values):
    """A protocol whose baseline has these AUCs in one cell."""
    rows = []
    for replicate, value in enumerate(values):
        row = dict(bare("mnist", "step", 10.0, 0.5))
        name = f"r{replicate}"
        row |= {"replicate": replicate, "subset": replicate, "case_id": name, "record_id": name}
        rows.append(row | {"auc": value / 100})
    return protocols({"a": frame(rows)}, {})[0]


@pytest.mark.parametrize("n", [5, 20, 100])
def test_in_one_cell_the_interval_is_nearly_students(n):
    values = np.random.default_rng(n).normal(90, 1, n)
    own = plane(one_cell(values), "step", ["baseline"])
    interval = found(own.scores["baseline"], [own])
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert interval.effect == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(high - low, rel=0.12)


@pytest.mark.parametrize(("n", "cells"), [(3, 1), (3, 4), (6, 2)])
def test_the_interval_covers_what_it_says(n, cells):
    rng = np.random.default_rng(n)
    hits = 0
    for trial in range(300):
        draws = [rng.normal(0, 1 + 9 * (i == 0), (n, 1)) for i in range(cells)]
        values = redrawn(draws, [trial * cells + i for i in range(cells)])[:, :, 0]
        spread = values[1:].var(axis=0)
        freedom = (n - 1) * spread.sum() ** 2 / (spread**2).sum()
        low, high = MEAN.bounds(values, freedom)
        hits += low <= 0 <= high
    assert 0.91 < hits / 300 < 0.99


def test_the_worst_of_many_equal_cells_is_not_surely_bad():
    """Its own interval would be wholly below: it was picked for being low."""
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(100):
        draws = [rng.normal(0, 1, (10, 1)) for _ in range(20)]
        values = redrawn(draws, [20 * trial + i for i in range(20)])[:, :, 0]
        hits += LEAST.bounds(values, 9)[1] >= 0
        assert values[0].min() < -0.2
    assert hits >= 95


@pytest.mark.parametrize("n", [2, 3, 10])
def test_of_few_draws_too_bounds_hold_for_all_cells_at_once(n):
    """The lowest of equal cells is told from the others' truth in 2.5 % of trials."""
    rng = np.random.default_rng(n)

    def least(rng):
        own = planes_of([rng.normal(0, 0.3, n) for _ in range(6)])
        return found(own.scores["a"], [own], own.names, LEAST)

    below = [least(rng).high < 0 for _ in range(200)]
    assert np.mean(below) <= 0.05


def planes_of(draws, **more):
    """A plane of one column from the draws of each cell."""
    cells = tuple((float(10 + i), 0.5) for i in range(len(draws)))
    values = redrawn([d[:, None] for d in draws], [int(abs(d[0]) * 1e9) % 2**31 for d in draws])
    ns = tuple(map(len, draws))
    zeros = (0,) * len(draws)
    return Plane(cells, {"a": values[:, :, 0]}, ns, ns, ("made",), zeros, zeros, **more)


def decided(make, allowed, trials=200, seed=0):
    """How often, in %, a true effect at the edge of the range is told from it."""
    rng = np.random.default_rng(seed)
    found_ = [make(rng) for _ in range(trials)]
    told = [rule(one.low, one.high, allowed) != UNDERPOWERED for one in found_]
    return 100 * np.mean(told)


@pytest.mark.parametrize(("n", "whole"), [(10, 10), (10, 2), (3, 3), (1, 10)])
def test_the_error_of_a_reference_that_all_cells_share_is_in_the_interval(n, whole):
    """Twelve cells and no fall from the balanced set: each is measured from the same few nets."""

    def short(rng):
        own = planes_of([rng.normal(95, 0.3, n) for _ in range(12)])
        balanced = planes_of([rng.normal(95, 0.3, whole)])
        values = balanced.scores["a"] - own.scores["a"]
        return found(values, [own], own.names, shared=[balanced])

    assert decided(short, Range(low=0, open=True)) <= 8


@pytest.mark.parametrize(("id", "number"), [("C1", 2), ("C3", 2), ("C2", 0), ("C2", 1)])
def test_measured_from_one_net_alone_nothing_is_decided(id, number):
    studies_ = [study("mnist", "step"), study("mnist", "balanced", n=1)]
    if id == "C2":
        studies_ += [study("cifar10", "step"), study("cifar10", "balanced")]
    found = part(id, number, stores(*studies_))
    assert (found.verdict, found.low) == (UNDERPOWERED, None)
    assert "All cells are measured from one net on the balanced set: no interval." in found.reason


@pytest.mark.parametrize(
    ("id", "number", "scores", "kind"),
    [
        ("C5", 0, altered(of("undersampling", lambda p: at(p, "baseline") + one_bad(p))), "step"),
        ("C6", 0, altered(of("two_phase_oversampling", lambda p: beyond(p))), "step"),
        (
            "C7",
            3,
            altered(None, of("oversampling_thresholding", lambda p: 85 - one_bad(p))),
            "step",
        ),
        ("C7", 4, altered(None, of("baseline", lambda p: 89 + one_bad(p))), "step"),
        ("C9", 1, altered(lambda p, a: a + 2 * (p.to == 10 and p.mu == 0.2)), "reduced"),
    ],
)
def test_one_extreme_cell_does_not_outweigh_the_others(id, number, scores, kind):
    """On average each of these holds, and in most cells, or in one that counts, not."""
    found = part(id, number, stores(study("mnist", kind, scores=scores)))
    assert found.verdict == CONTRADICTED
    told = found.reason.split(" cells agree")[0].rsplit(". ", 1)[1]
    agree, _, cells = told.split()
    assert int(agree) <= int(cells) / 2 or id == "C9"


def one_bad(place):
    """A little in every cell, and much the other way in one."""
    return -60 if (place.rho, place.mu) == (5000, 0.2) else 0.5


def beyond(place):
    """Half a point above the higher end, but for one cell, where far above the lower."""
    high = max(at(place, "baseline"), at(place, "oversampling"))
    return high - 1 if (place.rho, place.mu) == (5000, 0.8) else high + 0.5


def test_on_imagenet_one_reversed_cell_contradicts_throughout():
    """As an average of table 4's cells undersampling would still be below."""
    low = of("undersampling", lambda p: at(p, "baseline") - 1 if p.rho == 50 else 80)
    found = part("C12", 0, stores(study("imagenet", "step", scores=altered(low))))
    assert found.verdict == CONTRADICTED
    assert "2 of 3 cells agree, taken alone" in found.reason


@pytest.mark.parametrize(
    "trial",
    [t for t in TRIALS if t.id not in ("C8", "C10", "C13", "C14")],
    ids=lambda t: f"{t.id}.{t.number}",
)
def test_a_reproduced_part_says_how_many_cells_agree(trial):
    found = part(trial.id, trial.number, trial.held(trial.right))
    if found.n <= 12:
        return  # a pair of cells, or one, is all there is
    assert re.search(r"(\d+) of \1 (cells|pairs of cells) agree, taken alone: from ", found.reason)


def test_the_share_counts_what_is_sure_and_what_is_possible():
    values = np.concatenate([[[1.0, 0.1, -0.1, -1.0]], np.zeros((2000, 4))])
    values[1:] = values[0] + np.random.default_rng(0).normal(0, 0.1, (2000, 4))
    above, below = share(Range(low=0)), share(Range(high=0, open=True))
    assert above.of(values[:1])[0] == below.of(values[:1])[0] == 50
    assert above.bounds(values, 1e6) == below.bounds(values, 1e6) == (25, 75)
    sides = np.stack([values, values[:, ::-1]], axis=2)
    assert above.of(sides[:1])[0] == 0
    assert above.bounds(sides, 1e6) == (0, 50)


def test_a_share_of_fewer_than_four_cells_is_none():
    rows = [row for row in study("mnist", "step") if row["mu"] == 0.5]
    assert part("C4", 0, stores(rows)).verdict == REPRODUCED
    found = part("C4", 0, stores([row for row in rows if row["rho"] > 10]))
    assert (found.verdict, "3 of 4 cells needed" in found.reason) == (NOT_RUN, True)


def test_that_all_are_above_needs_no_widening_for_the_lowest():
    """Each above by itself is enough, so one that is not is told in 2.5 % of trials at most, and
    where all are above by a little that is found as often as by itself.
    """
    rng = np.random.default_rng(1)
    for gains, least, most in (((0, 1, 1, 1), 0, 6), ((0.4, 1, 1, 1), 90, 100)):
        above = 0
        for _ in range(150):
            own = planes_of([rng.normal(gain, 0.3, 10) for gain in gains])
            bounds = found(own.scores["a"], [own], own.names, LEAST)
            above += bounds.low > 0
        assert least <= 100 * above / 150 <= most


SHAPES = {
    "line": lambda rho: rho / 5000,
    "root": lambda rho: np.sqrt(rho / 5000),
    "square": lambda rho: (rho / 5000) ** 2,
    "jump": lambda rho: float(rho == 5000),
    "logarithm": lambda rho: np.log10(rho / 10) / np.log10(500),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_straight_fall_is_told_from_a_bent_one(shape):
    """With n of 10 and a fall of 15 points."""
    told = []
    for drawn in range(6):
        low = of("undersampling", lambda p: 99 - 15 * SHAPES[shape](p.rho))
        rows = study("mnist", "linear", scores=altered(low), n=10, noise=0.15, drawn=drawn)
        told.append(part("C11", 3, stores(rows)).verdict)
    assert told == [REPRODUCED if shape == "line" else CONTRADICTED] * 6


def test_a_straight_fall_is_against_rho_itself():
    found = part("C11", 3, stores(study("mnist", "linear")))
    assert found.verdict == REPRODUCED
    assert "rho 50: 0.7" in found.reason
    assert "rho 1000: 19.9 % and 19.8 %." in found.reason
    flat = altered(of("undersampling", 90.0))
    found = part("C11", 3, stores(study("mnist", "linear", scores=flat)))
    assert found.verdict == UNDERPOWERED


def test_who_is_best_is_picked_by_the_other_draws():
    draws = np.random.default_rng(0).normal(0, 1, (7, 3))
    names = ["a", "b", "c"]
    table = picked(draws, names, [Pick("best", ("a", "b", "c")), Pick("worst", ("a", "c"), False)])
    for i, row in enumerate(draws):
        others = np.delete(draws, i, axis=0).mean(axis=0)
        assert table[i, 3] == row[others.argmax()]
        assert table[i, 4] == row[0 if others[0] < others[2] else 2]
    alone = picked(draws[:1], names, [Pick("best", ("a", "b", "c"))])
    assert alone[0, 3] == draws[0].max()


def test_picking_by_the_other_draws_does_not_flatter():
    rng = np.random.default_rng(2)
    draws = rng.normal(0, 1, (4000, 5, 4))
    pick = [Pick("best", ("a", "b", "c", "d"))]
    best = [picked(cell, ["a", "b", "c", "d"], pick)[:, 4].mean() for cell in draws]
    assert abs(np.mean(best)) < 0.03
    assert draws.mean(axis=1).max(axis=1).mean() > 0.4


def test_neighbours_and_ends():
    rho, mu = np.array([10.0, 50, 10, 50, 90]), np.array([0.2, 0.2, 0.8, 0.8, 0.2])
    assert sorted(steps(mu, rho)) == [(0, 1), (1, 4), (2, 3)]
    assert sorted(ends(rho, mu)) == [(0, 2), (1, 3)]


def test_where_few_classes_are_minority_nothing_is_extreme():
    rows = [row for row in study("mnist", "step") if row["mu"] <= 0.5]
    found = part("C14", 0, stores(rows))
    assert found.verdict == NOT_RUN
    assert "no step imbalance with mu above 0.5 to 1" in found.reason


def test_n_counts_the_cells_that_are_compared():
    held = stores(study("mnist", "step"))
    counts = {("C1", 0): 48, ("C5", 0): 32, ("C5", 1): 32, ("C5", 2): 32, ("C14", 0): 4}
    assert {key: part(*key, held).n for key in counts} == counts


def test_linear_and_step_are_compared_where_they_hold_equally_many_images():
    rows = study("mnist", "linear")
    for row in rows:
        if row["rho"] == 10:
            row["class_counts"] = [5000] + [5] * 9
    found = part("C3", 0, stores(study("mnist", "step"), rows))
    assert found.n == 2 * 4 * 3
    assert "rho 10 " not in found.reason


@pytest.mark.parametrize(("error", "images"), [(0.0088, 10_000), (0.5, 100), (0.0, 50)])
def test_the_interval_of_an_error_is_wilsons(error, images):
    low, high = error_bounds(error, {"test_counts": [images // 10] * 10})
    z = stats.norm.ppf(0.975)
    middle = (error + z**2 / (2 * images)) / (1 + z**2 / images)
    reach = (
        z / (1 + z**2 / images) * math.sqrt(error * (1 - error) / images + z**2 / (4 * images**2))
    )
    assert (low, high) == pytest.approx((middle - reach, middle + reach), abs=1e-12)


def test_the_interval_of_an_auc_is_that_of_other_test_images():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(4), 30)
    aucs, reach = [], []
    for _ in range(80):
        scores = rng.exponential(1, (120, 4))
        scores[np.arange(120), labels] *= 6
        of_class = [roc_auc_score(labels == c, scores[:, c]) for c in range(4)]
        aucs.append(np.mean(of_class))
        row = {"auc_per_class": of_class, "test_counts": [30] * 4}
        low, high = auc_bounds(aucs[-1], row)
        reach.append((high - low) / 2)
    assert np.mean(reach) / 1.96 == pytest.approx(np.std(aucs), rel=0.3)


def test_of_several_networks_the_interval_is_over_networks():
    held = stores(study("mnist", "natural", n=6, noise=0.05))
    found = part("C13", 0, held)
    assert found.n == 6
    assert "One network" not in found.reason
    assert found.high - found.low < 0.3


def test_the_nearer_reading_of_imagenets_error_is_judged():
    for accuracy, reading, other in ((62.0, "37.44", "62.56"), (38.0, "62.56", "37.44")):
        found = part("C13", 3, stores(study("imagenet", "natural", n=1, accuracy=accuracy / 100)))
        assert found.verdict == REPRODUCED
        assert f"published {reading}; the other reading is {other}" in found.reason


def test_where_mnist_loses_nothing_the_quotient_is_a_number():
    held = Trial("C2", 0, HARM).held(wrong(lambda p, a: 99.5 if p.dataset == "mnist" else a))
    found = part("C2", 0, held)
    assert found.verdict == CONTRADICTED
    assert 100 < found.low <= found.effect <= found.high < 1e6


def test_the_reason_says_what_more_draws_would_do():
    held = stores(study("mnist", "step", noise=6.0, n=3))
    found = part("C14", 0, held)
    assert found.verdict == UNDERPOWERED
    times = ((found.high - found.effect) / (1 - found.effect)) ** 2
    other = ((found.effect - found.low) / (found.effect + 1)) ** 2
    wanted = max(times if found.high > 1 else 0, other if found.low < -1 else 0)
    if abs(found.effect) < 1 and wanted < 100:
        assert f"about {wanted:.2g} times the draws" in found.reason


def test_where_a_method_is_missing_the_reason_names_it():
    rows = [row for row in study("mnist", "step") if row["method"] != "undersampling"]
    found = part("C5", 2, stores(rows))
    assert found.reason == (
        "The stores have of MNIST no undersampling under step imbalance; run grids/mnist_step.yaml."
    )


# ---- the command


SCORES = ("auc", "accuracy")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims") / "results"
    write(study("mnist", "step"), folder / "mnist_step")
    noisy = study("mnist", "linear", noise=40.0)
    scores = {name: [float(np.clip(row[name], 0, 1)) for row in noisy] for name in SCORES}
    rows = [row | {n: scores[n][i] for n in SCORES} for i, row in enumerate(noisy)]
    write(rows, folder / "mnist_linear")
    return folder


@pytest.fixture
def command(results, capsys):
    def go(*words):
        code = claims.main(["--results", str(results), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return go


def test_the_table_and_its_reasons(command):
    code, out, err = command()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    rows = [line for line in lines if line[:1] == "C" and line[1:3].strip().isdigit()]
    assert [row.split()[0] for row in rows] == [f"C{i}" for i in range(1, 15)] * 2
    assert "\x1b" not in out
    text = " ".join(out.split())
    assert "C8 Thresholding leaves the AUC as it is." in text
    assert "underpowered Oversampling less the baseline at the ratio where that is least:" in text
    assert "Why: " in text
    assert "run grids/mnist_balanced.yaml" in text


def test_on_how_much_of_a_claim_a_verdict_is(command, tmp_path):
    path = tmp_path / "claims.json"
    out = command("--json", str(path), "--study", "mnist_step")[1]
    summary = " ".join(out.split("claim ")[0].split())
    written = {one["id"]: one for one in json.loads(path.read_text())}
    partly = [one for one in written.values() if 0 < one["parts_run"] < one["parts_total"]]
    reproduced = [one for one in partly if one["verdict"] == REPRODUCED]
    number = len(reproduced)
    assert f"{number} reproduced ({number} with parts not run)" in summary
    for one in written.values():
        assert one["verdict"] in (REPRODUCED, CONTRADICTED, UNDERPOWERED, NOT_RUN)
        run = [part for part in one["parts"] if part["verdict"] != NOT_RUN]
        assert (one["parts_run"], one["parts_total"]) == (len(run), len(one["parts"]))
        told = f"{one['parts_run']} of {one['parts_total']} parts"
        assert (f"\n{one['id']}  {one['verdict']} ({told} run)\n" in out) == (one in partly)
        assert (told in out.split("\nA claim has")[0]) == (one in partly)


def test_a_reproduced_part_says_what_was_left_out(tmp_path, capsys):
    rows = [
        diverged(row) if row["method"] == "oversampling" and row["replicate"] == 0 else row
        for row in study("mnist", "step")
    ]
    write(rows, tmp_path / "results" / "mnist_step")
    assert claims.main(["--results", str(tmp_path / "results")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    own = text.split("reproduced Oversampling less the baseline, on the same images")[1]
    assert "12 cases left out: a network diverged." in own.split("reproduced ")[0]


def test_data_of_ones_own_beside_the_papers_is_said_not_to_be_judged(tmp_path, capsys):
    write(study("mnist", "step", n=2), tmp_path / "results" / "mnist_step")
    write(study("digits", "step", n=2), tmp_path / "results" / "mine")
    assert claims.main(["--results", str(tmp_path / "results")]) == 0
    said = "Not judged beside the paper's data sets: Digits (scikit-learn); --study mine does."
    assert said in " ".join(capsys.readouterr().out.split())
    assert claims.main(["--results", str(tmp_path / "results"), "--study", "mine"]) == 0
    assert "Not judged" not in capsys.readouterr().out


def test_the_verdicts_of_the_reference_are_those_in_its_page(tmp_path, capsys):
    folder = ROOT / "results" / "reference"
    path = tmp_path / "claims.json"
    assert claims.main(["--results", str(folder), "--json", str(path)]) == 0
    out = " ".join(capsys.readouterr().out.split("claim ")[0].split())
    page = (folder / "README.md").read_text()
    assert out in " ".join(page.split())
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| C")]
    written = json.loads(path.read_text())
    assert len(rows) == len(written) == 14
    for (claim, verdict, effect, agrees, n), one in zip(rows, written, strict=True):
        decided = next(part for part in one["parts"] if part["verdict"] == one["verdict"])
        assert claim == f"{one['id']} {one['statement']}"
        run, total = one["parts_run"], one["parts_total"]
        partly = f" ({run} of {total} parts run)" if 0 < run < total else ""
        assert verdict == f"{one['verdict']}{partly}"
        assert (agrees, n) == (decided["threshold"], str(one["n"] or "-"))
        assert effect == numbers_of(SimpleNamespace(**decided), decided["unit"])
    assert [claim.split()[0] for claim, *_ in rows] == [f"C{i}" for i in range(1, 15)]


def test_one_study_alone(command):
    out = command("--study", "mnist_step")[1]
    assert "(mnist_step)" in out
    assert "(mnist_linear)" not in out


def test_what_is_written_is_what_was_judged(command, tmp_path, results):
    path = tmp_path / "new" / "claims.json"
    assert command("--json", str(path))[0] == 0

    def refuse(word):
        raise AssertionError(word)

    written = json.loads(path.read_text(), parse_constant=refuse)
    assert [one["id"] for one in written] == [f"C{i}" for i in range(1, 15)]
    for one in written:
        assert one["verdict"] in (REPRODUCED, CONTRADICTED, UNDERPOWERED, NOT_RUN)
        for key in ("effect", "low", "high", "n"):
            assert one[key] is None or isinstance(one[key], int | float)
        assert one.keys() >= {"statement", "scope", "figure", "parts"}
        decided = [part for part in one["parts"] if part["verdict"] == one["verdict"]]
        assert (decided[0]["effect"], decided[0]["n"]) == (one["effect"], one["n"])
    assert {one["verdict"] for one in written} >= {REPRODUCED, UNDERPOWERED, NOT_RUN}


def test_what_was_written_before_is_replaced(command, tmp_path, monkeypatch, whole):
    monkeypatch.setattr(claims, "judge", lambda *given: whole)
    path = tmp_path / "claims.json"
    path.write_text("old")
    assert command("--json", str(path))[0] == 0
    assert len(json.loads(path.read_text())) == 14
    assert [file.name for file in tmp_path.iterdir()] == ["claims.json"]


@pytest.mark.parametrize("kind", ["folder", "below a file"])
def test_a_file_that_cannot_be_written_is_one_line(command, tmp_path, kind, monkeypatch, whole):
    monkeypatch.setattr(claims, "judge", lambda *given: whole)
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("")
    path = tmp_path / ("there" if kind == "folder" else "file/claims.json")
    code, out, err = command("--json", str(path))
    assert (code, out) == (2, "")
    assert err.startswith(f"--json {path}: cannot be written (")
    assert len(err.splitlines()) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "there"]
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--study", "mnist_stp"], "Did you mean 'mnist_step'?"),
        (["--json", ""], "found nothing"),
        (["--select", "best"], "invalid choice"),
        (["extra"], "unrecognized arguments"),
    ],
)
def test_wrong_use(command, capsys, words, said):
    try:
        code, out, err = command(*words)
    except SystemExit as end:
        code, (out, err) = end.code, capsys.readouterr()
    assert (code, out) == (2, "")
    assert said in err


def test_no_results(tmp_path, capsys):
    assert claims.main(["--results", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_the_selection_is_the_one_asked_for(tmp_path, capsys):
    rows = [
        row | {"run": run, "record_id": f"{row['record_id']}-{run}"}
        for run in (0, 1)
        for row in study("mnist", "step", n=2)
    ]
    write(rows, tmp_path / "results" / "mnist_step")
    words = ["--results", str(tmp_path / "results"), "--select"]
    assert claims.main([*words, "best_on_test"]) == 0
    said = "mnist_step: Best of 2 (2 runs) by AUC on the test set, which flatters."
    assert said in capsys.readouterr().out
    assert claims.main([*words, "best_on_validation"]) == 2
    assert "best_on_validation: no AUC on validation images" in capsys.readouterr().err


def test_from_a_shell(results):
    done = subprocess.run(
        [sys.executable, "-m", "analysis.claims", "--results", results, "--study", "mnist_linear"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "not run" in done.stdout


def test_of_cases_in_two_studies_the_figure_is_the_ones_that_has_most_of_them():
    """A study of one ratio's cells, sampled fully alone, shares records with the reduced one."""
    reduced = study("mnist", "reduced")
    plain = [row for row in reduced if row["to"] == 1]
    claims = {c.id: c for c in judge({"a_step": frame(plain), "reduced": frame(reduced)})}
    assert {part.figure for part in claims["C9"].parts} == {"reduced/fig7"}
    assert {part.where for part in claims["C9"].parts} == {"MNIST (reduced + a_step)"}


def test_a_study_that_crosses_subsets_is_kept_apart_from_one_that_does_not():
    """After the selection one subset of each replicate is left, of which the best run: no draws
    like the others.
    """
    plain = study("mnist", "step")
    other = [row | {name: f"{row[name]}-x" for name in ("case_id", "record_id")} for row in plain]
    one, two = frame(plain), frame(other)
    assert len(protocols({"one": one, "two": two}, {})) == 1
    assert len(protocols({"one": one, "two": two.assign(subset=0)}, {})) == 2


# ---- what may be pooled


def grid_of(**changes):
    dataset = {"name": "mnist", "train_per_class": 5000, "splits": None, "preprocess": "none"}
    recipe = {"iterations": 500, "momentum": 0.9, "rate": {"policy": "inv", "base": 0.01}}
    keys = {"dataset": dataset, "model": "lenet5", "recipe": recipe, "seed": 1}
    for path, value in changes.items():
        *above, last = path.split("__")
        section = keys
        for key in above:
            section[key] = dict(section[key])
            section = section[key]
        section[last] = value
    return keys


def protocol_of(folder="results/a", **changes):
    nothing = frame([])
    return Study("a", Path(folder), nothing, nothing, "", grid_of(**changes)).protocol


@pytest.mark.parametrize(
    ("change", "apart"),
    [
        ({"dataset__preprocess": "gcn_zca"}, True),
        ({"dataset__path": "other"}, True),
        ({"recipe__momentum": 0.5}, True),
        ({"model": "allcnn"}, True),
        ({"recipe__rate__policy": "fixed"}, True),
        ({"recipe__rate__base": [0.01, 0.1]}, False),
        ({"dataset__splits": 3}, False),
        ({"dataset__augment": None}, False),
        ({"replicates": 50}, False),
    ],
)
def test_what_the_grids_fix_tells_protocols_apart(change, apart):
    """A case's id differs with the data set, so that no shared case would give it away."""
    assert (protocol_of() != protocol_of(**change)) == apart
    one, two = (study("mnist", kind) for kind in ("step", "balanced"))
    made = {"one": protocol_of(), "two": protocol_of(**change)}
    assert len(protocols({"one": frame(one), "two": frame(two)}, made)) == 1 + apart


def test_without_a_grid_a_study_is_by_itself():
    nothing = frame([])
    names = {
        Study("a", Path(folder), nothing, nothing, "", {}).protocol for folder in ("one", "two")
    }
    assert len(names) == 2


def test_the_piece_that_leaves_a_verdict_open_is_named():
    """The effect is the least gain, the open end another ratio's: the draws wanted are its own."""
    pieces, bounds = (("rho 10", 0.02), ("rho 5000", 0.6)), ((0.01, 0.03), (-0.05, 1.25))
    finding = Finding(0.02, -0.05, 0.03, 40, ("a",), pieces, bounds)
    said = wanted(finding, Range(0, open=True))
    assert said.startswith(" at rho 5000: ")
    assert f"about {(0.65 / 0.6) ** 2:.2g} times the draws" in said
