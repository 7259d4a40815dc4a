"""Identity: the canonical form of scientific fields, and its hash."""

import hashlib
import json
from typing import Any


def canonical(fields: Any) -> str:
    """The one JSON text of `fields`: sorted keys, no spaces, no NaN."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(fields: Any) -> str:
    """16 hex digits that name `fields`, the same on every machine and in every process."""
    return hashlib.sha256(canonical(fields).encode()).hexdigest()[:16]
