"""Cancelling: jobs are told to end, and those that do not let go are not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from graph.queue.scheduler import NoSuchJob, Scheduler

CANCEL_S = 3.0  # a job that takes longer to let go is left to it


async def cancel_all(scheduler: Scheduler, job_ids: Iterable[str], reason: str, within_s: float) -> None:
    """End these jobs; returns when they are over, or the time is. Raises QueueClosed, StoreError."""
    ends = [asyncio.ensure_future(scheduler.cancel(each, reason)) for each in job_ids]
    if not ends:
        return
    done, late = await asyncio.wait(ends, timeout=within_s)
    for each in late:
        each.cancel()  # nobody waits for it any more; the job ends all the same
    for error in [each.exception() for each in done]:
        if error is not None and not isinstance(error, NoSuchJob):  # deleted meanwhile: it is over, too
            raise error
