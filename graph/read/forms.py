"""What a file holds of a workflow, told by content: API form, the editor's, A1111's text, or several of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graph.document import Document
from graph.problems import DocumentError, Problem
from graph.read import a1111
from graph.read.api import parse_json, read_api
from graph.read.convert import Circumstances, is_editor_form, to_prompt
from graph.read.facts import Facts
from graph.read.images import read_texts

JSON_BYTES = 64 * 2**20
JSON_VALUES = 3_000_000  # a workflow of 2,000 nodes has some hundred thousand
DEEPEST = 100  # lists and objects inside each other; editors' files have about ten
MOST_TOLD = 200  # sentences about one file; nobody reads more
WRAPPINGS = 4  # answers about jobs, inside answers about jobs
OTHER_FILES = (  # how they begin, and what they are
    (b"PK\3\4", "an archive (ZIP)"),
    (b"\x1f\x8b", "a packed file (gzip)"),
    (b"%PDF", "a PDF"),
    (b"BM", "a picture of another kind (BMP)"),
    (b"II*\0", "a picture of another kind (TIFF)"),
    (b"MM\0*", "a picture of another kind (TIFF)"),
    (b"\x1aE\xdf\xa3", "a film (WebM)"),
    (b"OggS", "a sound file"),
    (b"fLaC", "a sound file"),
    (b"ID3", "a sound file"),
)
WHAT_TO_GIVE = "give a workflow as JSON, or a picture that was saved with one"


@dataclass
class Found:
    """The forms in which a file holds its workflow, and what stood in the way of reading others."""

    prompt: dict[str, Any] | None = None  # API form
    workflow: dict[str, Any] | None = None  # the editor's
    parameters: str | None = None  # A1111's
    extra: dict[str, Any] = field(default_factory=dict)  # what results carry besides
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_picture: bool = False


def find_in_picture(data: bytes) -> Found:
    """What a picture carries. Raises DocumentError if it cannot be read."""
    texts, notes = read_texts(data)
    found = Found(notes=list(notes), parameters=texts.get("parameters"), is_picture=True)
    for key in ("prompt", "workflow"):
        if key not in texts:
            continue
        try:
            value = _parsed(texts[key])
            inner = _find(value, is_whole=key == "prompt")
            if value and inner.prompt is None and inner.workflow is None:
                read_api(value)  # says why it is none
        except DocumentError as error:
            found.problems += (
                replace(each, sentence=f"The text “{key}” in the picture: {each.sentence}") for each in error.problems
            )
            continue
        found.prompt = found.prompt or inner.prompt
        found.workflow = found.workflow or inner.workflow
        found.extra = inner.extra | found.extra
    return found


def find_in_text(data: bytes) -> Found:
    """What JSON holds, or a text of A1111's. Raises DocumentError if it is neither."""
    encoding = json.detect_encoding(data)
    head = data[:256].decode(encoding, "replace").lstrip("\ufeff \t\r\n")
    other = _other_file(data, head) if head[:1] not in ("{", "[") else ""
    if other:
        sentence = f"This is {other}, neither JSON nor a PNG, WebP, JPEG, GIF or AVIF; {WHAT_TO_GIVE}."
        raise DocumentError([Problem("invalid_prompt", sentence)])
    # No line of JSON can begin as one of these texts does.
    if len(data) <= 4 * a1111.LONGEST and a1111.is_parameters(text := data.decode(encoding, "replace")):
        return Found(parameters=text.removeprefix("\ufeff"))
    value = _parsed(data)
    found = _find(value, is_whole=True)
    if found.prompt is None and found.workflow is None:
        read_api(value)  # says why it is none
    return found


def document_of(found: Found, facts: Facts | None, circumstances: Circumstances | None) -> Document:
    """The workflow, from the first of its forms that can be read: what was run, what the editor shows, A1111's text.

    Raises DocumentError with what is wrong with each if none can be.
    """
    problems = list(found.problems)
    extra = dict(found.extra)
    if found.workflow is not None:
        extra["workflow"] = found.workflow
    others = (found.workflow is not None and facts is not None) or found.parameters is not None
    if found.prompt or (found.prompt is not None and not others):
        try:
            return _noted(read_api(found.prompt, extra), found.notes, problems)
        except DocumentError as error:
            problems += error.problems
    if found.workflow is not None and facts is not None:
        try:
            converted = to_prompt(found.workflow, facts, circumstances)
            return _noted(read_api(converted.prompt, extra), [*found.notes, *converted.notes], problems)
        except DocumentError as error:
            problems += error.problems
    if found.parameters is not None:
        try:
            described = a1111.to_prompt(found.parameters, facts)
            return _noted(read_api(described.prompt, extra), [*found.notes, *described.notes], problems)
        except DocumentError as error:
            problems += error.problems
    if problems:
        raise DocumentError(problems[:MOST_TOLD])
    if not found.is_picture:
        read_api(found.workflow)  # says that the editor's form cannot be run without facts
    what = (
        " in API form, only the editor's form of one, for which facts about node classes are needed"
        if found.workflow is not None
        else ""
    )
    sentence = f"This picture carries no workflow{what}; give one that was saved with it, unchanged by other programs."
    raise DocumentError([Problem("invalid_prompt", sentence)])


