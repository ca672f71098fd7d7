"""The call of third-party code that is under way, for what it imports and cannot be handed: progress bars, for one."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from compat.shims.comfy_execution.graph_utils import GraphBuilder
from graph.context import Context

T = TypeVar("T")
CONTEXT: contextvars.ContextVar[Context | None] = contextvars.ContextVar("context", default=None)


def enter(ctx: Context, number: int) -> None:
    """From now on, what the code of call `number` of a node imports finds the node's context.

    That holds for the thread's current contextvars.Context, which the caller copies first.
    """
    CONTEXT.set(ctx)
    GraphBuilder.set_default_prefix(ctx.node_id, number)


def settled(returned: Any) -> Any:
    """What a function returned; if that is a coroutine, its result."""
    return wait_for(returned) if inspect.iscoroutine(returned) else returned


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, for callers that are none; whether or not this thread has an event loop at work."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:  # a loop cannot run within another
        return thread.submit(contextvars.copy_context().run, asyncio.run, coroutine).result()
