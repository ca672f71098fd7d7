"""ComfyUI's wire: every string of its messages and of its bodies about prompts, and how Darkroom's values become them.

Times on the wire are milliseconds since 1970. Binary frames are big-endian.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from graph.jobs import Job

Message = dict[str, Any]

PROGRESS_STATES = ("pending", "running", "finished", "error")
PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4  # first number of a binary frame
IMAGE_TYPES: Mapping[str, int] = {"jpeg": 1, "png": 2}

# ── bodies ────────────────────────────────────────────────────────────────────────────────────────────────────────────

QueueItem = tuple[float | int, str, dict[str, Any], dict[str, Any], list[str]]


class QueueAnswer(msgspec.Struct):
    """[number, prompt id, prompt, extra data, output ids] of each job."""

    queue_running: list[QueueItem]
    queue_pending: list[QueueItem]


def queue(running: Iterable[Job], pending: Iterable[Job]) -> QueueAnswer:
    """The body of GET /queue."""
    return QueueAnswer([queue_item(job) for job in running], [queue_item(job) for job in pending])


def queue_item(job: Job) -> QueueItem:
    """A job as /queue and /history show it. Credentials never got as far as this."""
    request = job.request
    extra_data = {**request.extra}
    if request.extra_pnginfo:
        extra_data["extra_pnginfo"] = dict(request.extra_pnginfo)
    if request.client:
        extra_data["client_id"] = request.client
    return (job.number, request.id, dict(request.prompt), extra_data, list(request.targets or ()))
