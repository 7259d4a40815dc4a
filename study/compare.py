"""Two records of one id compared: identical, within what rounding may do, or different."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from study.results import Record
from study.schema import SCHEMA, VOLATILE
from study.tolerance import METRICS, TOLERANCE, Tolerance, near

CIRCUMSTANCES = ("device", "pack", "formulation", "threads")
"""Columns that, with the entries of `versions`, say how a record was computed."""

NAMES = ("grid",)
"""Columns that are no part of what a record is: a grid may be renamed."""

LATER = ("test_counts",)
"""Columns that older versions of the schema do not know; null there."""


@dataclass(frozen=True)
class Change:
    """A value in which two records differ; `name` leads to it, such as curve[2].test_loss."""

    name: str
    there: Any
    here: Any

    def __str__(self) -> str:
        return f"{self.name} {self.there} there, {self.here} here"


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    circumstances: how differently they were computed. moved: every metric that is not the same.
    different: what nothing explains.
    """

    circumstances: tuple[Change, ...]
    moved: tuple[Change, ...]
    different: tuple[Change, ...]

    @property
    def identical(self) -> bool:
        """Every column that is not volatile is the same, bit for bit."""
        return not self.moved and not self.different

    @property
    def reasons(self) -> str:
        """How differently they were computed, in words."""
        return ", ".join(map(told, self.circumstances))


def compare(
    there: Record, here: Record, packed: bool = False, tolerance: Tolerance = TOLERANCE
) -> Comparison:
    """A record stored, or of elsewhere, and the one of the same id that is here.

    Computed alike they must be the same; computed differently their metrics may differ by what
    rounding makes of a training. packed: some where either is from were trained in packs; the
    record of a second phase does not say in which the first was.
    """
    circumstances = tuple(computed(there, here))
    if packed and here["second_phase"] is not None:
        circumstances += (Change("pack of the first phase", None, None),)
    moved, different = [], []
    for name in SCHEMA.names:
        if name in (*VOLATILE, *NAMES) or (name in LATER and None in (there[name], here[name])):
            continue
        changes = list(changed(name, there[name], here[name]))
        if not changes:
            continue
        bound = METRICS.get(name) if circumstances else None
        if bound and near(there[name], here[name], bound, tolerance, here):
            moved += changes
        else:
            different += changes
    return Comparison(circumstances, tuple(moved), tuple(different))


def in_packs(records: pa.Table) -> bool:
    """Whether any of their networks were trained beside others in lockstep."""
    return (pc.max(records["pack"]).as_py() or 1) > 1


def changed(name: str, there: Any, here: Any) -> Iterator[Change]:
    """Every value within these two that is not the same bit for bit; NaN is NaN."""
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for place, pair in enumerate(zip(there, here, strict=True)):
            yield from changed(f"{name}[{place}]", *pair)
    elif isinstance(there, dict) and isinstance(here, dict):
        for key in there:
            yield from changed(f"{name}.{key}", there[key], here.get(key))
    elif repr(there) != repr(here):  # which is exact
        yield Change(name, there, here)


def computed(there: Record, here: Record) -> Iterator[Change]:
    """What of their circumstances differs, or is not known."""
    for name in CIRCUMSTANCES:
        yield from changed(name, there[name], here[name])
    first, then = entries(there["versions"]), entries(here["versions"])
    for name in sorted({*first, *then, "cpu"}):
        old, new = first.get(name), then.get(name)
        if old != new or not new:
            yield Change(WORDS.get(name, name), old or None, new or None)


WORDS = {"cpu": "processor"}
"""What an entry of `versions` is called."""


def entries(versions: Any) -> Mapping[str, Any]:
    """What a record says of versions; nothing where that is not readable."""
    try:
        found = json.loads(versions)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def told(change: Change) -> str:
    """A circumstance in words."""
    if change.there is None and change.here is None:
        return f"{change.name} not recorded"
    if None in (change.there, change.here):
        return f"{change.name} not recorded {'there' if change.there is None else 'here'}"
    return str(change)
