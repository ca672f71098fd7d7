"""Declarations: a route is a function whose annotations say what it takes and gives.

Path parameters come by name as text, `query` and `body` as the structs of their annotations, and what it returns is
sent as JSON (None: an empty answer; a response: as it is). The OpenAPI document is made from the same annotations.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from web.errors import Refused, encode
from web.hub import Hub
from web.protocol import user_of
from web.services import Services
from web.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Awaitable[Any]])

SMALL_BYTES = 2**16  # JSON of this size is read at once; more takes so long that others would wait
VALUES_MOST = 2_000_000  # in a body; of so many every thread waits for a second, and they take 0.1 GB of memory
DEPTH_MOST = 100  # of JSON, one list or object in the other
BODY_S = 30.0  # a client that takes longer than this for its next bytes is given up
DECLARED = "__routes__"

SETTINGS = web.AppKey("settings", Settings)
READY: web.AppKey[asyncio.Future[Services]] = web.AppKey("ready", asyncio.Future)
HUB = web.AppKey("hub", Hub)
USER = web.RequestKey("user", str)  # whose a request is


Truthy = Any  # in a body: all but false, null, 0 and what is empty counts as true, as with others who speak this wire


class NoQuery(msgspec.Struct):
    """A route without query parameters."""


@dataclass(frozen=True, slots=True)
class Route:
    """One declared route."""

    method: str
    path: str
    function: Callable[..., Awaitable[Any]]
    room: str  # the module's name, under which it is listed
    twin: bool  # also under /api
    ready: bool  # waits until node classes are there
    is_open: bool  # needs no token
    upload: type | None  # the fields of a multipart body
    answers: Mapping[int, Any] = field(default_factory=dict)  # status: type of the JSON, or a MIME type, or None
    takes: str = ""  # MIME type of a body that the function reads itself

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def query(self) -> type | None:
        """What its query parameters are read into."""
        return typing.get_type_hints(self.function).get("query")

    @property
    def body(self) -> Any:
        """What its JSON body is read into."""
        return typing.get_type_hints(self.function).get("body")


def route(
    method: str,
    path: str,
    *,
    twin: bool = True,
    ready: bool = True,
    is_open: bool = False,
    upload: type | None = None,
    answers: Mapping[int, Any] | None = None,
    takes: str = "",
) -> Callable[[Function], Function]:
    """Declare a route. `answers` are those beside the JSON that the function returns: by status, what the body is.

    twin: it is there under /api, too. ready: it waits until node classes can be used. is_open: it needs no token.
    takes: the MIME type of a body that the function reads itself.
    """

    def declare(function: Function) -> Function:
        room = function.__module__.rsplit(".", 1)[-1]
        found = Route(method, path, function, room, twin, ready, is_open, upload, dict(answers or {}), takes)
        function.__dict__.setdefault(DECLARED, []).append(found)
        return function

    return declare


def routes_of(module: object) -> list[Route]:
    """The routes that a module declares, in order."""
    functions = [value for value in vars(module).values() if inspect.isfunction(value)]
    return [each for function in functions for each in function.__dict__.get(DECLARED, ())]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and what its route may need to answer it."""

    request: web.Request
    settings: Settings

    @property
    def services(self) -> Services:
        """What is behind the server. Raises Refused as long as it is being loaded."""
        ready = self.request.app[READY]
        if not ready.done():
            raise Refused(503, "not_ready", "Node classes and models are still being loaded; try again in a moment.")
        return ready.result()

    @property
    def user(self) -> str:
        """The user that the token stands for."""
        return str(self.request.get(USER, "default"))

    def may_change(self, client: str) -> bool:
        """Whether the caller may change a job of this client: the own ones, and those of users who have no token."""
        owner = user_of(client)
        return owner == self.user or owner not in self.settings.tokens

    async def json(self, value: object, status: int = 200) -> web.Response:
        """A large answer, written in a thread."""
        return json_response(await asyncio.to_thread(encode, value), status)


def json_response(body: bytes, status: int = 200) -> web.Response:
    """JSON that is written already."""
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def handler_of(declared: Route, settings: Settings) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The function that answers requests to a declared route."""
    query, body = declared.query, declared.body

    async def handle(request: web.Request) -> web.StreamResponse:
        if declared.ready:
            await asyncio.shield(request.app[READY])
        given: dict[str, Any] = dict(request.match_info)
        if query is not None:
            given["query"] = read_query(request, query)
        if body is not None:
            given["body"] = checked(await read_json(request, settings.json_most_bytes), body, "body")
        found = await declared.function(Call(request, settings), **given)
        if isinstance(found, web.StreamResponse):
            return found
        return web.Response() if found is None else json_response(encode(found))

    return handle


def read_query(request: web.Request, kind: type) -> Any:
    """The query parameters as a struct; of one given twice the last counts, unknown ones do not. Raises Refused."""
    return checked(dict(request.query), kind, "query", strict=False)


async def read_json(request: web.Request, most_bytes: int) -> Any:
    """The JSON body; None if there is none. Raises Refused (400, 408, 413)."""
    data = await read_body(request, most_bytes)
    if not data.strip():
        return None
    return parse(data) if len(data) <= SMALL_BYTES else await asyncio.to_thread(parse, data)


async def read_body(request: web.Request, most_bytes: int) -> bytes:
    """The whole body. Raises Refused for one that is too large, or does not come."""
    if request.content_length is not None and request.content_length > most_bytes:
        raise too_large(most_bytes)
    data = bytearray()
    while True:
        try:
            async with asyncio.timeout(BODY_S):
                piece = await request.content.readany()
        except TimeoutError:
            raise Refused(408, "timeout", f"No more of the body came for {BODY_S:.0f} s; send it again.") from None
        except web.RequestPayloadError as error:
            raise Refused(400, "invalid_body", f"The body cannot be read: {error}; send it again.") from error
        if not piece:
            return bytes(data)
        data += piece
        if len(data) > most_bytes:
            raise too_large(most_bytes)


def too_large(most_bytes: int) -> Refused:
    """413 with a sentence."""
    message = f"The body is larger than {most_bytes / 2**20:.0f} MB, which is the limit; send less, or raise the limit."
    return Refused(413, "too_large", message)


def parse(data: bytes) -> Any:
    """The value of a JSON text. Raises Refused saying where it breaks off, or that it is too deep or holds too much."""
    if len(data) > VALUES_MOST and data.count(b",") + data.count(b"[") + data.count(b"{") > VALUES_MOST:
        raise Refused(413, "too_large", f"The body has more than {VALUES_MOST} values; send less.")
    try:
        value = json.loads(data)
    except json.JSONDecodeError as error:
        why = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError as error:  # bytes that are no text, or a number of thousands of digits
        why = str(error)
    else:
        level = [value]
        for _ in range(DEPTH_MOST):
            level = [
                inner
                for outer in level
                for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
                if isinstance(inner, dict | list)
            ]
            if not level:
                return value
        why = f"it is nested more than {DEPTH_MOST} deep"
    raise Refused(400, "invalid_json", f"The body is no JSON: {why}.")


def checked(value: object, kind: Any, what: str, *, strict: bool = True) -> Any:
    """A value as the type that is asked for. Raises Refused (400) saying what does not fit, and where."""
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        message = str(error).replace(" - at `$", f" at `{what}").replace("`", "'")
        raise Refused(400, "invalid_value", f"The {what} does not fit: {message}.") from None
    except UnicodeEncodeError:
        raise Refused(400, "invalid_value", f"The {what} does not fit: there is half a character in it.") from None
