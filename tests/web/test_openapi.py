"""The OpenAPI document and its page: valid, whole, and safe to look at."""

import asyncio
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from aiohttp import web
from openapi_spec_validator import validate

from tests.web.server import serving
from web.app import declared_routes, make_app
from web.declare import Call, Route, route, routes_of
from web.errors import ErrorAnswer
from web.openapi import VERSION, document, path_of
from web.openapi_page import example, page
from web.settings import Settings

HOUSE = Path(__file__).resolve().parents[2]
OUTSIDE = {"/", "/{path}"}  # a front-end, or the page that stands for one
NASTY = '<script>alert("1")</script> & \'"`x`'


class Kind(msgspec.Struct):
    """A query with <b>signs</b>."""

    needed: str
    word: Annotated[str | None, msgspec.Meta(description=NASTY)] = None
    count: Annotated[int, msgspec.Meta(ge=3, le=9)] = 3


class Form(msgspec.Struct):
    """A form."""

    image: bytes
    overwrite: str = "false"


class Box(msgspec.Struct):
    """A body."""

    items: list[str]
    inner: "Box | None" = None


@route("GET", "/toys/{name}/{path:.+}", answers={204: None})
async def get_toy(call: Call, name: str, path: str, query: Kind) -> Box | web.StreamResponse:
    """Get a toy: <i>any</i>.

    More of it,
    in `two` lines.
    """
    return Box([name, path])


@route("POST", "/toys", twin=False, ready=False, is_open=True, upload=Form, answers={201: list[Box] | dict[str, Box]})
async def put_toy(call: Call) -> web.Response:
    """Put a toy."""
    return web.Response()


@route("PATCH", "/toys", takes="text/plain")
async def change_toy(call: Call) -> None:
    """Change a toy."""


@route("PUT", "/toys")
async def replace_toy(call: Call, body: Box | None) -> Any:
    """Replace a toy."""


