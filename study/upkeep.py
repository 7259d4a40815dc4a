"""The command that looks after stores: fewer, larger parts."""

import argparse
from collections.abc import Sequence

from study.command import Parser, guarded, place
from study.errors import UserError
from study.parts import find_parts
from study.store import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 2 wrong use, 130 stopped."""
    options = parser().parse_args(arguments)

    def body() -> int:
        for folder in options.folders:
            compact(Store(folder))
        return 0

    return guarded(body, "stopped; every record is where it was or in the new part")


def compact(store: Store) -> None:
    """Merge the parts of a store, and say so."""
    if not find_parts(store.folder):
        wrong = "no records in it" if store.folder.is_dir() else "no such folder"
        raise UserError(f"{store.folder}: {wrong}; needed: a store, such as results/quickstart")
    if len({part.parent for part in find_parts(store.folder)}) > 1:
        raise UserError(f"{store.folder}: holds several stores; compact one at a time")
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
    one.add_argument("folders", nargs="+", type=place, metavar="DIR")
    return p
