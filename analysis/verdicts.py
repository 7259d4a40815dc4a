"""The verdict on every claim: one rule, from an effect's interval and the range allowed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import pandas as pd

from analysis.checks.check import (
    NOT_RUN,
    PAPER,
    REPRODUCED,
    UNDERPOWERED,
    WORST,
    Check,
    Claim,
    Finding,
    Lacking,
    Lost,
    rule,
)
from analysis.checks.protocols import Protocol, protocols
from analysis.checks.reasons import because, full, numbers, shortness, told
from analysis.checks.table import CLAIMS
from analysis.style import DATASETS, name_of

DRAWS = {("cifar10", "{}_step"): "grids/cifar10_resplit.yaml has three a cell"}
"""What has more draws than the paper's own design, by data set and the grid of that."""


@dataclass(frozen=True)
class Part:
    """One check on one data set.

    where: data set and studies. shorter: in what its protocol is less than the paper's, or
    another; or nothing. threshold: the range allowed, and `why` it is that. because: how the
    verdict follows from the numbers. notes: what else must be known to read them. figure:
    study/figure that shows it, or nothing.
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
    because: str
    notes: tuple[str, ...]
    figure: str

    @property
    def reason(self) -> str:
        """What made the verdict, and all that must be known of it."""
        return " ".join([self.because, *self.notes])


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
    def parts_run(self) -> int:
        return sum(part.verdict != NOT_RUN for part in self.parts)

    @property
    def parts_total(self) -> int:
        return len(self.parts)

    @property
    def extent(self) -> str:
        """How much of the claim the verdict is on, where that is not all of it."""
        run, total = self.parts_run, self.parts_total
        return f"{run} of {total} parts run" if 0 < run < total else ""

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


def judge(
    stores: Mapping[str, pd.DataFrame],
    made: Mapping[str, str] | None = None,
    remarks: Mapping[str, str] | None = None,
) -> list[Judged]:
    """The verdicts on C1 to C14. `stores`: each study's records, after the selection; `made`: what
    its grid fixes for all of them, where there is one; `remarks`: what is to be said of how its
    records were selected.
    """
    there = protocols(stores, made or {})
    return [judged(claim, there, remarks or {}) for claim in CLAIMS]


def judged(claim: Claim, there: Sequence[Protocol], remarks: Mapping[str, str]) -> Judged:
    """One claim, its parts check by check, and in each data set by data set."""
    parts = [
        part_of(check, datasets, there, remarks)
        for check in claim.checks
        for datasets in places(check, there)
    ]
    return Judged(claim.id, claim.statement, claim.scope, tuple(parts))


def places(check: Check, there: Iterable[Protocol]) -> list[tuple[str, ...]]:
    """The data sets that a check is put to: the paper's, or others where none of those is there."""
    if check.general and (others := unjudged(there)) and not held(there) & set(PAPER):
        return [(name,) for name in others]
    return list(check.datasets)


def held(there: Iterable[Protocol]) -> set[str]:
    """The data sets that have records."""
    return {protocol.dataset for protocol in there}


def unjudged(there: Iterable[Protocol]) -> list[str]:
    """Those that are none of the paper's; beside one of its they are not judged."""
    return sorted(held(there) - set(PAPER))


@dataclass(frozen=True)
class Found:
    """What a check has found in one protocol of each data set that it compares."""

    finding: Finding
    chosen: tuple[Protocol, ...]
    verdict: str

    @property
    def strength(self) -> tuple[bool, bool, int, int]:
        """By which of several a part is judged: the paper's own protocol, its full length, then
        most cases, then the longest training.
        """
        iterations = sum(protocol.iterations for protocol in self.chosen)
        return not shortness(self.chosen), full(self.chosen), self.finding.n, iterations


def part_of(
    check: Check,
    datasets: tuple[str, ...],
    there: Sequence[Protocol],
    remarks: Mapping[str, str] | None = None,
) -> Part:
    """The check on these data sets, by the protocols that are strongest for it."""
    named = " and ".join(name_of(DATASETS, name) for name in datasets)
    own = [[protocol for protocol in there if protocol.dataset == name] for name in datasets]
    several: list[Found] = []
    lacking: list[Lacking] = []
    lost: list[tuple[str, tuple[Protocol, ...]]] = []
    for chosen in [tuple(own[0])] if check.joint and own[0] else product(*own):
        try:
            finding = check.measure(*chosen)
        except Lacking as error:
            lacking.append(error)
        except Lost as error:
            lost.append((str(error), chosen))
        else:
            verdict = rule(finding.low, finding.high, check.allowed)
            several.append(Found(finding, chosen, verdict))
    if several:
        best, *others = sorted(several, key=lambda found: found.strength, reverse=True)
        notes = [other(found, check, remarks or {}) for found in others]
        notes += [f"{protocol_of(chosen)}: {why}." for why, chosen in lost]
        return measured(check, named, best, notes, remarks or {})
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
    files = [f"grids/{grid.format(name)}.yaml" for name in datasets if name in PAPER]
    return f"; run {' and '.join(files)}" if files else ""


def measured(
    check: Check, named: str, best: Found, notes: Sequence[str], remarks: Mapping[str, str]
) -> Part:
    """The part that a finding makes. notes: of other protocols."""
    finding, shorter = best.finding, shortness(best.chosen)
    said = [*told(finding, check), *finding.notes]
    if finding.low is None and finding.n:
        datasets = [protocol.dataset for protocol in best.chosen]
        more = [DRAWS[key] for name in datasets if (key := (name, check.grid)) in DRAWS]
        said.append(f"{(more or ['Replicates in the grid make more draws'])[0]}.")
    if shorter and best.verdict != REPRODUCED:
        said.append(f"Not the paper's protocol, which may be judged otherwise: {shorter}.")
    said += remarked(finding, remarks)
    return Part(
        says=check.says,
        where=f"{named} ({' + '.join(finding.studies)})",
        shorter=shorter,
        verdict=best.verdict,
        effect=finding.effect,
        low=finding.low,
        high=finding.high,
        unit=check.unit,
        n=finding.n,
        threshold=str(check.allowed),
        why=check.why,
        because=because(finding, check, best.verdict),
        notes=(*said, *notes),
        figure=f"{finding.studies[0]}/{check.figure}" if check.figure else "",
    )


def bare(
    check: Check, named: str, verdict: str, why: str, chosen: tuple[Protocol, ...] = ()
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
        because=why,
        notes=(),
        figure="",
    )


def other(found: Found, check: Check, remarks: Mapping[str, str]) -> str:
    """What a protocol that does not decide comes to."""
    finding = found.finding
    told = (
        f"{protocol_of(found.chosen)} ({' + '.join(finding.studies)}, n {finding.n:,}): "
        f"{found.verdict}, {numbers(finding, check.unit)}."
    )
    return " ".join([told, *remarked(finding, remarks)])


def remarked(finding: Finding, remarks: Mapping[str, str]) -> list[str]:
    """How the records of its studies were selected."""
    return [f"{name}: {remarks[name]}" for name in finding.studies if remarks.get(name)]


def protocol_of(chosen: Sequence[Protocol]) -> str:
    """Protocols that do not decide, by what tells them apart from the paper's."""
    return f"By another protocol, {shortness(chosen) or 'with fewer cases'}"
