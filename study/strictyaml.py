"""YAML without surprises: a key stands once, and only true, false, null and numbers are no text."""

import re
from typing import Any

import yaml

from study.errors import UserError, shorten

PLAIN = {
    "null": (r"~|null|", ["~", "n", ""]),
    "bool": (r"true|false", ["t", "f"]),
    "int": (r"[-+]?[0-9]+", list("-+0123456789")),
    "float": (
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        list("-+.0123456789"),
    ),
}
"""What an unquoted word may be besides text, as in YAML 1.2: 1e-4 is a number, `no` a word."""

DEEPEST = 64
"""Sections and lists, one in another, that a text may hold."""

MOST = 120_000
"""Values, sections and lists that a text may hold: reading as many takes seconds."""


def parse(text: str, source: str) -> Any:
    """The value that a text holds; raises UserError, beginning with `source`."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.reader.ReaderError as error:
        raise UserError(f"{source}: character {error.position + 1}: {error.reason}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = shorten(" ".join(f"{error.problem or error.context}".split()), 300)
        raise UserError(f"{source}: {where}{what}") from None
    except (ValueError, OverflowError) as error:
        raise UserError(f"{source}: not readable as YAML ({shorten(str(error))})") from None


def dump(value: Any) -> str:
    """A text of which `parse` makes this value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)


class _Loader(yaml.SafeLoader):
    """Refuses aliases, tags, keys that stand twice and keys that are no words."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = self._values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _problem("aliases are not read; write the value out", event)
        if getattr(event, "tag", None):
            raise _problem("tags are not read", event)
        self._depth += 1
        self._values += 1
        if self._depth > DEEPEST:
            raise _problem("nested too deep", event)
        if self._values > MOST:
            raise _problem(f"more than {MOST:,} values", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> Any:
        node = super().compose_scalar_node(anchor)
        if any("\ud800" <= letter <= "\udfff" for letter in node.value):
            raise _problem("half of a surrogate pair is no letter", node)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _problem("a key must be a word", key)
            if key.value in seen:
                raise _problem(f"the key {shorten(repr(key.value))} stands there twice", key)
            seen.add(key.value)
        return {key.value: self.construct_object(value, deep) for key, value in node.value}

    def construct_decimal(self, node: Any) -> int:
        """YAML 1.1 reads 010 as 8."""
        return int(node.value)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever the loader would not read as text, and writes every value out."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _problem(words: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=words, problem_mark=at.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)
for _kind, (_form, _first) in PLAIN.items():
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(
            f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_form})$"), _first
        )
