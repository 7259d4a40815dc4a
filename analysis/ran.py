"""What was run: how much of each grid, on what machines, what failed of it and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.methods import methods_of
from analysis.sheet import NONE, Cell, Sheet, count, number, plain, words
from analysis.study import Study
from analysis.style import DATASETS, NETS, imbalance_of, name_of
from study.compare import entries
from study.errors import UserError
from study.remote import Shelf, files

COLUMNS = (
    "case_id", "training_id", "dataset", "model", "imbalance", "rho", "mu", "replicate", "method",
    "to", "iterations", "precision", "base_rate", "run", "status", "seconds", "device", "pack",
    "formulation", "threads", "worker", "code", "versions", "finished_at",
)  # fmt: skip

MOST = 50
"""Tracebacks that a page holds of one study."""


@dataclass(frozen=True)
class Asked:
    """What a grid asks for."""

    cases: int
    rows: int
    """Records of each case."""


@dataclass(frozen=True)
class Failure:
    """A case that failed: its file's name, the last line of the traceback, and all of it."""

    name: str
    last: str
    text: str


def asked(grid: Mapping[str, Any]) -> Asked | None:
    """How many cases and records a resolved grid comes to; None where it does not say."""
    try:
        imbalance, cells = grid["imbalance"], 1
        replicates = grid["replicates"]
        draws = (grid.get("subsets") or 1) * (grid["dataset"].get("splits") or 1)
        base = grid["recipe"]["rate"]["base"]
        rates = len(base) if isinstance(base, list) else 1
        rows = len(grid["methods"]) * rates * grid["runs"]
        if imbalance["kind"] == "linear":
            cells = len(imbalance["rho"])
        elif imbalance["kind"] == "step" and imbalance.get("cells"):
            own = [cell["replicates"] or replicates for cell in imbalance["cells"]]
            return Asked(sum(own) * draws, rows)
        elif imbalance["kind"] == "step":
            cells = len(imbalance["rho"]) * len(imbalance["mu"])
        elif imbalance["kind"] not in ("balanced", "natural", "counts"):
            return None
        cases = cells * replicates * draws
        return Asked(cases, rows) if isinstance(cases, int) and cases > 0 else None
    except (KeyError, TypeError, AttributeError):
        return None


def progress(study: Study) -> str:
    """Whether the study is finished, in words."""
    wanted = asked(study.grid)
    if wanted is None:
        return "no grid.yaml says how many cases were asked for"
    done = int((study.stored.groupby("case_id").size() >= wanted.rows).sum())
    left = wanted.cases - done
    if left > 0:
        return f"unfinished: {left:,} of {wanted.cases:,} cases"
    return "complete" if left == 0 else f"complete, and {-left:,} cases that grid.yaml lacks"


def experiments(studies: Sequence[Study]) -> Sheet:
    """A row a study: what it is and how much of it is there."""
    rows = []
    for study in studies:
        data, wanted = study.stored, asked(study.grid)
        due = [NONE, NONE] if wanted is None else [wanted.cases, wanted.cases * wanted.rows]
        rows.append(
            [
                Cell(study.name),
                Cell(listed(name_of(DATASETS, name) for name in values(data["dataset"]))),
                Cell(listed(name_of(NETS, name) for name in values(data["model"]))),
                Cell(listed(imbalance_of(kind) for kind in values(data["imbalance"]))),
                count(len(data[["imbalance", "rho", "mu"]].drop_duplicates())),
                count(data["replicate"].nunique()),
                count(len(data[["method", "to"]].drop_duplicates())),
                Cell(
                    listed(f"{n:,}" for n in values(data["iterations"])), data["iterations"].max()
                ),
                of(study.cases, due[0]),
                of(len(data), due[1]),
            ]
        )
    heads = (
        *("Study", "Data set", "Net", "Imbalance", "Cells", "Replicates", "Methods", "Iterations"),
        *("Cases", "Records"),
    )
    return Sheet("experiments", "Studies", heads, rows)


def moment(time: pd.Timestamp) -> Cell:
    """A time to the minute."""
    return words("" if pd.isna(time) else f"{time:%Y-%m-%d %H:%M}")


def of(there: int, due: object) -> Cell:
    """How many there are of how many were asked for."""
    return Cell(f"{there:,} of {due:,}" if isinstance(due, int) else f"{there:,}", float(there))


