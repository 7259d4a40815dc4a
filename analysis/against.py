"""The paper's printed numbers against ours, wherever the stores have the cell."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.checks.check import Finding, Lacking
from analysis.checks.protocols import Protocol, protocols
from analysis.checks.testset import BOUNDS, of_networks

PUBLISHED = Path(__file__).parent / "published"

COLUMNS = [
    "source", "table", "page", "what", "dataset", "method", "rho", "mu", "measure", "relation",
    "published", "ours", "low", "high", "n", "difference", "inside", "iterations",
    "paper_iterations",
]  # fmt: skip


def published() -> pd.DataFrame:
    """Every number in analysis/published, a row each; its README says what the columns are."""
    words = dict.fromkeys(("table", "page", "note"), "string")
    files = [pd.read_csv(path, dtype=words) for path in sorted(PUBLISHED.glob("*.csv"))]
    return pd.concat(files, ignore_index=True).fillna(dict.fromkeys(words, ""))


def against(
    stores: Mapping[str, pd.DataFrame], made: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """A row a printed number that the stores can be held against; of several runs their mean.

    `stores`, `made`: as verdicts.judge takes them. `relation`: = or, where the paper says no more
    than below, <. `ours`: the mean of n networks in %, with a
    95 % interval as claim C13 has it; `difference`: ours less the published one. `inside`: whether
    the published number lies in our interval, or our interval reaches under it where the paper says
    no more than below; missing without an interval. `iterations` under `paper_iterations`: trained
    shorter than the paper.
    """
    there = protocols(stores, made or {})
    table = published()
    table = table[table["measure"].isin(BOUNDS)]
    cell = [name for name in table.columns if name not in ("published", "run")]
    found = [row(group, there) for _, group in table.groupby(cell, dropna=False, sort=False)]
    kept = [one for one in found if one]
    floats = ("rho", "mu", "published", "ours", "low", "high", "difference")
    types = dict.fromkeys(floats, "float64") | {"inside": "boolean"}
    return pd.DataFrame(kept, columns=COLUMNS).astype(types)


def row(printed: pd.DataFrame, there: Sequence[Protocol]) -> dict[str, object] | None:
    """What a printed number, or several runs of one, comes to beside ours; None without ours."""
    first = printed.iloc[0]
    candidates = [
        (finding, protocol)
        for protocol in there
        if protocol.dataset == first["dataset"] and (finding := ours(first, protocol))
    ]
    if not candidates:
        return None
    finding, protocol = max(candidates, key=lambda own: (own[0].n, own[1].iterations))
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
    }


def ours(printed: pd.Series, protocol: Protocol) -> Finding | None:
    """The networks of a protocol that a printed number is of, if it has any."""
    own = protocol.records
    own = own[(own["column"] == printed["method"]) & (own["imbalance"] == printed["imbalance"])]
    for name in ("rho", "mu"):
        if not pd.isna(printed[name]):
            own = own[own[name] == printed[name]]
    own = own[own["status"] != "diverged"]
    if own.empty:
        return None
    at = None if pd.isna(printed["at"]) else int(printed["at"])
    try:
        return of_networks(own, printed["measure"], at)
    except Lacking:
        return None
