"""Facts about node classes, as far as reading a workflow needs them: from a registry, or from a file of definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from graph.paths import Paths
from graph.registry import Registry, describe_class


@dataclass(frozen=True, slots=True)
class InputFacts:
    """An input. `type` is its wire type, "COMBO" for one with choices."""

    name: str
    type: str
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[Any, ...] = ()
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A node class: its inputs in order, required ones first, and the types and names of its outputs."""

    name: str
    display: str
    inputs: tuple[InputFacts, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]


class Facts(Protocol):
    """What is known of node classes."""

    def of(self, class_type: str) -> ClassFacts | None:
        """None for a class that nobody here knows."""


@dataclass(frozen=True)
class Described:
    """Facts from descriptions in the form of object_info, such as a file of them."""

    info: Mapping[str, Any]
    _known: dict[str, ClassFacts] = field(default_factory=dict, repr=False)

    def of(self, class_type: str) -> ClassFacts | None:
        """See Facts."""
        if class_type not in self._known and class_type in self.info:
            self._known[class_type] = facts_of(self.info[class_type])
        return self._known.get(class_type)


@dataclass(frozen=True)
class Registered:
    """Facts of the classes there are; for one reading, since choices are looked up once."""

    registry: Registry
    paths: Paths
    _known: dict[str, ClassFacts] = field(default_factory=dict, repr=False)

    def of(self, class_type: str) -> ClassFacts | None:
        """See Facts."""
        if class_type not in self._known and (cls := self.registry.get(class_type)) is not None:
            self._known[class_type] = facts_of(describe_class(cls.schema(), self.paths))
        return self._known.get(class_type)


def facts_of(description: Mapping[str, Any]) -> ClassFacts:
    """One class from its description in the form of object_info."""
    inputs = tuple(
        _input_facts(name, spec, group == "required")
        for group in ("required", "optional")
        for name, spec in description.get("input", {}).get(group, {}).items()
    )
    outputs = tuple(each if isinstance(each, str) else "COMBO" for each in description.get("output", ()))
    names = tuple(str(each) for each in description.get("output_name") or outputs)
    name = str(description.get("name", ""))
    return ClassFacts(name, str(description.get("display_name") or name), inputs, outputs, names)


def _input_facts(name: str, spec: Any, is_required: bool) -> InputFacts:
    kind, *more = spec if isinstance(spec, list | tuple) and spec else (spec,)
    options = more[0] if more and isinstance(more[0], Mapping) else {}
    if isinstance(kind, list | tuple):
        return InputFacts(name, "COMBO", options, tuple(kind), is_required)
    choices = options.get("options", ()) if kind == "COMBO" else ()
    return InputFacts(
        name, str(kind), options, tuple(choices) if isinstance(choices, list | tuple) else (), is_required
    )
