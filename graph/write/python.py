"""A document as Python source that builds it: a variable for each node, after those that it takes values from."""

from __future__ import annotations

import builtins
import dataclasses
import json
import keyword
import re
import sys
import unicodedata
from collections.abc import Mapping
from importlib.machinery import PathFinder
from typing import Any

from graph.document import BadLink, Document, DocumentNode, Link
from graph.node import Node
from graph.problems import DocumentError, Problem
from graph.read.editor import mapping, text_of
from graph.registry import Registry
from graph.write.order import in_order

LINE = 120  # letters
DEEPEST = 50  # lists and objects inside each other; Python reads no source with many more
LONGEST_NAME = 40  # of a variable
WORD = re.compile("[A-Za-z_][A-Za-z0-9_]*")
WORD_ENDS = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
HELPERS: Mapping[str, str] = {
    "AnyNode": "graph.build", "build": "graph.build", "titled": "graph.build", "use": "graph.build",
    "BadLink": "graph.document", "Link": "graph.document", "Out": "graph.node",
}  # fmt: skip
RESERVED = frozenset((*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *HELPERS, "document", "json", "nodes"))
ABOUT = '"""A workflow. Run in the folder of Darkroom, this file prints it in API form."""'
END = """if __name__ == "__main__":
    print(json.dumps(document.prompt, indent=2))
"""


def to_python(document: Document, registry: Registry) -> str:
    """Source that builds the same graph: running it makes `document`, and as a script prints its API form.

    Nodes keep their ids, and titles that their classes do not have. What else their API form carries is left out, and
    a link to a node that is not there is written as a wrong one. Raises DocumentError for a value that no JSON has.
    """
    return _Source(document, registry).text()


class _Source:
    def __init__(self, document: Document, registry: Registry) -> None:
        self._document = document
        self._classes: dict[str, type[Node[Any]]] = {**registry, **document.classes}
        self._helpers: set[str] = {"AnyNode", "build"}
        self._imports: dict[str, str] = {}  # module of each class by its name there
        self._variables: dict[str, str] = {}  # of the nodes that are written
        self._how: dict[str, type[Node[Any]] | None] = {}  # of these nodes: the class that the source gets hold of
        self._problems: list[Problem] = []

    def text(self) -> str:
        order = in_order(self._document)
        for name in order:
            cls = self._importable(self._document.nodes[name])
            self._how[name] = cls
            if cls is not None:
                self._imports[cls.__name__] = cls.__module__
        names = _Names({*RESERVED, *self._imports})
        lines: list[str] = []
        for name in order:
            variable = names.new(self._title(name), self._document.nodes[name].class_type)
            lines.append(f"{variable} = {self._node(name)}")
            self._variables[name] = variable
        if self._problems:
            raise DocumentError(self._problems)
        named = [f"{_text(name)}: {self._variables[name]}" for name in self._document.nodes]
        lines.append(_wrapped("nodes: dict[str, AnyNode] = {", named, "}"))
        titles = [f"{_text(name)}: {_text(title)}" for name in self._document.nodes if (title := self._title(name))]
        if titles:
            self._helpers.add("titled")
        lines.append(
            "document = " + (_wrapped("titled(build(**nodes), {", titles, "})") if titles else "build(**nodes)")
        )
        return "\n".join([ABOUT, "", "import json", "", *self._import_lines(), "", *lines, "", END])

    def _import_lines(self) -> list[str]:
        modules: dict[str, list[str]] = {}
        for name in self._helpers:
            modules.setdefault(HELPERS[name], []).append(name)
        for name, module in self._imports.items():
            modules.setdefault(module, []).append(name)
        return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(modules.items())]

    def _importable(self, node: DocumentNode) -> type[Node[Any]] | None:
        """The class of a node, if the source can import it under its own name, and it takes what the node is given."""
        cls = self._classes.get(node.class_type)
        if cls is None or not _can_be_imported(cls) or cls.__name__ in RESERVED:
            return None
        if self._imports.get(cls.__name__, cls.__module__) != cls.__module__:
            return None  # another one has this name
        schema = cls.schema()
        is_known = schema.variadic or node.inputs.keys() <= schema.inputs.keys()
        return cls if is_known and schema.name == node.class_type else None

    def _title(self, name: str) -> str:
        """A node's own title; empty if it has that of its class."""
        title = text_of(mapping(mapping(self._document.prompt.get(name)).get("_meta")).get("title"))
        class_type = self._document.nodes[name].class_type
        cls = self._classes.get(class_type)
        return "" if title in (class_type, cls.schema().display if cls is not None else "") else title

    def _node(self, name: str) -> str:
        node, cls = self._document.nodes[name], self._how[name]
        given = {key: self._value(name, key, value) for key, value in node.inputs.items()}
        arguments = [f"{key}={value}" for key, value in given.items() if _is_word(key)]
        others = [f"{_text(key)}: {value}" for key, value in given.items() if not _is_word(key)]
        if others:
            arguments.append(_wrapped("**{", others, "}"))
        if cls is not None and _is_typed(cls, node):
            return _wrapped(f"{cls.__name__}(", arguments, ")")
        self._helpers.add("use")
        return _wrapped("use(", [cls.__name__ if cls is not None else _text(node.class_type), *arguments], ")")

    def _value(self, name: str, key: str, value: Any) -> str:
        if isinstance(value, Link) and value.node in self._document.nodes:
            return self._out(value)
        if isinstance(value, BadLink | Link):
            self._helpers.add("BadLink")
            value = value.value if isinstance(value, BadLink) else [value.node, value.output]
            return f"BadLink({self._literal(name, key, value)})"
        return self._literal(name, key, value)

    def _literal(self, name: str, key: str, value: Any) -> str:
        try:
            return _deep(value) if _depth(value) > DEEPEST else _literal(value)
        except (TypeError, ValueError, RecursionError):
            sentence = (
                f"Node {name}: the input {key!r} has a value of {type(value).__name__} that cannot be written down; "
                "give it one that JSON has."
            )
            self._problems.append(Problem("invalid_prompt", sentence, name, self._document.nodes[name].class_type, key))
            return "None"

    def _out(self, link: Link) -> str:
        variable = self._variables.get(link.node)
        if variable is None:  # it comes later: nodes lead round in a circle
            self._helpers.add("Link")
            return f"Link({_text(link.node)}, {link.output})"
        cls = self._how[link.node]
        if cls is None:
            return f"{variable}.out[{link.output}]"
        count = len(cls.schema().outputs)
        if not 0 <= link.output < count:
            self._helpers.add("Out")
            return f"Out({variable}, {link.output})"
        if count == 1:
            return f"{variable}.out"
        if not _is_typed(cls, self._document.nodes[link.node]):
            return f"{variable}.out[{link.output}]"
        return f"{variable}.out.{cls.peek({}, ()).out._fields[link.output]}"


