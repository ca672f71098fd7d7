"""The OpenAPI document as a page for people, without scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

Schema = Mapping[str, Any]

STYLE = """
:root { color-scheme: light dark; --text: #1d2129; --soft: #59616d; --line: #d9dde3; --ground: #fff; --box: #f4f6f8;
  --get: #0b6b3a; --post: #1f4fbf; --patch: #8a5300; --delete: #b3261e }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7eb; --soft: #a3acb8; --line: #363c45; --ground: #16191d;
  --box: #1f2329; --get: #6fd39d; --post: #92b4ff; --patch: #f0b35a; --delete: #ff9c94 } }
* { box-sizing: border-box }
body { margin: 0; color: var(--text); background: var(--ground); font: 16px/1.5 system-ui, sans-serif }
.page { display: flex; gap: 2.5rem; max-width: 76rem; margin: 0 auto; padding: 2rem 1.5rem }
nav { flex: 0 0 13rem; position: sticky; top: 2rem; align-self: flex-start; max-height: calc(100vh - 4rem);
  overflow: auto; font-size: .9rem }
nav ul { margin: .5rem 0; padding: 0; list-style: none }
main { flex: 1; min-width: 0 }
h1 { margin: 0; font-size: 1.8rem } h2 { margin: 3rem 0 .25rem; font-size: 1.3rem }
h4 { margin: 1rem 0 .25rem; font-size: .8rem; text-transform: uppercase; letter-spacing: .05em; color: var(--soft) }
a { color: inherit } p { margin: .5rem 0; max-width: 48rem } .soft { color: var(--soft) }
details { margin: .5rem 0; border: 1px solid var(--line); border-radius: 6px }
summary { padding: .5rem .8rem; cursor: pointer }
details > div { padding: 0 .8rem .8rem; border-top: 1px solid var(--line) }
.method { display: inline-block; min-width: 4.2rem; font: 700 .8rem ui-monospace, monospace }
.get { color: var(--get) } .post { color: var(--post) } .patch, .put { color: var(--patch) }
.delete { color: var(--delete) }
code, pre { font: .875rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere }
pre { margin: .5rem 0; padding: .7rem .9rem; background: var(--box); border-radius: 6px; white-space: pre-wrap }
table { width: 100%; border-collapse: collapse; font-size: .9rem }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
th { width: 17rem; font-weight: 400 }
.name { margin-left: .6rem; color: var(--soft) }
@media (max-width: 50rem) { .page { display: block } nav { position: static; max-height: none }
  nav li { display: inline-block; margin-right: 1rem } .name { display: block; margin: 0 } th { width: 8rem } }
"""
PLACEHOLDERS: Mapping[str, Any] = {"string": "…", "boolean": False, "object": {}}


def page(found: Schema, origin: str) -> str:
    """The page of a document. `origin` is where the server is asked, such as http://127.0.0.1:8188."""
    return "".join(_page(found, origin))


def example(schema: Schema, components: Mapping[str, Schema], deep: int = 4) -> Any:
    """A value that a schema allows, as short as it may be: what must be there, and what is there by default."""
    if "$ref" in schema:
        return example(components[_name(schema["$ref"])], components, deep - 1) if deep else {}
    if schema.get("default") is not None:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if choices:
        return example(choices[0], components, deep)
    kind = schema.get("type", "object")
    if kind == "object" and "properties" in schema:
        needed = schema.get("required") or list(schema["properties"])[:1]
        return {name: example(schema["properties"][name], components, deep) for name in needed}
    if kind == "array" and "prefixItems" in schema:
        return [example(each, components, deep) for each in schema["prefixItems"]]
    if kind == "array":
        return [example(schema["items"], components, deep)] if schema.get("items") else []
    return max(0, schema.get("minimum", 0)) if kind in ("integer", "number") else PLACEHOLDERS.get(kind)


def in_words(schema: Schema) -> str:
    """What a schema allows, as HTML."""
    if "$ref" in schema:
        name = escape(_name(schema["$ref"]))
        return f'<a href="#schema-{name}">{name}</a>'
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(each, ensure_ascii=False))}</code>" for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(in_words(each) for each in schema["anyOf"])
    kind = schema.get("type")
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(in_words(each) for each in schema['prefixItems'])}]"
        return f"list of {in_words(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"object of {in_words(inner)}" if isinstance(inner, dict) and inner else "object"
    limits = [f"{sign} {schema[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in schema]
    if "maxLength" in schema:
        limits.append(f"at most {schema['maxLength']} characters")
    if schema.get("format") == "binary":
        kind = "file"
    return escape(f"{kind or 'any'}{' ' if limits else ''}{', '.join(limits)}")


def _page(found: Schema, origin: str) -> Iterator[str]:
    info, components = found["info"], found["components"]["schemas"]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(info['title'])}: what the server can be asked</title><style>{STYLE}</style></head><body>"
    yield '<div class="page"><nav aria-label="Contents"><ul>'
    for tag in found["tags"]:
        yield f'<li><a href="#tag-{escape(tag["name"])}">{_title(tag)}</a></li>'
    yield '<li><a href="#schemas">Types</a></li></ul></nav><main>'
    yield f'<h1>{escape(info["title"])} <span class="soft">{escape(info["version"])}</span></h1>'
    for part in info["description"].split("\n\n"):
        yield f"<p>{_text(part)}</p>"
    yield '<p>The same for programs: <a href="openapi.json">openapi.json</a>, in OpenAPI 3.1.</p>'
    if "security" in found:
        yield "<p>This server asks for a token, as <code>Authorization: Bearer TOKEN</code>.</p>"
    for tag in found["tags"]:
        yield f'<h2 id="tag-{escape(tag["name"])}">{_title(tag)}</h2>'
        yield f'<p class="soft">{_text(tag["description"])}</p>'
        for path, operations in found["paths"].items():
            for method, operation in operations.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(method, path, operation, found, origin)
    yield '<h2 id="schemas">Types</h2>'
    for name, schema in components.items():
        yield f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code> '
        yield f'<span class="name">{_text(schema.get("description", ""))}</span></summary><div>'
        yield from _fields(schema)
        yield "</div></details>"
    yield "</main></div></body></html>"


