"""Names in a grid: a row of a table, or something of the user's own by its import path."""

from collections.abc import Mapping
from importlib import import_module
from typing import TypeVar

from study.errors import OWN, failure, nearest

T = TypeVar("T")


def lookup(table: Mapping[str, T], name: str) -> T:
    """The row of that name, or what `package.module:name` imports, whatever it is.

    Raises LookupError, in the words of a grid: what is allowed, or why nothing can be imported.
    """
    if not isinstance(name, str):
        raise LookupError(f"needed: a word; allowed: {', '.join(table)}")
    if name in table:
        return table[name]
    path, colon, attribute = name.partition(":")
    if not colon or not all(part.isidentifier() for part in [*path.split("."), attribute]):
        raise LookupError(
            f"allowed: {', '.join(table)}, or an import path package.module:name"
            f"{nearest(name, table)}"
        )
    try:
        module = import_module(path)
    except OWN as error:
        missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
        if missing and f"{path}.".startswith(f"{missing}."):
            why = f"there is no module {missing} in this folder or along PYTHONPATH"
        else:
            why = f"{path} fails with {failure(error)}"
        raise LookupError(why) from None
    if not hasattr(module, attribute):
        names = [own for own in vars(module) if not own.startswith("_")]
        raise LookupError(f"{path} has no {attribute}{nearest(attribute, names)}")
    found: T = getattr(module, attribute)
    return found
