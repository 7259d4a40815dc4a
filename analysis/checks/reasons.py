"""A verdict's reason in words: how it follows from the numbers, and what would decide it."""

from collections.abc import Sequence
from math import inf, sqrt
from typing import Protocol as Shape

from analysis.checks.check import (
    CONTRADICTED,
    REPRODUCED,
    UNDERPOWERED,
    Check,
    Finding,
    Range,
    rule,
)
from analysis.checks.protocols import Protocol
from analysis.style import DATASETS, name_of

MOST = 100
"""Times as many draws, beyond which nobody would make them."""

NAMED = 3
"""Pieces that a reason names."""


class Numbers(Shape):
    """An effect and its bounds."""

    @property
    def effect(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def full(chosen: Sequence[Protocol]) -> bool:
    """Whether all were trained as long as the paper's."""
    return not any("iterations" in said for protocol in chosen for said in protocol.departures)


def shortness(chosen: Sequence[Protocol]) -> str:
    """In what these protocols are less than the paper's, or others."""
    several = len({protocol.dataset for protocol in chosen}) > 1
    said = [
        f"{departure}{f' on {name_of(DATASETS, protocol.dataset)}' if several else ''}"
        for protocol in chosen
        for departure in protocol.departures
    ]
    return ", ".join(dict.fromkeys(said))


def because(finding: Finding, check: Check, verdict: str) -> str:
    """How the verdict follows from the numbers."""
    said = numbers(finding, check.unit)
    if finding.low is None:
        return f"{said}, without an interval: too few draws."
    allowed = f"what agrees with the claim ({check.allowed})"
    if verdict == REPRODUCED:
        return f"{said} lies inside {allowed}."
    if verdict == CONTRADICTED:
        return f"{said} lies wholly outside {allowed}."
    return f"{said} reaches beyond a limit of {allowed}{wanted(finding, check.allowed)}."


def wanted(finding: Finding, allowed: Range) -> str:
    """How many times as many draws would decide, were the effect as measured; of an effect that
    rests on single pieces, were each of them.
    """
    if finding.n == 1:
        return ""
    spans = [("", finding.effect, finding.low or 0.0, finding.high or 0.0)]
    if finding.bounds and finding.pieces:
        both = zip(finding.pieces, finding.bounds, strict=True)
        spans = [(where, value, *bounds) for (where, value), bounds in both]
    limit = finding.limit if finding.bounds else None
    times: dict[float, list[str]] = {}
    for where, value, low, high in spans:
        for edge in ((limit or allowed).low, (limit or allowed).high):
            if low <= edge <= high and value != edge:
                reach = value - low if edge < value else high - value
                times.setdefault((reach / (value - edge)) ** 2, []).append(where)
    for number in sorted(times):
        if rule(*closer(spans, number, limit), allowed) != UNDERPOWERED:
            break
    else:
        number = inf
    open_ = {where: None for time, own in times.items() if time <= number for where in own if where}
    where = f" at {listed(list(open_), finding.places)}" if open_ else ""
    if number > MOST:
        return f"{where}: it is too near the limit to be told from it"
    what = "what is measured there is so" if open_ else "the effect is as measured"
    return f"{where}: if {what}, about {max(number, 1.1):.2g} times the draws would decide"


def closer(
    spans: Sequence[tuple[str, float, float, float]], times: float, limit: Range | None
) -> tuple[float, float]:
    """The bounds of an effect, had its pieces so many times the draws: of the lowest piece, or
    where pieces have a limit of their share.
    """
    less = sqrt(times * (1 + 1e-9))
    both = [(v - (v - low) / less, v + (high - v) / less) for _, v, low, high in spans]
    if not limit:
        return min(low for low, _ in both), min(high for _, high in both)
    sure = sum(limit.holds(low, high) for low, high in both)
    possible = sum(not limit.misses(low, high) for low, high in both)
    return 100 * sure / len(both), 100 * possible / len(both)


def listed(names: Sequence[str], places: str) -> str:
    """Some of the names, and how many more there are."""
    more = f" and {len(names) - NAMED} more {places}" if len(names) > NAMED else ""
    return "; ".join(names[:NAMED]) + more


def told(finding: Finding, check: Check) -> list[str]:
    """The least and the largest of the pieces, and how many agree with the claim."""
    if len(finding.pieces) < 2:
        return []
    values = [value for _, value in finding.pieces]
    limit = finding.limit or check.allowed
    agree = sum(limit.holds(value, value) for value in values)
    (low_at, low), (high_at, high) = (
        pick(finding.pieces, key=lambda piece: piece[1]) for pick in (min, max)
    )
    return [
        f"{agree} of {len(values)} {finding.places} agree, taken alone: from {number(low)} "
        f"({low_at}) to {number(high)} ({high_at})."
    ]


def numbers(of: Numbers, unit: str) -> str:
    """An effect with its unit and its bounds; a dash where there is none."""
    if of.effect is None:
        return "-"
    bounds = "" if of.low is None or of.high is None else f"[{number(of.low)}, {number(of.high)}]"
    return " ".join(filter(None, [number(of.effect), unit, bounds]))


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:#.3g}".rstrip(".") if value else "0"
