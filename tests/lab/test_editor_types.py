"""The editor's types of the API are those of this server."""

from typing import Any

from lab.editor_types import FILE, made, types


def test_the_editor_has_the_types_of_this_server() -> None:
    is_same = FILE.read_text(encoding="utf-8") == made()
    assert is_same, f"{FILE.name} is not what the server says; make it anew: python -m lab.editor_types"


def test_what_has_a_default_can_be_left_out_of_requests_and_is_always_in_answers() -> None:
    fields = {"a": {"type": "integer"}, "b": {"type": "string", "default": ""}, "c": {"type": "boolean"}}
    schema = {"type": "object", "properties": fields, "required": ["a"]}
    found = types(_api({"Asked": schema, "Told": schema}))
    assert "interface Asked {\n  readonly a: number;\n  readonly b?: string;\n  readonly c?: boolean;\n}" in found
    assert "interface Told {\n  readonly a: number;\n  readonly b: string;\n  readonly c?: boolean;\n}" in found
    assert '"/do/{id}": { path: { readonly id: string }; body: Asked; answer: Told };' in found


def test_schemas_of_all_kinds_have_a_type() -> None:
    text = {"type": "string"}
    kinds: dict[str, tuple[dict[str, Any], str]] = {
        "Any": ({}, "Json"),
        "Choice": ({"enum": ["a", 'b"']}, '"a" | "b\\""'),
        "Either": ({"anyOf": [text, {"type": "null"}, text]}, "string | null"),
        "Kinds": ({"type": ["integer", "number", "null"]}, "number | null"),
        "List": ({"type": "array", "items": text}, "readonly string[]"),
        "Mixed": ({"type": "array", "items": {"anyOf": [text, {"type": "null"}]}}, "readonly (string | null)[]"),
        "Lists": ({"type": "array", "items": {"type": "array"}}, "readonly (readonly Json[])[]"),
        "Pair": ({"type": "array", "prefixItems": [text, {"type": "number"}]}, "readonly [string, number]"),
        "Table": ({"type": "object", "additionalProperties": text}, "Readonly<Record<string, string>>"),
        "Other": ({"$ref": "#/components/schemas/Pair"}, "Pair"),
    }
    found = types(_api({name: schema for name, (schema, _) in kinds.items()} | {"Asked": {}, "Told": {}}))
    for name, (_, expected) in kinds.items():
        assert f"export type {name} = {expected};\n" in found


def _api(schemas: dict[str, Any]) -> dict[str, Any]:
    def content(name: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    operation = {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {"required": True, "content": content("Asked")},
        "responses": {"200": {"content": content("Told")}, "4XX": {"content": content("Asked")}},
    }
    return {"components": {"schemas": schemas}, "paths": {"/do/{id}": {"post": operation}}}
