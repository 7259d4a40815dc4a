"""Of several records of one case and method, trained at other rates or again, the one to report."""

import pandas as pd

from study.errors import UserError

SCORES = {"best_on_test": "auc", "best_on_validation": "validation_auc"}
"""The rules, each with the score that it goes by. The paper's is the first, which peeks."""

CHOICE = ["case_id", "method", "to"]
"""Columns that name one choice: records that share them are candidates for it."""


def contended(data: pd.DataFrame) -> pd.DataFrame:
    """The records that have a rival: those of choices with several candidates."""
    return data[data.duplicated(CHOICE, keep=False)]


def select(data: pd.DataFrame, by: str) -> pd.DataFrame:
    """One record for each choice: the one with the best score, as they stand in `data`.

    Of a grid that crosses subsets the first of each replicate: the others are no replicates. A
    diverged record loses to any other; of equal scores the larger base rate wins, then the
    lower run. Where all diverged one stays, to be counted.
    """
    if crossed(data):
        data = data[data["subset"] == 0]
    if by == "best_on_validation" and len(missing := unvalidated(data)):
        row = missing.iloc[0]
        raise UserError(
            f"best_on_validation: no AUC on validation images to choose by for "
            f"{len(missing.drop_duplicates(CHOICE))} pairs of case and method, the first of them "
            f"case {row['case_id']}, {row['method']}; the grid must hold images out for "
            f"validation, or choose best_on_test"
        )
    ranked = data.reset_index(drop=True).assign(_lost=list(data["status"] == "diverged"))
    ranked = ranked.sort_values(
        ["_lost", SCORES[by], "base_rate", "run"], ascending=[True, False, False, True]
    )
    return data.iloc[sorted(ranked.drop_duplicates(CHOICE).index)]


def crossed(data: pd.DataFrame) -> bool:
    """Whether each replicate has subsets of its own, numbered from 0."""
    return bool((data["subset"] != data["replicate"]).any())


def unvalidated(data: pd.DataFrame) -> pd.DataFrame:
    """The records among which validation cannot choose: no candidate that lives has a score."""
    alive = contended(data[data["status"] != "diverged"])
    scored = alive.groupby(CHOICE)["validation_auc"].transform("count") > 0
    return alive[~scored]


def flattery(data: pd.DataFrame) -> pd.DataFrame:
    """How much better the paper's choice looks than one that does not peek at the test set.

    A row a method and `to`: the mean over n cases of the test AUC, and of the test accuracy, of
    best_on_test's choice less those of best_on_validation's; both in [0, 1].
    """
    rivals = contended(data)
    peeked, fair = (select(rivals, by).set_index(CHOICE)[["auc", "accuracy"]] for by in SCORES)
    gain = (peeked - fair).dropna().groupby(["method", "to"])
    return gain.mean().assign(n=gain.size()).reset_index()


def remark(data: pd.DataFrame, by: str) -> str:
    """What a caption says of a selection from `data`; nothing where there was none to make."""
    first = "The first subset of each replicate." if crossed(data) else ""
    rivals = contended(data)
    if rivals.empty:
        return first
    sizes = data.groupby(CHOICE).size()
    low, high = sizes.min(), sizes.max()
    varied = [
        f"{number} {name}"
        for name, column in (("rates", "base_rate"), ("runs", "run"))
        if (number := rivals[column].nunique()) > 1
    ]
    best = f"Best of {low if low == high else f'{low}-{high}'} ({' x '.join(varied)}) by AUC"
    said = "the test set, which flatters" if by == "best_on_test" else "validation images"
    return f"{best} on {said}. {first}".strip()


if __name__ == "__main__":
    from analysis.candidates import main  # the command; this module stays pure
    from study.command import go

    go(main)
