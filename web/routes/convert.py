"""/workflow: workflows in any form read, and written in another, for editors; nothing is queued."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from graph.document import Document
from graph.jobs import JobRequest
from graph.problems import DocumentError, Problem
from graph.read.api import read_api
from graph.read.convert import is_editor_form, to_prompt
from graph.read.facts import Registered
from graph.read.forms import document_of, find_in_picture, find_in_text
from graph.read.images import is_picture
from graph.read.missing import missing, surplus
from graph.write import write
from graph.write.editor import to_editor
from web import protocol
from web.declare import Call, route
from web.errors import ErrorAnswer, ErrorBody, Refused
from web.pictures import in_turn
from web.routes.prompt import NOTES_MOST, examined, unreadable
from web.services import Services
from web.uploads import received_alone

MISSING_MOST = 1000  # that are told
DRAWN_MOST = 10_000  # nodes that are laid out; so many take some seconds


class ConvertBody(msgspec.Struct):
    """A workflow, and the form in which it is wanted."""

    workflow: Annotated[dict[str, Any], Meta(description="in API form, or as the editor saves it")]
    to: Literal["api", "editor", "python"] = "api"
    base: Annotated[
        dict[str, Any] | None,
        Meta(description="with to=editor: the editor's workflow that it came from, whose places and notes are kept"),
    ] = None


class Missing(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something that a workflow needs and the server does not have."""

    type: Annotated[str, Meta(description="missing_node_type, or value_not_in_list for models and other choices")]
    sentence: Annotated[str, Meta(description="for people")]
    nodes: Annotated[list[str], Meta(description="ids of the nodes that need it")]
    class_type: str | None = None
    input: str | None = None
    value: Annotated[str | None, Meta(description="the file or choice")] = None
    folder: Annotated[str | None, Meta(description="of a model: its folder below models/")] = None
    nearest: Annotated[list[str], Meta(description="what may stand in for it")] = []
    pack: Annotated[str | None, Meta(description="the pack of the class, as far as the workflow says")] = None
    url: Annotated[str | None, Meta(description="where the model can be had, as far as the workflow says")] = None


class Conversion(msgspec.Struct, kw_only=True):
    """A workflow in the form that was asked for, and what POST /prompt would say of it."""

    workflow: dict[str, Any] | UnsetType = UNSET
    source: Annotated[str | UnsetType, Meta(description="of Python")] = UNSET
    notes: Annotated[list[str], Meta(description="sentences on what was odd, or left out")]
    missing: list[Missing]
    can_run: Annotated[bool, Meta(description="whether POST /prompt would take it")]
    error: Annotated[ErrorBody | None, Meta(description="why it would not")]
    node_errors: Annotated[dict[str, Any], Meta(description="as POST /prompt has them, by ids of the API form")]


class Reading(msgspec.Struct, kw_only=True):
    """The workflow that a file carries, as the editor opens it."""

    workflow: dict[str, Any]
    is_drawn: Annotated[bool, Meta(description="whether the file had no form of the editor, and this was laid out")]
    notes: Annotated[list[str], Meta(description="sentences on what was odd, or left out")]
    missing: list[Missing]


class WorkflowFile(msgspec.Struct):
    """A file."""

    file: Annotated[bytes, Meta(description="A picture, or JSON.")]


@route("POST", "/workflow/convert", answers={200: Conversion, 400: ErrorAnswer, 413: ErrorAnswer})
async def convert(call: Call, body: ConvertBody) -> web.Response:
    """Write a workflow in another form, and say everything that is wrong with it. Nothing is queued.

    One that could not run is converted all the same; 400 is for what is no workflow.
    """
    return await call.json(await asyncio.to_thread(_convert, body, call.services))


@route(
    "POST",
    "/workflow/read",
    upload=WorkflowFile,
    takes="application/octet-stream",
    answers={200: Reading, 400: ErrorAnswer, 413: ErrorAnswer},
)
async def read_workflow(call: Call) -> web.Response:
    """The workflow in a file, for the editor: JSON of any form, or a picture. It is the body, or a file in a form.

    What has only the API form, or a text of parameters, is drawn.
    """
    services = call.services
    folder = services.paths.folders["temp"]
    async with received_alone(call.request, folder, call.settings.upload_most_bytes) as file:
        found = await in_turn(call.request, lambda: _read(file, services))
    return await call.json(found)


def _convert(body: ConvertBody, services: Services) -> Conversion:
    facts = Registered(services.registry, services.paths)
    notes: tuple[str, ...] = ()
    prompt, workflow = body.workflow, body.base
    with _refusing():
        if is_editor_form(body.workflow):
            converted = to_prompt(body.workflow, facts)
            prompt, notes = converted.prompt, converted.notes
            workflow = workflow or body.workflow
        document = read_api(prompt, {"workflow": workflow} if is_editor_form(workflow) else {})
        if body.to == "editor":
            _check_size(document)
        text = write(document, body.to, services.registry, services.paths)
    found = examined(JobRequest("", prompt), None, services.registry, services.paths)
    error = None
    if not found.targets:
        kind, message, details = protocol.refusal_of(found.problems)
        error = ErrorBody(type=kind, message=message, details=details)
    is_python = body.to == "python"
    return Conversion(
        workflow=UNSET if is_python else json.loads(text), source=text if is_python else UNSET,
        notes=[*notes, *surplus(document, services.registry)][:NOTES_MOST],
        missing=_missing(document, services), can_run=bool(found.targets),
        error=error, node_errors=dict(found.node_errors),
    )  # fmt: skip


def _read(file: Path, services: Services) -> Reading:
    facts = Registered(services.registry, services.paths)
    with _refusing():
        data = file.read_bytes()
        found = find_in_picture(data) if is_picture(data) else find_in_text(data)
        document = document_of(found, facts, None)
        if not found.workflow:
            _check_size(document)
        drawn = None if found.workflow else to_editor(document.prompt, facts)
    return Reading(
        workflow=found.workflow or drawn or {}, is_drawn=drawn is not None,
        notes=[*document.notes, *surplus(document, services.registry)][:NOTES_MOST],
        missing=_missing(document, services),
    )  # fmt: skip


def _check_size(document: Document) -> None:
    if len(document.nodes) > DRAWN_MOST:
        message = f"The workflow has {len(document.nodes)} nodes; at most {DRAWN_MOST} are drawn: take it apart."
        raise Refused(413, "too_large", message)


def _missing(document: Document, services: Services) -> list[Missing]:
    workflow = document.extra_pnginfo.get("workflow")
    workflow = workflow if isinstance(workflow, Mapping) else None
    found = missing(document, services.registry, services.paths, workflow)
    return [_entry(each) for each in found[:MISSING_MOST]]


def _entry(problem: Problem) -> Missing:
    extra = problem.extra
    nearest = extra.get("nearest", [])
    return Missing(
        type=problem.kind, sentence=problem.sentence, class_type=problem.class_type, input=problem.input,
        nodes=extra.get("nodes") or [each for each in (problem.node_id,) if each is not None],
        value=extra.get("received_value"), folder=extra.get("folder"), pack=extra.get("pack"), url=extra.get("url"),
        nearest=[nearest] if isinstance(nearest, str) else list(nearest),
    )  # fmt: skip


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except DocumentError as error:
        raise unreadable(error) from error
    except OSError as error:
        message = f"The file cannot be kept while it is read: {error.strerror or error}; try again."
        raise Refused(503, "disk_failed", message) from error
