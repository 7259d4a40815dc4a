"""The command: draw the paper's figures from the stores below a folder."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from analysis import curves, distributions
from analysis.load import check_protocol, load, studies
from analysis.page import UNDATED, Blank, Drawing, save
from study.command import Parser, guarded, place
from study.errors import UserError

DRAWERS: dict[str, Callable[[pd.DataFrame], Drawing]] = {
    "fig1": distributions.draw,
    **{id: partial(curves.draw, spec) for id, spec in curves.FIGURES.items()},
}
"""Every figure by its file's name: the records of one study in, a picture or a reason out."""

COLUMNS = (
    "case_id", "dataset", "model", "imbalance", "rho", "mu", "n_minority", "minority",
    "class_counts", "replicate", "subset", "seed", "method", "iterations", "batch", "base_rate",
    "run", "status", "auc", "accuracy",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)

    def body() -> int:
        draw(options.results, options.study, options.out, options.format)
        return 0

    return guarded(body, "stopped; the figures named above are whole")


def draw(results: Path, names: Sequence[str], out: Path | None, kind: str) -> None:
    """Draw every figure of the studies named, or of all. All are read before one is drawn."""
    stores = {name: load(folder, COLUMNS) for name, folder in studies(results, names).items()}
    if all(data.empty for data in stores.values()):
        raise UserError(f"--results {results}: the parts in it hold no records")
    for name, data in stores.items():
        check_protocol(name, data)
    for name, data in stores.items():
        for id, drawer in DRAWERS.items():
            drawing = drawer(data)
            if isinstance(drawing, Blank):
                print(f"{name}/{id}: nothing to draw: {drawing.why}")
            else:
                path = (out or results / "figures") / name / f"{id}.{kind}"
                save(drawing, path)
                print(path)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser("python -m analysis.figures", "Draw figures from stored records.")
    p.add_argument(
        "--results",
        type=place,
        default=Path("results"),
        metavar="DIR",
        help="the folder whose folders are the studies (default: results)",
    )
    p.add_argument(
        "--study",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="studies to draw (default: every one that has records)",
    )
    p.add_argument(
        "--out", type=place, metavar="DIR", help="where to write (default: figures below --results)"
    )
    p.add_argument("--format", choices=tuple(UNDATED), default="png")
    return p


if __name__ == "__main__":
    sys.exit(main())
