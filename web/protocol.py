"""ComfyUI's wire: the strings of its messages and of its bodies about prompts, and how Darkroom's values become them.

Times on the wire are milliseconds since 1970. Binary frames are big-endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from graph.events import NodeBlocked, NodeFailed, NodeFinished, NodesCached, NodeStarted
from graph.jobs import Job
from graph.problems import Problem, some
from graph.queue.events import PastError
from graph.queue.journal import Numbered
from web.settings import PreviewsFor

Message = dict[str, Any]

# ── who is who ────────────────────────────────────────────────────────────────────────────────────────────────────────


def client_of(user: str, session: str) -> str:
    """Whose a job is: a user, and which of that user's clients. User names have no slash."""
    return f"{user}/{session}"


def user_of(client: str) -> str:
    """The user part."""
    return client.partition("/")[0]


def session_of(client: str) -> str:
    """What the wire calls client id; "" if there was none."""
    return client.partition("/")[2]


def previews_of(extra_data: Mapping[str, Any]) -> PreviewsFor | None:
    """Who shall see previews, if a prompt's extra data say so."""
    method = extra_data.get("preview_method")
    return "none" if method == "none" else "all" if method in ("auto", "latent2rgb", "taesd") else None


# ── bodies ────────────────────────────────────────────────────────────────────────────────────────────────────────────

QueueItem = tuple[float | int, str, dict[str, Any], dict[str, Any], list[str]]


class QueueAnswer(msgspec.Struct):
    """[number, prompt id, prompt, extra data, output ids] of each job."""

    queue_running: list[QueueItem]
    queue_pending: list[QueueItem]


class ExecInfo(msgspec.Struct):
    """How many jobs wait or run."""

    queue_remaining: int


class QueueCount(msgspec.Struct):
    """The state of the queue in one number."""

    exec_info: ExecInfo


class PromptAnswer(msgspec.Struct):
    """A prompt was accepted; `node_errors` tells of outputs that are left out since they cannot run.

    `notes` are sentences on what was odd about a workflow in the editor's form, if anything was.
    """

    prompt_id: str
    number: float | int
    node_errors: dict[str, Any]
    notes: list[str] | msgspec.UnsetType = msgspec.UNSET


class HistoryStatus(msgspec.Struct):
    """How a job ended, and the messages that said so."""

    status_str: str
    completed: bool
    messages: list[tuple[str, dict[str, Any]]]


class HistoryEntry(msgspec.Struct):
    """A job that is over."""

    prompt: QueueItem
    outputs: dict[str, dict[str, Any]]
    status: HistoryStatus
    meta: dict[str, dict[str, Any]]


def queue(running: Iterable[Job], pending: Iterable[Job]) -> QueueAnswer:
    """The body of GET /queue."""
    return QueueAnswer([queue_item(job) for job in running], [queue_item(job) for job in pending])


def queue_item(job: Job) -> QueueItem:
    """A job as /queue and /history show it. Credentials never got as far as this."""
    request = job.request
    extra_data = dict(request.extra)
    if request.extra_pnginfo:
        extra_data["extra_pnginfo"] = dict(request.extra_pnginfo)
    if session := session_of(request.client):
        extra_data["client_id"] = session
    return (number_of(job), request.id, dict(request.prompt), extra_data, list(request.targets or ()))


def number_of(job: Job) -> float | int:
    """Its number as clients of this wire know it: whole if the server gave it, a float if a client chose it."""
    return job.number if job.request.place is None else float(job.number)


def history_entry(job: Job, events: Iterable[Numbered]) -> HistoryEntry:
    """A job that is over, with those of its events that HISTORY_EVENTS names."""
    job_id = job.request.id
    ended_s = job.ended_s or job.created_s
    cached: list[str] = []
    failed: tuple[NodeFailed, float] | None = None
    begun: dict[str, str] = {}
    for _, _, event, at_s in events:
        match event:
            case NodesCached():
                cached += event.node_ids
            case NodeStarted():
                begun[event.node_id] = event.class_type
            case NodeFinished():
                begun.pop(event.node_id, None)
            case NodeFailed():
                failed = failed or (event, at_s)
    messages = [execution_start(job_id, job.started_s or job.created_s)] if job.started_s else []
    if job.started_s:
        messages.append(execution_cached(job_id, cached, job.started_s))
    match job.state:
        case "succeeded":
            messages.append(execution_success(job_id, ended_s))
        case "cancelled":
            messages.append(execution_interrupted(job_id, begun, (), ended_s))
        case _ if failed is not None:
            messages.append(execution_error(job_id, failed[0], (), failed[1]))
        case _:
            messages.append(job_error(job_id, job.reason, ended_s))
    done = job.state == "succeeded"
    status = HistoryStatus("success" if done else "error", done, [(each["type"], each["data"]) for each in messages])
    meta = {
        each.node_id: {
            "node_id": each.node_id,
            "display_node": each.display_id,
            "parent_node": None if each.display_id == each.node_id else each.display_id,
            "real_node_id": each.display_id,
        }
        for each in job.outputs
    }
    outputs = {each.node_id: dict(each.ui) for each in job.outputs if each.ui}
    return HistoryEntry(queue_item(job), outputs, status, meta)


