"""Writes the TypeScript types of the server's API for the editor: `python -m lab.editor_types`.

They are made here, since openapi-typescript needs TypeScript 5 and the editor has 7.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graph.files import write_whole
from web.app import declared_routes
from web.openapi import JSON, document
from web.settings import Settings

FILE = Path(__file__).resolve().parents[1] / "web" / "editor" / "src" / "api" / "types.gen.ts"
HEAD = """\
// The API of the server, made from its OpenAPI document by `python -m lab.editor_types`. Do not edit it.
import type { Json } from "@/document/types";
"""
REF = re.compile(r"#/components/schemas/(.+)")
NAME = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
PLAIN: Mapping[str, str] = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "Readonly<Record<string, Json>>",
    "array": "readonly Json[]",
}
METHODS = ("get", "post", "patch", "put", "delete")

Schema = Mapping[str, Any]


def types(api: Mapping[str, Any]) -> str:
    """An OpenAPI document of this server as a TypeScript module."""
    schemas: Mapping[str, Schema] = api["components"]["schemas"]
    asked = _asked(api, schemas)
    parts = [HEAD]
    parts += [_named(name, schema, name not in asked) for name, schema in sorted(schemas.items())]
    parts += [_paths(api["paths"], method) for method in METHODS]
    return "\n".join(parts)


def _asked(api: Mapping[str, Any], schemas: Mapping[str, Schema]) -> set[str]:
    """The names of what requests hold: there, what has a default can be left out; answers always have it."""
    bodies = [operation.get("requestBody", {}) for path in api["paths"].values() for operation in path.values()]
    waiting, found = list(_references(bodies)), set[str]()
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _references(schemas[name])
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if match := REF.fullmatch(str(value.get("$ref", ""))):
            yield match[1]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _named(name: str, schema: Schema, is_answer: bool) -> str:
    about = f"/** {_line(schema['description'])} */\n" if "description" in schema else ""
    if schema.get("type") != "object" or "properties" not in schema:
        return f"{about}export type {name} = {_type(schema)};\n"
    fields = _fields(schema, is_answer)
    return f"{about}export interface {name} {{\n{fields}}}\n"


def _fields(schema: Schema, is_answer: bool) -> str:
    required = schema.get("required", ())
    lines = ""
    for name, each in schema["properties"].items():
        if "description" in each:
            lines += f"  /** {_line(each['description'])} */\n"
        sure = name in required or (is_answer and "default" in each)
        lines += f"  readonly {_key(name)}{'' if sure else '?'}: {_type(each)};\n"
    return lines


def _type(schema: Schema) -> str:
    if match := REF.fullmatch(schema.get("$ref", "")):
        return match[1]
    if "enum" in schema:
        return " | ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(_type(each) for each in schema[key]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(dict.fromkeys(_type({**schema, "type": each}) for each in kind))
    if kind == "array" and schema.get("prefixItems"):
        return f"readonly [{', '.join(_type(each) for each in schema['prefixItems'])}]"
    if kind == "array" and schema.get("items"):
        inner = _type(schema["items"])
        return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
    if kind == "object" and "properties" in schema:
        return f"{{\n{_fields(schema, True)}}}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"Readonly<Record<string, {_type(schema['additionalProperties'])}>>"
    return PLAIN.get(str(kind), "Json")


def _paths(paths: Mapping[str, Mapping[str, Any]], method: str) -> str:
    lines = "".join(
        f'  "{path}": {{ {_operation(operations[method])} }};\n'
        for path, operations in sorted(paths.items())
        if method in operations
    )
    return f"export interface {method.capitalize()} {{\n{lines}}}\n"


def _operation(operation: Mapping[str, Any]) -> str:
    found = []
    for where in ("path", "query"):
        fields = [each for each in operation.get("parameters", ()) if each["in"] == where]
        if fields:
            inner = "; ".join(
                f"readonly {_key(each['name'])}{'' if each['required'] else '?'}: {_type(each['schema'])}"
                for each in fields
            )
            sure = any(each["required"] for each in fields)
            found.append(f"{where}{'' if sure else '?'}: {{ {inner} }}")
    body = operation.get("requestBody", {}).get("content", {})
    if JSON in body:
        sure = operation["requestBody"].get("required", False)
        found.append(f"body{'' if sure else '?'}: {_type(body[JSON]['schema'])}")
    found.append(f"answer: {_answer(operation['responses'])}")
    return "; ".join(found)


def _answer(responses: Mapping[str, Any]) -> str:
    found = [
        _type(content["schema"])
        for status, response in responses.items()
        if status.startswith("2")
        for kind, content in response.get("content", {}).items()
        if kind == JSON
    ]
    return " | ".join(dict.fromkeys(found)) or "null"


def _key(name: str) -> str:
    return name if NAME.fullmatch(name) else json.dumps(name)


def _line(text: str) -> str:
    return " ".join(text.split()).replace("*/", "* /")


def made() -> str:
    """The types of this server, as the file should have them."""
    return types(document(declared_routes(), Settings(base=Path())))


def main() -> None:
    """Write the file."""
    write_whole(FILE, made().encode())


if __name__ == "__main__":
    main()
