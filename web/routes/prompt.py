"""/prompt: a workflow comes in, is looked at, and waits for its turn."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, NamedTuple

import msgspec

from graph.document import Document, Link
from graph.jobs import OVER, JobRequest
from graph.paths import Paths
from graph.problems import DocumentError, Problem
from graph.reach import reached
from graph.read.api import read_api
from graph.read.convert import is_editor_form, to_prompt
from graph.read.facts import Registered
from graph.registry import Registry
from graph.validate import examine
from web import protocol
from web.declare import HUB, Call, Truthy, route
from web.errors import ErrorAnswer, Refused
from web.services import Services

ID_MOST = 200  # characters of a job's id, and of a client's
NUMBER_MOST = 2**53
NODES_MOST = 1000  # whose problems are told
NOTES_MOST = 200  # sentences; nobody reads more
OUTPUTS_MOST = 100  # that are looked at for whether they need a node with problems


class PromptBody(msgspec.Struct):
    """A workflow, and how to run it."""

    prompt: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="the workflow, in API form or as the editor saves it")
    ] = None
    prompt_id: Annotated[Any, msgspec.Meta(description="the job's id; none: a fresh one")] = None
    client_id: Annotated[
        Annotated[str, msgspec.Meta(max_length=ID_MOST)] | None, msgspec.Meta(description="who is told of progress")
    ] = None
    extra_data: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(description="kept with the job; extra_pnginfo goes into what is saved, credentials are dropped"),
    ] = None
    number: Annotated[float | int | None, msgspec.Meta(description="its place: lower goes first")] = None
    front: Annotated[Truthy, msgspec.Meta(description="before all that wait with its priority")] = False
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000, description="higher goes first")] = 0
    partial_execution_targets: Annotated[
        list[str | int] | None, msgspec.Meta(description="the output nodes that are wanted; none: all")
    ] = None


class Examined(NamedTuple):
    """What came of looking at a prompt: the outputs that can run, and what is wrong with others."""

    targets: tuple[str, ...]
    problems: Sequence[Problem]
    node_errors: Mapping[str, Any]


@route("GET", "/prompt")
async def count_jobs(call: Call) -> protocol.QueueCount:
    """How many jobs wait or run."""
    return protocol.QueueCount(protocol.ExecInfo(call.services.scheduler.remaining))


@route("POST", "/prompt", answers={400: ErrorAnswer, 409: ErrorAnswer, 429: ErrorAnswer})
async def submit(call: Call, body: PromptBody) -> protocol.PromptAnswer:
    """Put a workflow into the queue, in API form or as the editor saves it.

    It is on disk when this answers. Outputs that cannot run are left out and told in `node_errors`; if none can run,
    the answer is 400. A second prompt with the same `prompt_id` and content is the same job; with another content it
    is refused (409).
    """
    if body.prompt is None:
        raise Refused(400, "no_prompt", "No prompt provided", details="No prompt provided")
    services = call.services
    request = _request(body, call.user)
    notes: Sequence[str] = ()
    if is_editor_form(body.prompt):
        request, notes = await asyncio.to_thread(in_api_form, request, services)
    only = None if body.partial_execution_targets is None else [str(each) for each in body.partial_execution_targets]
    found = await asyncio.to_thread(examined, request, only, services.registry, services.paths)
    if not found.targets:
        kind, message, details = protocol.refusal_of(found.problems)
        raise Refused(400, kind, message, details=details, node_errors=found.node_errors)
    job = await services.scheduler.submit(replace(request, targets=found.targets))
    if job.state not in OVER and (previews := protocol.previews_of(request.extra)) is not None:
        call.request.app[HUB].show_previews(request.id, previews)
    answer = protocol.PromptAnswer(job.request.id, protocol.number_of(job), dict(found.node_errors))
    if notes:
        answer.notes = list(notes)
    return answer


def in_api_form(request: JobRequest, services: Services) -> tuple[JobRequest, Sequence[str]]:
    """A request with a workflow of the editor as one in API form, and what was odd about it. Raises Refused (400).

    What is saved carries the workflow. A request that is known already keeps the form that it got: texts may hold the
    time, or leave a part to chance, and the same request shall be the same job.
    """
    workflow = dict(request.prompt)
    extra_pnginfo = {"workflow": workflow} | dict(request.extra_pnginfo)
    known = services.store.get(request.id)
    if known is not None and dict(known.request.extra_pnginfo) == extra_pnginfo:
        return replace(request, prompt=dict(known.request.prompt), extra_pnginfo=extra_pnginfo), ()
    try:
        found = to_prompt(workflow, Registered(services.registry, services.paths))
    except DocumentError as error:
        raise unreadable(error) from error
    return replace(request, prompt=found.prompt, extra_pnginfo=extra_pnginfo), found.notes[:NOTES_MOST]


def unreadable(error: DocumentError) -> Refused:
    """400 with every problem of what is no workflow."""
    kind, message, details = protocol.refusal_of(error.problems)
    node_errors = protocol.node_errors(error.problems, {}, {})
    return Refused(400, kind, message, details=details, node_errors=node_errors)


def examined(request: JobRequest, only: Sequence[str] | None, registry: Registry, paths: Paths) -> Examined:
    """Look at a prompt, as far as can be before it runs. Takes milliseconds, and looks at files."""
    try:
        document = read_api(dict(request.prompt), dict(request.extra_pnginfo))
    except DocumentError as error:
        return Examined((), error.problems, protocol.node_errors(error.problems, {}, {}))
    found = examine(document, registry, paths, only=only)
    classes = {node_id: node.class_type for node_id, node in document.nodes.items()}
    bad = set(islice(dict.fromkeys(name for each in found.problems if (name := each.node_id)), NODES_MOST))
    told = [each for each in found.problems if each.node_id in bad]
    targets = found.graph.targets if found.graph is not None else ()
    return Examined(targets, found.problems, protocol.node_errors(told, classes, _dependents(document, bad, registry)))


def _request(body: PromptBody, user: str) -> JobRequest:
    extra = dict(body.extra_data or {})
    extra_pnginfo = extra.pop("extra_pnginfo", None) or {}
    if not isinstance(extra_pnginfo, dict):
        raise Refused(400, "invalid_value", "extra_data.extra_pnginfo is no object; each of its keys is saved.")
    session = extra.pop("client_id", None)
    session = body.client_id if body.client_id is not None else session if isinstance(session, str) else ""
    job_id = str(uuid.uuid4()) if body.prompt_id is None else str(body.prompt_id)
    if not 0 < len(job_id) <= ID_MOST or not job_id.isprintable():
        raise Refused(400, "invalid_value", f"prompt_id must be 1 to {ID_MOST} characters that can be printed.")
    if body.number is not None and not abs(body.number) <= NUMBER_MOST:
        raise Refused(400, "invalid_value", f"number must be between -{NUMBER_MOST} and {NUMBER_MOST}.")
    return JobRequest(
        job_id,
        body.prompt or {},
        extra_pnginfo,
        client=protocol.client_of(user, session[:ID_MOST]),
        priority=body.priority,
        front=bool(body.front) and body.number is None,
        extra=extra,
        place=body.number,
    )


def _dependents(document: Document, bad: set[str], registry: Registry) -> dict[str, list[str]]:
    """Of each of these nodes: the output nodes that need it, of the first hundred that there are."""
    sources = {
        node_id: [value.node for value in node.inputs.values() if type(value) is Link]
        for node_id, node in document.nodes.items()
    }
    outputs = (
        node_id
        for node_id, node in document.nodes.items()
        if (cls := registry.get(node.class_type)) is not None and cls.schema().effect
    )
    found: dict[str, list[str]] = {each: [] for each in bad}
    for output in islice(outputs, OUTPUTS_MOST if bad else 0):
        needed = reached([output], sources)
        for each in bad & needed:
            found[each].append(output)
    return found
