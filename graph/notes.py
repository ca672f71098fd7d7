"""Notes: what each node was when it last ran, so that it can be said what has changed since."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

from graph.explanation import Change, Explanation
from graph.files import write_whole
from graph.fingerprint import ENCODE
from graph.model import Task
from graph.values import show

MOST = 2000  # nodes; the oldest go first
FORMAT = 1

MORE = {  # what fingerprints say of some nodes besides
    "files": "what it reads besides, such as a file that it names,",
    "is_changed": "the change value that came with the workflow",
    "around": "the workflow around it, which it reads,",
}

_log = logging.getLogger(__name__)

Note = Mapping[str, Any]  # in JSON's types: inputs, links, more, code, environment


class Notes:
    """By node id and class. Safe to use from many threads; with a file also there for the next process."""

    def __init__(self, file: Path | None = None) -> None:
        """A file that is not there or not understood counts as empty: what it says is a convenience."""
        self._file = file
        self._lock = Lock()
        self._notes: OrderedDict[str, Note] = OrderedDict(_read(file) if file is not None else {})

    def last(self, node_id: str, class_type: str) -> Note | None:
        """What that node was when it last ran."""
        with self._lock:
            return self._notes.get(f"{class_type} {node_id}")

    def take(self, explanations: Iterable[Explanation]) -> None:
        """Remember the nodes that ran and gave a result. A file that cannot be written is told of in the log."""
        with self._lock:
            for each in explanations:
                if each.runs and each.reason != "failed" and each.note is not None:
                    name = f"{each.class_type} {each.node_id}"
                    self._notes[name] = each.note
                    self._notes.move_to_end(name)
            while len(self._notes) > MOST:
                self._notes.popitem(last=False)
            if self._file is not None:
                try:
                    write_whole(self._file, ENCODE({"format": FORMAT, "nodes": list(self._notes.items())}).encode())
                except OSError as error:
                    _log.warning("%s: what ran cannot be remembered there (%s).", self._file, error.strerror or error)


def note(task: Task, facts: list[Any], sources: Mapping[str, str], code: str, environment: str) -> Note:
    """A fingerprint's facts as a note; `sources` are the ids of the nodes that its inputs are linked to."""
    _, _, literals, links, *more = facts
    return {
        "inputs": {name: [show(value), _digest(value)] for name, value in literals.items()},
        "links": {
            name: [sources[name], *(link if isinstance(link, list) else [link, task.spec.inputs[name].output])]
            for name, link in links.items()
        },
        "more": {_kind(each): _digest(each) for each in more},
        "code": _digest(code),
        "environment": environment,
    }


def changes(before: Note, after: Note) -> tuple[list[Change], list[str]]:
    """What is different by itself, and the inputs whose sources give something else than before."""
    found: list[Change] = []
    for name in dict.fromkeys([*before["inputs"], *before["links"], *after["inputs"], *after["links"]]):
        if before["inputs"].get(name) != after["inputs"].get(name) or _source(before, name) != _source(after, name):
            found.append(Change(f"the input {name!r}", _shown(before, name), _shown(after, name)))
    changed = {change.what for change in found}
    others = [
        name
        for name, link in after["links"].items()
        if f"the input {name!r}" not in changed and link != before["links"].get(name)
    ]
    more = dict.fromkeys([*before["more"], *after["more"]])
    found += [Change(MORE[kind], "", "") for kind in more if before["more"].get(kind) != after["more"].get(kind)]
    if before["code"] != after["code"]:
        found.append(Change("its code", "", ""))
    if before["environment"] != after["environment"]:
        found += _environment_changes(before["environment"], after["environment"])
    return found, others


def _source(said: Note, name: str) -> tuple[str, int] | None:
    link = said["links"].get(name)
    return (link[0], link[2]) if link else None


def _shown(said: Note, name: str) -> str:
    if name in said["inputs"]:
        return str(said["inputs"][name][0])
    source = _source(said, name)
    return f"output {source[1]} of node {source[0]}" if source else "nothing"


def _environment_changes(before: str, after: str) -> list[Change]:
    try:
        old, new = json.loads(before), json.loads(after)
        names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
        return [Change(name, str(old.get(name)), str(new.get(name))) for name in names]
    except (ValueError, TypeError, AttributeError):
        return [Change("what numbers depend on besides", before, after)]


def _kind(fact: list[Any]) -> str:
    return fact[0] if fact[0] in MORE else "around"


def _digest(value: Any) -> str:
    return blake2b(ENCODE(value).encode(), digest_size=8).hexdigest()


def _is_note(said: Any) -> bool:
    mappings = [said, *(said.get(key) for key in ("inputs", "links", "more"))] if isinstance(said, dict) else [None]
    return all(isinstance(each, dict) for each in mappings) and {"code", "environment"} <= said.keys()


def _read(file: Path) -> Mapping[str, Note]:
    try:
        said = json.loads(file.read_bytes())
        notes = dict(said["nodes"]) if said["format"] == FORMAT else {}
        return notes if all(map(_is_note, notes.values())) else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
