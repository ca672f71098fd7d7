"""The forms in which workflows are kept, told apart by content; what is run of those that a picture carries."""

import json
import math
from datetime import datetime
from typing import Any

import pytest

from graph import DocumentError, read
from graph.read.convert import Circumstances
from graph.read.facts import Described
from tests.graph.pictures import MODEL, exif, png, saved

FACTS = Described(
    {
        "Add": {"input": {"required": {"a": ["INT", {}], "b": ["INT", {}]}}, "output": ["INT"], "name": "Add"},
        "Say": {"input": {"required": {"text": ["STRING", {"dynamicPrompts": True}]}}, "output": [], "name": "Say"},
    }
)
PROMPT = {"1": {"class_type": "Add", "inputs": {"a": 7, "b": ["2", 0]}}}
WORKFLOW: dict[str, Any] = {
    "nodes": [{"id": 5, "type": "Add", "inputs": [], "outputs": [], "mode": 0, "widgets_values": [1, 2]}],
    "links": [],
    "version": 0.4,
}
PARAMETERS = "a cat\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 64x64, Model: x, RNG: CPU"
EXTRA = {"extra_pnginfo": {"workflow": WORKFLOW, "more": 1}}


def values(data: bytes) -> dict[str, Any]:
    """By class, the first input of each node that is read."""
    return {node.class_type: next(iter(node.inputs.values())) for node in read(data, FACTS).nodes.values()}


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def refused(data: bytes, facts: Described | None = FACTS) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        read(data, facts)
    return [problem.sentence for problem in caught.value.problems]


def test_the_editors_form_is_converted_and_kept() -> None:
    document = read(as_json(WORKFLOW), FACTS)
    assert document.nodes["5"].class_type == "Add"
    assert document.nodes["5"].inputs == {"a": 1, "b": 2}
    assert document.extra_pnginfo == {"workflow": WORKFLOW}
    assert document.notes == ()


def test_circumstances_reach_the_conversion() -> None:
    say = {"nodes": [{"id": 1, "type": "Say", "widgets_values": ["{a|b|c}"]}], "links": [], "version": 0.4}
    fixed = Circumstances(datetime(2024, 3, 5), lambda count: count - 1)
    assert read(as_json(say), FACTS, fixed).nodes["1"].inputs == {"text": "c"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("form", [PROMPT, WORKFLOW])
def test_json_in_every_unicode(encoding: str, form: object) -> None:
    assert set(values(json.dumps(form).encode(encoding))) == {"Add"}


@pytest.mark.parametrize(
    ("wrapped", "has_workflow"),
    [
        ({"prompt": PROMPT}, False),
        ({"prompt": PROMPT, "workflow": WORKFLOW}, True),
        ({"output": PROMPT, "workflow": WORKFLOW}, True),
        ({"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)}, True),
        ({"prompt": PROMPT, "client_id": "x", "extra_data": EXTRA}, True),
        ({"prompt": PROMPT, "extra_data": {}}, False),
        ({"prompt": [3, "id", PROMPT, EXTRA, ["1"]], "outputs": {}, "status": {}}, True),
        ({"id": {"prompt": [3, "id", PROMPT, EXTRA, ["1"]], "outputs": {}, "status": {}}}, True),
        ([3, "id", PROMPT, EXTRA, ["1"]], True),
        ([3, "id", PROMPT], False),
        ({"id": "x", "status": "completed", "workflow": {"prompt": PROMPT, "extra_data": EXTRA}}, True),
    ],
)
def test_what_wraps_a_workflow_is_taken_off(wrapped: object, has_workflow: bool) -> None:
    document = read(as_json(wrapped), FACTS)
    assert document.prompt == PROMPT
    assert document.extra_pnginfo.get("workflow") == (WORKFLOW if has_workflow else None)


def test_a_body_with_the_editors_form_alone_is_converted() -> None:
    assert values(as_json({"prompt": WORKFLOW})) == {"Add": 1}
    assert values(as_json({"workflow": WORKFLOW})) == {"Add": 1}
    assert read(as_json({"prompt": PROMPT, "extra_data": EXTRA}), FACTS).extra_pnginfo["more"] == 1


def test_answers_about_several_jobs_are_refused() -> None:
    entry = {"prompt": [3, "id", PROMPT, {}, []]}
    assert refused(as_json({"x": entry, "y": entry})) == [
        "This JSON tells of 2 jobs, each with a workflow; give one of them."
    ]


def test_a_node_may_be_called_prompt() -> None:
    assert values(as_json({"prompt": PROMPT["1"], "workflow": PROMPT["1"]})) == {"Add": 7}


def test_the_text_beside_a_picture_is_read() -> None:
    assert "KSampler" in values(PARAMETERS.encode())
    assert "KSampler" in values(b"\xef\xbb\xbf" + PARAMETERS.encode())
    assert "KSampler" in values(b"[x] (y), {z}\nSteps: 20")


def test_of_what_a_picture_carries_that_is_run_which_was_run() -> None:
    whole = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW), "parameters": PARAMETERS}
    document = read(png(**whole), FACTS)
    assert document.prompt == PROMPT
    assert document.extra_pnginfo == {"workflow": WORKFLOW}
    assert document.notes == ()
    del whole["prompt"]
    assert values(png(**whole)) == {"Add": 1}
    del whole["workflow"]
    assert "KSampler" in values(png(**whole))


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("{", "The text “prompt” in the picture: This is not JSON"),
        ("a cat", "The text “prompt” in the picture: This is not JSON"),
        (json.dumps(PROMPT | {"2": {"inputs": {}}}), "Node 2 has no class_type"),
    ],
)
def test_what_is_broken_is_told_and_the_next_form_taken(prompt: str, told: str) -> None:
    document = read(png(prompt=prompt, workflow=json.dumps(WORKFLOW)), FACTS)
    assert document.nodes["5"].class_type == "Add"
    assert told in document.notes[0]
    assert document.notes[0].endswith("Another form of it is taken.")
    document = read(png(prompt=json.dumps(PROMPT), workflow="{"), FACTS)
    assert document.prompt == PROMPT
    assert document.extra_pnginfo == {}
    assert "The text “workflow” in the picture: This is not JSON" in document.notes[0]
    document = read(png(prompt="{", workflow="{", parameters=PARAMETERS), FACTS)
    assert "KSampler" in {node.class_type for node in document.nodes.values()}
    assert len(document.notes) == 2


