"""The page's tables of scores: means, methods against the baseline, and what choosing flatters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.candidates import GAIN, PEEKS, UNKNOWN
from analysis.curves import network
from analysis.methods import methods_of
from analysis.pairs import CELL, FEWEST, compare, overall
from analysis.selection import contended, flattery, unvalidated
from analysis.sheet import (
    MU,
    NONE,
    RHO,
    Cell,
    Sheet,
    count,
    few,
    interval,
    number,
    plain,
    probability,
)
from analysis.stats import LEVEL, RESAMPLES, bootstrap_means
from analysis.study import Study
from analysis.style import imbalance_of

COLUMNS = (
    *CELL, "case_id", "replicate", "method", "sampling", "loss", "second_phase", "decision", "to",
    "base_rate", "run", "status", "auc", "accuracy", "validation_auc", "validation_accuracy",
)  # fmt: skip

MEASURES = {"auc": "AUC", "accuracy": "Accuracy"}
DIGITS = {"auc": 3, "accuracy": 2}
"""Decimals of a score in per cent; AUCs lie close together."""

BASELINE = "baseline"
SURE = 1 - LEVEL

BOOTSTRAP = (
    f"a {LEVEL:.0%} interval ({RESAMPLES:,} bootstrap resamples, widened by Student's t)"
).replace("%", " %")
SAME = "Thresholding leaves the AUC of the network that it judges as it is: it has no row of AUC."
PLACES = {
    "study": "Study",
    "imbalance": "Imbalance",
    "rho": RHO,
    "mu": MU,
    "label": "Method",
    "to": "Sampled to",
}
"""Columns that say what a row of scores is of, and their headings."""

Rows = list[dict[Any, Any]]


def means(studies: Sequence[Study]) -> Sheet:
    """The mean scores of every study, cell and method."""
    table = pd.concat([mean_scores(study) for study in studies], ignore_index=True)
    names = places(table)
    return Sheet(
        "means",
        "Mean scores on the test set, %",
        [*names.values(), "n", *MEASURES.values()],
        [
            [
                *placed(row, names),
                count(row["n"]),
                *(interval(row[m], row[f"{m}_low"], row[f"{m}_high"], DIGITS[m]) for m in MEASURES),
            ]
            for row in records(table)
        ],
        f"Means over n networks of a cell, diverged ones left out: where all did, n is 0. In "
        f"brackets: {BOOTSTRAP} of the mean; none where n is 1.{chosen(studies)}",
        table.drop(columns="label"),
    )


def mean_scores(study: Study) -> pd.DataFrame:
    """A row a cell, method and ratio sampled to: n, and each score's mean and bounds in %."""
    methods = methods_of(study.chosen)
    order = {id: place for place, id in enumerate(methods)}
    keys = [*CELL, "method", "to"]
    groups = study.chosen.groupby(keys, dropna=False)
    table = groups["auc"].count().reset_index(name="n")
    for measure in MEASURES:
        samples = [100 * scores.dropna().to_numpy(float) for _, scores in groups[measure]]
        bounds = bootstrap_means(samples)
        table[measure] = [sample.mean() if len(sample) else np.nan for sample in samples]
        table[f"{measure}_low"], table[f"{measure}_high"] = bounds[:, 0], bounds[:, 1]
    table.insert(0, "study", study.name)
    table["label"] = [methods[id].label for id in table["method"]]
    return table.sort_values(keys, key=lambda c: c.map(order) if c.name == "method" else c)


def against_baseline(studies: Sequence[Study]) -> list[Sheet]:
    """Each method less the baseline, over all cells and in each; nothing without a baseline."""
    cells = {measure: cell_by_cell(studies, measure) for measure in MEASURES}
    if cells["accuracy"].empty:
        return []
    return [
        in_all(studies, cells),
        *(cellwise(cells[measure], measure, chosen(studies)) for measure in MEASURES),
    ]


def rivals(study: Study) -> dict[str, str]:
    """The methods that a study has beside the baseline, with their names as printed."""
    methods = methods_of(study.chosen[study.chosen["to"] == 1])
    has = BASELINE in methods
    return {id: method.label for id, method in methods.items() if has and id != BASELINE}


