"""What the commands of the analysis share: the options that name studies, and their records."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.records import load
from analysis.selection import SCORES
from analysis.stores import check_protocol, studies
from study.command import Parser, shelf
from study.errors import UserError
from study.remote import Remote, Shelf


def study_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A command line with the options --results and --study."""
    p = Parser(prog, description)
    p.add_argument(
        "--results",
        type=shelf,
        default=Path("results"),
        metavar="DIR",
        help="the folder whose folders are the studies, or s3://..., gs://... (default: results)",
    )
    p.add_argument(
        "--study",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="studies to read (default: every one that has records)",
    )
    return p


def selecting_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A command line with --select too."""
    p = study_parser(prog, description)
    p.add_argument(
        "--select",
        choices=tuple(SCORES),
        default="best_on_test",
        help="which of several rates and runs counts (default: best_on_test, as in the paper)",
    )
    return p


def read(results: Shelf, names: Sequence[str], columns: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The records of the studies named, or of all, each by one protocol."""
    stores = {name: load(folder, columns) for name, folder in studies(results, names).items()}
    if all(data.empty for data in stores.values()):
        raise UserError(f"--results {results}: the parts in it hold no records")
    for name, data in stores.items():
        if data.empty:
            raise UserError(f"{name}: the parts in it hold no records; leave it out with --study")
        check_protocol(name, data)
    return stores


def out_of(results: Shelf, out: Path | None, name: str) -> Path:
    """Where a command writes: there, or under that name below the results."""
    if out is None and isinstance(results, Remote):
        raise UserError(f"--out: found nothing; needed where --results is in a bucket ({results})")
    return out or Path(str(results), name)
