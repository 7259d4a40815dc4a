"""A section of a grid: a frozen model that refuses unknown keys and words that are not numbers."""

from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from pydantic import AllowInfNan, BaseModel, BeforeValidator, ConfigDict, Strict

Whole = Annotated[int, Strict(), Ge(1), Le(2**31 - 1)]
"""A whole number, at least 1."""

Index = Annotated[int, Strict(), Ge(0), Le(2**53)]
"""A whole number, at least 0."""

Positive = Annotated[float, Strict(), Gt(0), AllowInfNan(False)]
"""A number above 0 and finite."""

NonNegative = Annotated[float, Strict(), Ge(0), AllowInfNan(False)]
"""A number, at least 0 and finite."""


Ratio = Annotated[float, Strict(), Ge(1), AllowInfNan(False)]
"""An imbalance ratio: the largest class over the smallest."""


def as_tuple(value: Any) -> Any:
    """One value stands for a list of one; a repeated value would be the same case twice."""
    values = value if isinstance(value, list | tuple) else (value,)
    if not values:
        raise ValueError("at least one value is needed")
    if (repeated := twice(values)) is not None:
        raise ValueError(f"{values[repeated]!r} stands there twice")
    return tuple(values)


def twice(values: Iterable[Any]) -> int | None:
    """The place of the first value that stands before it too, or None."""
    seen = set()
    for place, value in enumerate(values):
        if (key := _hashable(value)) in seen:
            return place
        seen.add(key)
    return None


def _hashable(value: Any) -> Any:
    """Equal where the values are."""
    if isinstance(value, dict):
        return frozenset((key, _hashable(one)) for key, one in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


OneOrMore = BeforeValidator(as_tuple)

NoneOrMore = BeforeValidator(lambda value: None if value is None else as_tuple(value))


class Section(BaseModel):
    """Part of a grid.

    A field with a default is left out of the identity while it has that value, so that a field
    added later does not rename what is already stored. A default, once released, never changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def identity(self) -> dict[str, Any]:
        """The scientific fields of this section, as they enter a hash."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def resolved(self) -> dict[str, Any]:
        """Every field of this section, defaults written out."""
        return self.model_dump(mode="json")
