"""What the page says of verdicts, and of the paper's numbers beside ours."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import pandas as pd

from analysis.checks.check import CONTRADICTED, NOT_RUN, REPRODUCED, UNDERPOWERED
from analysis.checks.reasons import numbers
from analysis.sheet import MINUS, MU, NONE, RHO, Cell, Sheet, count, interval, number, plain, words
from analysis.style import DATASETS, name_of
from analysis.verdicts import Judged, Part
from study.methods import METHODS

VERDICTS = (REPRODUCED, CONTRADICTED, UNDERPOWERED, NOT_RUN)


def tally(claims: Sequence[Judged]) -> dict[str, int]:
    """How many claims have which verdict."""
    return {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in VERDICTS}


def partly(claims: Sequence[Judged]) -> dict[str, int]:
    """How many of the claims with a verdict have parts that were not run."""
    return tally([claim for claim in claims if claim.extent])


def extent(claim: Judged) -> str:
    """On how much of the claim its verdict is, to stand behind it; nothing where on all or none."""
    return f"({claim.extent})" if claim.extent else ""


def effect(part: Part) -> str:
    """An effect with its unit, interval and n, as far as they are known."""
    if part.effect is None:
        return ""
    return f"{numbers(part, part.unit)}, n = {part.n:,}"


def checks(claim: Judged) -> list[list[Part]]:
    """The parts of a claim by what they check: those of one check differ in the data set alone."""
    same = attrgetter("says", "threshold", "unit", "why")
    return [list(parts) for _, parts in groupby(claim.parts, same)]


def agrees(part: Part) -> str:
    """What an effect must be, and why."""
    return f"Agrees if {f'{part.threshold} {part.unit}'.strip()}. {part.why}"


def typeset(text: str) -> str:
    """Signs for what is written with the keyboard's."""
    for typed, sign in ((">=", "\u2265"), ("<=", "\u2264"), (" = ", "\u00a0=\u00a0")):
        text = text.replace(typed, sign)
    return re.sub(r"(?<![\w)-])-(?=[\d.])", MINUS, text)


def published(table: pd.DataFrame) -> Sheet:
    """The papers' numbers, each beside ours where a store has its cell."""
    rows = []
    for row in table.to_dict("records"):
        method, sign = str(row["method"]), "< " if row["relation"] == "<" else ""
        rows.append(
            [
                Cell(said_where(row)),
                Cell(str(row["what"])),
                Cell(name_of(DATASETS, str(row["dataset"]))),
                Cell(METHODS[method].label if method in METHODS else method),
                plain(row["rho"]),
                plain(row["mu"]),
                Cell(f"{sign}{number(row['published']).text}", row["published"]),
                interval(row["ours"], row["low"], row["high"]),
                networks(row),
                number(row["difference"], 2, "+") if not sign else Cell(NONE, float("nan")),
                words("" if pd.isna(row["inside"]) else "yes" if row["inside"] else "no"),
                count(row["iterations"]),
                words(row["shorter"]),
            ]
        )
    heads = (
        *("Source", "What", "Data set", "Method", RHO, MU, "Published, %", "Ours, %"),
        *("n", "Difference", "Inside", "Iterations", "Less than the paper's"),
    )
    remarks = " ".join(dict.fromkeys(word for word in table["remark"] if word))
    return Sheet(
        "published",
        "Published numbers and ours",
        heads,
        rows,
        "In brackets: a 95 % interval of our mean over n networks. Inside: whether the published "
        f"number lies in it, and of one that is an upper limit (<) whether ours reaches below it; "
        f"{NONE} without an interval. Less than the paper's: in what our protocol is less than its "
        f"own, or another. {remarks}".strip(),
        table,
    )


def networks(row: Mapping[Any, Any]) -> Cell:
    """How many networks our number is the mean of, and how many diverged."""
    gone = f" ({row['diverged']:,} diverged)" if row["diverged"] else ""
    return Cell(f"{count(row['n']).text}{gone}", float(row["n"]))


def said_where(row: Mapping[Any, Any]) -> str:
    """Where a number is printed."""
    table = f"table {row['table']}" if row["table"] else ""
    return ", ".join(filter(None, [str(row["source"]), table, str(row["page"])]))
