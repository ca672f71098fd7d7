"""Job: a workflow in the queue, from the moment it is accepted to its end and beyond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

JobState = Literal["pending", "running", "succeeded", "failed", "cancelled"]
OVER: tuple[JobState, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What is asked for. The same id with an equal request is the same job.

    Requests that come out of the store are unpacked when they are looked at; `dict(request.prompt)` is a plain one.
    """

    id: str
    prompt: Mapping[str, Any]  # the workflow in API form
    extra_pnginfo: Mapping[str, Any] = field(default_factory=dict)  # e.g. {"workflow": the editor's form}
    targets: tuple[str, ...] | None = None  # nodes to run; None: all output nodes
    client: str = ""  # who asked, for fair shares and for whom events are
    priority: int = 0  # higher goes first
    front: bool = False  # before all that wait with this priority
    extra: Mapping[str, Any] = field(default_factory=dict)  # what else is kept for the client
    place: int | float | None = None  # a certain number instead of the next one; a negative one is at the front


@dataclass(frozen=True, slots=True)
class JobOutput:
    """What one node showed when it ended: recorded once, however often the job began."""

    node_id: str
    display_id: str
    ui: Mapping[str, Sequence[Any]]
    files: tuple[str, ...] = ()  # paths of the files that it saved


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store knows it. Times are seconds since 1970."""

    request: JobRequest
    state: JobState
    number: int | float  # its place: lower goes first among equal priorities
    created_s: float
    started_s: float | None = None  # of the last attempt
    ended_s: float | None = None
    attempts: int = 0  # how often it began
    reason: str = ""  # why it failed or was cancelled, a sentence
    outputs: tuple[JobOutput, ...] = ()
    problems: tuple[Mapping[str, Any], ...] = ()  # failures of nodes: node_id, class_type, sentence
    deaths: int = 0  # how often the process died while it ran
    front: bool = False  # it was put to the front: it goes before all of its priority that were not
    accepted: int = 0  # its place in the order in which jobs were accepted
