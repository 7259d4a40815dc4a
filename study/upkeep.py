"""The command that looks after stores: fewer, larger parts; stores put together."""

import argparse
from collections.abc import Sequence

from study.command import Parser, guarded, shelf
from study.driver import Driver
from study.merging import merge
from study.store import Store
from study.stored import one_store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 1 stores contradict one another, 2 wrong use,
    130 stopped.
    """
    options = parser().parse_args(arguments)
    return guarded(
        lambda: options.body(options),
        "stopped; every record is where it was or in the new part; the same command does the rest",
    )


def compact_all(options: argparse.Namespace) -> int:
    """Each of the stores in turn."""
    for folder in options.folders:
        compact(one_store(folder))
    return 0


def compact(store: Store) -> None:
    """Merge the parts of a store, and say so."""
    with Driver(store, print, "study.store compact"):
        parts, records = store.compact()
    some = f"{parts:,} part{'s' if parts > 1 else ''}"
    print(f"{store.folder}: {records:,} records, {some} before, 1 now")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser("python -m study.store", "Look after stores of records.")
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser(
        "compact",
        help="merge the parts of each store into one",
        description="Merge a store's parts into one. Killed at any moment it loses nothing.",
    )
    one.add_argument("folders", nargs="+", type=shelf, metavar="DIR")
    one.set_defaults(body=compact_all)
    several = commands.add_parser(
        "merge",
        help="add to one store what it lacks of others",
        description="Put together what was run of one grid in several places. INTO gets the "
        "records that it lacks, and need not be there yet; each FROM stays as it is. Where they "
        "contradict one another nothing is written. Killed at any moment it loses nothing.",
    )
    several.add_argument("folder", type=shelf, metavar="INTO")
    several.add_argument("others", nargs="+", type=shelf, metavar="FROM")
    several.set_defaults(body=lambda options: merge(options.folder, options.others, print))
    return p
