"""The editor's form of a workflow, read liberally: nodes, wires between them, and the subgraphs that some stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graph.problems import DocumentError, Problem

ANY = "*"  # the type that fits every other
MUTED, BYPASSED = 2, 4  # modes; in all others a node runs
INPUTS, OUTPUTS = "-10", "-20"  # where wires from a subgraph's inputs begin and those to its outputs end
NOTES = frozenset({  # what only says something, or works on the drawing
    "Note", "MarkdownNote", "Note Plus (mtb)", "Label (rgthree)", "Bookmark (rgthree)", "Fast Muter (rgthree)",
    "Fast Bypasser (rgthree)", "Fast Groups Muter (rgthree)", "Fast Groups Bypasser (rgthree)",
    "Fast Actions Button (rgthree)", "Mute / Bypass Relay (rgthree)", "Mute / Bypass Repeater (rgthree)",
    "Node Collector (rgthree)", "Random Unmuter (rgthree)",
})  # fmt: skip
PASSING = frozenset({"Reroute", "Reroute (rgthree)", "SetNode"})  # what comes in goes out
VIRTUAL = NOTES | PASSING | {"PrimitiveNode", "GetNode"}  # what only the editor has
MOST_PROBLEMS = 100  # sentences; nobody reads more
RENAMED = {
    "T2IAdapterLoader": "ControlNetLoader",
    "ConditioningAverage ": "ConditioningAverage",
    "SDV_img2vid_Conditioning": "SVD_img2vid_Conditioning",
}
NO_WORKFLOW = "This JSON is no workflow of the editor: that is an object with a list of nodes; save the workflow again."


@dataclass(slots=True)
class Slot:
    """An input of a node: the id of the wire that ends there, and the name of the widget that it stands in for."""

    name: str
    type: str = ANY
    link: str | None = None
    widget: str | None = None


@dataclass(slots=True)
class EditorNode:
    """A node as the file has it. `values` is its widgets_values, `named` the same by name, where the file has that."""

    id: str
    type: str
    mode: int = 0
    title: str = ""
    inputs: list[Slot] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)  # their types
    values: Any = None
    named: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)  # values of single widgets that come from elsewhere, and win


@dataclass(frozen=True, slots=True)
class Wire:
    """From output number `slot` of node `origin` to input number `target_slot` of node `target`."""

    origin: str
    slot: int
    target: str
    target_slot: int


@dataclass(slots=True)
class Port:
    """An input or output of a subgraph, with the ids of the wires inside that belong to it."""

    name: str
    type: str
    links: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Sheet:
    """One drawing: the workflow itself, or the inside of a subgraph, which `inputs` and `outputs` lead to."""

    name: str
    nodes: dict[str, EditorNode] = field(default_factory=dict)
    wires: dict[str, Wire] = field(default_factory=dict)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)


@dataclass(slots=True)
class Workflow:
    """A workflow of the editor. `subgraphs` are by the type of the nodes that stand for them, `groups` as saved."""

    root: Sheet
    subgraphs: dict[str, Sheet]
    groups: Mapping[str, Mapping[str, Any]]
    notes: list[str]  # what was odd

    def group_of(self, node: EditorNode) -> str | None:
        """The name of the group that a node stands for: the way of older editors to fold several nodes into one."""
        for prefix in ("workflow>", "workflow/"):
            if node.type.startswith(prefix) and node.type.removeprefix(prefix) in self.groups:
                return node.type.removeprefix(prefix)
        return None


def is_editor_form(value: object) -> bool:
    """Whether parsed JSON is a workflow as the editor saves it."""
    return isinstance(value, Mapping) and isinstance(value.get("nodes"), list)


def read_editor(workflow: Mapping[str, Any]) -> Workflow:
    """A workflow in the editor's form, parsed already. Raises DocumentError with a Problem for each node that is none.

    Whatever else is missing or of another shape than it should be is left out.
    """
    if not is_editor_form(workflow):
        raise DocumentError([Problem("invalid_prompt", NO_WORKFLOW)])
    notes: list[str] = []
    problems: list[Problem] = []
    root = _sheet(workflow, "", notes, problems)
    subgraphs: dict[str, Sheet] = {}
    for raw in _definitions(workflow):
        found = id_of(raw.get("id"))
        if found and found not in subgraphs:
            subgraphs[found] = _sheet(raw, text_of(raw.get("name")) or found, notes, problems)
    if problems:
        more = f"{len(problems) - MOST_PROBLEMS} more nodes are wrong in such ways; put those named here right first."
        rest = [Problem("invalid_prompt", more)] if len(problems) > MOST_PROBLEMS else []
        raise DocumentError(problems[:MOST_PROBLEMS] + rest)
    groups = mapping(mapping(workflow.get("extra")).get("groupNodes"))
    return Workflow(root, subgraphs, {str(name): mapping(group) for name, group in groups.items()}, notes)


def read_node(raw: Mapping[str, Any], node_id: str) -> EditorNode:
    """One node."""
    kind = text_of(raw.get("type"))
    mode = raw.get("mode")
    named = raw.get("widgets_values_named")
    return EditorNode(
        node_id,
        RENAMED.get(kind, kind),
        mode if isinstance(mode, int) else 0,
        text_of(raw.get("title")),
        [_slot(mapping(each)) for each in entries(raw.get("inputs"))],
        [type_of(mapping(each).get("type")) for each in entries(raw.get("outputs"))],
        raw.get("widgets_values"),
        named if isinstance(named, Mapping) else None,
        mapping(raw.get("properties")),
    )


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _definitions(workflow: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The subgraphs that a workflow holds, and those that they hold."""
    waiting: list[Mapping[str, Any]] = [workflow]
    while waiting:
        for raw in entries(mapping(waiting.pop().get("definitions")).get("subgraphs")):
            if isinstance(raw, Mapping):
                yield raw
                waiting.append(raw)


