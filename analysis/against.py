"""The paper's printed numbers against ours, wherever the stores have the cell."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.checks.check import Finding, Lacking, Lost
from analysis.checks.protocols import Protocol, protocols
from analysis.checks.reasons import full, shortness
from analysis.checks.testset import BOUNDS, of_networks

PUBLISHED = Path(__file__).parent / "published"

COLUMNS = [
    "source", "table", "page", "what", "dataset", "method", "rho", "mu", "measure", "relation",
    "published", "ours", "low", "high", "n", "difference", "inside", "iterations",
    "paper_iterations", "diverged", "shorter", "studies", "remark",
]  # fmt: skip


def published() -> pd.DataFrame:
    """Every number in analysis/published, a row each; its README says what the columns are."""
    words = dict.fromkeys(("table", "page", "note"), "string")
    files = [pd.read_csv(path, dtype=words) for path in sorted(PUBLISHED.glob("*.csv"))]
    return pd.concat(files, ignore_index=True).fillna(dict.fromkeys(words, ""))


def against(
    stores: Mapping[str, pd.DataFrame],
    made: Mapping[str, str] | None = None,
    remarks: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """A row a printed number that the stores can be held against; of several runs their mean.

    `stores`, `made`, `remarks`: as verdicts.judge takes them. `relation`: = or, where the paper
    says no more than below, <. `ours`: the mean of n networks in %, with a 95 % interval as claim
    C13 has it; `difference`: ours less the published one. `inside`: whether the published number
    lies in our interval, or our interval reaches under it where the paper says no more than below;
    missing without an interval. `diverged`: networks of the cell that are left out. `shorter`: in
    what our protocol is less than the paper's, or another. `remark`: how the records of `studies`
    were selected.
    """
    there = protocols(stores, made or {})
    table = published()
    table = table[table["measure"].isin(BOUNDS)]
    cell = [name for name in table.columns if name not in ("published", "run")]
    found = [
        row(group, there, remarks or {})
        for _, group in table.groupby(cell, dropna=False, sort=False)
    ]
    kept = [one for one in found if one]
    floats = ("rho", "mu", "published", "ours", "low", "high", "difference")
    types = dict.fromkeys(floats, "float64") | {"inside": "boolean"}
    return pd.DataFrame(kept, columns=COLUMNS).astype(types)


def row(
    printed: pd.DataFrame, there: Sequence[Protocol], remarks: Mapping[str, str]
) -> dict[str, object] | None:
    """What a printed number, or several runs of one, comes to beside ours; None without ours."""
    first = printed.iloc[0]
    candidates = [
        (finding, protocol, own)
        for protocol in there
        if protocol.dataset == first["dataset"]
        and (finding := ours(first, own := cell(first, protocol)))
    ]
    if not candidates:
        return None
    finding, protocol, own = max(candidates, key=strength)
    number = float(printed["published"].mean())
    runs = f", mean of {len(printed)} runs" if len(printed) > 1 else ""
    inside = None
    if finding.low is not None and finding.high is not None:
        above = first["relation"] == "<" or number <= finding.high
        inside = finding.low <= number and above
    return {
        **{name: first[name] for name in COLUMNS[:10]},
        "what": f"{first['what']}{runs}",
        "published": number,
        "ours": finding.effect,
        "low": finding.low,
        "high": finding.high,
        "n": finding.n,
        "difference": finding.effect - number,
        "inside": inside,
        "iterations": protocol.iterations,
        "paper_iterations": int(first["iterations"]),
        "diverged": int((own["status"] == "diverged").sum()),
        "shorter": shortness([protocol]),
        "studies": " + ".join(finding.studies),
        "remark": " ".join(f"{s}: {remarks[s]}" for s in finding.studies if remarks.get(s)),
    }


def strength(candidate: tuple[Finding, Protocol, pd.DataFrame]) -> tuple[bool, bool, int, int]:
    """By which of several protocols a number is held: as verdicts choose theirs."""
    finding, protocol, _ = candidate
    as_printed = not shortness([protocol])
    return as_printed, full([protocol]), finding.n, protocol.iterations


def cell(printed: pd.Series, protocol: Protocol) -> pd.DataFrame:
    """The networks of a protocol that a printed number is of."""
    own = protocol.records
    own = own[(own["column"] == printed["method"]) & (own["imbalance"] == printed["imbalance"])]
    for name in ("rho", "mu"):
        if not pd.isna(printed[name]):
            own = own[own[name] == printed[name]]
    return own


def ours(printed: pd.Series, own: pd.DataFrame) -> Finding | None:
    """What these networks come to, if they are any that a printed number can be held against."""
    at = None if pd.isna(printed["at"]) else int(printed["at"])
    try:
        return of_networks(own, printed["measure"], at) if len(own) else None
    except (Lacking, Lost):
        return None
