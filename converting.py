"""Workflow files of any form: read, changed, checked with what is missing, and written in another form."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from graph.document import Document
from graph.files import write_whole
from graph.model import Graph
from graph.paths import Paths
from graph.problems import DocumentError, Problem
from graph.read.api import read_api
from graph.read.convert import is_editor_form
from graph.read.facts import Registered
from graph.read.forms import document_of, find_in_picture, find_in_text
from graph.read.images import is_picture
from graph.read.missing import UNKNOWN_CLASS, missing, surplus
from graph.read.python import read_python
from graph.registry import Registry
from graph.validate import validate
from graph.write import Form
from graph.write.editor import to_editor


class Given(NamedTuple):
    """A workflow as a file had it."""

    document: Document
    is_editor: bool  # whether the file was a workflow of the editor, and nothing else


def read_file(file: Path, registry: Registry, paths: Paths) -> Given:
    """The workflow in a file of any form but Python. Raises OSError, and DocumentError if there is none."""
    data = file.read_bytes()
    found = find_in_picture(data) if is_picture(data) else find_in_text(data)
    is_editor = not found.is_picture and found.prompt is None and found.workflow is not None
    document = document_of(found, Registered(registry, paths), None)
    return Given(replace(document, notes=(*document.notes, *surplus(document, registry))), is_editor)


def read_any(file: Path, registry: Registry, paths: Paths) -> Given:
    """As read_file(), and a file of Python is run for the document that it makes."""
    return Given(read_python(file), False) if file.suffix == ".py" else read_file(file, registry, paths)


def with_prompt(document: Document, prompt: Mapping[str, Any], registry: Registry, paths: Paths) -> Document:
    """The document with other values; the editor's form that results carry has them, too."""
    extra = dict(document.extra_pnginfo)
    workflow = extra.pop("workflow", None)
    if is_editor_form(workflow):
        extra["workflow"] = to_editor(prompt, Registered(registry, paths), workflow)
    return replace(read_api(dict(prompt), extra), notes=document.notes)


def checked(document: Document, registry: Registry, paths: Paths) -> Graph:
    """The graph. Raises DocumentError with every Problem: first what is not here, then what else is wrong."""
    found = validate(document, registry, paths)
    if isinstance(found, Graph):
        return found
    workflow = document.extra_pnginfo.get("workflow")
    absent = missing(document, registry, paths, workflow if isinstance(workflow, Mapping) else None)
    raise DocumentError(_each_once(absent, found))


def _each_once(absent: Sequence[Problem], problems: Sequence[Problem]) -> list[Problem]:
    """What is missing, and of validation's problems those that this does not tell of already."""
    unknown = {each.class_type for each in absent if each.kind == UNKNOWN_CLASS}
    wrong = {(each.node_id, each.input) for each in problems if each.kind == "value_not_in_list"}
    # Where all classes are known, validation has looked at all that runs, and what other nodes lack is not needed.
    needed = [each for each in absent if unknown or each.kind != "value_not_in_list" or _place(each) in wrong]
    said = {_place(each) for each in needed if each.kind == "value_not_in_list"}
    rest = [
        each
        for each in problems
        if not (each.kind == "invalid_prompt" and each.class_type in unknown)
        and not (each.kind == "value_not_in_list" and _place(each) in said)
    ]
    return [*needed, *rest]


def _place(problem: Problem) -> tuple[str | None, str | None]:
    return problem.node_id, problem.input


def unknown_classes(document: Document, registry: Registry, paths: Paths) -> list[str]:
    """A sentence for each node class that is not here: converted is only what the file itself tells of its nodes."""
    workflow = document.extra_pnginfo.get("workflow")
    absent = missing(document, registry, paths, workflow if isinstance(workflow, Mapping) else None)
    return [str(each) for each in absent if each.kind == UNKNOWN_CLASS]


def form_for(out: str, given: Given, asked: Form | None) -> Form:
    """The form to write: what was asked for, Python by the name, else that of the editor and the API that IN is not.

    Raises ValueError, with a sentence, for a name that says nothing.
    """
    if asked:
        return asked
    ending = Path(out).suffix.lower()
    if ending == ".py":
        return "python"
    if ending != ".json" and out != "-":
        raise ValueError(f"{out}: the name must end in .json or .py, or say what to write: --to editor, api or python.")
    return "api" if given.is_editor else "editor"


def write_text(out: Path, text: str) -> None:
    """Write a file as a whole or not at all, readable for whom other new files are. Raises OSError."""
    out = out.resolve()  # a link stays one
    content = text.encode(errors="surrogatepass")
    if out.exists() and not out.is_file() and not out.is_dir():  # such as /dev/stdout
        out.write_bytes(content)
        return
    if out.exists():
        mode = out.stat().st_mode & 0o777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    write_whole(out, content)
    with suppress(OSError):
        out.chmod(mode)
