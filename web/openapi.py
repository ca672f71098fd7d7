"""The declared routes as an OpenAPI 3.1 document."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import NoneType, UnionType
from typing import Any

import msgspec
from aiohttp import web

from web.declare import Route
from web.errors import ErrorAnswer
from web.settings import Settings

REF = "#/components/schemas/{name}"
JSON = "application/json"
FILE = "application/octet-stream"  # in a declaration: a file of any type
FIRST = ("prompt", "jobs", "job_events", "websocket", "view", "upload", "history", "queue")
PARAMETER = re.compile(r"\{([^:{}]+)(?::[^{}]*)?\}")  # aiohttp's, perhaps with a pattern
VERSION = "0.1.0"
ABOUT = """\
Scripts, plug-ins and front-ends that speak ComfyUI's API can use this server as it is. Beside that, `/jobs` has jobs
as resources, in every state, with their errors, times and outputs.

Every path is also there below `/api`, except where that is said. Every GET answers HEAD, too. Every refusal has the
shape of ErrorAnswer, whose `message` is a sentence for people. Times are milliseconds since 1970 unless they say
otherwise. Requests that change something take JSON or multipart forms."""

Schema = dict[str, Any]


@dataclass(slots=True)
class _Types:
    """Collects the types that are named in a document, and gives each its schema at once."""

    kinds: list[Any]
    schemas: dict[int, Schema] = field(default_factory=dict)  # by place in kinds
    components: dict[str, Schema] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found, self.components = msgspec.json.schema_components(self.kinds, ref_template=REF)
        self.schemas = dict(enumerate(found))

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types, or of a union of some: a reference where it has a name."""
        if _is_union(kind):  # which may have members that nobody could tell apart by reading
            return {"anyOf": [self.of(each) for each in typing.get_args(kind)]}
        place = next(number for number, each in enumerate(self.kinds) if each is kind or each == kind)
        return self.schemas[place]

    def properties(self, kind: Any) -> tuple[Mapping[str, Schema], Sequence[str]]:
        """The fields of a struct, and which of them must be there."""
        schema = self.components[self.of(kind)["$ref"].rpartition("/")[2]]
        return schema.get("properties", {}), schema.get("required", ())