def _noted(document: Document, notes: Iterable[str], problems: Iterable[Problem]) -> Document:
    """The document with what was odd on the way to it: a form of it that is no good is not what is run."""
    return replace(
        document, notes=(*(f"{problem.sentence} Another form of it is taken." for problem in problems), *notes)
    )


def _find(value: object, wrappings: int = 0, *, is_whole: bool = False) -> Found:
    """Workflows in a value: itself, or wrapped in what is sent to a server or what that tells of a job.

    An empty object is a workflow where it is the whole of what was given as one.
    """
    if isinstance(value, dict):
        if any(isinstance(node, dict) and "class_type" in node for node in value.values()):
            return Found(prompt=value)
        if is_editor_form(value):
            return Found(workflow=_without_nan(value))
        if wrappings == WRAPPINGS:
            return Found()
        if value.keys() & {"prompt", "workflow", "output"}:
            return _unwrapped(value, wrappings + 1)
        jobs = [each for each in value.values() if isinstance(each, dict) and "prompt" in each]
        if len(jobs) == len(value) == 1:
            return _find(jobs[0], wrappings + 1)
        if len(jobs) > 1:
            sentence = f"This JSON tells of {len(jobs)} jobs, each with a workflow; give one of them."
            raise DocumentError([Problem("invalid_prompt", sentence)])
        return Found(prompt=value if is_whole and not value else None)
    if isinstance(value, list) and len(value) >= 3 and isinstance(value[2], dict):  # a job: number, id, prompt, extra
        return _unwrapped({"prompt": value[2], "extra_data": value[3] if len(value) > 3 else {}}, wrappings + 1)
    return Found()


def _unwrapped(value: Mapping[str, Any], wrappings: int) -> Found:
    found = Found()
    extra_data = value.get("extra_data")
    extra = extra_data.get("extra_pnginfo") if isinstance(extra_data, dict) else None
    found.extra = dict(extra) if isinstance(extra, dict) else {}
    for inner in (value.get("prompt"), value.get("output"), value.get("workflow"), found.extra.get("workflow")):
        if isinstance(inner, str) and inner.lstrip().startswith("{"):
            inner = _parsed(inner)
        within = _find(inner, wrappings)
        found.prompt = found.prompt or within.prompt
        found.workflow = found.workflow or within.workflow
        found.extra = within.extra | found.extra
    return found


def _parsed(text: bytes | str) -> Any:
    """The value of JSON. Raises DocumentError also for what would take far more memory or depth than a workflow."""
    opening, comma, brace = ("[", ",", "{") if isinstance(text, str) else (b"[", b",", b"{")
    values = text.count(opening) + text.count(comma) + text.count(brace)  # type: ignore[arg-type]
    if len(text) > JSON_BYTES or values > JSON_VALUES:
        raise DocumentError([Problem("invalid_prompt", "This JSON is far larger than any workflow; give a workflow.")])
    value = parse_json(text)
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return value
    sentence = "This JSON is no workflow: it is nested too deeply; export it again."
    raise DocumentError([Problem("invalid_prompt", sentence)])


def _without_nan(value: Any) -> Any:
    """The same with null for NaN and infinities, as the editor reads its files; JSON knows neither."""
    if isinstance(value, float) and value - value != 0:
        return None
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return value


def _other_file(data: bytes, head: str) -> str:
    """What a file is that is no text, or nothing."""
    for beginning, name in OTHER_FILES:
        if data.startswith(beginning):
            return name
    if data[4:8] == b"ftyp":
        return "a film, or a picture (HEIC)"
    if data[8:9] == b"{" and b"\0" in data[:8]:
        return "a model file (safetensors)"
    if any(character < " " and character not in "\t\r\n\f" for character in head):
        return "a file of another kind"
    return ""