def cell_by_cell(studies: Sequence[Study], measure: str) -> pd.DataFrame:
    """A row a study, cell and method: what `compare` says of it against the baseline.

    For AUC of a network judged in several ways the first alone, as they have the same.
    """
    tables = [pd.DataFrame(columns=["study", "label", "method", *CELL])]
    for study in studies:
        methods, seen = methods_of(study.chosen), set()
        for id, label in rivals(study).items():
            seen.add(network(methods[BASELINE]))
            if measure == "accuracy" or network(methods[id]) not in seen:
                seen.add(network(methods[id]))
                table = compare(study.chosen, id, BASELINE, measure)
                table.insert(0, "study", study.name)
                tables.append(table.assign(label=label, method=id))
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def in_all(studies: Sequence[Study], cells: Mapping[str, pd.DataFrame]) -> Sheet:
    """Each method less the baseline over all cells of a study."""
    rows, numbers = [], []
    for study in studies:
        for id, label in rivals(study).items():
            row = [Cell(study.name), Cell(label), compared(study, id, cells["accuracy"])]
            for measure, table in cells.items():
                own = table[(table["study"] == study.name) & (table["method"] == id)]
                if own.empty:
                    row += [Cell(NONE, float("nan"))] * 2
                    continue
                effect = overall(study.chosen, id, BASELINE, measure)
                ends = effect.mean, effect.low, effect.high
                row += [interval(*ends, DIGITS[measure], "+"), sides(own)]
                numbers.append((study.name, id, measure, *ends))
            rows.append(row)
    return Sheet(
        "overall",
        "Methods less the baseline, points",
        [
            *("Study", "Method", "Cells"),
            *(head for m in MEASURES.values() for head in (m, f"{m}: better, worse, open")),
        ],
        rows,
        "Mean over a study's cells of the mean difference in pairs of one case. Cells: how many of "
        "the study's have such pairs; in the others all diverged or were not run. In brackets: "
        f"{BOOTSTRAP} of it, replicates redrawn inside each cell. Then the number of cells where "
        f"the method is better or worse than the baseline at {100 * SURE:.0f} % after Holm, and of "
        f"those where neither is shown. {SAME}{chosen(studies)}",
        pd.DataFrame(numbers, columns=["study", "method", "measure", "mean", "low", "high"]),
    )


def compared(study: Study, id: str, cells: pd.DataFrame) -> Cell:
    """In how many of a study's cells a method has a pair with the baseline."""
    there = int(((cells["study"] == study.name) & (cells["method"] == id)).sum())
    every = len(study.chosen[CELL].drop_duplicates())
    return Cell(f"{there} of {every}", there)


def sides(cells: pd.DataFrame) -> Cell:
    """In how many cells a method is better, worse, and neither."""
    sure = cells["holm"] < SURE
    better, worse = (int((sure & (sign * cells["mean"] > 0)).sum()) for sign in (1, -1))
    return Cell(f"{better}, {worse}, {len(cells) - better - worse}", better - worse)


def cellwise(table: pd.DataFrame, measure: str, said: str) -> Sheet:
    """The comparison of one measure, a row a study, cell and method."""
    name, names = MEASURES[measure], places(table)
    same = f" {SAME}" if measure == "auc" else ""
    return Sheet(
        f"{measure}-by-cell",
        f"{name} less the baseline's, points, cell by cell",
        [*names.values(), "n", "Difference", "p (Holm)", "Cases improved, %"],
        [
            [
                *placed(row, names),
                count(row["n"]),
                interval(row["mean"], row["low"], row["high"], DIGITS[measure], "+"),
                few(probability(row["holm"]), row["enough"]),
                few(number(100 * row["improvement"], 0), row["enough"]),
            ]
            for row in records(table)
        ],
        f"n: cases that have both. In brackets: {BOOTSTRAP} of the mean difference over them. p: "
        "Wilcoxon's signed-rank test, after Holm over the cells of a method in a study. Improved: "
        f"the share of cases where the method scores more, ties half. Too few: under {FEWEST} "
        f"pairs, where no signed-rank test can reach 5 %.{same}{said}",
        table.drop(columns=["label", "enough"]),
    )


def flattered(studies: Sequence[Study]) -> tuple[list[Sheet], list[str]]:
    """How much choosing on the test set flatters, where it can be said, and what else to say."""
    tables, said = [], []
    for study in studies:
        candidates = contended(study.stored)
        if candidates.empty:
            continue
        if len(unvalidated(candidates)):
            said.append(f"{study.name}: {PEEKS} {UNKNOWN}")
            continue
        labels = {id: method.label for id, method in methods_of(candidates).items()}
        table = flattery(study.stored)
        table.insert(0, "study", study.name)
        tables.append(table.assign(label=[labels[id] for id in table["method"]], imbalance=""))
    if not tables:
        return [], said
    whole = pd.concat(tables, ignore_index=True)
    names = places(whole)
    sheet = Sheet(
        "flattery",
        "How much choosing on the test set flatters, points",
        [*names.values(), "n", *MEASURES.values()],
        [
            [
                *placed(row, names),
                count(row["n"]),
                *(number(100 * row[m], DIGITS[m], "+") for m in MEASURES),
            ]
            for row in records(whole)
        ],
        f"Means over n cases. {PEEKS} {GAIN}",
        whole.drop(columns=["label", "imbalance"]),
    )
    return [sheet], said


def places(table: pd.DataFrame) -> dict[str, str]:
    """The columns that tell the rows apart, with their headings."""
    usual: dict[str, list[Any]] = {"imbalance": list(table["imbalance"].iloc[:1]), "to": [1.0]}
    return {
        name: heading
        for name, heading in PLACES.items()
        if name in table and not table[name].dropna().isin(usual.get(name, [])).all()
    }


def placed(row: Mapping[Any, Any], names: Mapping[str, str]) -> list[Cell]:
    """What a row is of, cell by cell."""
    return [
        plain(row[name])
        if name in ("rho", "mu", "to")
        else Cell(imbalance_of(row[name]) if name == "imbalance" else row[name])
        for name in names
    ]


def chosen(studies: Sequence[Study]) -> str:
    """What a note says of the selections."""
    return "".join(f" {study.name}: {study.note}" for study in studies if study.note)


def records(table: pd.DataFrame) -> Rows:
    """The rows of a table."""
    return table.to_dict("records")