def document(routes: Iterable[Route], settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of these routes. Takes some milliseconds."""
    declared = list(routes)
    kinds: list[Any] = [ErrorAnswer]
    for route in declared:
        for kind in _kinds(route):
            kinds += [each for each in (typing.get_args(kind) if _is_union(kind) else (kind,)) if each not in kinds]
    types = _Types(kinds)
    paths: dict[str, dict[str, Any]] = {}
    for route in declared:
        paths.setdefault(path_of(route), {})[route.method.lower()] = _operation(route, types, settings)
    only_asked = {
        types.of(kind)["$ref"].rpartition("/")[2] for route in declared for kind in (route.query, route.upload) if kind
    }
    schemas = {name: each for name, each in sorted(types.components.items()) if name not in only_asked}
    found: dict[str, Any] = {
        "openapi": "3.1.1",
        "info": {"title": "Darkroom", "version": VERSION, "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": room, "description": _about(room)} for room in _rooms(declared)],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas},
    }
    if settings.tokens:
        found["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "A token that the server was started with."}
        }
        found["security"] = [{"token": []}]
    return found


def path_of(route: Route) -> str:
    """Its path, with the names of parameters alone."""
    return PARAMETER.sub(r"{\1}", route.path)


def answers_of(route: Route) -> dict[int, list[Any]]:
    """What its answers are, by status: types of JSON, MIME types, None for an empty one."""
    found: dict[int, list[Any]] = {}
    for status, answer in route.answers.items():
        found.setdefault(status, []).append(answer)
    returned = typing.get_type_hints(route.function, include_extras=True).get("return", Any)
    parts = typing.get_args(returned) if _is_union(returned) else (returned,)
    kinds = [each for each in parts if not (inspect.isclass(each) and issubclass(each, web.StreamResponse))]
    if kinds == [NoneType]:
        found.setdefault(200, [None])
    elif kinds and not (kinds == [Any] and 200 in found):
        kind = kinds[0] if len(kinds) == 1 else typing.Union[tuple(kinds)]  # noqa: UP007
        if kind not in found.setdefault(200, []):
            found[200].insert(0, kind)
    if not any(status < 400 for status in found):
        found[200] = [None]
    return found


def _kinds(route: Route) -> Iterator[Any]:
    yield from (kind for kind in (route.query, route.body, route.upload) if kind is not None)
    for answers in answers_of(route).values():
        yield from (kind for kind in answers if kind is not None and not isinstance(kind, str))


def _operation(route: Route, types: _Types, settings: Settings) -> dict[str, Any]:
    about = inspect.getdoc(route.function) or ""
    more = " ".join(about.partition("\n")[2].split("\n")).strip()
    if not route.twin:
        more = f"{more} Not below `/api`.".strip()
    found: dict[str, Any] = {
        "tags": [route.room],
        "operationId": f"{route.room}_{route.function.__name__}",
        "summary": route.summary,
    }
    if more:
        found["description"] = more
    parameters = list(_parameters(route, types))
    if parameters:
        found["parameters"] = parameters
    body = _body(route, types)
    if body is not None:
        found["requestBody"] = body
    found["responses"] = _responses(route, types)
    if settings.tokens and route.is_open:
        found["security"] = []
    return found


def _parameters(route: Route, types: _Types) -> Iterator[dict[str, Any]]:
    for name in PARAMETER.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    if route.query is None:
        return
    properties, required = types.properties(route.query)
    for name, schema in properties.items():
        schema = _without_null(schema)
        found: dict[str, Any] = {"name": name, "in": "query", "required": name in required}
        if "description" in schema:
            found["description"] = schema.pop("description")
        yield {**found, "schema": schema}


def _body(route: Route, types: _Types) -> dict[str, Any] | None:
    content: dict[str, Any] = {}
    if route.upload is not None:
        properties, required = types.properties(route.upload)
        form = {
            "type": "object",
            "properties": {name: _part(schema) for name, schema in properties.items()},
            "required": list(required),
        }
        content["multipart/form-data"] = {"schema": form}
    if route.takes:
        content[route.takes] = {"schema": {}}
    if content:
        return {"required": True, "content": content} if route.upload is not None else {"content": content}
    if route.body is None:
        return None
    is_optional = _is_union(route.body) and NoneType in typing.get_args(route.body)
    return {"required": not is_optional, "content": {JSON: {"schema": types.of(route.body)}}}


def _responses(route: Route, types: _Types) -> dict[str, Any]:
    refused = {JSON: {"schema": types.of(ErrorAnswer)}}
    found: dict[str, Any] = {}
    for status, answers in sorted(answers_of(route).items()):
        content: dict[str, Any] = {}
        for answer in answers:
            if isinstance(answer, str):
                content["*/*" if answer == FILE else answer] = {"schema": {}}
            elif answer is not None:
                content[JSON] = {"schema": types.of(answer)}
        found[str(status)] = {"description": HTTPStatus(status).phrase} | ({"content": content} if content else {})
    found["4XX"] = {"description": "It is refused, and why.", "content": refused}
    if route.ready:
        found["503"] = {"description": "The server cannot do this now; try again later.", "content": refused}
    return found


def _without_null(schema: Mapping[str, Any]) -> Schema:
    """A query parameter is left out rather than null."""
    found = dict(schema)
    if "default" in found and found["default"] is None:
        del found["default"]
    kinds = [each for each in found.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        del found["anyOf"]
        found = {**kinds[0], **found}
    elif kinds:
        found["anyOf"] = kinds
    return found


def _part(schema: Mapping[str, Any]) -> Schema:
    """A field of a form; bytes are a file."""
    found = _without_null(schema)
    if found.pop("contentEncoding", None) == "base64":
        found |= {"type": "string", "format": "binary"}
    return found


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, UnionType)


def _rooms(routes: Sequence[Route]) -> list[str]:
    """What most look for first, then the others as they come."""
    there = list(dict.fromkeys(each.room for each in routes))
    return [room for room in FIRST if room in there] + [room for room in there if room not in FIRST]


def _about(room: str) -> str:
    module = sys.modules[f"web.routes.{room}"]
    return (inspect.getdoc(module) or "").split("\n", 1)[0]
