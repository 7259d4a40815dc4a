"""The command: one page of what was run, what came of it, and what that says of the claims."""

import signal

if __name__ == "__main__":  # Ctrl-C during the imports ends the process and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import platform
import shlex
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis import figures, ran, scores
from analysis.against import against
from analysis.claims import COLUMNS as JUDGED
from analysis.command import out_of, selecting_parser
from analysis.gallery import Shown, halls
from analysis.outcome import agrees, checks, effect, extent, partly, published, tally, typeset
from analysis.sheet import anchor
from analysis.study import Study, gathered
from analysis.verdicts import Judged, judge
from study.command import go, guarded, place, word
from study.errors import UserError
from study.parts import whole

COLUMNS = tuple(dict.fromkeys((*figures.COLUMNS, *ran.COLUMNS, *scores.COLUMNS, *JUDGED)))

TEMPLATE = Path(__file__).parent / "template"

CONTENTS = {
    "studies": "What was run",
    "verdicts": "Verdicts",
    "figures": "Figures",
    "tables": "Tables",
    "failures": "Failures",
    "cost": "Cost",
}
"""The sections by their ids."""

TOOLS = ("numpy", "pandas", "scipy", "matplotlib")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 2 wrong use, 130 stopped."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(words)

    def body() -> int:
        out = out_of(options.results, options.out, "report.html")
        if out.is_dir():
            raise UserError(f"--out {out}: found a folder; needed: the name of a file")
        found = gathered(options.results, options.study, options.select, COLUMNS)
        command = shlex.join(["python", "-m", "analysis.report", *words])
        write(page(found, options.title, command), out)
        sys.stdout.write(f"{out}\n")
        return 0

    return guarded(body, "stopped; no page was written")


def page(found: Sequence[Study], title: str, command: str) -> str:
    """The page of these studies, whole: nothing in it is anywhere else."""
    chosen = {study.name: study.chosen for study in found}
    made = {study.name: study.protocol for study in found}
    notes = {study.name: study.note for study in found}
    claims = judge(chosen, made, notes)
    drawn = halls(figures.pages(found))
    anchors = {f"{hall.study}/{id}": shown for hall in drawn for id, shown in hall.shown.items()}
    flattery, remarks = scores.flattered(found)
    script = read_text("script.js")
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            style=read_text("style.css"),
            script=script,
            script_digest=b64encode(sha256(script.encode()).digest()).decode(),
            summary=summary(found, claims),
            made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            command=command,
            tools=tools(),
            contents=CONTENTS,
            studies={study.name: (study.title, ran.progress(study)) for study in found},
            experiments=ran.experiments(found),
            machines=ran.machines(found),
            versions=ran.versions(found),
            claims=claims,
            tally=tally(claims),
            partly=partly(claims),
            published=published(against(chosen, made, notes)),
            halls=drawn,
            anchors=anchors,
            claims_of=cited(claims, anchors),
            tables=[
                scores.means(found),
                *scores.against_baseline(found),
                *flattery,
            ],
            remarks=remarks,
            ended=ran.ended(found),
            failed=[(study.name, *ran.failures(study.folder)) for study in found],
            cost=ran.cost(found),
        )
    )


def write(text: str, out: Path) -> None:
    """Put the page where it is asked for; the file is whole or not there."""
    try:
        with whole(out, replace=True) as file:
            file.write(text.encode(errors="replace"))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None


def environment() -> Environment:
    """Where the template is filled in; whatever comes from records or grids is escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        anchor=anchor,
        agrees=agrees,
        checks=checks,
        coded=coded,
        effect=effect,
        extent=extent,
        key=key,
        typeset=typeset,
    )
    return made


def key(value: float | None) -> str:
    """What a cell is sorted by; nothing where there is no number."""
    return "" if value is None or value != value else f"{value:.12g}"


def coded(text: str) -> Markup:
    """Words, with what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one that is not closed is a backtick
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    )


def read_text(name: str) -> str:
    """A file of the template's folder."""
    return (TEMPLATE / name).read_text()


def summary(found: Sequence[Study], claims: Sequence[Judged]) -> str:
    """The whole page in a few sentences."""
    records, cases, networks = (
        len(set().union(*(study.stored[column] for study in found)))
        for column in ("record_id", "case_id", "training_id")
    )
    many = f"{len(found)} studies" if len(found) > 1 else f"The study {found[0].name}"
    verb = "hold" if len(found) > 1 else "holds"
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in tally(claims).items())
    return (
        f"{many} {verb} {records:,} records of {cases:,} cases, from {networks:,} networks trained "
        f"in {ran.time(found)}. Of the paper's {len(claims)} claims: {verdicts}."
    )


def tools() -> str:
    """What made the page."""
    packages = ", ".join(f"{name} {version(name)}" for name in TOOLS)
    return f"Python {platform.python_version()}, {packages}"


def cited(claims: Sequence[Judged], anchors: Mapping[str, Shown]) -> dict[str, list[str]]:
    """The claims that each figure shows, by its anchor."""
    found: dict[str, list[str]] = {shown.anchor: [] for shown in anchors.values()}
    for claim in claims:
        for name in dict.fromkeys(part.figure for part in claim.parts):
            if name in anchors:
                found[anchors[name].anchor].append(claim.id)
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = selecting_parser("python -m analysis.report", "Make a page of stored records, in one file.")
    p.add_argument(
        "--out",
        type=place,
        metavar="FILE",
        help="the page to write (default: report.html below --results)",
    )
    p.add_argument(
        "--title",
        type=word,
        metavar="TEXT",
        default="Class imbalance: results and verdicts",
        help="the page's heading",
    )
    return p


if __name__ == "__main__":
    go(main)
