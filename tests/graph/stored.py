"""Jobs for the tests of the store."""

from typing import Any

from graph.jobs import JobRequest
from graph.store import Store

PROMPT = {
    "1": {"class_type": "Add", "inputs": {"a": 2**64 - 1, "b": ["2", 0]}},
    "2": {"class_type": "Add", "inputs": {}},
}


def request(job_id: str, **more: Any) -> JobRequest:
    return JobRequest(job_id, **({"prompt": PROMPT} | more))


def add(store: Store, *job_ids: str, **more: Any) -> None:
    """Have these accepted, one after the other."""
    for job_id in job_ids:
        store.add(request(job_id, **more)).result()


def waiting(store: Store) -> list[str]:
    """The ids of the jobs that wait, in their order."""
    return [job.request.id for job in store.pending()]
