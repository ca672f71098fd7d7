"""What a V1 function returns, in any of the forms that ComfyUI takes, to what the engine takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compat.shims.comfy_execution.graph_utils import is_link
from graph.context import Context
from graph.document import Document, DocumentNode, Link
from graph.given import Blocked, Expansion
from graph.schema import Output


class ReturnError(ValueError):
    """A node returned what no node may; the message is a sentence for people."""


def understand(returned: Any, outputs: tuple[Output, ...], ctx: Context) -> Any:
    """One value for one output, a tuple for several, None for none, or an Expansion; shows what is for the user.

    Raises ReturnError if it is none of the forms, or lacks an output that another node takes.
    """
    result, expand = returned, None
    if isinstance(returned, Mapping):
        for key, entries in (returned.get("ui") or {}).items():
            ctx.show(str(key), entries if isinstance(entries, list | tuple) else [entries])
        result, expand = returned.get("result", ()), returned.get("expand")
        if expand is None and not outputs:
            return None
    if isinstance(result, Blocked):
        return result
    if expand is not None:
        links = tuple(as_link(value) for value in _values(result, outputs, ctx))
        return Expansion(as_document(expand), links)
    values = _values(result, outputs, ctx)
    if len(outputs) == 1:
        return values[0]
    return values or None


def as_document(expand: Mapping[str, Any]) -> Document:
    """The graph that a node expands to. Unlike what people send, it may hold values of any kind beside the links.

    Raises ReturnError for a node of no class.
    """
    nodes: dict[str, DocumentNode] = {}
    for node_id, node in expand.items():
        if not isinstance(node, Mapping) or "class_type" not in node:
            raise ReturnError(f"it made a node {node_id} without class_type; that is a fault of the node class")
        inputs = {name: as_link(value) for name, value in node.get("inputs", {}).items()}
        nodes[str(node_id)] = DocumentNode(
            node["class_type"], inputs, node.get("is_changed"), node.get("override_display_id")
        )
    return Document(nodes, dict(expand))


def as_link(value: Any) -> Any:
    """A Link if the value is one in API form, else the value."""
    return Link(value[0], int(value[1])) if is_link(value) else value


def _values(result: Any, outputs: tuple[Output, ...], ctx: Context) -> tuple[Any, ...]:
    """As many values as there are outputs. What is too much is left out, a bare value taken apart as ComfyUI does."""
    if not outputs:
        return ()
    try:
        found = tuple(result[number] for number in range(min(len(result), len(outputs))))
    except (TypeError, KeyError, IndexError):
        raise ReturnError(
            f"it returned {type(result).__name__}, where a tuple with its {_names(outputs)} should be; "
            "that is a fault of the node class"
        ) from None
    if len(found) == len(outputs):
        return found
    lacking = [output.name for output in outputs[len(found) :]]
    sentence = (
        f"it returned {len(found)} of its {len(outputs)} outputs: {', '.join(lacking)} is not there; "
        "that is a fault of the node class"
    )
    if any(_is_taken(ctx, number) for number in range(len(found), len(outputs))):
        raise ReturnError(sentence)
    return (*found, *(Blocked(sentence) for _ in lacking))


def _is_taken(ctx: Context, number: int) -> bool:
    """Whether any node of the run is linked to that output of the running one."""
    nodes = (ctx.live.node(node_id) for node_id in ctx.live.ids())
    links = (as_link(value) for node in nodes for value in node.get("inputs", {}).values())
    return any(isinstance(link, Link) and link == Link(ctx.node_id, number) for link in links)


def _names(outputs: tuple[Output, ...]) -> str:
    return "output " + outputs[0].name if len(outputs) == 1 else "outputs " + ", ".join(each.name for each in outputs)
