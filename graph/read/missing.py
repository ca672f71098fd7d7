"""What a workflow needs that is not here: node classes, model files and choices; all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graph.document import Document
from graph.node import Node
from graph.paths import Paths
from graph.problems import Problem, some
from graph.read.api import read_api
from graph.read.editor import entries, mapping, text_of
from graph.registry import Registry
from graph.schema import Input
from graph.values import show
from graph.widgets import ModelNames

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
    for node_id, item, value, choices in _wrong_choices(document, registry, paths):
        near = _near(value, choices)
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
    for node_id, item, value, choices in _wrong_choices(read_api(matched), registry, paths):
        near = _near(value, choices)
        if near and isinstance(item.choices, ModelNames):
            node = matched[node_id]
            matched[node_id] = {**node, "inputs": {**node["inputs"], item.name: near}}
            notes.append(f"Node {node_id}: {show(near)} is taken for {show(value)}, which is not here.")
    return matched, notes


def _wrong_choices(
    document: Document, registry: Registry, paths: Paths
) -> Iterator[tuple[str, Input, str, Sequence[str]]]:
    """Each text that is none of those that its input offers: its node, the input, the text and what is offered."""
    for node_id, node in document.nodes.items():
        cls: type[Node[Any]] | None = document.classes.get(node.class_type) or registry.get(node.class_type)
        for item in _inputs(cls):
            value = node.inputs.get(item.name)
            if item.type != "COMBO" or item.open or not isinstance(value, str):
                continue
            choices = [each for each in item.choices_now(paths) if isinstance(each, str)]
            if value not in choices:
                yield node_id, item, value, choices


def _inputs(cls: type[Node[Any]] | None) -> list[Input]:
    try:
        return list(cls.schema().inputs.values()) if cls is not None else []
    except Exception:  # a pack's class, whose own code says what it takes; validation will tell what is wrong
        return []


def _near(value: str, choices: Sequence[str]) -> str | None:
    """The choice of the same name in another folder, else the one whose name is most alike."""
    wanted = _base(value)
    names = {_base(each): each for each in reversed(choices)}
    close = [wanted] if wanted in names else difflib.get_close_matches(wanted, names, 1)
    return names[close[0]] if close else None


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
