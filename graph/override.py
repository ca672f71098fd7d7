"""NODE.INPUT=VALUE: a change to a workflow, written in one line, applied to its API form."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graph.paths import Paths
from graph.problems import some
from graph.registry import Registry
from graph.schema import Input

TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class OverrideError(ValueError):
    """A change that does not fit the workflow; the message is a sentence for people."""


def override(prompt: Mapping[str, Any], changes: Iterable[str], registry: Registry, paths: Paths) -> dict[str, Any]:
    """The prompt with each change made. NODE is an id or, where only one node has it, a title or class name.

    Raises OverrideError for the first change that names no node or no input, or whose value has the wrong type.
    """
    changed = copy.deepcopy(dict(prompt))
    for change in changes:
        target, equals, text = change.partition("=")
        if not equals or "." not in target:
            raise OverrideError(f"{change!r} is no change: write NODE.INPUT=VALUE, for example KSampler.seed=7.")
        node_id, name = _target(changed, target)
        node = changed[node_id]
        node["inputs"] = {**node.get("inputs", {}), name: _value(node["class_type"], name, text, registry, paths)}
    return changed


def _target(prompt: Mapping[str, Any], target: str) -> tuple[str, str]:
    """Node id and input name. Both may hold dots: the longest beginning that names a node counts."""
    for end in sorted((place for place, letter in enumerate(target) if letter == "."), reverse=True):
        found = list(_named(prompt, target[:end]))
        if len(found) == 1:
            return found[0], target[end + 1 :]
        if found:
            raise OverrideError(f"{target[:end]!r} names {len(found)} nodes here; use one of their ids: {some(found)}.")
    there = [f"{node_id} ({node['class_type']})" for node_id, node in prompt.items() if "class_type" in node]
    raise OverrideError(f"no node here is called {target.rpartition('.')[0]!r}; there are: {some(there)}.")


def _named(prompt: Mapping[str, Any], name: str) -> Iterator[str]:
    if name in prompt:
        yield name
        return
    for node_id, node in prompt.items():
        if name in (node.get("class_type"), node.get("_meta", {}).get("title")):
            yield node_id


def _value(class_type: str, name: str, text: str, registry: Registry, paths: Paths) -> Any:
    if class_type not in registry:
        return text  # validation names the unknown class
    inputs = registry[class_type].schema().inputs
    if name not in inputs:
        near = difflib.get_close_matches(name, inputs, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has: {some(list(inputs))}."
        raise OverrideError(f"{class_type} has no input {name!r}{hint}")
    wanted = inputs[name]
    if not wanted.literal:
        raise OverrideError(f"{class_type}.{name} takes what another node gives ({wanted.type}), not a value.")
    try:
        return _parsed(wanted, text, paths)
    except ValueError:
        kind = {"INT": "a whole number", "FLOAT": "a number", "BOOLEAN": "true or false"}[wanted.type]
        raise OverrideError(f"{class_type}.{name} takes {kind}, not {text!r}.") from None


def _parsed(wanted: Input, text: str, paths: Paths) -> Any:
    match wanted.type:
        case "INT":
            return int(text)
        case "FLOAT":
            return float(text)
        case "BOOLEAN":
            if text.lower() not in TRUTH:
                raise ValueError
            return TRUTH[text.lower()]
        case "COMBO":  # choices may be numbers
            return next((choice for choice in wanted.choices_now(paths) if str(choice) == text), text)
        case _:
            return text
