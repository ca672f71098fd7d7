"""What a workflow needs that is not here: node classes, model files and choices; all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from graph.document import Document, Link
from graph.node import Node
from graph.paths import Paths
from graph.problems import Problem, some
from graph.read.api import read_api
from graph.read.editor import entries, mapping, text_of
from graph.registry import Registry
from graph.schema import Input
from graph.values import show
from graph.widgets import ModelNames

MOST_LIKENED = 50  # names that are compared with every file of their folder, which takes milliseconds each
MOST_NOTES = 20
OF_EDITORS = {"upload", "control_after_generate"}  # what old editors sent although no class takes it
UNKNOWN_CLASS = "missing_node_type"  # the kind of a Problem; of several nodes of one class only the first is named


def missing(
    document: Document, registry: Registry, paths: Paths, workflow: Mapping[str, Any] | None = None
) -> list[Problem]:
    """A Problem for each node class, model file and choice that is not here, with what may stand in for it.

    `workflow` is the editor's form of the document, if there is one: it may name packs, and addresses of models.
    """
    packs, addresses = _sources(workflow or {})
    absent: dict[str, list[str]] = {}
    for node_id, node in document.nodes.items():
        if node.class_type not in registry and node.class_type not in document.classes:
            absent.setdefault(node.class_type, []).append(node_id)
    problems = []
    for class_type, ids in absent.items():
        pack = packs.get(class_type)
        names = registry.nearest(class_type)
        add = "add the pack that has it."
        hint = f"did you mean {' or '.join(names)}? If not, {add}" if names else add
        hint = f"the workflow says that it is of the pack {pack}; add that." if pack else hint
        sentence = f"There is no node class {show(class_type)} (node {some(ids)}); {hint}"
        known: dict[str, Any] = {"nodes": ids, "nearest": names} | ({"pack": pack} if pack else {})
        problems.append(Problem(UNKNOWN_CLASS, sentence, ids[0], class_type, extra=known))
    for node_id, item, value, choices, near in _wrong_choices(document, registry, paths):
        there = f"there are: {some(choices)}." if choices else "there is none yet."
        hint = f"did you mean {show(near)}?" if near else there
        class_type = document.nodes[node_id].class_type
        where = f"{class_type} (node {node_id})"
        sentence = f"{where}: {item.name} has no choice {show(value)}; {hint}"
        extra: dict[str, Any] = {"received_value": value} | ({"nearest": near} if near else {})
        if isinstance(item.choices, ModelNames):
            extra["folder"] = item.choices.kind
            address = addresses.get(_base(value))
            more = f" The workflow says that it can be had at {address}." if address else ""
            extra |= {"url": address} if address else {}
            sentence = f"{where}: there is no file {show(value)} in models/{item.choices.kind}; {hint}{more}"
        problems.append(Problem("value_not_in_list", sentence, node_id, class_type, item.name, extra))
    return problems


def match_models(prompt: Mapping[str, Any], registry: Registry, paths: Paths) -> tuple[dict[str, Any], list[str]]:
    """A workflow in API form with each model file that is not here replaced by one of the same or a similar name.

    Also a sentence for each that was. Raises DocumentError if this is no workflow in API form.
    """
    matched, notes = dict(prompt), []
    for node_id, item, value, _, near in _wrong_choices(read_api(matched), registry, paths):
        if near and isinstance(item.choices, ModelNames):
            node = matched[node_id]
            matched[node_id] = {**node, "inputs": {**node["inputs"], item.name: near}}
            notes.append(f"Node {node_id}: {show(near)} is taken for {show(value)}, which is not here.")
    return matched, notes


def surplus(document: Document, registry: Registry) -> list[str]:
    """A sentence for each value of an input that its class does not have (any more): it is passed over."""
    found = []
    for node_id, node in document.nodes.items():
        cls = document.classes.get(node.class_type) or registry.get(node.class_type)
        names = _inputs(cls)
        if cls is None or not names or cls.schema().variadic:
            continue
        known = {item.name for item in names} | OF_EDITORS
        found += [
            f"{node.class_type} (node {node_id}) has no input {show(name)}; its value is passed over."
            for name, value in node.inputs.items()
            if name not in known and not isinstance(value, Link)
        ]
    rest = len(found) - MOST_NOTES
    return [*found[:MOST_NOTES], *([f"{rest} more values are of inputs that are not there."] if rest > 0 else [])]


def _wrong_choices(
    document: Document, registry: Registry, paths: Paths
) -> Iterator[tuple[str, Input, str, Sequence[str], str | None]]:
    """Each text that is none of those that its input offers: node, input, text, what is offered, and the nearest."""
    offered: dict[tuple[str, str], dict[str, None]] = {}  # in order; folders are looked into once
    nearest: dict[tuple[str, str, str], str | None] = {}
    for node_id, node in document.nodes.items():
        cls: type[Node[Any]] | None = document.classes.get(node.class_type) or registry.get(node.class_type)
        for item in _inputs(cls):
            value = node.inputs.get(item.name)
            if item.type != "COMBO" or item.open or not isinstance(value, str):
                continue
            place = (node.class_type, item.name)
            if place not in offered:
                offered[place] = dict.fromkeys(each for each in _choices(item, paths) if isinstance(each, str))
            choices = offered[place]
            if value in choices:
                continue
            if (*place, value) not in nearest:
                nearest[*place, value] = _near(value, choices, by_likeness=len(nearest) < MOST_LIKENED)
            yield node_id, item, value, list(choices), nearest[*place, value]


def _inputs(cls: type[Node[Any]] | None) -> list[Input]:
    try:
        return list(cls.schema().inputs.values()) if cls is not None else []
    except Exception:  # a pack's class, whose own code says what it takes; validation will tell what is wrong
        return []


def _choices(item: Input, paths: Paths) -> Sequence[Any]:
    try:
        return item.choices_now(paths)
    except Exception:  # a pack's own code again
        return []


def _near(value: str, choices: Iterable[str], by_likeness: bool) -> str | None:
    """The choice of the same name in another folder, else the one whose name without its ending is most alike."""
    names: dict[str, str] = {}
    stems: dict[str, str] = {}
    for each in choices:
        base = _base(each)
        names.setdefault(base, each)
        stems.setdefault(_stem(base), each)
    base = _base(value)
    if base in names or not by_likeness:
        return names.get(base)
    close = difflib.get_close_matches(_stem(base), stems, 1)
    return stems[close[0]] if close else None


def _stem(base: str) -> str:
    return base.removesuffix(PurePosixPath(base).suffix)


def _base(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1].casefold()


def _sources(workflow: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The pack of each node class, and the address of each model file by its name, as far as the file says."""
    subgraphs = [mapping(each) for each in entries(mapping(workflow.get("definitions")).get("subgraphs"))]
    packs: dict[str, str] = {}
    addresses: dict[str, str] = {}
    models = list(entries(workflow.get("models")))
    for sheet in (workflow, *subgraphs):
        for raw in map(mapping, entries(sheet.get("nodes"))):
            properties = mapping(raw.get("properties"))
            if pack := text_of(properties.get("cnr_id")) or text_of(properties.get("aux_id")):
                packs.setdefault(text_of(raw.get("type")), pack)
            models += entries(properties.get("models"))
    for model in map(mapping, models):
        if text_of(model.get("name")) and text_of(model.get("url")):
            addresses.setdefault(_base(model["name"]), model["url"])
    return packs, addresses
