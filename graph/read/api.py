"""The API form of a workflow, `{"3": {"class_type": …, "inputs": {…}}}`, to a Document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graph.document import BadLink, Document, DocumentNode, Link
from graph.problems import DocumentError, Problem

PLAIN = frozenset((str, int, float, bool))


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text. Raises DocumentError saying where it breaks off."""
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        why = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError as error:  # bytes that are no text, or a number of thousands of digits
        why = str(error)
    raise DocumentError([Problem("invalid_prompt", f"This is not JSON: {why}; save or export the workflow again.")])


def read_api(prompt: object, extra_pnginfo: Mapping[str, Any] | None = None) -> Document:
    """A workflow in API form, parsed already; `extra_pnginfo` is further metadata to save with its results.

    Raises DocumentError with a Problem for each node that is none.
    """
    if not isinstance(prompt, dict) or not any(
        isinstance(node, dict) and "class_type" in node for node in prompt.values()
    ):
        if isinstance(prompt, dict) and not prompt:
            return Document({}, prompt, extra_pnginfo or {})
        raise DocumentError([Problem("invalid_prompt", _why_no_workflow(prompt))])
    nodes: dict[str, DocumentNode] = {}
    problems: list[Problem] = []
    for node_id, node in prompt.items():
        fault = _fault(node)
        if fault:
            problems.append(Problem("invalid_prompt", f"Node {node_id} {fault}.", node_id))
            continue
        given = node.get("inputs", {})
        inputs = {name: value if type(value) in PLAIN else _input(value) for name, value in given.items()}
        nodes[node_id] = DocumentNode(node["class_type"], inputs, node.get("is_changed"))
    if problems:
        raise DocumentError(problems)
    return Document(nodes, prompt, extra_pnginfo or {})


def _why_no_workflow(value: object) -> str:
    if isinstance(value, dict) and isinstance(value.get("nodes"), list):
        return "This is a workflow in the editor's form, which is read with facts about its node classes; give those."
    return (
        "This JSON is no workflow: a workflow is an object of nodes, each with class_type and inputs; "
        "save or export it again."
    )


def _fault(node: object) -> str:
    if not isinstance(node, dict):
        return f"is no object but {type(node).__name__}; write it with class_type and inputs"
    if not isinstance(node.get("class_type"), str):
        return "has no class_type; write the name of its node class there"
    if not isinstance(node.get("inputs", {}), dict):
        return "has inputs that are no object; write them as {name: value}"
    return ""


def _input(value: Any) -> Any:
    """A link, or the literal value. A list is a link, or wrong: a list as a value stands in {"__value__": …}."""
    if isinstance(value, dict) and value.keys() == {"__value__"}:
        return value["__value__"]
    if not isinstance(value, list):
        return value
    if len(value) == 2 and isinstance(value[0], str):
        node, output = value
        if type(output) is int:
            return Link(node, output)
        if isinstance(output, float) and output.is_integer():
            return Link(node, int(output))
    return BadLink(value)
