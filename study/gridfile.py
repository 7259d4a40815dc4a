"""From a file to a Grid: YAML, the `small` overlay, --set, and every mistake said in one line."""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from study import strictyaml
from study.data import SOURCES
from study.engine.losses import LOSSES
from study.engine.rates import RATES
from study.engine.recipe import Recipe
from study.errors import GridError, Problem, UserError, nearest, shown
from study.grid import Grid
from study.imbalance import PROFILES
from study.methods import METHODS
from study.metrics import DECISIONS
from study.nets import NETS, Net
from study.sampling import SAMPLINGS
from study.section import Section

SECTIONS: tuple[tuple[tuple[str, ...], str, Mapping[str, type[Section]]], ...] = (
    (("dataset",), "name", SOURCES),
    (("imbalance",), "kind", PROFILES),
    (("recipe", "rate"), "policy", RATES),
)
"""Where a key of a section chooses its schema: the section, the key, the schemas."""

LARGEST = 1_000_000
"""Characters of a file that may be a grid."""


@dataclass(frozen=True)
class GridFile:
    """A grid as asked for, and the folder below --results that its records belong to."""

    grid: Grid
    folder: str


def read_grid(path: Path, changes: Sequence[str] = (), small: bool = False) -> GridFile:
    """The grid in a file, with its `small` section laid over it and `key.path=value` changes made.

    Raises GridError with every problem found, or UserError where there is no grid to look at.
    """
    raw = _load(path)
    overlay = raw.pop("small", None)
    if small and overlay is None:
        raise UserError(f"{path}: small: found nothing; --small needs this section in the grid")
    base = check(raw, str(path))
    if overlay is not None:
        if not isinstance(overlay, dict):
            raise GridError(str(path), [Problem("small", shown(overlay), "needed: a section")])
        overlaid = _lay_over(raw, overlay)
        small_grid = check(overlaid, f"{path} with its small section")
        if small:
            raw, base = overlaid, small_grid
    grid = base
    if changes:
        raw = deepcopy(raw)
        for change in changes:
            _set(raw, change)
        grid = check(raw, f"{path} with {' '.join(f'--set {change}' for change in changes)}")
    folder = grid.name + ("-small" if small else "")
    return GridFile(grid, folder if grid.hash == base.hash else f"{folder}-{grid.hash[:8]}")


def check(raw: dict[str, Any], source: str) -> Grid:
    """The grid that these keys describe; `source` begins every message."""
    problems: list[Problem] = []
    sections = deepcopy(raw)
    failed: list[str] = []
    for place, tag, schemas in SECTIONS:
        holder, path = sections, ".".join(place)
        for key in place[:-1]:
            inner = holder.get(key)
            holder = inner if isinstance(inner, dict) else {}
        if place[-1] in holder:
            found = _choose(holder[place[-1]], tag, schemas, path)
            if isinstance(found, Section):
                holder[place[-1]] = found
            else:
                problems += found
                failed.append(path)
                del holder[place[-1]]
    grid: Grid | None = None
    try:
        grid = Grid.model_validate(sections)
    except ValidationError as error:
        places: dict[str, type[BaseModel]] = {"": Grid, "recipe": Recipe}
        problems += [
            problem
            for problem in _problems(error, places)
            if not any(
                problem.path == path or problem.path.startswith(f"{path}.") for path in failed
            )
        ]
    if problems or grid is None:
        raise GridError(source, problems)
    if problems := list(_contradictions(grid)):
        raise GridError(source, problems)
    return grid


def _contradictions(grid: Grid) -> Iterable[Problem]:
    """What no single key shows to be wrong."""
    for place, method in enumerate(grid.methods):
        if method not in METHODS:
            yield Problem(f"methods[{place}]", shown(method), _one_of(method, METHODS))
            continue
        row = METHODS[method]
        for field, word, table in (
            ("sampling", row.sampling, SAMPLINGS),
            ("loss", row.loss, LOSSES),
            ("second_phase", row.second_phase or row.sampling, SAMPLINGS),
            ("decision", row.decision, DECISIONS),
        ):
            if word not in table:
                yield Problem(f"method {method}: {field}", shown(word), _one_of(word, table))
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
            f"{profile.kind} imbalance takes every image; leave this key out",
        )
    elif trouble := profile.problem(grid.form.classes, n_max):
        key, found, why = trouble
        yield Problem(f"imbalance.{key}", found, why)
    if grid.model not in NETS:
        yield Problem("model", shown(grid.model), _one_of(grid.model, NETS))
        return
    try:
        net: object = NETS[grid.model](grid.form)
    except ValueError as error:
        yield Problem("model", shown(grid.model), f"it does not fit the data set: {error}")
    except Exception as error:  # a slip in a net of the user's own
        why = f"its function fails with {type(error).__name__}: {error}"
        yield Problem("model", shown(grid.model), why)
    else:
        if not isinstance(net, Net):
            yield Problem("model", shown(grid.model), f"its function gives no Net but {net!r}")


