"""The command: draw the paper's figures, and more, from the stores below a folder."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from analysis import (
    calibration,
    convergence,
    curves,
    distributions,
    maps,
    ranks,
    recall,
    reduced,
    scatter,
    table4,
    together,
    variance,
)
from analysis.command import selecting_parser
from analysis.page import UNDATED, Blank, Drawing, save
from analysis.paper import PAPERS, printed
from analysis.study import Study, gathered
from study.command import guarded, place
from study.errors import UserError, nearest

COLUMNS = (
    "case_id", "dataset", "model", "imbalance", "rho", "mu", "n_minority", "minority",
    "class_counts", "replicate", "subset", "split", "seed", "method", "sampling", "to", "loss",
    "second_phase", "decision", "iterations", "batch", "base_rate", "run", "status", "auc",
    "accuracy", "test_counts", "validation_auc", "curve", "training_id", "recall_per_class",
)  # fmt: skip

PAPERS_OWN = ("fig1", *curves.FIGURES, "fig7", "fig8", "table4")
"""What the paper shows of a study: where it cannot be drawn, the reason is said."""

Pair = tuple[str, str]


def drawers(data: pd.DataFrame, note: str = "") -> dict[str, Callable[[], Drawing]]:
    """Every figure by its file's name, to be drawn from the selected records of one study.

    Those of the paper's own numbers are always there, with a picture or a reason why not; those of
    its appendices where the study has what they show. `note`: what captions say of a selection.
    """
    return {
        "fig1": partial(distributions.draw, data),
        **{id: partial(curves.draw, spec, data, note) for id, spec in curves.FIGURES.items()},
        "fig7": partial(reduced.draw, data, note),
        "fig8": partial(convergence.draw, data, note),
        "table4": partial(table4.draw, data, note),
        **curves.by_split(data, note),
        **convergence.others(data, note),
        **maps.pages(data, note),
        **ranks.pages(data, note),
        "recall": partial(recall.draw, data, note),
        "scatter": partial(scatter.draw, data, note),
    }


def of_study(study: Study) -> dict[str, Callable[[], Drawing]]:
    """Every figure of a study, those too that need its stored outputs, or all of its runs."""
    return {
        **drawers(study.chosen, study.note),
        "calibration": partial(calibration.draw, study.chosen, study.folder, study.note),
        **calibration.others(study.chosen, study.folder, study.note),
        "variance": partial(variance.draw, study.stored),
    }


def pages(studies: Sequence[Study]) -> dict[str, Callable[[], Drawing]]:
    """Every figure of the studies, by folder and name, and after them those of several together."""
    stores = {study.name: study.chosen for study in studies}
    notes = {study.name: study.note for study in studies}
    return {
        **{
            f"{study.name}/{id}": drawer
            for study in studies
            for id, drawer in of_study(study).items()
        },
        **{f"{together.FOLDER}/{id}": d for id, d in together.drawers(stores, notes).items()},
    }


def named(
    drawers: dict[str, Callable[[], Drawing]], names: Sequence[str]
) -> dict[str, Callable[[], Drawing]]:
    """The figures of these names, in any study; all of them where none is named."""
    there = sorted({id.partition("/")[2] for id in drawers})
    for name in names:
        if name not in there:
            near = nearest(name, there) or f"; there: {', '.join(there)}"
            raise UserError(f"--figure {name}: no figure of that name{near}")
    return {id: d for id, d in drawers.items() if not names or id.partition("/")[2] in names}


def paired(studies: Sequence[Study], pairs: Sequence[Pair]) -> dict[str, Callable[[], Drawing]]:
    """The maps of these pairs of methods, in each study that has both."""
    there = sorted({method for study in studies for method in study.chosen["method"]})
    found: dict[str, Callable[[], Drawing]] = {}
    for pair in pairs:
        if pair[0] == pair[1]:
            raise UserError(f"--pair {pair[0]} {pair[1]}: needed: two different methods")
        for id in pair:
            if id not in there:
                near = nearest(id, there) or f"; there: {', '.join(there)}"
                raise UserError(f"--pair {id}: no records of a method of that name{near}")
        own = [study for study in studies if set(pair) <= set(study.chosen["method"])]
        if not own:
            raise UserError(f"--pair {pair[0]} {pair[1]}: no study has both methods")
        found |= {
            f"{study.name}/{maps.name(*pair, measure)}": partial(
                maps.draw, study.chosen, *pair, measure, study.note
            )
            for study in own
            for measure in curves.MEASURES
        }
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)

    def body() -> int:
        studies = gathered(options.results, options.study, options.select, COLUMNS)
        drawn = {**named(pages(studies), options.figure), **paired(studies, options.pair)}
        with printed(options.width):
            draw(drawn, options.out or options.results / "figures", options.format)
        return 0

    return guarded(body, "stopped; the figures named above are whole")


def draw(pages: Mapping[str, Callable[[], Drawing]], out: Path, kind: str) -> None:
    """Draw and save every page, or say why there is none."""
    for id, drawer in pages.items():
        drawing = drawer()
        if not isinstance(drawing, Blank):
            path = out / f"{id}.{kind}"
            save(drawing, path)
            print(path)
        elif id.partition("/")[2] in PAPERS_OWN:
            print(f"{id}: nothing to draw: {drawing.why}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = selecting_parser("python -m analysis.figures", "Draw figures from stored records.")
    p.add_argument(
        "--out", type=place, metavar="DIR", help="where to write (default: figures below --results)"
    )
    p.add_argument("--format", choices=tuple(UNDATED), default="png")
    p.add_argument(
        "--width",
        choices=tuple(PAPERS),
        default="page",
        help="to be printed across a page (7.2 inches at most), or in a column (3.5 inches)",
    )
    p.add_argument(
        "--figure",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="draw these alone, such as fig6 map_auc (default: every one there is)",
    )
    p.add_argument(
        "--pair",
        nargs=2,
        action="append",
        default=[],
        metavar=("A", "B"),
        help="map the difference of two methods, A less B, over the cells of each study too",
    )
    return p


if __name__ == "__main__":
    sys.exit(main())
