"""A script that knows ComfyUI's API and nothing else draws, changes, interrupts and looks back, against the server."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.clients.plain import Client, Heard, image_to_image, preview, preview_with_metadata, text_to_image
from tests.serving import Serving, serving

STATE_KEYS = {
    "value", "max", "state", "node_id", "prompt_id", "display_node_id", "parent_node_id", "real_node_id",
}  # fmt: skip
PACK = """
class Fails:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "test", "fail", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "number": ("INT", {"default": 1})}}

    def fail(self, images, number):
        raise KeyError("nothing is right")

NODE_CLASS_MAPPINGS = {"Fails": Fails}
"""
ENDLESS = 10_000  # steps; about a minute, if nobody interrupts


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    base = tmp_path_factory.mktemp("served")
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "failing.py").write_text(PACK)
    with serving(base) as server:
        yield server


@pytest.fixture
def client(server: Serving) -> Client:
    return Client(server.url)


def draw(client: Client, prompt: dict[str, Any], **more: Any) -> tuple[str, Heard]:
    """The job's id and all that was said of it."""
    with client.listening(supports_preview_metadata=True) as socket:
        prompt_id = client.queue(prompt, **more)["prompt_id"]
        return prompt_id, client.hear(socket, prompt_id)


def about(heard: Heard, node_id: str) -> list[str]:
    """What was said of one node, in order and without repetition: running, executing, progress, executed, finished."""
    said: list[str] = []
    for kind, data in heard.messages:
        if kind == "progress_state" and node_id in data["nodes"]:
            said.append(data["nodes"][node_id]["state"])
        elif kind in {"executing", "executed", "progress"} and data["node"] == node_id:
            said.append(kind)
    return list(dict.fromkeys(said))


