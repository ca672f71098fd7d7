"""Errors: answers that are no success, all of one shape, with a sentence for people."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from graph.queue.scheduler import NoSuchJob, QueueClosed, QueueFull
from graph.store import JobConflict, StoreError

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ErrorBody(msgspec.Struct, kw_only=True):
    """What went wrong: a type for programs, a message for people."""

    type: str
    message: str
    details: str = ""
    extra_info: dict[str, Any] = {}


class ErrorAnswer(msgspec.Struct, kw_only=True):
    """The body of every answer that is no success; `node_errors` says what is wrong with which node of a prompt."""

    error: ErrorBody
    node_errors: dict[str, Any] = {}


class Refused(Exception):
    """The request cannot be granted: a status, a type for programs and a sentence for people."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        details: str = "",
        extra_info: Mapping[str, Any] | None = None,
        node_errors: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        body = ErrorBody(type=kind, message=message, details=details, extra_info=dict(extra_info or {}))
        self.answer = ErrorAnswer(error=body, node_errors=dict(node_errors or {}))

    def response(self) -> web.Response:
        """As the client gets it."""
        return web.Response(
            status=self.status, body=encode(self.answer), content_type="application/json", headers=self.headers
        )


def not_found(message: str) -> Refused:
    """404, with a sentence that says what there is not."""
    return Refused(404, "not_found", message)


def encode(value: object) -> bytes:
    """JSON that every client can read: NaN is null, and what has no form in JSON is its text."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (UnicodeEncodeError, OverflowError):  # half a character, or a number of more than 64 bits
        import json

        plain = msgspec.to_builtins(value, enc_hook=_plain)
        return json.dumps(plain, default=_plain).encode()


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else repr(value)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure becomes an answer of the one shape; what nobody foresaw is logged, and its text stays here."""
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {name: value for name, value in error.headers.items() if name in {"Allow"}}
        return _of_http(request, error, headers).response()
    except JobConflict as error:
        return Refused(409, "conflict", str(error)).response()
    except QueueFull as error:
        return Refused(429, "queue_full", str(error)).response()
    except QueueClosed as error:
        return Refused(503, "stopping", str(error)).response()
    except NoSuchJob as error:  # it was deleted meanwhile
        return not_found(str(error)).response()
    except StoreError as error:
        if isinstance(error.__cause__, UnicodeError):
            return Refused(
                400, "invalid_value", "There is half a character in what was sent; send it whole."
            ).response()
        return Refused(503, "queue_unavailable", str(error)).response()
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        number = uuid.uuid4().hex[:8]
        log.exception("%s %s failed (error %s).", request.method, request.path, number)
        message = f"The server failed at this, which is its fault; its log has more under {number}."
        return Refused(500, "internal", message).response()


def _of_http(request: web.Request, error: web.HTTPException, headers: Mapping[str, str]) -> Refused:
    sentences = {
        404: f"There is nothing at {request.path}; /openapi lists what there is.",
        405: f"{request.path} does not know {request.method}; it takes {headers.get('Allow', 'another method')}.",
        413: "The body is too large; send less, or start the server with a higher limit.",
    }
    kinds = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    message = sentences.get(error.status, f"The request cannot be granted: {error.reason}.")
    return Refused(error.status, kinds.get(error.status, "refused"), message, headers=headers)
