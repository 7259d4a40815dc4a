"""The command: draw the paper's figures from the stores below a folder."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from analysis import convergence, curves, distributions, reduced
from analysis.command import read, study_parser
from analysis.page import UNDATED, Blank, Drawing, save
from analysis.selection import SCORES, remark, select
from study.command import guarded, place
from study.errors import UserError

COLUMNS = (
    "case_id", "dataset", "model", "imbalance", "rho", "mu", "n_minority", "minority",
    "class_counts", "replicate", "subset", "split", "seed", "method", "sampling", "to", "loss",
    "second_phase", "decision", "iterations", "batch", "base_rate", "run", "status", "auc",
    "accuracy", "test_counts", "validation_auc", "curve",
)  # fmt: skip

APPENDICES = ("figA", "figB")


def drawers(data: pd.DataFrame, note: str = "") -> dict[str, Callable[[], Drawing]]:
    """Every figure by its file's name, to be drawn from the records of one study.

    Those of the paper's own numbers are always there, with a picture or a reason why not; those of
    its appendices where the study has what they show. `note`: what captions say of a selection.
    """
    return {
        "fig1": partial(distributions.draw, data),
        **{id: partial(curves.draw, spec, data, note) for id, spec in curves.FIGURES.items()},
        "fig7": partial(reduced.draw, data, note),
        "fig8": partial(convergence.draw, data, note),
        **curves.by_split(data, note),
        **convergence.others(data, note),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)

    def body() -> int:
        draw(options.results, options.study, options.out, options.format, options.select)
        return 0

    return guarded(body, "stopped; the figures named above are whole")


def draw(results: Path, names: Sequence[str], out: Path | None, kind: str, by: str) -> None:
    """Draw every figure of the studies named, or of all. All are read before one is drawn."""
    stores = read(results, names, COLUMNS)
    chosen = {name: best(name, data, by) for name, data in stores.items()}
    for name, data in stores.items():
        for id, drawer in drawers(chosen[name], remark(data, by)).items():
            drawing = drawer()
            if not isinstance(drawing, Blank):
                path = (out or results / "figures") / name / f"{id}.{kind}"
                save(drawing, path)
                print(path)
            elif not id.startswith(APPENDICES):
                print(f"{name}/{id}: nothing to draw: {drawing.why}")


def best(name: str, data: pd.DataFrame, by: str) -> pd.DataFrame:
    """The records of a study after the selection."""
    try:
        return select(data, by)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = study_parser("python -m analysis.figures", "Draw figures from stored records.")
    p.add_argument(
        "--out", type=place, metavar="DIR", help="where to write (default: figures below --results)"
    )
    p.add_argument("--format", choices=tuple(UNDATED), default="png")
    p.add_argument(
        "--select",
        choices=tuple(SCORES),
        default="best_on_test",
        help="which of several rates and runs is drawn (default: best_on_test, as in the paper)",
    )
    return p


if __name__ == "__main__":
    sys.exit(main())
