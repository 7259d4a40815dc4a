"""A store that is there already: found where a command names it, with the grid that it is of."""

from pathlib import Path

from study import strictyaml
from study.errors import UserError, few
from study.grid import Grid
from study.gridfile import check
from study.parts import find_parts
from study.remote import Shelf
from study.store import GRID, PARTS, Store

NEEDED = "needed: a store, such as results/quickstart"

MOST = 3
"""Stores that are named where one is needed."""


def one_store(folder: Shelf) -> Store:
    """The store in that folder; one that holds no records, or several stores, is refused."""
    parts = find_parts(folder)
    if not parts:
        there = folder.is_dir()
        file = isinstance(folder, Path) and folder.exists() and not there
        wrong = "no records in it" if there else "not a folder" if file else "no such folder"
        raise UserError(f"{folder}: {wrong}; {NEEDED}")
    holders = sorted({part.parent for part in parts})
    if holders == [folder / PARTS]:
        return Store(folder)
    places = [holder.parent for holder in holders if holder.name == PARTS]
    if inside := [str(place) for place in places if place != folder.parent]:
        raise UserError(f"{folder}: holds stores; name one: {', '.join(few(inside, MOST))}")
    raise UserError(f"{folder}: its records lie in {holders[0]}, no store's place; {NEEDED}")


def grid_of(store: Store) -> Grid:
    """The grid that a store says it is of."""
    file = store.folder / GRID
    if not file.exists():
        raise UserError(f"{file}: no such file; it says by which protocol the records were made")
    try:
        raw = strictyaml.parse(file.read_bytes().decode(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None
    if not isinstance(raw, dict):
        raise UserError(f"{file}: holds no grid")
    return check(raw, str(file))
