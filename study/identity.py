"""Identity: the canonical form of scientific fields, and its hash."""

import hashlib
import json
from collections.abc import Callable
from typing import Any


def canonical(fields: Any) -> str:
    """The one JSON text of `fields`: sorted keys, no spaces, no NaN."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(fields: Any) -> str:
    """16 hex digits that name `fields`, the same on every machine and in every process."""
    return hashlib.sha256(canonical(fields).encode()).hexdigest()[:16]


def digests(fields: dict[str, Any], *names: str) -> Callable[..., str]:
    """`digest` of the fields with these names beside them, whose values are digests, for many: the
    rest is written out once.
    """
    holes = {name: digest([fields, name]) for name in names}
    pattern = canonical(fields | holes).replace("%", "%%")
    for name, hole in holes.items():
        pattern = pattern.replace(hole, f"%({name})s")
    return lambda **words: hashlib.sha256((pattern % words).encode()).hexdigest()[:16]