def _choose(
    raw: Any, tag: str, schemas: Mapping[str, type[Section]], path: str
) -> Section | list[Problem]:
    """The section that `raw` describes by the schema that its tag names, or what is wrong."""
    if not isinstance(raw, dict):
        return [Problem(path, shown(raw), f"needed: a section with {tag}: {', '.join(schemas)}")]
    name = raw.get(tag)
    if not isinstance(name, str) or name not in schemas:
        found = shown(name) if tag in raw else "nothing"
        return [Problem(f"{path}.{tag}", found, _one_of(name, schemas))]
    try:
        return schemas[name].model_validate(raw)
    except ValidationError as error:
        return _problems(error, {"": schemas[name]}, f"{path}.")


def _problems(
    error: ValidationError, schemas: Mapping[str, type[BaseModel]], prefix: str = ""
) -> list[Problem]:
    """pydantic's errors in the words of the grid."""
    problems = []
    for one in error.errors():
        path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in one["loc"])[1:]
        parent, key = ".".join(str(p) for p in one["loc"][:-1]), str(one["loc"][-1])
        found, kind = shown(one["input"]), one["type"]
        if kind == "extra_forbidden":
            extra = ["small"] if schemas[parent] is Grid else []
            others = [name for name in [*schemas[parent].model_fields, *extra] if name != key]
            found, allowed = "an unknown key", _one_of(key, others)
        elif kind == "missing":
            found, allowed = "nothing", "this key is needed"
        elif kind == "literal_error":
            allowed = _one_of(one["input"], re.findall("'([^']+)'", one["ctx"]["expected"]))
        elif kind == "value_error":
            allowed = one["msg"].removeprefix("Value error, ")
        else:
            allowed = f"needed: {WORDS.get(kind, one['msg'].removeprefix('Input should be '))}"
        problems.append(Problem(prefix + path, found, allowed))
    return problems


WORDS = {
    "model_type": "a section",
    "bool_type": "true or false",
    "string_type": "a word",
    "string_pattern_mismatch": "at most 100 lower-case letters, digits, - and _, the first no sign",
}
"""Where pydantic's own words are not the grid's."""


def _one_of(word: object, allowed: Iterable[str]) -> str:
    names = list(allowed)
    return f"allowed: {', '.join(names)}{nearest(word, names)}"


def _lay_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with the keys of `above` put in, section by section."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _lay_over(old, value)
        else:
            merged[key] = value
    return merged


def _set(raw: dict[str, Any], change: str) -> None:
    """Make one `key.path=value` change; the value is read as YAML."""
    path, equals, text = change.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {change}: needed: key.path=value, such as recipe.iterations=500")
    holder = raw
    for depth, key in enumerate(keys[:-1]):
        holder = holder.setdefault(key, {})
        if not isinstance(holder, dict):
            above = ".".join(keys[: depth + 1])
            raise UserError(f"--set {change}: {above} is a value, not a section")
    holder[keys[-1]] = strictyaml.parse(text, f"--set {change}")


def _load(path: Path) -> dict[str, Any]:
    """The file's top-level section."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        folder = path.parent
        names = [str(p) for p in folder.glob("*.yaml")] if folder.is_dir() else []
        raise UserError(f"{path}: no such file{nearest(path, names)}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; needed: a grid file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if len(text) > LARGEST:
        raise UserError(f"{path}: longer than {LARGEST:,} characters; needed: a grid file")
    raw = strictyaml.parse(text, str(path))
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else shown(raw)
        raise UserError(f"{path}: found {found}; needed: keys such as name, dataset, imbalance")
    return raw
