"""The verdict on every claim: one rule, from an effect's interval and the range allowed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import pandas as pd

from analysis.checks.check import ITERATIONS, Check, Claim, Finding, Lacking, Lost, Range
from analysis.checks.protocols import Protocol, protocols
from analysis.checks.table import CLAIMS
from analysis.style import DATASETS, name_of

REPRODUCED, CONTRADICTED = "reproduced", "contradicted"
UNDERPOWERED, NOT_RUN = "underpowered", "not run"
WORST = (CONTRADICTED, UNDERPOWERED, REPRODUCED, NOT_RUN)
"""A claim has the first of these that one of its parts has."""

MOST = 100
"""Times as many draws, beyond which nobody would make them."""


@dataclass(frozen=True)
class Part:
    """One check on one data set.

    where: data set and studies. shorter: by how much it trained less than the paper, or nothing.
    threshold: the range allowed, and `why` it is that. reason: what made the verdict.
    figure: study/figure that shows it, or nothing.
    """

    says: str
    where: str
    shorter: str
    verdict: str
    effect: float | None
    low: float | None
    high: float | None
    unit: str
    n: int | None
    threshold: str
    why: str
    reason: str
    figure: str


@dataclass(frozen=True)
class Judged:
    """A claim with its parts; its numbers are those of the part that decided."""

    id: str
    statement: str
    scope: str
    parts: tuple[Part, ...]

    @property
    def deciding(self) -> Part:
        return min(self.parts, key=lambda part: WORST.index(part.verdict))

    @property
    def verdict(self) -> str:
        return self.deciding.verdict

    @property
    def effect(self) -> float | None:
        return self.deciding.effect

    @property
    def low(self) -> float | None:
        return self.deciding.low

    @property
    def high(self) -> float | None:
        return self.deciding.high

    @property
    def n(self) -> int | None:
        return self.deciding.n

    @property
    def figure(self) -> str:
        return self.deciding.figure


def rule(low: float | None, high: float | None, allowed: Range) -> str:
    """The verdict that an interval has, or the lack of one."""
    if low is None or high is None:
        return UNDERPOWERED
    if allowed.holds(low, high):
        return REPRODUCED
    return CONTRADICTED if allowed.misses(low, high) else UNDERPOWERED


def judge(
    stores: Mapping[str, pd.DataFrame], made: Mapping[str, str] | None = None
) -> list[Judged]:
    """The verdicts on C1 to C14. `stores`: each study's records, after the selection; `made`: what
    its grid fixes for all of them, where there is one.
    """
    there = protocols(stores, made or {})
    return [judged(claim, there) for claim in CLAIMS]


def judged(claim: Claim, there: Sequence[Protocol]) -> Judged:
    """One claim, its parts check by check, and in each data set by data set."""
    parts = [
        part_of(check, datasets, there)
        for check in claim.checks
        for datasets in places(check, there)
    ]
    return Judged(claim.id, claim.statement, claim.scope, tuple(parts))


def places(check: Check, there: Iterable[Protocol]) -> list[tuple[str, ...]]:
    """The data sets that a check is put to: the paper's, or others where none of those is there."""
    held = {protocol.dataset for protocol in there}
    others = sorted(held - set(ITERATIONS))
    if check.general and others and not held & set(ITERATIONS):
        return [(name,) for name in others]
    return list(check.datasets)


def part_of(check: Check, datasets: tuple[str, ...], there: Sequence[Protocol]) -> Part:
    """The check on these data sets, by the protocols that have the most cases for it."""
    named = " and ".join(name_of(DATASETS, name) for name in datasets)
    own = [[protocol for protocol in there if protocol.dataset == name] for name in datasets]
    best: tuple[Finding, tuple[Protocol, ...]] | None = None
    lacking: list[Lacking] = []
    lost: list[tuple[str, tuple[Protocol, ...]]] = []
    for chosen in product(*own):
        try:
            finding = check.measure(*chosen)
        except Lacking as error:
            lacking.append(error)
        except Lost as error:
            lost.append((str(error), chosen))
        else:
            if best is None or strength(finding, chosen) > strength(*best):
                best = finding, chosen
    if best:
        return measured(check, named, *best)
    if lost:
        why, chosen = lost[0]
        return bare(check, named, UNDERPOWERED, f"No number: {why}.", chosen)
    if lacking:
        of, what, grid = f"of {named} ", lacking[0].what, lacking[0].grid
    else:
        missing = [name for name, of in zip(datasets, own, strict=True) if not of]
        of, what = "", f"no records of {' and '.join(name_of(DATASETS, name) for name in missing)}"
        grid, datasets = check.grid, tuple(missing)
    return bare(check, named, NOT_RUN, f"The stores have {of}{what}{to_run(grid, datasets)}.")


