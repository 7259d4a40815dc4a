"""From a file to a Grid: YAML, the `small` overlay, --set, and every mistake said in one line."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from study import strictyaml
from study.contradictions import contradictions
from study.data import SOURCES, Source
from study.engine.rates import RATES, Rate
from study.errors import OWN, GridError, Problem, UserError, line, nearest, shown
from study.grid import Grid
from study.imbalance import PROFILES, Profile
from study.named import lookup
from study.section import Section

SECTIONS: tuple[tuple[tuple[str, ...], str, Mapping[str, type[Section]], type[Section]], ...] = (
    (("dataset",), "name", SOURCES, Source),
    (("imbalance",), "kind", PROFILES, Profile),
    (("recipe", "rate"), "policy", RATES, Rate),
)
"""Where a key of a section chooses its schema: the section, the key, the schemas, their base."""

LARGEST = 1_000_000
"""Characters of a file that may be a grid."""

MOST_TOLD = 50
"""Mistakes of a section that a message tells one by one."""

MOST_CASES, MOST_RECORDS = 1_000_000, 10_000_000
"""What one grid may ask for: a plan holds all of it in memory."""


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
        grid = check(raw, f"{path} with {' '.join(f'--set {line(change)}' for change in changes)}")
    folder = grid.name + ("-small" if small else "")
    return GridFile(grid, folder if grid.hash == base.hash else f"{folder}-{grid.hash[:8]}")


def check(raw: dict[str, Any], source: str) -> Grid:
    """The grid that these keys describe; `source` begins every message."""
    problems: list[Problem] = []
    sections = deepcopy(raw)
    failed: list[str] = []
    for place, tag, schemas, base in SECTIONS:
        holder, path = sections, ".".join(place)
        for key in place[:-1]:
            inner = holder.get(key)
            holder = inner if isinstance(inner, dict) else {}
        if place[-1] in holder:
            found = _choose(holder[place[-1]], tag, schemas, base, path)
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
        problems += [
            problem
            for problem in _problems(error, Grid, raw)
            if not any(
                problem.path == path or problem.path.startswith(f"{path}.") for path in failed
            )
        ]
    if problems or grid is None:
        raise GridError(source, problems)
    if problems := list(_too_many(grid)) or list(contradictions(grid)):
        raise GridError(source, problems)
    return grid


def _too_many(grid: Grid) -> Iterator[Problem]:
    """What no plan could hold, counted before anything else is made of it."""
    draws = (grid.dataset.splits or 1) * (grid.subsets or 1)
    rows = len(grid.methods) * len(grid.recipe.rate.base) * grid.runs
    cases = 0
    try:
        for cell in grid.imbalance.points():
            cases += draws * (cell.replicates or grid.replicates)
            if cases > MOST_CASES or cases * rows > MOST_RECORDS:
                allowed = f"allowed: {MOST_CASES:,} cases and {MOST_RECORDS:,} records"
                found = f"at least {cases:,} cases and {cases * rows:,} records asked for"
                yield Problem("replicates, with all that is crossed with it", found, allowed)
                return
    except OWN:  # a profile of the user's own: the contradictions tell
        return


def _choose(
    raw: Any, tag: str, schemas: Mapping[str, type[Section]], base: type[Section], path: str
) -> Section | list[Problem]:
    """The section that `raw` describes by the schema that its tag names, or what is wrong."""
    if not isinstance(raw, dict):
        return [Problem(path, shown(raw), f"needed: a section with {tag}: {', '.join(schemas)}")]
    name = raw.get(tag)
    if not isinstance(name, str):
        found = shown(name) if tag in raw else "nothing"
        return [Problem(f"{path}.{tag}", found, _one_of(name, schemas))]
    try:
        schema = lookup(schemas, name)
    except LookupError as error:
        return [Problem(f"{path}.{tag}", shown(name), str(error))]
    if not (isinstance(schema, type) and issubclass(schema, base)):
        return [Problem(f"{path}.{tag}", shown(name), f"it is no class below {base.__name__}")]
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        return _problems(error, schema, raw, f"{path}.")


def _problems(
    error: ValidationError, schema: type[BaseModel], raw: dict[str, Any], prefix: str = ""
) -> list[Problem]:
    """pydantic's errors in the words of the grid."""
    problems = []
    for one in error.errors(include_url=False)[:MOST_TOLD]:
        path = _path(one["loc"], raw)
        key, kind = str(one["loc"][-1]), one["type"]
        found = shown(one["input"])
        if kind == "extra_forbidden":
            holder = _at(schema, one["loc"][:-1])
            extra = ["small"] if holder is Grid else []
            others = [name for name in [*holder.model_fields, *extra] if name != key]
            found, allowed = "an unknown key", _one_of(key, others)
        elif kind == "missing":
            found, allowed = "nothing", "this key is needed"
        elif kind == "literal_error":
            words = re.findall("'([^']+)'", one["ctx"]["expected"])
            allowed = _one_of(one["input"], words or [one["ctx"]["expected"]])
        elif kind == "value_error":
            allowed = one["msg"].removeprefix("Value error, ")
        else:
            allowed = f"needed: {WORDS.get(kind, one['msg'].removeprefix('Input should be '))}"
        problems.append(Problem(prefix + path, found, allowed))
    if (more := error.error_count() - MOST_TOLD) > 0:
        problems.append(Problem(prefix[:-1] or "keys", f"{more:,} more mistakes", "see above"))
    return problems


def _path(keys: Sequence[int | str], raw: Any) -> str:
    """Where a value stands in the file: one that is read as a list of one has no place there."""
    path, value = "", raw
    for key in keys:
        if isinstance(key, int) and isinstance(value, list):
            path, value = f"{path}[{key}]", value[key] if key < len(value) else None
        elif isinstance(key, str) and isinstance(value, dict):
            path, value = f"{path}.{key}", value.get(key)
    return path[1:]


def _at(schema: type[BaseModel], keys: Iterable[int | str]) -> type[BaseModel]:
    """The schema of the section that these keys lead to."""
    for key in keys:
        if isinstance(key, str):
            schema = next(_models(schema.model_fields[key].annotation))
    return schema


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections in a field's type, such as the one that a tuple holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


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
    keys, said = path.strip().split("."), f"--set {line(change)}"
    if any("\ud800" <= letter <= "\udfff" for letter in path):
        raise UserError(f"{said}: not text in UTF-8")
    if not equals or not all(keys):
        raise UserError(f"{said}: needed: key.path=value, such as recipe.iterations=500")
    if len(keys) > strictyaml.DEEPEST:
        raise UserError(f"{said}: nested too deep")
    holder = raw
    for depth, key in enumerate(keys[:-1]):
        holder = holder.setdefault(key, {})
        if not isinstance(holder, dict):
            above = line(".".join(keys[: depth + 1]))
            raise UserError(f"{said}: {above} is a value, not a section")
    holder[keys[-1]] = strictyaml.parse(text, said)


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
