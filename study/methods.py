"""The methods, as data: sampling x loss x second phase x decision."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import model_serializer

from study.named import lookup
from study.section import Ratio, Section, twice


@dataclass(frozen=True)
class Method:
    """One way of handling imbalance. Rows that differ only in the decision share a network.

    sampling: the set a network is trained on (study/sampling.py).
    to: the imbalance ratio that the sampling goes to; 1 is full balance.
    loss: what it minimises (study/engine/losses.py).
    second_phase: the sampling on which its last layers are then tuned, or None.
    decision: how its outputs become a class (study/metrics.py).
    """

    id: str
    label: str
    sampling: str = "none"
    to: float = 1.0
    loss: str = "cross_entropy"
    second_phase: str | None = None
    decision: str = "argmax"


METHODS: dict[str, Method] = {
    row.id: row
    for row in (
        Method("baseline", "Baseline"),
        Method("oversampling", "Oversampling", sampling="over"),
        Method("undersampling", "Undersampling", sampling="under"),
        Method(
            "two_phase_oversampling",
            "Two-phase, oversampling",
            sampling="over",
            second_phase="none",
        ),
        Method(
            "two_phase_undersampling",
            "Two-phase, undersampling",
            sampling="under",
            second_phase="none",
        ),
        Method("thresholding", "Thresholding", decision="prior"),
        Method(
            "oversampling_thresholding",
            "Oversampling + thresholding",
            sampling="over",
            decision="prior",
        ),
        Method(
            "undersampling_thresholding",
            "Undersampling + thresholding",
            sampling="under",
            decision="prior",
        ),
    )
}


class Choice(Section):
    """A method as a grid names it: a word, or `{word: {to: ratio}}`."""

    name: str
    to: Ratio | None = None

    @model_serializer
    def _words(self) -> str | dict[str, Any]:
        return self.name if self.to is None else {self.name: {"to": self.to}}

    @property
    def method(self) -> Method:
        """The row of that name; LookupError where there is none."""
        row = lookup(METHODS, self.name)
        if self.to is None or not isinstance(row, Method):
            return row
        return replace(row, to=self.to)


def choices(value: Any) -> Any:
    """The choices that a grid's list stands for: `all`, words, and ratios one by one."""
    if value == "all":
        return tuple({"name": name} for name in METHODS)
    found: list[Any] = []
    for item in value if isinstance(value, list | tuple) else (value,):
        if not isinstance(item, Mapping) or not item:
            found.append({"name": item})
            continue
        for name, how in item.items():
            if not isinstance(how, Mapping) or set(how) != {"to"} or how["to"] in (None, []):
                raise ValueError(f"needed: a word, or {name}: {{to: the ratio to sample to}}")
            ratios = how["to"] if isinstance(how["to"], list) else [how["to"]]
            if None in ratios:
                raise ValueError(f"{name}: to: found null; needed: a ratio, 1 or more")
            found += [{"name": name, "to": ratio} for ratio in ratios]
    if not found:
        raise ValueError("at least one value is needed")
    if (repeated := twice(found)) is not None:
        raise ValueError(f"{found[repeated]['name']!r} stands there twice")
    return tuple(found)