HISTORY_EVENTS = ("NodesCached", "NodeFailed")  # what messages of a job that is over are made from,
INTERRUPTED_EVENTS = (*HISTORY_EVENTS, "NodeStarted", "NodeFinished")  # and of one that was interrupted

# ── what is wrong with a prompt ───────────────────────────────────────────────────────────────────────────────────────

MEANINGS: Mapping[str, str] = {  # what clients show before the details
    "required_input_missing": "Required input is missing",
    "bad_linked_input": "Bad linked input",
    "return_type_mismatch": "Return type mismatch between linked nodes",
    "invalid_input_type": "The value has another type",
    "value_smaller_than_min": "The value is too small",
    "value_bigger_than_max": "The value is too big",
    "value_not_in_list": "Value not in list",
    "custom_validation_failed": "Custom validation failed for node",
    "exception_during_validation": "The node could not be checked",
    "dependency_cycle": "Nodes wait for each other in a circle",
    "invalid_prompt": "The node cannot be run",
}


def node_errors(
    problems: Sequence[Problem], classes: Mapping[str, str], dependents: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Problems by node id. `classes` are the class types of nodes, `dependents` the outputs that need them."""
    found: dict[str, Any] = {}
    for each in problems:
        if each.node_id is None:
            continue
        entry = found.setdefault(
            each.node_id,
            {
                "errors": [],
                "dependent_outputs": list(dependents.get(each.node_id, ())),
                "class_type": each.class_type or classes.get(each.node_id, ""),
            },
        )
        extra = dict(each.extra) | ({"input_name": each.input} if each.input else {})
        message = MEANINGS.get(each.kind, each.kind.replace("_", " ").capitalize())
        entry["errors"].append(
            {"type": each.kind, "message": message, "details": each.sentence, "extra_info": extra}
        )  # fmt: skip
    return found


def refusal_of(problems: Sequence[Problem]) -> tuple[str, str, str]:
    """Of a prompt of which nothing can run: the error's type, message and details."""
    kinds = {each.kind for each in problems}
    details = some([each.sentence for each in problems], 5)
    for kind in ("invalid_prompt", "prompt_no_outputs"):
        if kind in kinds and (kind == "invalid_prompt" or len(kinds) == 1):
            first = next(each for each in problems if each.kind == kind)
            return kind, first.sentence, details
    return "prompt_outputs_failed_validation", "Prompt outputs failed validation", details


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SERVER_FEATURES = {"supports_preview_metadata": True}


def encode(message: Message) -> str:
    """A message as text. Raises ValueError for what has no form in JSON."""
    try:
        return msgspec.json.encode(message).decode()
    except (TypeError, UnicodeEncodeError, OverflowError):
        return json.dumps(message, default=repr)


def _message(kind: str, data: dict[str, Any]) -> Message:
    return {"type": kind, "data": data}


def ms(at_s: float) -> int:
    """A time in seconds since 1970 as the wire has it."""
    return int(at_s * 1000)


def status(remaining: int, session: str | None = None) -> Message:
    """How many jobs wait or run; the first message to a client has its session id."""
    data: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": remaining}}}
    return _message("status", data if session is None else {**data, "sid": session})


def feature_flags(upload_most_bytes: int) -> Message:
    """What the server can do, in answer to what the client can."""
    return _message("feature_flags", {**SERVER_FEATURES, "max_upload_size": upload_most_bytes})


def features_of_client(text: str) -> Mapping[str, Any] | None:
    """What a client says that it can do, if this message of it says so."""
    try:
        said = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    if isinstance(said, dict) and said.get("type") == "feature_flags" and isinstance(said.get("data"), dict):
        return dict(said["data"])
    return None


def execution_start(job_id: str, at_s: float) -> Message:
    """A job begins."""
    return _message("execution_start", {"prompt_id": job_id, "timestamp": ms(at_s)})


def execution_cached(job_id: str, node_ids: Iterable[str], at_s: float) -> Message:
    """These nodes need not run."""
    return _message("execution_cached", {"nodes": list(node_ids), "prompt_id": job_id, "timestamp": ms(at_s)})


def executing(job_id: str, node_id: str, display_id: str) -> Message:
    """A node begins."""
    return _message("executing", {"node": node_id, "display_node": display_id, "prompt_id": job_id})


def executing_nothing(job_id: str) -> Message:
    """The end of a job, whatever came of it: the last message about it."""
    return _message("executing", {"node": None, "prompt_id": job_id})


def still_executing(display_id: str) -> Message:
    """For a client that comes back while its job runs."""
    return _message("executing", {"node": display_id})


def node_state(job_id: str, node_id: str, display_id: str, parent_id: str | None, state: str) -> dict[str, Any]:
    """How far a node is; `value` of `max` is to be filled in."""
    return {
        "value": 0,
        "max": 1,
        "state": state,
        "node_id": node_id,
        "prompt_id": job_id,
        "display_node_id": display_id,
        "parent_node_id": parent_id,
        "real_node_id": display_id,
    }


def progress_state(job_id: str, nodes: Iterable[Mapping[str, Any]]) -> Message:
    """How far the nodes are that run, and one that has just ended."""
    return _message("progress_state", {"prompt_id": job_id, "nodes": {each["node_id"]: each for each in nodes}})


def progress(job_id: str, node_id: str, value: float, total: float) -> Message:
    """A node has done some of its work."""
    return _message("progress", {"value": value, "max": total, "prompt_id": job_id, "node": node_id})


def executed(job_id: str, node_id: str, display_id: str, ui: Mapping[str, Any] | None) -> Message:
    """A node has shown something."""
    output = None if ui is None else dict(ui)
    return _message("executed", {"node": node_id, "display_node": display_id, "output": output, "prompt_id": job_id})


def execution_success(job_id: str, at_s: float) -> Message:
    """A job has done all it was asked for."""
    return _message("execution_success", {"prompt_id": job_id, "timestamp": ms(at_s)})


def execution_error(job_id: str, event: NodeFailed, ran: Iterable[str], at_s: float) -> Message:
    """A node has failed."""
    error = PastError.of(event.error)
    text = error.text or event.message
    return _error(job_id, event.display_id, event.class_type, error.kind, text, error.trace, ran, timestamp=ms(at_s))


def job_error(job_id: str, reason: str, at_s: float) -> Message:
    """A job has failed for a reason that lies in none of its nodes."""
    return _error(job_id, None, None, "JobFailed", reason, timestamp=ms(at_s))


def execution_blocked(job_id: str, event: NodeBlocked) -> Message:
    """A node did not run, since something that it takes was withheld; the job goes on."""
    text = f"Execution Blocked: {event.message}"
    return _error(job_id, event.node_id, event.class_type, "ExecutionBlocked", text)


def _error(
    job_id: str,
    node_id: str | None,
    node_type: str | None,
    kind: str,
    text: str,
    trace: Iterable[str] = (),
    ran: Iterable[str] = (),
    **more: int,
) -> Message:
    done = list(ran)
    data: dict[str, Any] = {
        "prompt_id": job_id,
        "node_id": node_id,
        "node_type": node_type,
        "executed": done,
        "exception_message": text,
        "exception_type": kind,
        "traceback": list(trace),
        "current_inputs": {},
        "current_outputs": done,
    }
    return _message("execution_error", {**data, **more})


def execution_interrupted(job_id: str, running: Mapping[str, str], ran: Iterable[str], at_s: float) -> Message:
    """A job was cancelled while these nodes ran (class type by id)."""
    node_id, class_type = next(iter(running.items()), (None, None))
    return _message(
        "execution_interrupted",
        {
            "prompt_id": job_id,
            "node_id": node_id,
            "node_type": class_type,
            "executed": list(ran),
            "timestamp": ms(at_s),
        },
    )


def logs(entries: Sequence[Mapping[str, Any]], size: Mapping[str, int]) -> Message:
    """New lines of the log, for those who asked for them."""
    return _message("logs", {"entries": list(entries), "size": dict(size)})


# ── binary frames ─────────────────────────────────────────────────────────────────────────────────────────────────────

PREVIEW, PREVIEW_WITH_METADATA = 1, 4  # first number of a frame
IMAGE_TYPES: Mapping[str, int] = {"jpeg": 1, "png": 2}


def preview(image_type: str, picture: bytes) -> bytes:
    """A picture of work in progress, for clients that know of no other form."""
    return struct.pack(">II", PREVIEW, IMAGE_TYPES[image_type]) + picture


def preview_with_metadata(
    job_id: str, node_id: str, display_id: str, parent_id: str | None, image_type: str, picture: bytes
) -> bytes:
    """A picture of work in progress, and whose it is."""
    facts = {
        "node_id": node_id,
        "prompt_id": job_id,
        "display_node_id": display_id,
        "parent_node_id": parent_id,
        "real_node_id": display_id,
        "image_type": f"image/{image_type}",
    }
    text = encode(facts).encode()
    return struct.pack(">II", PREVIEW_WITH_METADATA, len(text)) + text + picture