def to_run(grid: str, datasets: tuple[str, ...]) -> str:
    """The grids that make what is lacking."""
    files = [f"grids/{grid.format(name)}.yaml" for name in datasets if name in ITERATIONS]
    return f"; run {' and '.join(files)}" if files else ""


def strength(finding: Finding, chosen: Sequence[Protocol]) -> tuple[int, int]:
    """By which of several protocols a part is judged: most cases, then longest training."""
    return finding.n, sum(protocol.iterations for protocol in chosen)


def measured(check: Check, named: str, finding: Finding, chosen: tuple[Protocol, ...]) -> Part:
    """The part that a finding makes."""
    verdict = rule(finding.low, finding.high, check.allowed)
    shorter = shortness(chosen)
    figure = f"{finding.studies[0]}/{check.figure}" if check.figure else ""
    said = [because(finding, check, verdict), *told(finding, check), *finding.notes]
    if shorter and verdict != REPRODUCED:
        said.append(f"Trained for {shorter}: the paper's own protocol may be judged otherwise.")
    return Part(
        says=check.says,
        where=f"{named} ({' + '.join(finding.studies)})",
        shorter=shorter,
        verdict=verdict,
        effect=finding.effect,
        low=finding.low,
        high=finding.high,
        unit=check.unit,
        n=finding.n,
        threshold=str(check.allowed),
        why=check.why,
        reason=" ".join(said),
        figure=figure,
    )


def bare(
    check: Check, named: str, verdict: str, reason: str, chosen: tuple[Protocol, ...] = ()
) -> Part:
    """A part without a number."""
    return Part(
        says=check.says,
        where=named,
        shorter=shortness(chosen),
        verdict=verdict,
        effect=None,
        low=None,
        high=None,
        unit=check.unit,
        n=0 if chosen else None,
        threshold=str(check.allowed),
        why=check.why,
        reason=reason,
        figure="",
    )


def shortness(chosen: Sequence[Protocol]) -> str:
    """By how much these protocols trained less than the paper."""
    several = len(chosen) > 1
    return ", ".join(
        f"{protocol.iterations:,} of the paper's {ITERATIONS[protocol.dataset]:,} iterations"
        + (f" on {name_of(DATASETS, protocol.dataset)}" if several else "")
        for protocol in chosen
        if protocol.iterations < ITERATIONS.get(protocol.dataset, 0)
    )


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
    """How many times as many draws would decide, were the effect as measured; of an effect that is
    one of several pieces, were each of them.
    """
    if finding.n == 1:
        return ""
    spans = [("", finding.effect, finding.low or 0.0, finding.high or 0.0)]
    if finding.bounds and finding.pieces:
        both = zip(finding.pieces, finding.bounds, strict=True)
        spans = [(where, value, *bounds) for (where, value), bounds in both]
    times = []
    for where, value, low, high in spans:
        for limit in (allowed.low, allowed.high):
            if low <= limit <= high:
                reach = value - low if limit < value else high - value
                away = abs(limit - value)
                times.append(((reach / away) ** 2 if away else float("inf"), where))
    most = max((number for number, _ in times), default=float("inf"))
    places = ", ".join(dict.fromkeys(where for _, where in times if where))
    where = f" at {places}" if places else ""
    if most > MOST:
        return f"{where}: it is too near the limit to be told from it"
    what = "what is measured there is so" if places else "the effect is as measured"
    return f"{where}: if {what}, about {max(most, 1.1):.2g} times the draws would decide"


def told(finding: Finding, check: Check) -> list[str]:
    """The least and the largest of the pieces, and how many agree with the claim."""
    if len(finding.pieces) < 2:
        return []
    values = [value for _, value in finding.pieces]
    agree = sum(check.allowed.holds(value, value) for value in values)
    (low_at, low), (high_at, high) = (
        pick(finding.pieces, key=lambda piece: piece[1]) for pick in (min, max)
    )
    return [
        f"Taken alone {agree} of {len(values)} agree: from {number(low)} ({low_at}) "
        f"to {number(high)} ({high_at})."
    ]


def numbers(of: Part | Finding, unit: str) -> str:
    """An effect with its unit and its bounds; a dash where there is none."""
    if of.effect is None:
        return "-"
    bounds = "" if of.low is None or of.high is None else f"[{number(of.low)}, {number(of.high)}]"
    return " ".join(filter(None, [number(of.effect), unit, bounds]))


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:#.3g}".rstrip(".") if value else "0"
