"""The command: how the candidate rates and runs of each method fared, and what choosing gains."""

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.command import read, study_parser
from analysis.methods import methods_of
from analysis.selection import CHOICE, SCORES, contended, crossed, flattery, select, unvalidated
from analysis.stores import PLACE
from study.command import guarded

COLUMNS = (
    *PLACE, "sampling", "loss", "second_phase", "decision", "status", "auc", "accuracy",
    "validation_auc", "validation_accuracy",
)  # fmt: skip

WIDE = 1000
"""Characters: a table takes what it needs of them, and is never cut."""

SCORED = ("auc", "accuracy")
Key = tuple[str, float]
"""A row of the tables: a method, and the ratio that it samples to."""

PEEKS = (
    "best_on_test is the paper's rule. It peeks at the test set: it chooses by the score that it "
    "then reports, so its scores flatter."
)
GAIN = "The gain is on test less on validation: how much it flatters."
UNKNOWN = "Without an AUC on validation images in every case, by how much cannot be said."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 2 wrong use, 130 stopped."""
    options = study_parser(
        "python -m analysis.selection",
        "Of several rates and runs, say how each fared and what choosing the best one gains.",
    ).parse_args(arguments)

    def body() -> int:
        console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False, width=WIDE)
        for name, data in read(options.results, options.study, COLUMNS).items():
            tell(console, name, data)
        return 0

    return guarded(body, "stopped")


def tell(console: Console, name: str, data: pd.DataFrame) -> None:
    """What there is to say of one study."""
    first = " of the first subset of each replicate" if crossed(data) else ""
    rivals = contended(data[data["subset"] == 0] if first else data)
    if rivals.empty:
        console.print(f"{name}: no candidates; each case and method has one base rate and one run")
        return
    labels = labels_of(rivals)
    choices = len(rivals.drop_duplicates(CHOICE))
    console.print(f"{name}: {len(rivals)} candidates for {choices} pairs of case and method{first}")
    console.print("\nRecords ok/chance/diverged, and mean test AUC % of those not diverged:")
    console.print(fared(rivals, labels))
    fair = unvalidated(rivals).empty
    rules = "test/validation" if fair else "test"
    console.print(
        f"\nMean test scores % of the candidates chosen on test and on validation images, and how "
        f"many cases each rate won ({rules}); cases where all diverged left out:"
    )
    console.print(chosen(rivals, labels, fair))
    console.print(f"\n{PEEKS}\n{GAIN if fair else UNKNOWN}\n")


def labels_of(data: pd.DataFrame) -> dict[Key, str]:
    """The rows of the tables: each method with each ratio that it samples to."""
    methods = methods_of(data)
    ratios = data[["method", "to"]].drop_duplicates().sort_values("to")
    return {
        (id, to): method.label if to == 1 else f"{method.label} to {to:g}"
        for id, method in methods.items()
        for to in ratios[ratios["method"] == id]["to"]
    }


def fared(data: pd.DataFrame, labels: dict[Key, str]) -> Table:
    """A row a candidate, a column a method."""
    table = Table(box=None, pad_edge=False)
    for heading in ("rate", "run", *labels.values()):
        table.add_column(heading, justify="right", max_width=20)
    for rate in rates(data):
        for run in sorted(data["run"].unique()):
            own = data[(data["base_rate"] == rate) & (data["run"] == run)]
            cells = [fate(of_row(own, key)) for key in labels]
            table.add_row(f"{rate:g}", f"{run}", *cells)
    return table


def fate(data: pd.DataFrame) -> str:
    """How many records ended how, and the mean AUC of those that have one."""
    if data.empty:
        return "-"
    status = data["status"].value_counts()
    counts = "/".join(str(status.get(word, 0)) for word in ("ok", "chance", "diverged"))
    return f"{counts} {percent(data['auc'].mean()):>5}"


def chosen(data: pd.DataFrame, labels: dict[Key, str], fair: bool) -> Table:
    """A row a method: what each rule's choice scores, their difference, and the rates chosen."""
    picks = [select(data, rule) for rule in (SCORES if fair else ["best_on_test"])]
    gains = flattery(data) if fair else picks[0].head(0)
    table = Table(box=None, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for heading in (
        *("on test: AUC", "accuracy", "on validation: AUC", "accuracy", "gain: AUC", "accuracy"),
        *("cases", *(f"{rate:g}" for rate in rates(data))),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for key, label in labels.items():
        own = [of_row(pick, key).dropna(subset="auc") for pick in picks]
        scores = [percent(pick[score].mean()) for pick in own for score in SCORED]
        gain = [percent(of_row(gains, key)[score].mean(), "+") for score in SCORED if fair]
        won = [
            "/".join(str((pick["base_rate"] == rate).sum()) for pick in own) for rate in rates(data)
        ]
        cells = [*scores, *gain] + ["-"] * (6 - len(scores + gain))
        table.add_row(label, *cells, f"{len(own[0])}", *won)
    return table


def rates(data: pd.DataFrame) -> list[float]:
    """The base rates, the largest first."""
    return sorted(data["base_rate"].unique(), reverse=True)


def of_row(data: pd.DataFrame, key: Key) -> pd.DataFrame:
    """The records of one method and ratio."""
    id, to = key
    return data[(data["method"] == id) & (data["to"] == to)]


def percent(value: float, sign: str = "") -> str:
    """A share in percent, or a dash where there is none."""
    return f"{100 * value:{sign}.2f}" if value == value else "-"