def png(colour: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(data, "PNG")
    return data.getvalue()


# ── text to image ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_messages_of_a_run_come_in_the_order_that_clients_rely_on(client: Client) -> None:
    prompt_id, heard = draw(client, text_to_image("a red apple", seed=1001))
    kinds = [kind for kind, _ in heard.messages]
    assert kinds[:2] == ["execution_start", "execution_cached"]
    assert heard.messages[1][1]["nodes"] == []
    assert heard.order[-3:] == ["execution_success", "status", "executing"]
    assert (heard.remaining[0], heard.remaining[-1]) == (1, 0)
    assert heard.messages[-1][1] == {"node": None, "prompt_id": prompt_id}
    for node_id in ("4", "5", "6", "7", "8"):
        assert about(heard, node_id) == ["running", "executing", "finished"]
    assert about(heard, "3") == ["running", "executing", "progress", "finished"]
    assert about(heard, "9") == ["running", "executing", "executed", "finished"]
    begun = [data["node"] for data in heard.of("executing")]
    assert sorted(begun[:-1]) == ["3", "4", "5", "6", "7", "8", "9"]
    assert begun.index("4") < begun.index("6") < begun.index("3") < begun.index("8") < begun.index("9")
    steps = [(each["value"], each["max"]) for each in heard.of("progress") if each["node"] == "3"]
    assert steps == sorted(steps)
    assert steps[-1] == (3, 3)
    for state in (state for data in heard.of("progress_state") for state in data["nodes"].values()):
        assert set(state) >= STATE_KEYS
        assert state["prompt_id"] == prompt_id
    for kind in ("execution_start", "execution_cached", "execution_success"):
        assert heard.of(kind)[0]["timestamp"] > 1.6e12  # milliseconds


def test_no_node_is_said_to_run_after_the_end(client: Client) -> None:
    _, heard = draw(client, text_to_image("a green apple", seed=1002))
    last = heard.of("progress_state")[-1]["nodes"]
    assert {state["state"] for state in last.values()} == {"finished"}


def test_a_prompt_that_was_drawn_before_costs_nothing_and_shows_the_same_picture(client: Client) -> None:
    prompt = text_to_image("a pear", seed=1003)
    first = draw(client, prompt)[1].of("executed")[0]["output"]
    prompt_id, heard = draw(client, prompt)
    kinds = [kind for kind, _ in heard.messages]
    assert kinds == [
        "execution_start", "execution_cached", "executed", "progress_state", "execution_success", "executing",
    ]  # fmt: skip
    assert sorted(heard.of("execution_cached")[0]["nodes"]) == sorted(prompt)
    assert heard.of("executed") == [{"node": "9", "display_node": "9", "output": first, "prompt_id": prompt_id}]
    assert heard.of("progress_state")[0]["nodes"]["9"]["state"] == "finished"
    assert heard.of("executing") == [{"node": None, "prompt_id": prompt_id}]
    assert heard.frames == []


def test_previews_say_what_they_show_to_clients_that_understand_it(client: Client) -> None:
    prompt_id, heard = draw(client, text_to_image("a plum", seed=1004, steps=8))
    assert heard.frames
    for frame in heard.frames:
        metadata, picture = preview_with_metadata(frame)
        assert {key: metadata[key] for key in ("node_id", "display_node_id", "real_node_id", "prompt_id")} == {
            "node_id": "3", "display_node_id": "3", "real_node_id": "3", "prompt_id": prompt_id,
        }  # fmt: skip
        assert metadata["parent_node_id"] is None
        assert max(picture.size) <= 512
        assert picture.convert("RGB").getextrema() is not None


def test_clients_that_say_nothing_of_previews_get_bare_pictures_if_the_prompt_asks_for_them(client: Client) -> None:
    extra_data = {"preview_method": "auto"}
    with client.listening() as socket:
        prompt_id = client.queue(text_to_image("a lemon", seed=1005, steps=8), extra_data=extra_data)["prompt_id"]
        heard = client.hear(socket, prompt_id)
    assert heard.frames
    for frame in heard.frames:
        assert max(preview(frame).convert("RGB").size) <= 512


def test_clients_that_take_every_frame_for_a_result_get_none(client: Client) -> None:
    with client.listening() as socket:
        prompt_id = client.queue(text_to_image("a lime", seed=1005, steps=8))["prompt_id"]
        assert client.hear(socket, prompt_id).frames == []


def test_the_picture_is_there_with_all_that_made_it(client: Client) -> None:
    prompt = text_to_image("a cherry", seed=1006)
    workflow = {"id": "a-workflow", "nodes": [], "note": "größer"}
    _, heard = draw(client, prompt, extra_data={"extra_pnginfo": {"workflow": workflow}})
    [shown] = heard.of("executed")[0]["output"]["images"]
    assert shown == {"filename": shown["filename"], "subfolder": "", "type": "output"}
    content, headers = client.view(shown)
    assert headers["Content-Type"] == "image/png"
    assert shown["filename"] in headers["Content-Disposition"]
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.size) == ("PNG", (64, 64))
    saved = json.loads(picture.info["prompt"])
    assert {key: (node["class_type"], node["inputs"]) for key, node in saved.items()} == {
        key: (node["class_type"], node["inputs"]) for key, node in prompt.items()
    }
    assert json.loads(picture.info["workflow"]) == workflow
    small, headers = client.view(shown, preview="webp;80")
    assert headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(small)).size == (64, 64)


# ── looking back ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_history_tells_what_was_asked_for_and_what_came_of_it(client: Client) -> None:
    prompt = text_to_image("a grape", seed=1007)
    workflow = {"id": "another"}
    extra = {"extra_pnginfo": {"workflow": workflow}, "api_key_comfy_org": "secret", "mine": [1, 2]}
    prompt_id, heard = draw(client, prompt, extra_data=extra)
    entry = client.get(f"/history/{prompt_id}")[prompt_id]
    assert set(entry) >= {"prompt", "outputs", "status", "meta"}
    number, job_id, graph, extra_data, targets = entry["prompt"]
    assert (job_id, graph, targets) == (prompt_id, prompt, ["9"])
    assert isinstance(number, int)
    assert extra_data == {"extra_pnginfo": {"workflow": workflow}, "mine": [1, 2], "client_id": client.id}
    assert entry["outputs"] == {"9": heard.of("executed")[0]["output"]}
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    assert [kind for kind, _ in entry["status"]["messages"]] == [
        "execution_start", "execution_cached", "execution_success",
    ]  # fmt: skip
    assert all(data["prompt_id"] == prompt_id for _, data in entry["status"]["messages"])
    assert entry["meta"]["9"] == {"node_id": "9", "display_node": "9", "parent_node": None, "real_node_id": "9"}