class Reader(HTMLParser):
    """Gathers tags and text, and that tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def toys(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Any:
    """The document of the routes above."""
    import sys

    monkeypatch.setitem(sys.modules, "web.routes.test_openapi", sys.modules[__name__])
    return document(routes_of(sys.modules[__name__]), Settings(Path("base"), **settings))


@pytest.mark.parametrize("tokens", [{}, {"ada": "secret"}])
def test_the_document_is_valid(tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = document(declared_routes(), Settings(Path("base"), tokens=tokens))
    validate(found)
    validate(toys(monkeypatch, tokens=tokens))
    assert found["openapi"].startswith("3.1.")
    assert ("security" in found) == bool(tokens)
    for name, value in tokens.items():
        assert value not in str(found)
        assert f"{name}:" not in str(found["components"]["securitySchemes"])


def test_every_route_is_in_the_document_and_every_path_of_it_is_there(tmp_path: Path) -> None:
    async def check() -> None:
        app = make_app(Settings(tmp_path), asyncio.get_running_loop().create_future())
        there = set()
        for each in app.router.routes():
            assert each.resource is not None
            name = path_of(
                Route("GET", each.resource.canonical, test_the_document_is_valid, "", True, True, False, None)
            )
            if name not in OUTSIDE and each.method != "HEAD":
                there.add((each.method, name))
        declared = declared_routes()
        found = document(declared, Settings(tmp_path))
        told = {(method.upper(), path) for path, each in found["paths"].items() for method in each}
        twins = {(each.method, f"/api{path_of(each)}") for each in declared if each.twin}
        assert there == told | twins
        assert not told & twins
        names = [each["operationId"] for path in found["paths"].values() for each in path.values()]
        assert len(names) == len(set(names))
        tags = {tag for path in found["paths"].values() for each in path.values() for tag in each["tags"]}
        assert tags == {each["name"] for each in found["tags"]}

    asyncio.run(check())


def test_every_route_and_type_says_what_it_is() -> None:
    found = document(declared_routes(), Settings(Path("base")))
    for path, operations in found["paths"].items():
        for method, each in operations.items():
            assert each["summary"].endswith((".", ":")) or "." in each["summary"], f"{method} {path}: {each['summary']}"
    for name, schema in found["components"]["schemas"].items():
        assert schema.get("description"), name
    assert all(each["description"] for each in found["tags"])


def test_a_route_becomes_an_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    found = toys(monkeypatch, tokens={"ada": "secret"})
    got = found["paths"]["/toys/{name}/{path}"]["get"]
    assert got["summary"] == "Get a toy: <i>any</i>."
    assert got["description"] == "More of it, in `two` lines."
    path, rest, needed, word, count = got["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in (path, rest)] == [
        ("name", "path", True),
        ("path", "path", True),
    ]
    assert needed == {"name": "needed", "in": "query", "required": True, "schema": {"type": "string"}}
    assert word == {
        "name": "word", "in": "query", "required": False, "description": NASTY, "schema": {"type": "string"},
    }  # fmt: skip
    assert count["schema"] == {"type": "integer", "minimum": 3, "maximum": 9, "default": 3}
    assert set(got["responses"]) == {"200", "204", "4XX", "503"}
    assert got["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Box"}
    assert "content" not in got["responses"]["204"]
    put = found["paths"]["/toys"]["post"]
    form = put["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["image"]
    assert form["properties"]["image"] == {"type": "string", "format": "binary"}
    assert put["security"] == []
    assert "Not below `/api`." in put["description"]
    assert set(put["responses"]) == {"201", "4XX"}
    assert len(put["responses"]["201"]["content"]["application/json"]["schema"]["anyOf"]) == 2
    changed = found["paths"]["/toys"]["patch"]
    assert list(changed["requestBody"]["content"]) == ["text/plain"]
    assert "content" not in changed["responses"]["200"]
    assert found["paths"]["/toys"]["put"]["requestBody"]["required"] is False
    assert set(found["components"]["schemas"]) == {"Box", "ErrorAnswer", "ErrorBody"}


def test_examples_are_what_their_schemas_allow() -> None:
    found = document(declared_routes(), Settings(Path("base")))
    schemas = found["components"]["schemas"]
    kinds = {each.__name__: each for each in (ErrorAnswer, Box)}
    for name, schema in schemas.items():
        value = example(schema, schemas)
        assert set(schema.get("required", ())) <= set(value), name
        if name in kinds:
            msgspec.convert(value, kinds[name])
    bodies = [(each, each.body) for each in declared_routes() if each.body is not None]
    assert bodies
    for each, kind in bodies:
        operation = found["paths"][path_of(each)][each.method.lower()]
        value = example(operation["requestBody"]["content"]["application/json"]["schema"], schemas)
        msgspec.convert(value, kind)


def test_the_page_shows_everything_and_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = toys(monkeypatch, tokens={"ada": "secret"})
    found["info"]["title"] = NASTY
    found["components"]["schemas"]["Box"]["description"] = NASTY
    read = Reader(page(found, 'http://"<host>'))
    assert {tag for tag, _ in read.tags} <= {
        "html", "head", "meta", "title", "style", "body", "div", "nav", "ul", "li", "a", "main", "h1", "h2", "h4", "p",
        "span", "code", "pre", "details", "summary", "table", "tr", "th", "td", "br",
    }  # fmt: skip
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#").startswith(("#", "openapi.json")), tag
    assert "url(" not in read.text
    assert read.text.count("<script>alert") >= 3
    assert "curl 'http://\"<host>/toys/NAME/PATH?needed=%E2%80%A6'" in read.text
    assert "-F 'image=@FILE'" in read.text
    assert '-H "Authorization: Bearer $TOKEN"' in read.text


def test_links_of_the_page_lead_somewhere() -> None:
    read = Reader(page(document(declared_routes(), Settings(Path("base"))), "http://127.0.0.1:8188"))
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"]) for tag, attributes in read.tags if tag == "a"}
    assert {each[1:] for each in links if each.startswith("#")} <= set(ids)


def test_the_server_sends_document_and_page_before_it_is_ready(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            answer = await client.get("/openapi.json")
            assert answer.content_type == "application/json"
            validate(await answer.json())
            answer = await client.get("/openapi")
            assert answer.content_type == "text/html"
            assert f"curl &#x27;http://127.0.0.1:{client.port}/jobs&#x27;" in await answer.text()
            assert (await client.get("/api/openapi.json")).status == 404

    asyncio.run(check())
    assert all(not each.ready for each in declared_routes() if each.room == "openapi")


def test_the_version_is_that_of_the_project() -> None:
    assert tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["version"] == VERSION
