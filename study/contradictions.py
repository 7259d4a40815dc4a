"""What no single key of a grid shows to be wrong, parts of the user's own among it."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from study.engine.losses import LOSSES
from study.engine.rates import RATES
from study.errors import OWN, Problem, failure, seen, shorten, shown
from study.form import Form
from study.grid import Grid
from study.identity import digest
from study.imbalance import PROFILES, Cell, Roles
from study.methods import METHODS, Method
from study.metrics import DECISIONS
from study.named import lookup
from study.nets import Net
from study.sampling import SAMPLINGS


def contradictions(grid: Grid) -> Iterable[Problem]:
    """What no single key shows to be wrong."""
    if why := _source_problem(grid):
        yield Problem("dataset.name", shown(grid.dataset.name), why)
        return
    yield from _wrong_methods(grid)
    if why := _rate_problem(grid):
        yield Problem("recipe.rate.policy", shown(grid.recipe.rate.policy), why)
    yield from _trouble("dataset", "name", grid.dataset.name, grid.dataset.problem)
    profile, n_max = grid.imbalance, grid.dataset.train_per_class
    if profile.needs_n_max and n_max is None:
        yield Problem(
            "dataset.train_per_class",
            "nothing",
            f"{profile.kind} imbalance needs the number of images in the largest class",
        )
    elif not profile.needs_n_max and n_max is not None:
        yield Problem(
            "dataset.train_per_class",
            f"{n_max}",
            f"{profile.kind} imbalance says itself how many of each class; leave this key out",
        )
    else:
        check = partial(profile.problem, grid.form.classes, n_max)
        wrong = list(_trouble("imbalance", "kind", profile.kind, check))
        yield from wrong
        if not wrong and (why := _profile_problem(grid)):
            yield Problem("imbalance.kind", shown(profile.kind), why)
        elif not wrong and grid.subsets is not None and _takes_all(grid):
            yield Problem(
                "subsets",
                f"{grid.subsets}",
                f"{profile.kind} imbalance takes every training image, so that all subsets would "
                f"be one; leave this key out",
            )
    try:
        net: object = grid.net
    except LookupError as error:
        yield Problem("model", shown(grid.model), str(error))
    except ValueError as error:
        yield Problem("model", shown(grid.model), f"it does not fit the data set: {error}")
    except OWN as error:
        why = f"its function fails with {failure(error)}"
        yield Problem("model", shown(grid.model), why)
    else:
        if not isinstance(net, Net):
            yield Problem("model", shown(grid.model), f"its function gives no Net but {seen(net)}")


def _rate_problem(grid: Grid) -> str | None:
    """What is wrong with a rate policy of the user's own, tried on three iterations, or None."""
    rate = grid.recipe.rate
    if rate.policy in RATES:
        return None
    try:
        rates: Any = rate.at(rate.base[0], np.arange(3), 10)
        good = isinstance(rates, np.ndarray) and rates.shape == (3,)
        if good and np.isfinite(rates).all() and (rates >= 0).all():
            return None
    except OWN as error:
        return f"tried, it fails with {failure(error)}"
    return f"of 3 iterations it gives {seen(rates)}; needed: an array of 3 rates from 0 up"


def _trouble(section: str, tag: str, name: str, check: Callable[[], object]) -> Iterable[Problem]:
    """What a section finds wrong with itself, or does wrong in finding it."""
    try:
        found = check()
    except OWN as error:
        if ":" not in name:
            raise
        why = f"its problem fails with {failure(error)}"
        yield Problem(f"{section}.{tag}", shown(name), why)
        return
    match found:
        case None:
            pass
        case (str(key), str(value), str(why)):
            yield Problem(f"{section}.{key}", value, why)
        case other:
            why = f"its problem gives {seen(other)}; needed: (key, value found, why not), or None"
            yield Problem(f"{section}.{tag}", shown(name), why)


def _source_problem(grid: Grid) -> str | None:
    """What is wrong with the form of a data set of the user's own, or None."""
    try:
        form: object = grid.form
    except OWN as error:
        return f"its form fails with {failure(error)}"
    if not isinstance(form, Form):
        return f"its form is no Form but {seen(form)}"
    if not all(isinstance(number, int) and number > 0 for number in form):
        return f"its form is {form}; needed: whole numbers from 1 up"
    return None


def _profile_problem(grid: Grid) -> str | None:
    """What is wrong with a profile of the user's own, tried on a balanced pool, or None."""
    if grid.imbalance.kind in PROFILES:
        return None
    classes, n_max = grid.form.classes, grid.dataset.train_per_class
    pool, rng = [n_max or 1000] * classes, np.random.default_rng(0)
    try:
        points: list[object] = list(grid.imbalance.points())
        for cell in points:
            if not isinstance(cell, Cell):
                return f"its points give no Cell but {seen(cell)}"
            if cell.kind != grid.imbalance.kind:
                return f"its cells are of kind {seen(cell.kind)}; needed: Cell(self.kind, ...)"
            if why := _cell_problem(cell):
                return why
            roles: object = grid.imbalance.roles(cell, pool, n_max, rng)
            if not isinstance(roles, Roles):
                return f"its roles give no Roles but {seen(roles)}"
            whole = all(isinstance(n, int | np.integer) and n > 0 for n in roles.counts)
            if len(roles.counts) != classes or not whole:
                return (
                    f"its roles hold {shorten(str(list(roles.counts)))}; needed: whole numbers "
                    f"from 1 up, one for each of {classes} classes"
                )
        if any(cell in points[:place] for place, cell in enumerate(points)):
            return "its points give a Cell twice"
        return None if points else "its points give no Cell at all"
    except OWN as error:
        return f"it fails with {failure(error)}"


