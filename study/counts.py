"""Class counts, in exact arithmetic, and the draw of a subset that has them; pure."""

from collections.abc import Sequence
from fractions import Fraction
from math import floor

import numpy as np


def step_counts(classes: int, n_max: int, rho: float, minority: Sequence[int]) -> tuple[int, ...]:
    """n_max / rho images in the minority classes, n_max in the others."""
    few, short = at_least_one(n_max / exact(rho)), frozenset(minority)
    return tuple(few if label in short else n_max for label in range(classes))


def linear_counts(n_max: int, rho: float, order: Sequence[int]) -> tuple[int, ...]:
    """Evenly spaced counts from n_max / rho for the first class in `order` up to n_max."""
    least = n_max / exact(rho)
    step = (n_max - least) / max(len(order) - 1, 1)
    counts = {label: at_least_one(least + rank * step) for rank, label in enumerate(order)}
    return tuple(counts[label] for label in range(len(order)))


def class_order(
    rule: str | Sequence[int], classes: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """The classes from the one that goes shortest on: drawn, by label, or as listed."""
    if rule == "random":
        return tuple(int(label) for label in rng.permutation(classes))
    if isinstance(rule, str):  # lowest and ascending: the label is the rank
        return tuple(range(classes))
    return tuple(rule)


def draw(labels: np.ndarray, counts: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Positions of a random subset with these class counts, ascending; without replacement."""
    chosen = []
    for label, count in enumerate(counts):
        places = np.flatnonzero(labels == label)
        if count > len(places):
            raise ValueError(f"class {label} holds {len(places)} images, {count} are needed")
        chosen.append(rng.choice(places, count, replace=False))
    return np.sort(np.concatenate(chosen))


def shortage(counts: Sequence[int], pool: Sequence[int]) -> str | None:
    """The arithmetic of the first class that cannot give what is asked, or None."""
    for label, (needed, available) in enumerate(zip(counts, pool, strict=True)):
        if not needed:
            return f"class {label} has no training image; every class needs one"
        if needed > available:
            return (
                f"class {label} needs {needed:,} training images, but {available:,} are left of "
                f"it, test and validation images apart"
            )
    return None


def minority_classes(mu: float, classes: int) -> int:
    """The number of minority classes; 0 where mu is, to six digits, no whole number of classes."""
    number = round(exact(mu) * classes)
    return number if f"{mu:.6g}" == f"{number / classes:.6g}" else 0


def at_least_one(value: Fraction) -> int:
    """To the nearest integer, halves up, never below 1."""
    return max(1, floor(value + Fraction(1, 2)))


def exact(number: float) -> Fraction:
    """The decimal number that was written in the file (0.3 is 3/10)."""
    return Fraction(repr(float(number)))


def ratio_problem(
    rhos: Sequence[float], n_max: int | None, key: str = "rho"
) -> tuple[str, str, str] | None:
    """Why one of these ratios cannot be had from classes of n_max images, or None."""
    for rho in rhos:
        if rho < 1:
            return key, f"{rho:g}", "allowed: 1 (balanced) or more"
        if n_max is not None and rho > n_max:
            return (
                key,
                f"{rho:g}",
                f"{n_max:,} / {rho:g} = {n_max / rho:.3g} images in the smallest class, which must "
                f"be at least 1; allowed: 1 to {n_max:,} (dataset.train_per_class)",
            )
    return None
