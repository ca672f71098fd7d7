"""Jobs as resources: what clients are shown of a job, in a list and by itself."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from graph.events import (
    NodeBlocked,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodesAdded,
    NodesCached,
    NodeStarted,
    RunStarted,
)
from graph.jobs import OVER, Job, JobState
from graph.paths import Paths
from graph.queue.events import JobQueued, JobRequeued, JobStarted, PastError
from graph.queue.journal import Numbered
from web import protocol
from web.errors import Refused, not_found
from web.protocol import ms

Status = Literal["pending", "in_progress", "completed", "failed", "cancelled"]
NodeState = Literal["waiting", "running", "finished", "cached", "failed", "blocked", "skipped"]
Milliseconds = Annotated[int, Meta(description="milliseconds since 1970")]

STATUS: Mapping[JobState, Status] = {
    "pending": "pending",
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
STATES: Mapping[str, JobState] = {status: state for state, status in STATUS.items()}
PREVIEWABLE = ("image", "video", "audio")


class JobFile(msgspec.Struct, kw_only=True):
    """A file that a job made; /view gives it for the same three values."""

    filename: str
    subfolder: str
    type: Annotated[str, Meta(description="the folder: output, temp or input")]


class PreviewOutput(msgspec.Struct, kw_only=True, rename="camel"):
    """The one output that stands for a job in a list: a file, or a text."""

    node_id: str
    media_type: Annotated[str, Meta(description="under which key the node showed it, such as images")]
    filename: str | UnsetType = UNSET
    subfolder: str | UnsetType = UNSET
    type: Literal["input", "output", "temp"] | UnsetType = UNSET
    content: Annotated[str | UnsetType, Meta(description="the text, of a text")] = UNSET


class JobError(msgspec.Struct, kw_only=True):
    """A failure: of a node, or, without a node id, of the job as a whole."""

    node_id: str
    node_type: str
    exception_type: str
    exception_message: str
    traceback: list[str]
    message: Annotated[str, Meta(description="a sentence with node, class and error")]
    timestamp: Milliseconds


class NodeRun(msgspec.Struct, kw_only=True):
    """How far a node is, or how it went, in the last attempt."""

    state: NodeState
    node_type: Annotated[str, Meta(description="its class; empty as long as it is not known")]
    display_node_id: Annotated[str, Meta(description="the node of the prompt that stands for it")]
    start_time: Milliseconds | None = None
    seconds: Annotated[float | None, Meta(description="what it took to run")] = None
    value: Annotated[float | None, Meta(description="how much of `max` a running node has done")] = None
    max: float | None = None


class JobProgress(msgspec.Struct, kw_only=True):
    """How many nodes are done, and the ids of those that run."""

    done: int
    total: int
    running: list[str]


class JobEntry(msgspec.Struct, kw_only=True):
    """A job, as in a list."""

    id: str
    status: Status
    number: Annotated[int | float, Meta(description="lower goes first among equal priorities of one client")]
    priority: Annotated[int | UnsetType, Meta(description="higher goes first; left out if it is 0, as usual")] = UNSET
    queue_position: Annotated[int | None, Meta(description="1 is the next to begin, as things stand")] = None
    client: Annotated[str, Meta(description="the client_id that it was sent with")]
    create_time: Milliseconds
    execution_start_time: Annotated[int | None, Meta(description="of the last attempt, in ms since 1970")]
    execution_end_time: Annotated[int | None, Meta(description="in ms since 1970")]
    attempts: Annotated[int, Meta(description="how often it began")]
    reason: Annotated[str, Meta(description="why it failed, was cancelled or waits again: a sentence")]
    outputs_count: Annotated[int, Meta(description="files that it showed")]
    previewable_outputs_count: Annotated[int, Meta(description="pictures, videos and sounds among them")]
    preview_output: PreviewOutput | None
    execution_error: Annotated[JobError | None, Meta(description="the first failure")]
    workflow_id: Annotated[str | None, Meta(description="of the workflow that the editor sent along")]


class Submitted(msgspec.Struct, kw_only=True):
    """What was sent to /prompt, without credentials."""

    prompt: dict[str, Any]
    extra_data: dict[str, Any]


class JobDetail(JobEntry, kw_only=True):
    """A job with all that is known of it."""

    update_time: Annotated[int, Meta(description="when something last happened to it, in ms since 1970")]
    targets: Annotated[list[str] | None, Meta(description="output nodes to run; null: all")]
    progress: JobProgress
    nodes: Annotated[dict[str, NodeRun], Meta(description="by node id, once it has begun")]
    errors: Annotated[list[JobError], Meta(description="every failure")]
    outputs: Annotated[dict[str, dict[str, Any]], Meta(description="what nodes showed, by node id")]
    files: Annotated[dict[str, list[JobFile]], Meta(description="what nodes saved, by node id")]
    workflow: Submitted


def entry(job: Job, position: int | None, failures: Sequence[tuple[NodeFailed, float]]) -> JobEntry:
    """A job for a list. `position` is its place among those that wait, `failures` are those of its last attempt."""
    return JobEntry(**_facts(job, position, errors(job, failures)))


def detail(job: Job, position: int | None, events: Iterable[Numbered], paths: Paths) -> JobDetail:
    """A job with what its events tell. Takes a while for thousands of nodes: call in a thread."""
    last = list(events)
    updated_s = max([each.at_s for each in last], default=0.0)
    begun = [number for number, each in enumerate(last) if isinstance(each.event, JobStarted | JobQueued | JobRequeued)]
    nodes, failures = _nodes(job, last[begun[-1] :] if begun else ())
    failed = errors(job, failures)
    running = [node_id for node_id, node in nodes.items() if node.state == "running"]
    done = sum(node.state not in ("waiting", "running") for node in nodes.values())
    item = protocol.queue_item(job)
    return JobDetail(
        **_facts(job, position, failed),
        update_time=ms(max(updated_s, job.created_s, job.started_s or 0.0, job.ended_s or 0.0)),
        targets=None if job.request.targets is None else list(job.request.targets),
        progress=JobProgress(done=done, total=len(nodes), running=running),
        nodes=nodes,
        errors=failed,
        outputs={each.node_id: dict(each.ui) for each in job.outputs if each.ui},
        files={each.node_id: list(files(each.files, paths)) for each in job.outputs if each.files},
        workflow=Submitted(prompt=item[2], extra_data=item[3]),
    )


def errors(job: Job, failures: Sequence[tuple[NodeFailed, float]]) -> list[JobError]:
    """Every failure of a job that failed; what its record alone tells where the events are not there."""
    if job.state != "failed":
        return []
    at = ms(job.ended_s or job.created_s)
    told = {event.node_id: error_of(event, at_s) for event, at_s in failures}
    for each in job.problems:
        node_id, node_type = str(each.get("node_id") or ""), str(each.get("class_type") or "")
        if node_id not in told:
            told[node_id] = _recorded(node_id, node_type, str(each["sentence"]), at)
    return list(told.values()) or [_recorded("", "", job.reason, at)]


def _recorded(node_id: str, node_type: str, sentence: str, at: int) -> JobError:
    return JobError(
        node_id=node_id,
        node_type=node_type,
        exception_type="JobFailed",
        exception_message=sentence,
        traceback=[],
        message=sentence,
        timestamp=at,
    )


def error_of(event: NodeFailed, at_s: float) -> JobError:
    """The failure of a node, of this process or an earlier one."""
    error = PastError.of(event.error)
    return JobError(
        node_id=event.display_id,
        node_type=event.class_type,
        exception_type=error.kind,
        exception_message=error.text or event.message,
        traceback=list(error.trace),
        message=event.message,
        timestamp=ms(at_s),
    )


def files(names: Iterable[str], paths: Paths) -> Iterator[JobFile]:
    """Files as /view knows them; one outside of its folders is not shown."""
    for path in map(Path, names):
        for where, folder in paths.folders.items():
            if path.is_relative_to(folder):
                below = path.parent.relative_to(folder)
                subfolder = below.as_posix() if below.parts else ""
                yield JobFile(filename=path.name, subfolder=subfolder, type=where)
                break


def no_job(job_id: str) -> Refused:
    """404 for an id that nobody has."""
    return not_found(f"There is no job {job_id!r}; it was deleted, or its id is mistyped.")


def _facts(job: Job, position: int | None, failed: Sequence[JobError]) -> dict[str, Any]:
    request = job.request
    shown = [found for output in job.outputs for found in _shown(output.node_id, output.ui)]
    visible = [each for each in shown if _is_previewable(each)]
    kept = [each for each in visible if each.type == "output"] or visible
    text = next((each for output in job.outputs for each in _texts(output.node_id, output.ui)), None)
    workflow = request.extra_pnginfo.get("workflow")
    workflow_id = workflow.get("id") if isinstance(workflow, Mapping) else None
    return {
        "id": request.id,
        "status": STATUS[job.state],
        "number": job.number,
        "priority": request.priority or UNSET,
        "queue_position": position,
        "client": protocol.session_of(request.client),
        "create_time": ms(job.created_s),
        "execution_start_time": None if job.started_s is None else ms(job.started_s),
        "execution_end_time": None if job.ended_s is None else ms(job.ended_s),
        "attempts": job.attempts,
        "reason": job.reason,
        "outputs_count": len(shown),
        "previewable_outputs_count": len(visible),
        "preview_output": kept[-1] if kept else text,
        "execution_error": failed[0] if failed else None,
        "workflow_id": workflow_id if isinstance(workflow_id, str) else None,
    }


def _shown(node_id: str, ui: Mapping[str, Any]) -> Iterator[PreviewOutput]:
    """The files among what a node showed."""
    for key, items in ui.items():
        for item in items if isinstance(items, list | tuple) else ():
            if isinstance(item, Mapping) and isinstance(item.get("filename"), str):
                where = item.get("type")
                yield PreviewOutput(
                    node_id=node_id,
                    media_type=str(key),
                    filename=item["filename"],
                    subfolder=str(item.get("subfolder") or ""),
                    type=where if where in ("input", "output", "temp") else UNSET,
                )


def _texts(node_id: str, ui: Mapping[str, Any]) -> Iterator[PreviewOutput]:
    items = ui.get("text")
    for item in items if isinstance(items, list | tuple) else [items] if isinstance(items, str) else ():
        yield PreviewOutput(node_id=node_id, media_type="text", content=str(item))


def _is_previewable(shown: PreviewOutput) -> bool:
    kind, _ = mimetypes.guess_type(str(shown.filename))
    return kind is not None and kind.startswith(PREVIEWABLE)


def _nodes(job: Job, events: Sequence[Numbered]) -> tuple[dict[str, NodeRun], list[tuple[NodeFailed, float]]]:
    """What the events of an attempt tell of each node; and the failures."""
    prompt = job.request.prompt
    nodes: dict[str, NodeRun] = {}
    failures: list[tuple[NodeFailed, float]] = []

    def node(node_id: str, display_id: str | None = None, class_type: str | None = None) -> NodeRun:
        found = nodes.get(node_id)
        if found is None:
            known = prompt.get(node_id)
            kind = known.get("class_type", "") if isinstance(known, Mapping) else ""
            found = nodes[node_id] = NodeRun(state="waiting", node_type=str(kind), display_node_id=node_id)
        found.display_node_id = display_id or found.display_node_id
        found.node_type = class_type or found.node_type
        return found

    for _, _, event, at_s in events:
        match event:
            case RunStarted(_, node_ids):
                for node_id in node_ids:
                    node(node_id)
            case NodesCached(_, node_ids):
                for node_id in node_ids:
                    node(node_id).state = "cached"
            case NodesAdded(_, _, added):
                for node_id, display_id in added:
                    node(node_id, display_id)
            case NodeStarted(_, node_id, display_id, class_type):
                begun = node(node_id, display_id, class_type)
                begun.state, begun.start_time = "running", ms(at_s)
            case NodeProgress(_, node_id, display_id, value, total):
                at_work = node(node_id, display_id)
                at_work.value, at_work.max = value, total
            case NodeFinished(_, node_id, display_id, _, seconds):
                done = node(node_id, display_id)
                done.state, done.seconds, done.value, done.max = "finished", seconds, None, None
            case NodeFailed(_, node_id, display_id, class_type):
                node(node_id, display_id, class_type).state = "failed"
                failures.append((event, at_s))
            case NodeBlocked(_, node_id, display_id, class_type):
                node(node_id, display_id, class_type).state = "blocked"
    for each in nodes.values() if job.state in OVER else ():
        if each.state in ("waiting", "running"):
            each.state, each.value, each.max = "skipped", None, None
    return nodes, failures