def machines(studies: Sequence[Study]) -> Sheet:
    """A row a study: when its records were made, where, and how they were computed."""
    rows = []
    for study in studies:
        data = study.stored
        ended = data["finished_at"]
        names = ("device", "threads", "precision", "pack", "formulation")
        rows.append(
            [
                Cell(study.name),
                *(moment(one) for one in (ended.min(), ended.max())),
                *(Cell(listed(values(data[name]))) for name in names),
                count(data["worker"].nunique()),
                Cell(listed(revision(code) for code in values(data["code"]))),
            ]
        )
    heads = (
        *("Study", "First record (UTC)", "Last record (UTC)", "Device", "Threads", "Precision"),
        *("Pack", "Formulation", "Workers", "Code"),
    )
    return Sheet("machines", "Machines", heads, rows)


def versions(studies: Sequence[Study]) -> list[tuple[str, str]]:
    """Each package with its versions, and where they differ the studies that have each."""
    found: dict[str, dict[str, list[str]]] = {}
    for study in studies:
        for text in values(study.stored["versions"]):
            for package, version in entries(text).items():
                where = found.setdefault(package, {}).setdefault(str(version), [])
                where.extend([study.name] if study.name not in where else [])
    everywhere = len(studies)
    return [
        (
            package,
            "; ".join(
                version
                if len(of_package) == 1 and len(names) == everywhere
                else f"{version} ({', '.join(names)})"
                for version, names in of_package.items()
            ),
        )
        for package, of_package in sorted(found.items())
    ]


def ended(studies: Sequence[Study]) -> Sheet:
    """A row a study and method of which a network diverged or stayed at chance."""
    rows = []
    for study in studies:
        data = study.stored
        for _, own in data.groupby(["method", "to"]):
            id, to = own["method"].iloc[0], own["to"].iloc[0]
            status = own["status"].value_counts()
            lost, chance = (int(status.get(word, 0)) for word in ("diverged", "chance"))
            if lost or chance:
                label = methods_of(own)[id].label
                cells = [count(n) for n in (len(own), lost, chance)]
                rows.append([Cell(study.name), Cell(label), plain(to), *cells])
    heads = ("Study", "Method", "Sampled to", "Records", "Diverged", "At chance")
    return Sheet(
        "ended",
        "Networks that diverged or stayed at chance",
        heads,
        rows,
        "Diverged: a weight or an output was no longer finite; counted here and left out of means. "
        "At chance: an AUC no better than a coin's; kept in means.",
    )


def failures(folder: Shelf) -> tuple[list[Failure], int]:
    """The tracebacks that a store keeps, no more than MOST, and how many there are."""
    paths = sorted(files(folder / "failures", ".txt"), key=str)
    return [failure(path) for path in paths[:MOST]], len(paths)


def failure(path: Shelf) -> Failure:
    """What a file of failures/ holds."""
    try:
        text = path.read_text(errors="replace").strip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return Failure(path.name, text.rpartition("\n")[2], text)


def cost(studies: Sequence[Study]) -> Sheet:
    """A row a study and device: its networks, each counted once, and the time they took."""
    rows = []
    for study in studies:
        networks = study.stored.drop_duplicates("training_id")
        for device, own in networks.groupby("device"):
            cpu = device == "cpu"
            hours = float((own["seconds"] * (own["threads"] if cpu else 1)).sum()) / 3600
            unit = "core" if cpu else "card"
            rows.append(
                [
                    Cell(study.name),
                    Cell(str(device)),
                    count(len(own)),
                    number(float(own["seconds"].mean()), 1),
                    Cell(f"{hours:,.2f} {unit}-hours", hours),
                    Cell(f"{len(own) / hours:,.0f} a {unit}-hour", len(own) / hours)
                    if hours
                    else words(""),
                ]
            )
    heads = ("Study", "Device", "Networks", "Seconds each, mean", "Time", "Pace")
    return Sheet(
        "time",
        "Time",
        heads,
        rows,
        "Rows that share a training count it once. Core-hours are seconds times threads; of a "
        "network in a pack, its share of the pack's time. A second phase is a network of its own.",
    )


def time(studies: Sequence[Study]) -> str:
    """The time of all studies, in words."""
    parts = []
    for unit in ("core", "card"):
        hours = [row[4].key for row in cost(studies).rows if row[4].text.endswith(f"{unit}-hours")]
        if whole := sum(hour for hour in hours if hour):
            minutes = f"{60 * whole:.1f} {unit}-minutes"
            parts.append(minutes if whole < 0.1 else f"{whole:,.1f} {unit}-hours")
    return " and ".join(parts)


def values(column: "pd.Series[Any]") -> list[Any]:
    """The different values of a column, in order."""
    return sorted(column.dropna().unique())


def listed(items: Any) -> str:
    """Values one after another, each once."""
    return ", ".join(dict.fromkeys(str(item) for item in items)) or NONE


def revision(code: str) -> str:
    """A git revision, shortened; that files were changed stays."""
    revision, dash, changed = code.partition("-")
    return f"{revision[:10]}{dash}{changed}"