def test_history_is_in_order_and_can_be_cut_and_deleted(client: Client) -> None:
    ids = [draw(client, text_to_image("a fig", seed=seed, steps=1))[0] for seed in (1, 2, 3)]
    assert list(client.get("/history"))[-3:] == ids
    assert list(client.get("/history", max_items=2)) == ids[1:]
    before = len(client.get("/history")) - 3
    assert list(client.get("/history", offset=before, max_items=2)) == ids[:2]
    assert client.get("/history", offset=10**6) == {}
    assert client.post("/history", {"delete": [ids[1]]}) == (200, None)
    assert list(client.get("/history"))[-2:] == [ids[0], ids[2]]
    assert client.get(f"/history/{ids[1]}") == {}


def test_every_route_is_there_with_and_without_its_prefix(client: Client) -> None:
    for path in ("/prompt", "/queue", "/history", "/object_info/KSampler", "/features", "/models", "/embeddings"):
        assert client.get(path) == client.get(f"/api{path}")


def test_the_server_says_what_it_has(client: Client) -> None:
    assert client.get("/prompt") == {"exec_info": {"queue_remaining": 0}}
    node = client.get("/object_info/KSampler")["KSampler"]
    assert set(node) >= {
        "input", "input_order", "output", "output_is_list", "output_name", "name", "display_name", "description",
        "python_module", "category", "output_node",
    }  # fmt: skip
    assert node["input"]["required"]["seed"][0] == "INT"
    assert client.get("/object_info/Nothing") == {}
    assert "darkroom-tiny.safetensors" in client.get("/models/checkpoints")
    assert (
        "darkroom-tiny.safetensors"
        in client.get("/object_info")["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    )
    stats = client.get("/system_stats")
    assert set(stats["system"]) >= {"os", "ram_total", "ram_free", "comfyui_version", "python_version", "argv"}
    assert set(stats["devices"][0]) >= {"name", "type", "vram_total", "vram_free"}
    assert client.get("/users")["storage"] == "server"


# ── image to image ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_uploaded_picture_is_drawn_anew(client: Client) -> None:
    status, placed = client.upload("Äpfel & Birnen.png", png((200, 30, 30)), subfolder="fruit", overwrite="true")
    assert (status, placed) == (200, {"name": "Äpfel & Birnen.png", "subfolder": "fruit", "type": "input"})
    _, heard = draw(client, image_to_image("fruit/Äpfel & Birnen.png", "a red apple"))
    [shown] = heard.of("executed")[0]["output"]["images"]
    assert Image.open(io.BytesIO(client.view(shown)[0])).size == (64, 64)
    content, _ = client.view({"filename": placed["name"], "subfolder": "fruit", "type": "input"})
    assert content == png((200, 30, 30))


def test_an_upload_never_takes_the_place_of_another_picture_unasked(client: Client) -> None:
    names = [client.upload("same.png", png(colour))[1]["name"] for colour in ((1, 2, 3), (1, 2, 3), (4, 5, 6))]
    assert names == ["same.png", "same.png", "same (1).png"]
    assert client.upload("same.png", png((7, 8, 9)), overwrite="true")[1]["name"] == "same.png"
    assert client.view({"filename": "same.png", "subfolder": "", "type": "input"})[0] == png((7, 8, 9))


# ── interrupting ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("named", [True, False])
def test_a_job_that_is_interrupted_says_so_and_the_next_one_runs(client: Client, named: bool) -> None:
    with client.listening(supports_preview_metadata=True) as socket:
        text = f"a melon, {named}"
        prompt_id = client.queue(text_to_image(text, seed=1008, steps=ENDLESS))["prompt_id"]
        client.hear(socket, prompt_id, until="progress")
        assert client.post("/interrupt", {"prompt_id": prompt_id} if named else None) == (200, None)
        heard = client.hear(socket, prompt_id)
        assert [kind for kind, _ in heard.messages if kind not in {"progress", "progress_state"}] == [
            "execution_interrupted", "executing",
        ]  # fmt: skip
        said = heard.of("execution_interrupted")[0]
        assert (said["node_id"], said["node_type"]) == ("3", "KSampler")
        assert {"6"} <= set(said["executed"]) <= {"4", "5", "6", "7"}  # others may have had results already
        assert heard.remaining[-1] == 0
        assert "execution_success" not in heard.order
        following = client.queue(text_to_image(text, seed=1008))["prompt_id"]
        assert client.hear(socket, following).of("execution_success")
    entry = client.get(f"/history/{prompt_id}")[prompt_id]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


def test_an_interruption_of_a_job_that_does_not_run_stops_nothing(client: Client) -> None:
    with client.listening() as socket:
        prompt_id = client.queue(text_to_image("a date", seed=1009, steps=ENDLESS))["prompt_id"]
        client.hear(socket, prompt_id, until="progress")
        assert client.post("/interrupt", {"prompt_id": "of another"}) == (200, None)
        assert [item[1] for item in client.get("/queue")["queue_running"]] == [prompt_id]
        assert client.post("/interrupt", {"prompt_id": prompt_id}) == (200, None)
        client.hear(socket, prompt_id)


def test_the_queue_shows_what_runs_and_what_waits_and_lets_go_of_what_waits(client: Client) -> None:
    waiting: list[list[Any]] = []
    while not waiting:  # until as many run as may run at a time
        prompt = text_to_image("a kiwi", seed=1010, steps=ENDLESS)
        last = client.queue(prompt, extra_data={"extra_pnginfo": {"workflow": {"id": "w"}}})
        state = client.get("/queue")
        waiting = [item for item in state["queue_pending"] if item[1] == last["prompt_id"]]
        assert last["number"] < 1000
    extra_data = {"extra_pnginfo": {"workflow": {"id": "w"}}, "client_id": client.id}
    assert waiting == [[last["number"], last["prompt_id"], prompt, extra_data, ["9"]]]
    assert client.get(f"/history/{last['prompt_id']}") == {}
    assert client.get("/prompt")["exec_info"]["queue_remaining"] == sum(map(len, state.values()))
    first = client.queue(prompt, front=True)
    assert [item[1] for item in client.get("/queue")["queue_pending"]] == [first["prompt_id"], last["prompt_id"]]
    assert client.post("/queue", {"delete": [last["prompt_id"]]}) == (200, None)
    assert [item[1] for item in client.get("/queue")["queue_pending"]] == [first["prompt_id"]]
    assert client.post("/queue", {"clear": True}) == (200, None)
    assert client.get("/queue")["queue_pending"] == []
    with client.listening() as socket:
        assert client.post("/interrupt") == (200, None)
        while client.get("/queue")["queue_running"]:
            socket.recv(60)


# ── what fails while it runs ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_that_fails_is_named_with_its_error_and_what_ran_before(client: Client) -> None:
    prompt = text_to_image("a quince", seed=1013)
    del prompt["9"]
    prompt["bad"] = {"class_type": "Fails", "inputs": {"images": ["8", 0], "number": 7}}
    prompt_id, heard = draw(client, prompt)
    assert heard.order[-3:] == ["execution_error", "status", "executing"]
    assert about(heard, "bad")[:2] == ["running", "executing"]
    error = heard.of("execution_error")[0]
    assert set(error) >= {
        "prompt_id", "node_id", "node_type", "executed", "exception_message", "exception_type", "traceback",
        "current_inputs", "current_outputs", "timestamp",
    }  # fmt: skip
    assert (error["node_id"], error["node_type"], error["exception_type"]) == ("bad", "Fails", "KeyError")
    assert "nothing is right" in error["exception_message"]
    assert error["traceback"][-1] == "KeyError: 'nothing is right'\n"
    assert {"3", "8"} <= set(error["executed"])
    entry = client.get(f"/history/{prompt_id}")[prompt_id]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    kind, kept = entry["status"]["messages"][-1]
    assert kind == "execution_error"
    assert {key: kept[key] for key in ("node_id", "exception_type", "exception_message")} == {
        key: error[key] for key in ("node_id", "exception_type", "exception_message")
    }


# ── what cannot run ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_wrong_with_a_prompt_is_said_of_each_node(client: Client) -> None:
    prompt = text_to_image("a lime")
    prompt["3"]["inputs"] |= {"steps": 0, "sampler_name": "nothing"}
    del prompt["3"]["inputs"]["model"]
    prompt["4"]["inputs"]["ckpt_name"] = "absent.safetensors"
    prompt["8"]["inputs"]["vae"] = ["4", 0]
    status, answer = client.post("/prompt", {"prompt": prompt, "client_id": client.id})
    assert status == 400
    assert set(answer) == {"error", "node_errors"}
    assert set(answer["error"]) >= {"type", "message", "details", "extra_info"}
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    found = {
        node_id: {(each["type"], each["extra_info"].get("input_name")) for each in node["errors"]}
        for node_id, node in answer["node_errors"].items()
    }
    assert found == {
        "3": {
            ("value_smaller_than_min", "steps"),
            ("value_not_in_list", "sampler_name"),
            ("required_input_missing", "model"),
        },
        "4": {("value_not_in_list", "ckpt_name")},
        "8": {("return_type_mismatch", "vae")},
    }
    for node in answer["node_errors"].values():
        assert node["dependent_outputs"] == ["9"]
        for each in node["errors"]:
            assert set(each) >= {"type", "message", "details", "extra_info"}
            assert each["message"]
    assert answer["node_errors"]["3"]["class_type"] == "KSampler"


def test_an_output_that_cannot_run_does_not_stop_the_others(client: Client) -> None:
    prompt = text_to_image("a mango", seed=1011)
    prompt["bad"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "plain"}}
    answer = client.queue(prompt)
    assert list(answer["node_errors"]) == ["bad"]
    with client.listening() as socket:
        while not (entry := client.get(f"/history/{answer['prompt_id']}")):
            socket.recv(60)
    assert list(entry[answer["prompt_id"]]["outputs"]) == ["9"]


def test_only_the_outputs_that_are_asked_for_are_made(client: Client) -> None:
    prompt = text_to_image("a peach", seed=1012)
    prompt["look"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    _, heard = draw(client, prompt, partial_execution_targets=["look"])
    assert [data["node"] for data in heard.of("executed")] == ["look"]
    [shown] = heard.of("executed")[0]["output"]["images"]
    assert shown["type"] == "temp"
    assert client.view(shown)[0].startswith(b"\x89PNG")
    status, answer = client.post("/prompt", {"prompt": prompt, "partial_execution_targets": []})
    assert (status, answer["error"]["type"], answer["node_errors"]) == (400, "prompt_no_outputs", {})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "no_prompt"),
        ({"prompt": {}}, "prompt_no_outputs"),
        ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "Nothing", "inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "EmptyLatentImage", "inputs": {}}}}, "prompt_no_outputs"),
    ],
)
def test_a_prompt_of_which_nothing_can_run_is_refused_in_the_documented_shape(
    client: Client, body: dict[str, Any], kind: str
) -> None:
    status, answer = client.post("/prompt", body)
    assert status == 400
    assert answer["error"]["type"] == kind
    assert answer["error"]["message"]
    assert isinstance(answer["node_errors"], dict)


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"x"', b'{"prompt": 3}', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_prompt_at_all_is_answered_with_a_sentence(client: Client, body: bytes) -> None:
    status, text, _ = client.call("POST", "/prompt", body, "application/json")
    assert status == 400
    assert json.loads(text)["error"]["message"]
    assert client.get("/prompt")["exec_info"]["queue_remaining"] == 0
