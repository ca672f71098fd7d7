"""A client library that others made, and that knows nothing of Darkroom, draws with it."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.serving import HOUSE, Serving, serving

library = pytest.importorskip(
    "comfy_api_simplified", reason="the client library is not installed: pip install comfy-api-simplified"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("served")) as server:
        yield server


def test_it_draws_the_sample_workflow_with_changes_of_its_own(server: Serving) -> None:
    workflow = library.ComfyWorkflowWrapper(HOUSE / "workflows" / "text_to_image.json")
    workflow.set_node_param("What the picture should show", "text", "a blue ball")
    workflow.set_node_param("Begin with an empty picture", "width", 64)
    workflow.set_node_param("Begin with an empty picture", "height", 64)
    workflow.set_node_param("Remove the noise", "steps", 12)
    api = library.ComfyApiWrapper(server.url)
    [(name, content)] = api.queue_and_wait_images(workflow, "Keep it").items()
    assert name == "darkroom_00001_.png"
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.size) == ("PNG", (64, 64))
    assert json.loads(picture.info["prompt"])["positive"]["inputs"]["text"] == "a blue ball"


def test_it_draws_from_a_picture_that_it_uploads(server: Serving, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "mine.png")
    api = library.ComfyApiWrapper(server.url)
    placed = api.upload_image(tmp_path / "mine.png", subfolder="from afar")
    assert placed == {"name": "mine.png", "subfolder": "from afar", "type": "input"}
    workflow = library.ComfyWorkflowWrapper(
        {
            "load": {"class_type": "LoadImage", "inputs": {"image": "from afar/mine.png"}, "_meta": {"title": "Load"}},
            "save": {
                "class_type": "SaveImage",
                "inputs": {"images": ["load", 0], "filename_prefix": "again"},
                "_meta": {"title": "Save"},
            },
        }
    )
    [content] = api.queue_and_wait_images(workflow, "Save").values()
    assert Image.open(io.BytesIO(content)).convert("RGB").getpixel((1, 1)) == (200, 30, 30)


def test_what_else_it_asks_is_answered(server: Serving) -> None:
    api = library.ComfyApiWrapper(server.url)
    assert set(api.get_queue()) == {"queue_running", "queue_pending"}
    assert set(api.get_object_info("KSampler")) == {"KSampler"}
    assert api.get_embeddings() == []
    assert api.get_system_stats()["system"]["comfyui_version"]
    api.interrupt()


def test_it_says_so_when_a_workflow_cannot_run(server: Serving) -> None:
    api = library.ComfyApiWrapper(server.url)
    with pytest.raises(library.ComfyApiError, match="400"):
        api.queue_prompt({"1": {"class_type": "Nothing", "inputs": {}}})