def test_all_that_is_broken_is_told() -> None:
    first, second, third = refused(png(prompt="{", workflow="[", parameters="a cat"))
    assert "“prompt” in the picture: This is not JSON" in first
    assert "“workflow” in the picture: This is not JSON" in second
    assert "“parameters” in this picture does not say how it was drawn" in third


def test_a_text_that_is_json_but_no_workflow_is_told() -> None:
    assert refused(png(prompt='{"seed": 1}'))[0].startswith(
        "The text “prompt” in the picture: This JSON is no workflow"
    )


def test_no_more_is_told_than_anybody_reads() -> None:
    assert len(refused(as_json({str(number): {"class_type": number} for number in range(5000)}))) == 200


def test_an_empty_prompt_gives_way() -> None:
    assert values(png(prompt="{}", workflow=json.dumps(WORKFLOW))) == {"Add": 1}
    assert read(png(prompt="{}"), FACTS).nodes == {}


def test_forms_under_each_others_keys_are_told_by_content() -> None:
    document = read(png(prompt=json.dumps(WORKFLOW), workflow=json.dumps(PROMPT)), FACTS)
    assert document.prompt == PROMPT
    assert document.extra_pnginfo == {"workflow": WORKFLOW}


def test_nan_and_infinity_are_read() -> None:
    """In the editor's form as null, as editors do; in API form as they are, since they say that a node always runs."""
    text = '{"nodes": [{"id": 5, "type": "Add", "widgets_values": [NaN, -Infinity]}], "links": [], "version": 0.4}'
    document = read(text.encode(), FACTS)
    assert document.nodes["5"].inputs == {"a": None, "b": None}
    json.dumps(dict(document.extra_pnginfo), allow_nan=False)
    node = read(b'{"1": {"class_type": "Add", "inputs": {}, "is_changed": [NaN]}}').nodes["1"]
    assert math.isnan(node.is_changed[0])


def test_without_facts_pictures_and_the_api_form_are_read_and_the_editors_form_is_refused() -> None:
    assert read(png(prompt=json.dumps(PROMPT), workflow=json.dumps(WORKFLOW))).extra_pnginfo == {"workflow": WORKFLOW}
    assert read(saved("WEBP", exif=exif({MODEL: b"prompt:" + as_json(PROMPT)}))).prompt == PROMPT
    assert "KSampler" in {node.class_type for node in read(png(parameters=PARAMETERS)).nodes.values()}
    assert refused(as_json(WORKFLOW), None)[0].startswith("This is a workflow in the editor's form")
    assert refused(as_json({"workflow": WORKFLOW}), None)[0].startswith("This is a workflow in the editor's form")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"PK\3\4\0\0\0\0", "This is an archive (ZIP), neither JSON nor a PNG"),
        (b"\x1f\x8b\x08\0\0\0", "This is a packed file (gzip)"),
        (b"%PDF-1.7", "This is a PDF"),
        (b"BM\0\0\0\0", "This is a picture of another kind (BMP)"),
        (b"MM\0*\0\0", "This is a picture of another kind (TIFF)"),
        (b"\0\0\0\x20ftypisom\0\0", "This is a film, or a picture (HEIC)"),
        (b"\x40\0\0\0\0\0\0\0{}", "This is a model file (safetensors)"),
        (b"\0\1\2\3\4\5", "This is a file of another kind"),
        (b"{\xff", "This is not JSON"),
        (b"a cat", "This is not JSON"),
        (b'{"a": {"b": 1}}', "This JSON is no workflow"),
        (b'{"prompt": 3}', "This JSON is no workflow"),
        (b'{"prompt": {"prompt": {"prompt": {"prompt": {"prompt": {"prompt": {}}}}}}}', "This JSON is no workflow"),
        (b'{"prompt": "{"}', "This is not JSON"),
        (b"null", "This JSON is no workflow"),
    ],
)
def test_what_a_file_is_instead_is_said(data: bytes, told: str) -> None:
    (sentence,) = refused(data)
    assert sentence.startswith(told)
    assert sentence.endswith(".")
    assert "; " in sentence
