"""The command: the verdict on each of the paper's conclusions, from the stores below a folder."""

import signal

if __name__ == "__main__":  # Ctrl-C during the imports ends the process and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.checks.check import (
    CONTRADICTED,
    NOT_RUN,
    PAPER,
    REPRODUCED,
    UNDERPOWERED,
    WORST,
)
from analysis.checks.reasons import numbers
from analysis.command import selecting_parser
from analysis.stores import PLACE
from analysis.study import Study, gathered
from analysis.style import DATASETS, name_of
from analysis.verdicts import Judged, Part, judge
from study.command import go, guarded, place
from study.errors import UserError
from study.parts import whole

COLUMNS = (
    *PLACE, "class_counts", "precision", "status", "auc", "accuracy", "auc_per_class",
    "test_counts", "validation_auc", "curve",
)  # fmt: skip

WIDTH = 100
"""Characters of a line where no terminal says how many."""

STYLES = {REPRODUCED: "green", CONTRADICTED: "bold red", UNDERPOWERED: "yellow", NOT_RUN: "dim"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 whatever the verdicts, 2 wrong use, 130 stopped."""
    p = selecting_parser("python -m analysis.claims", "Judge the paper's conclusions C1 to C14.")
    p.add_argument("--json", type=place, metavar="FILE", help="write the verdicts there too")
    options = p.parse_args(arguments)

    def body() -> int:
        studies = gathered(options.results, options.study, options.select, COLUMNS)
        claims = judge(
            {study.name: study.chosen for study in studies},
            {study.name: study.protocol for study in studies},
            {study.name: study.note for study in studies},
        )
        if options.json:
            write(claims, options.json)
        notes = [f"{study.name}: {study.note}" for study in studies if study.note]
        show(claims, [*notes, *beside(studies)])
        return 0

    return guarded(body, "stopped")


def write(claims: Sequence[Judged], path: Path) -> None:
    """The claims as a list of objects, numbers or null; the file is whole or not there."""
    text = json.dumps([fields(claim) for claim in claims], indent=1, allow_nan=False)
    try:
        with whole(path, replace=True) as out:
            out.write(f"{text}\n".encode())
    except OSError as error:
        raise UserError(f"--json {path}: cannot be written ({error.strerror})") from None


def fields(claim: Judged) -> dict[str, Any]:
    """What is written of a claim."""
    names = (
        *("id", "verdict", "parts_run", "parts_total", "effect", "low", "high", "n"),
        *("statement", "scope", "figure"),
    )
    parts = [asdict(part) | {"reason": part.reason} for part in claim.parts]
    return {name: getattr(claim, name) for name in names} | {"parts": parts}


def beside(studies: Sequence[Study]) -> list[str]:
    """What is said of data sets that are not judged, as they stand beside one of the paper's."""
    there = {str(name) for study in studies for name in study.chosen["dataset"].unique()}
    others = {name for name in there if name not in PAPER}
    if not others or others == there:
        return []
    named = ", ".join(sorted(name_of(DATASETS, name) for name in others))
    own = [study.name for study in studies if set(study.chosen["dataset"]) <= others]
    return [f"Not judged beside the paper's data sets: {named}; --study {' '.join(own)} does."]


def show(claims: Sequence[Judged], remarks: Sequence[str]) -> None:
    """The table of claims, and below it what each verdict rests on."""
    width = None if sys.stdout.isatty() else WIDTH
    console = Console(highlight=False, emoji=False, markup=False, width=width)
    console.print(summary(claims))
    console.print(table(claims))
    console.print(
        "\nA claim has its worst part's verdict (contradicted, underpowered, reproduced), and its "
        "row that part's numbers. A part is reproduced where its 95 % interval lies inside what "
        "agrees with the claim, contradicted where wholly outside, underpowered where it reaches "
        "over a limit or there are too few draws for one. Parts that were not run decide nothing: "
        "behind a verdict stands how many were. n: cases that enter."
    )
    for said in remarks:
        console.print(said)
    for claim in claims:
        console.print(Text(f"\n{claim.id}  {verdict(claim)}", style=STYLES[claim.verdict]))
        indented(console, 4, Text(claim.statement))
        for word in WORST[:-1]:
            for part in claim.parts:
                if part.verdict == word:
                    indented(console, 4, *of_part(part))
        for reason, says in not_run(claim).items():
            indented(console, 4, Text.assemble((NOT_RUN, STYLES[NOT_RUN]), f"  {reason} ({says})"))


def verdict(claim: Judged) -> str:
    """The verdict, and on how much of the claim it is."""
    return f"{claim.verdict} ({claim.extent})" if claim.extent else claim.verdict


def of_all(claim: Judged) -> list[str]:
    """The same, as short as a column has room for."""
    return [claim.extent.removesuffix(" run")] if claim.extent else []


def summary(claims: Sequence[Judged]) -> str:
    """How many claims have which verdict, and how many of them have it on a part alone."""
    said = []
    for word in STYLES:
        own = [claim for claim in claims if claim.verdict == word]
        partly = sum(bool(claim.extent) for claim in own)
        said.append(f"{len(own)} {word}{f' ({partly} with parts not run)' if partly else ''}")
    return ", ".join(said)


def table(claims: Sequence[Judged]) -> Table:
    """A row a claim, with the numbers of the part that decided."""
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading, ratio in (("claim", None), ("", 1), ("verdict", None), ("effect", None)):
        rows.add_column(heading, ratio=ratio, no_wrap=ratio is None)
    rows.add_column("agrees if", no_wrap=True)
    rows.add_column("n", justify="right", no_wrap=True)
    for claim in claims:
        part = claim.deciding
        effect = numbers(part, part.unit).replace(" [", "\n[")
        rows.add_row(
            claim.id,
            claim.statement,
            Text("\n".join([claim.verdict, *of_all(claim)]), style=STYLES[claim.verdict]),
            "\n".join(filter(None, [effect, part.figure])),
            part.threshold,
            "-" if part.n is None else f"{part.n:,}",
        )
    return rows


def indented(console: Console, by: int, first: Text, *more: Text) -> None:
    """Paragraphs set in from the left, those after the first further."""
    for text, indent in ((first, by), *((text, 2 * by) for text in more)):
        for line in text.wrap(console, console.width - indent):
            line.rstrip()
            console.print(Text(" " * indent).append_text(line))


def of_part(part: Part) -> list[Text]:
    """A part with its notes, and why where it is not reproduced."""
    shorter = f", {part.shorter}" if part.shorter else ""
    found = f"{numbers(part, part.unit)}; agrees if {part.threshold}; n {part.n:,}"
    said = f"  {part.says}: {found}. {part.where}{shorter}."
    text = Text.assemble((part.verdict, STYLES[part.verdict]), said)
    if part.verdict == REPRODUCED:
        return [text, *([Text(" ".join(part.notes))] if part.notes else [])]
    return [text, Text(f"Why: {part.reason}"), Text(f"Limit: {part.why}")]


def not_run(claim: Judged) -> dict[str, str]:
    """Why parts were not run, with the part that has that reason, or how many have."""
    found: dict[str, list[str]] = {}
    for part in claim.parts:
        if part.verdict == NOT_RUN:
            found.setdefault(part.reason, []).append(part.says)
    return {
        reason: says[0] if len(says) == 1 else f"{len(says)} parts"
        for reason, says in found.items()
    }


if __name__ == "__main__":
    go(main)