def _takes_all(grid: Grid) -> bool:
    """Whether a cell holds every image of its pool, however many there are."""
    profile, classes, n_max = grid.imbalance, grid.form.classes, grid.dataset.train_per_class
    least = n_max or 1000

    def whole(cell: Cell, size: int) -> bool:
        pool, rng = (size,) * classes, np.random.default_rng(0)
        return tuple(profile.roles(cell, pool, n_max, rng).counts) == pool

    try:
        return any(
            all(whole(cell, size) for size in (least, least + 1)) for cell in profile.points()
        )
    except OWN:
        if profile.kind in PROFILES:
            raise
        return False  # what its own pool makes of it is told when that is there


def _cell_problem(cell: Cell) -> str | None:
    for name in ("rho", "mu"):
        value: object = getattr(cell, name)
        if not (value is None or isinstance(value, int | float)):
            return f"the {name} of a cell is {seen(value)}; needed: a number of Python's, or None"
    often: object = cell.replicates
    if not (often is None or (isinstance(often, int) and often > 0)):
        return f"the replicates of a cell are {seen(often)}; needed: a whole number, or None"
    digest(cell.identity())  # raises where a value has no place in JSON
    return None


def _wrong_methods(grid: Grid) -> Iterable[Problem]:
    names: dict[str, str] = {}
    rows: set[tuple[str, float]] = set()
    for place, choice in enumerate(grid.methods):
        path = f"methods[{place}]"
        try:
            row: object = choice.method
        except LookupError as error:
            yield Problem(path, shown(choice.name), str(error))
            continue
        if not isinstance(row, Method):
            yield Problem(path, shown(choice.name), f"it is no Method but {seen(row)}")
            continue
        words = {"id": row.id, "label": row.label, "sampling": row.sampling, "loss": row.loss}
        wrong = [key for key, word in words.items() if not isinstance(word, str)]
        if wrong or not isinstance(row.to, int | float) or not 1 <= row.to < float("inf"):
            key = wrong[0] if wrong else "to"
            needed = "a word" if wrong else "a ratio, 1 or more"
            yield Problem(f"{path}: {key}", seen(getattr(row, key)), f"needed: {needed}")
            continue
        if not re.fullmatch(r"[\w.+-]{1,100}", row.id):
            yield Problem(f"{path}: id", seen(row.id), "needed: letters, digits, _ . + and -")
        if names.setdefault(row.id, choice.name) != choice.name or (
            row.id in METHODS and choice.name != row.id
        ):
            yield Problem(path, shown(choice.name), f"another method has its id {row.id!r} already")
        if choice.to is not None and row.sampling == "none":
            yield Problem(f"{path}.to", f"{choice.to:g}", f"{row.id} samples nothing; leave it out")
        if (choice.name, row.to) in rows:
            yield Problem("methods", f"{row.id} to {row.to:g}", "it stands there twice")
        rows.add((choice.name, row.to))
        for field, word, table, trial in (
            ("sampling", row.sampling, SAMPLINGS, _sampling_problem),
            ("loss", row.loss, LOSSES, _loss_problem),
            ("second_phase", row.second_phase, SAMPLINGS, _sampling_problem),
            ("decision", row.decision, DECISIONS, _decision_problem),
        ):
            if word is not None and (why := _word_problem(word, table, trial, grid.form.classes)):
                yield Problem(f"method {row.id}: {field}", shown(word), why)


def _word_problem(
    word: str,
    table: Mapping[str, Any],
    trial: Callable[[Any, np.ndarray, int], str | None],
    classes: int,
) -> str | None:
    """What is wrong with a word of a method: no row, or a function of the user's own that fails
    where it is tried.
    """
    try:
        function = lookup(table, word)
    except LookupError as error:
        return str(error)
    if word in table:
        return None
    if not callable(function):
        return "it is no function"
    labels = np.repeat(np.arange(classes), 20 - np.arange(classes) % 10)
    try:
        return trial(function, labels, classes)
    except OWN as error:
        return f"tried, it fails with {failure(error)}"


def _sampling_problem(sampling: Any, labels: np.ndarray, classes: int) -> str | None:
    places = sampling(labels, np.random.default_rng(0), 1.0)
    good = isinstance(places, np.ndarray) and places.ndim == 1 and places.dtype.kind in "iu"
    if good and len(places) and places.min() >= 0 and places.max() < len(labels):
        return None
    return (
        f"tried on {len(labels)} images, it gives {seen(places)}; needed: an array of positions "
        f"from 0 to {len(labels) - 1}"
    )


def _loss_problem(loss: Any, labels: np.ndarray, classes: int) -> str | None:
    weights = loss(np.bincount(labels))
    array = isinstance(weights, np.ndarray) and weights.shape == (classes,)
    if weights is None or (array and np.isfinite(weights).all() and (weights >= 0).all()):
        return None
    return f"it gives {seen(weights)}; needed: an array of {classes} weights from 0 up, or None"


def _decision_problem(decision: Any, labels: np.ndarray, classes: int) -> str | None:
    chosen = decision(torch.eye(classes), torch.from_numpy(np.bincount(labels)).double())
    if (
        isinstance(chosen, torch.Tensor)
        and chosen.shape == (classes,)
        and chosen.dtype is torch.int64
    ):
        return None
    return f"it gives {seen(chosen)}; needed: a tensor of a class (int64) for each of the images"
