"""The command: draw the paper's figures, and more, from the stores below a folder."""

import signal

if __name__ == "__main__":  # Ctrl-C during the imports ends the process and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
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
from analysis.command import out_of, selecting_parser
from analysis.page import UNDATED, Blank, Drawing, save
from analysis.paper import PAPERS, printed
from analysis.study import Study, gathered
from study.command import go, guarded, place
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
    """The figures of these names, in any study."""
    there = sorted({id.partition("/")[2] for id in drawers})
    for name in names:
        if name not in there:
            near = nearest(name, there) or f"; there: {', '.join(there)}"
            raise UserError(f"--figure {name}: no figure of that name{near}")
    return {id: d for id, d in drawers.items() if id.partition("/")[2] in names}


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


def asked(
    studies: Sequence[Study], names: Sequence[str], pairs: Sequence[Pair]
) -> dict[str, Callable[[], Drawing]]:
    """The figures to draw: those named, and the maps of each pair of which no map is named; all of
    the studies' own where neither names nor pairs are given.
    """
    found, maps_of = pages(studies), paired(studies, pairs)
    if not (names or pairs):
        return found
    drawn = named({**found, **maps_of}, names) if names else {}
    for pair in pairs:
        own = {maps.name(*pair, measure) for measure in curves.MEASURES}
        if not own & set(names):
            drawn |= {id: d for id, d in maps_of.items() if id.partition("/")[2] in own}
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)

    def body() -> int:
        studies = gathered(options.results, options.study, options.select, COLUMNS)
        drawn = asked(studies, options.figure, options.pair)
        with printed(options.width):
            out = out_of(options.results, options.out, "figures")
            draw(drawn, out, options.format, every=bool(options.figure or options.pair))
        return 0

    return guarded(body, "stopped; the figures named above are whole")


def draw(
    pages: Mapping[str, Callable[[], Drawing]], out: Path, kind: str, every: bool = False
) -> None:
    """Draw and save each page, or say why there is none: of the paper's own, or of `every` one."""
    for id, drawer in pages.items():
        drawing = drawer()
        if not isinstance(drawing, Blank):
            path = out / f"{id}.{kind}"
            save(drawing, path)
            print(path)
        elif every or id.partition("/")[2] in PAPERS_OWN:
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
        help="draw these alone, such as fig6 map_auc, or one map of a --pair, such as map_auc_A_B "
        "(default: every one there is)",
    )
    p.add_argument(
        "--pair",
        nargs=2,
        action="append",
        default=[],
        metavar=("A", "B"),
        help="map the difference of two methods, A less B, over the cells of each study; without "
        "--figure these maps are drawn alone",
    )
    return p


if __name__ == "__main__":
    go(main)