def _operation(method: str, path: str, operation: Schema, found: Schema, origin: str) -> Iterator[str]:
    yield f'<details id="{escape(operation["operationId"])}"><summary><span class="method {escape(method)}">'
    yield f'{method.upper()}</span> <code>{escape(path)}</code> <span class="name">{_text(operation["summary"])}</span>'
    yield "</summary><div>"
    if "description" in operation:
        yield f"<p>{_text(operation['description'])}</p>"
    if operation.get("security") == []:
        yield '<p class="soft">Needs no token.</p>'
    parameters = operation.get("parameters", ())
    if parameters:
        yield "<h4>Parameters</h4><table>"
        for each in parameters:
            yield _row(each["name"], each["schema"], each["required"], each.get("description", ""), each["in"])
        yield "</table>"
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        yield f'<h4>Body</h4><p class="soft">{escape(kind)}</p>'
        yield from _fields(media["schema"])
    yield f"<h4>Example</h4><pre>{escape(_curl(method, path, operation, found, origin))}</pre>"
    yield "<h4>Answers</h4><table>"
    for status, answer in operation["responses"].items():
        contents = [
            in_words(media["schema"]) if kind == "application/json" else f"<code>{escape(kind)}</code>"
            for kind, media in answer.get("content", {}).items()
        ]
        what = ", or ".join(contents) or '<span class="soft">no content</span>'
        yield f"<tr><th><code>{escape(status)}</code> {escape(answer['description'])}</th><td>{what}</td></tr>"
    yield "</table></div></details>"


def _fields(schema: Schema) -> Iterator[str]:
    """A table of an object's fields; of anything else, words."""
    if "properties" not in schema:
        yield f"<p>{in_words(schema)}</p>"
        return
    yield "<table>"
    for name, each in schema["properties"].items():
        yield _row(name, each, name in schema.get("required", ()), each.get("description", ""), "")
    yield "</table>"


def _row(name: str, schema: Schema, is_needed: bool, about: str, place: str) -> str:
    notes = [place] if place == "path" else ["required"] if is_needed else []
    if schema.get("default") not in (None, "", [], {}):
        notes.append(f"{json.dumps(schema['default'], ensure_ascii=False)} by default")
    extra = f' <span class="soft">{escape(", ".join(notes))}</span>' if notes else ""
    line = f"<br>{_text(about)}" if about else ""
    return f"<tr><th><code>{escape(name)}</code>{extra}</th><td>{in_words(schema)}{line}</td></tr>"


def _curl(method: str, path: str, operation: Schema, found: Schema, origin: str) -> str:
    components = found["components"]["schemas"]
    needed = [each for each in operation.get("parameters", ()) if each["in"] == "query" and each["required"]]
    query = "&".join(f"{each['name']}={quote(str(example(each['schema'], components)))}" for each in needed)
    url = origin + re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path) + (f"?{query}" if query else "")
    parts = [f"curl {_quoted(url)}" if method == "get" else f"curl -X {method.upper()} {_quoted(url)}"]
    if "security" in found and operation.get("security") != []:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        if kind == "multipart/form-data":
            fields = media["schema"]["properties"]
            names = media["schema"].get("required") or list(fields)[:1]
            for name in names:
                value = "@FILE" if fields[name].get("format") == "binary" else example(fields[name], components)
                parts.append(f"-F {_quoted(f'{name}={value}')}")
        elif kind == "application/json":
            text = json.dumps(example(media["schema"], components), ensure_ascii=False)
            parts.append(f"-H {_quoted('Content-Type: application/json')} -d {_quoted(text)}")
        else:
            parts.append(f"-H {_quoted(f'Content-Type: {kind}')} --data-binary @FILE")
    return " \\\n  ".join(parts)


def _quoted(text: str) -> str:
    """For a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _text(text: str) -> str:
    """A sentence with names in backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _title(tag: Schema) -> str:
    return escape(tag["name"].replace("_", " ").capitalize())


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