def _sheet(raw: Mapping[str, Any], name: str, notes: list[str], problems: list[Problem]) -> Sheet:
    where = f" of subgraph {name!r}" if name else ""
    sheet = Sheet(name, inputs=_ports(raw.get("inputs")), outputs=_ports(raw.get("outputs")))
    for number, each in enumerate(entries(raw.get("nodes")), 1):
        node_id = id_of(each.get("id")) if isinstance(each, Mapping) else None
        if not node_id:
            sentence = f"Node number {number} in the list of nodes{where} has no id; give it one that no other has."
            problems.append(Problem("invalid_prompt", sentence))
        elif not isinstance(each.get("type"), str) or not each["type"]:
            sentence = f"Node {node_id}{where} has no type; write the name of its node class there."
            problems.append(Problem("invalid_prompt", sentence, node_id))
        elif node_id in sheet.nodes:
            notes.append(f"Two nodes{where} have the id {node_id}; the second one was left out.")
        else:
            sheet.nodes[node_id] = read_node(each, node_id)
    links = raw.get("links")
    for each in links.values() if isinstance(links, Mapping) else entries(links):
        if (found := _wire(each)) is None:
            notes.append(f"An entry in the list of links{where} is no link; it was left out.")
        else:
            sheet.wires[found[0]] = found[1]
    return sheet


def _wire(raw: object) -> tuple[str, Wire] | None:
    """A link with its id: a list, or in newer files an object."""
    if isinstance(raw, Mapping):
        raw = [raw.get(key) for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    if not isinstance(raw, list) or len(raw) < 5:
        return None
    link, origin, target = id_of(raw[0]), id_of(raw[1]), id_of(raw[3])
    if link is None or origin is None or target is None:
        return None
    return link, Wire(origin, number_of(raw[2]), target, number_of(raw[4]))


def _slot(raw: Mapping[str, Any]) -> Slot:
    widget = raw.get("widget")
    name = widget.get("name") if isinstance(widget, Mapping) else widget
    return Slot(
        text_of(raw.get("name")),
        type_of(raw.get("type")),
        id_of(raw.get("link")),
        name if isinstance(name, str) else None,
    )


def _ports(raw: object) -> list[Port]:
    return [_port(mapping(each)) for each in entries(raw)]


def _port(raw: Mapping[str, Any]) -> Port:
    links = (id_of(each) for each in entries(raw.get("linkIds")))
    return Port(text_of(raw.get("name")), type_of(raw.get("type")), [each for each in links if each is not None])


# ── values of any shape ───────────────────────────────────────────────────────────────────────────────────────────────


def id_of(value: object) -> str | None:
    """An id as the editor compares them: 5, 5.0 and "5" are one. None for what is none."""
    if isinstance(value, str):
        return value
    number = whole(value)
    return None if number is None else str(number)


def number_of(value: object) -> int:
    """The number of a slot, also of one that was written as text; -1, which no slot has, for what is none."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() and len(value) < 10 else -1
    number = whole(value)
    return -1 if number is None else number


def whole(value: object) -> int | None:
    """A whole number, also of one that was written as 5.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def type_of(value: object) -> str:
    """The type of a slot; older files have the choices themselves there."""
    if isinstance(value, list):
        return "COMBO"
    if isinstance(value, str):
        return value or ANY
    return str(value) if value else ANY


def text_of(value: object) -> str:
    """A text, empty for what is none."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> Mapping[str, Any]:
    """An object, empty for what is none."""
    return value if isinstance(value, Mapping) else {}


def entries(value: object) -> Iterable[Any]:
    """The entries of a list, none for what is no list."""
    return value if isinstance(value, list) else ()
