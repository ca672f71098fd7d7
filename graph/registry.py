"""Registry: node classes by name, found by scanning packages; and object_info, their description for clients."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from graph.node import Node, is_concrete
from graph.paths import Paths
from graph.schema import HIDDEN_MARKERS, Input, Schema


class Registry(Mapping[str, type[Node[Any]]]):
    """Node classes by the name that documents use (class_type)."""

    def __init__(self, *classes: type[Node[Any]]) -> None:
        self._classes: dict[str, type[Node[Any]]] = {}
        for cls in classes:
            self.add(cls)

    @classmethod
    def scan(cls, package: ModuleType) -> Registry:
        """Import every module of a package and take the node classes defined there. Import errors are not caught."""
        registry = cls()
        registry._take(package)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            registry._take(importlib.import_module(found.name))
        return registry

    @classmethod
    def scan_module(cls, module: ModuleType) -> Registry:
        """The node classes that one module defines."""
        registry = cls()
        registry._take(module)
        return registry

    def add(self, node: type[Node[Any]]) -> None:
        """Add a class. Raises ValueError if another class has its name."""
        name = node.schema().name
        other = self._classes.setdefault(name, node)
        if other is not node:
            raise ValueError(
                f"two node classes are called {name!r}: {other.__module__}.{other.__qualname__} and "
                f"{node.__module__}.{node.__qualname__}; rename one"
            )

    def nearest(self, name: str) -> list[str]:
        """Names that look like a wrong one, best first, whatever their case; at most three."""
        folded = {known.casefold(): known for known in self._classes}
        return [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3)]

    def object_info(self, paths: Paths) -> dict[str, Any]:
        """The description of every class, in ComfyUI's form, as GET /object_info gives it.

        A third-party class that fails to describe itself is left out.
        """
        return {name: info for name in self._classes if (info := self.describe(name, paths)) is not None}

    def describe(self, name: str, paths: Paths) -> dict[str, Any] | None:
        """The description of one class; None if there is none of this name, or it fails to describe itself."""
        if name not in self._classes:
            return None
        schema = self._classes[name].schema()
        try:
            return describe_class(schema, paths)
        except Exception:  # a pack's class, whose own code says what it takes
            if not schema.foreign:
                raise
            return None

    def __getitem__(self, name: str) -> type[Node[Any]]:
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def _take(self, module: ModuleType) -> None:
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, Node) and value.__module__ == module.__name__):
                continue  # imported from elsewhere
            if is_concrete(value) and not value.__name__.startswith("_"):
                self.add(value)


def describe_class(schema: Schema, paths: Paths) -> dict[str, Any]:
    """One class in object_info's form."""
    if schema.describe is not None:
        return schema.describe()
    required = [item for item in schema.inputs.values() if item.required]
    optional = [item for item in schema.inputs.values() if not item.required]
    inputs: dict[str, dict[str, Any]] = {"required": {item.name: _input_spec(item, paths) for item in required}}
    if optional:
        inputs["optional"] = {item.name: _input_spec(item, paths) for item in optional}
    if schema.hidden:
        inputs["hidden"] = {name: HIDDEN_MARKERS[name] for name in schema.hidden}
    info: dict[str, Any] = {
        "input": inputs,
        "input_order": {group: list(specs) for group, specs in inputs.items()},
        "output": [output.type for output in schema.outputs],
        "output_is_list": [output.whole for output in schema.outputs],
        "output_name": [output.name for output in schema.outputs],
        "name": schema.name,
        "display_name": schema.display,
        "description": schema.description,
        "python_module": schema.module,
        "category": schema.category,
        "output_node": schema.effect,
    }
    if schema.deprecated:
        info["deprecated"] = True
    if schema.experimental:
        info["experimental"] = True
    return info


def _input_spec(item: Input, paths: Paths) -> list[Any]:
    if item.type == "COMBO":
        return [list(item.choices_now(paths)), dict(item.options)]
    return [item.type, dict(item.options)]
