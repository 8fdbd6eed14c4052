"""
Reading YAML that is only data: maps with text keys, lists and scalars, with variables of the environment put in.

Values are read by YAML 1.2's core schema, so that `off` is a word. Variables are put in after parsing: what they hold
stays one text, whatever it looks like.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

import yaml
from yaml.events import AliasEvent
from yaml.reader import ReaderError

from providers.entries import UNREADABLE, Expanded, plain, shown

MAX_BYTES = 1024 * 1024
MAX_ALIASES = 100
"""Each is built once, so they cannot multiply; yet a file with more is written by no person."""

_VARIABLE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\})?", re.ASCII)
_TEXT, _MAP, _LIST = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))


class NotYaml(Exception):
    """The message says why, without a value."""


class _Loader(yaml.SafeLoader):
    """The safe loader's parser, without the types of YAML 1.1."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.yaml_implicit_resolvers = {}
        self._aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(AliasEvent):
            self._aliases += 1
            if self._aliases > MAX_ALIASES:
                raise NotYaml(f"has more than {MAX_ALIASES} aliases")
        return super().compose_node(parent, index)


def read_yaml(path: Path, environment: Mapping[str, str], place: str, problems: list[str]) -> object:
    """
    The document as maps, lists, text, numbers, truth values and None.

    `${NAME}` stands for a variable, `${NAME:-default}` for one that may be unset or empty, `$${` for `${`. What is
    wrong with a value goes to `problems` under its path after `place`, and `UNREADABLE` stands in its stead. Raises
    `NotYaml` when there is no document.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _Builder(environment, place, problems).value(node, "")
    except ReaderError as error:
        raise NotYaml(f"is not YAML (line {text.count(chr(10), 0, error.position) + 1})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml("is not YAML" if mark is None else f"is not YAML (line {mark.line + 1})") from None
    except RecursionError:
        raise NotYaml("is not YAML that can be read: it is nested too deeply") from None


def _text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotYaml("the file cannot be read (not a regular file)")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotYaml(f"the file cannot be read ({error.strerror})") from None
    if len(content) > MAX_BYTES:
        raise NotYaml(f"the file is larger than {MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotYaml(f"is not YAML (line {line}): it must be UTF-8") from None


class _Builder:
    """Makes values of nodes. A node that several aliases name is built once; one that holds itself is refused."""

    def __init__(self, environment: Mapping[str, str], place: str, problems: list[str]) -> None:
        self._environment = environment
        self._place = place
        self._problems = problems
        self._built: dict[int, object] = {}

    def value(self, node: yaml.Node, path: str) -> object:
        if id(node) not in self._built:
            self._built[id(node)] = UNREADABLE
            self._built[id(node)] = self._new(node, path)
        elif self._built[id(node)] is UNREADABLE:
            self._wrong(path, node, "stands within itself, or for a value that cannot be read")
        return self._built[id(node)]

    def _new(self, node: yaml.Node, path: str) -> object:
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
            return [self.value(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT:
            return self._scalar(node, path)
        self._wrong(path, node, "has a tag, which is not supported")
        return UNREADABLE

    def _map(self, node: yaml.MappingNode, path: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT:
                self._wrong(path, key, "has a key that is not text")
                continue
            name = f"{path}.{shown(key.value)}" if path else shown(key.value)
            if key.value in found:
                self._wrong(name, key, "stands twice")
                continue
            found[key.value] = self.value(value, name)
        return found

    def _scalar(self, node: yaml.ScalarNode, path: str) -> object:
        text: str = node.value
        if "${" not in text:
            return plain(text) if node.style is None else text
        wrong: list[str] = []

        def expanded(match: re.Match[str]) -> str:
            name, default = match.groups()
            if match[0] == "$${":
                return "${"
            if name is None:
                wrong.append("holds '${' without a name and '}'; '$${' stands for itself")
                return ""
            value = self._environment.get(name, "")
            if not value and default is None:
                wrong.append(f"{name} is not set")
            return value or default or ""

        text = _VARIABLE.sub(expanded, text)
        for why in dict.fromkeys(wrong):
            self._wrong(path, node, why)
        return UNREADABLE if wrong else Expanded(text)

    def _wrong(self, path: str, node: yaml.Node, why: str) -> None:
        where = path or f"line {node.start_mark.line + 1}"
        self._problems.append(f"{self._place}: {where}: {why}")
