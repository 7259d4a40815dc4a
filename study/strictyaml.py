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


def parse(text: str, source: str) -> Any:
    """The value that a text holds; raises UserError, beginning with `source`."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.reader.ReaderError as error:
        raise UserError(f"{source}: character {error.position + 1}: {error.reason}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UserError(f"{source}: {where}{error.problem or error.context}") from None
    except RecursionError:
        raise UserError(f"{source}: nested too deep") from None
    except ValueError as error:
        raise UserError(f"{source}: not readable as YAML ({shorten(str(error))})") from None


class _Loader(yaml.SafeLoader):
    """Refuses aliases, tags, keys that stand twice and keys that are no words."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _problem("aliases are not read; write the value out", event)
        if getattr(event, "tag", None):
            raise _problem("tags are not read", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _problem("a key must be a word", key)
            if key.value in seen:
                raise _problem(f"the key {key.value!r} stands there twice", key)
            seen.add(key.value)
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


def _problem(words: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=words, problem_mark=at.start_mark)


for _kind, (_form, _first) in PLAIN.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_form})$"), _first
    )