def _can_be_imported(cls: type[Node[Any]]) -> bool:
    """Whether a program that starts anew finds the class where it says that it is."""
    module = sys.modules.get(cls.__module__)
    if cls.schema().foreign or vars(module or cls).get(cls.__name__) is not cls:
        return False
    if not all(map(_is_word, cls.__module__.split("."))) or not _is_word(cls.__name__):
        return False
    room = cls.__module__.split(".")[0]
    found = PathFinder.find_spec(room)
    return found is not None and found.origin == getattr(sys.modules.get(room), "__file__", None)


def _is_typed(cls: type[Node[Any]], node: DocumentNode) -> bool:
    """Whether the class itself, given these inputs, becomes the same node again: with neither more nor fewer."""
    schema = cls.schema()
    fields = {each.name: each for each in dataclasses.fields(cls)}  # type: ignore[arg-type]  # all nodes are dataclasses
    if hasattr(cls, "__post_init__") or not fields.keys() | node.inputs.keys() <= schema.inputs.keys() & fields.keys():
        return False
    for name, each in fields.items():
        is_required = schema.inputs[name].required
        if name not in node.inputs:
            if is_required or each.default is dataclasses.MISSING:
                return False
        elif not is_required and type(node.inputs[name]) is type(each.default) and node.inputs[name] == each.default:
            return False
    return True


class _Names:
    """Names for variables, each once."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._counts: dict[str, int] = {}

    def new(self, *sources: str) -> str:
        """One that speaks: after the first source in which there is a word."""
        base = next(filter(None, map(_variable, sources)), "node")
        name, count = base, self._counts.get(base, 1)
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._counts[base] = count
        self._taken.add(name)
        return name


def _variable(source: str) -> str:
    plain = unicodedata.normalize("NFKD", source[:1000]).encode("ascii", "ignore").decode()
    words = [word.lower() for word in WORD_ENDS.split(plain) if word]
    name = ""
    for word in words:
        if len(name) + len(word) >= LONGEST_NAME:
            break
        name += f"_{word}" if name else word
    name = name or "".join(words)[:LONGEST_NAME]
    return f"node_{name}" if name[:1].isdigit() else name


def _is_word(text: str) -> bool:
    """Whether this can be the name of an argument. Python takes some letters that are not ASCII for others."""
    return WORD.fullmatch(text) is not None and not keyword.iskeyword(text) and not text.startswith("__")


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _wrapped(head: str, parts: list[str], tail: str) -> str:
    """Parts with commas between, in one line or in one each."""
    line = f"{head}{', '.join(parts)}{tail}"
    if len(line) + LONGEST_NAME <= LINE and "\n" not in line and len(parts) < 8:
        return line
    inner = "".join(f"    {part.replace(chr(10), chr(10) + '    ')},\n" for part in parts)
    return f"{head}\n{inner}{tail}"


def _literal(value: Any) -> str:
    """A value of JSON. Raises TypeError for any other."""
    if isinstance(value, str) and type(value) is str:
        return _lines(value) if "\n" in value[:-1] and len(value) > LINE // 2 else _text(value)
    if value is None or type(value) in (bool, int):
        return repr(value)
    if type(value) is float:
        return f'float("{value}")' if value - value != 0 else repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if type(value) is dict and all(type(key) is str for key in value):
        return f"{{{', '.join(f'{_text(key)}: {_literal(each)}' for key, each in value.items())}}}"
    raise TypeError


def _text(value: str) -> str:
    """As Python writes it, with all in it that cannot be seen spelled out; in double quotes if it has none."""
    text = repr(str(value))
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text


def _lines(value: str) -> str:
    """A long text, each of its lines on its own."""
    parts = [f"    {_text(line)}\n" for line in re.findall(r"[^\n]*\n|[^\n]+", value)]
    return f"(\n{''.join(parts)})"


def _depth(value: Any) -> int:
    """How many lists and objects lie inside each other."""
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        level = [
            inner
            for each in level
            if isinstance(each, list | tuple | dict)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        depth += 1
    return depth


def _deep(value: Any) -> str:
    """A value inside which so much lies that Python reads it only as a text."""
    return f"json.loads({_text(json.dumps(value))})"
