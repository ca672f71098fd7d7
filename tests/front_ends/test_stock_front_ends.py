"""ComfyUI's own front-ends, served from their folders, draw with Darkroom in a browser.

They are under the GPL and no part of Darkroom: DARKROOM_FRONT_ENDS names a folder that holds the static folders of the
package comfyui-frontend-package, as 1.27.10/ and 1.58.1/. docs/guide/other-front-ends.md says how to get them.
"""

import json
import os
import shutil
import struct
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.serving import HOUSE, PATIENCE_S, Serving, serving

FOLDER = Path(os.environ.get("DARKROOM_FRONT_ENDS", "/nowhere"))
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHECKPOINT = "darkroom-tiny.safetensors"
OWN_FAULTS = {"1.27.10": "reading 'id'", "1.58.1": "\0"}  # an error of the page itself, with any server

if not all((FOLDER / version / "index.html").is_file() for version in OWN_FAULTS):
    pytest.skip("DARKROOM_FRONT_ENDS does not name a folder with front-ends", allow_module_level=True)
if BROWSER is None:
    pytest.skip("there is no Chromium to open the front-ends with", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@dataclass
class Window:
    """A page of a front-end, and what it did."""

    page: Any
    server: Serving
    faults: list[str] = field(default_factory=list)  # errors that no script of the page caught
    messages: list[dict[str, Any]] = field(default_factory=list)  # that came over the WebSocket
    frames: list[bytes] = field(default_factory=list)
    answers: list[tuple[str, str, int]] = field(default_factory=list)  # method, path with query, status

    def wait_for(self, script: str, argument: object = None) -> Any:
        """The value of an expression in the page, once it is true."""
        return self.page.wait_for_function(script, arg=argument, timeout=PATIENCE_S * 1000).json_value()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Let the page go on until something is so here."""
        for _ in range(int(PATIENCE_S * 10)):
            if is_so():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"It did not happen. The page asked for {self.answers}, and heard {self.messages}.")

    def heard(self, kind: str) -> list[dict[str, Any]]:
        return [message["data"] for message in self.messages if message["type"] == kind]

    def pictures(self) -> list[str]:
        """The pictures in the output folder that it has fetched."""
        return [path for _, path, status in self.answers if "/api/view?" in path and status in {200, 206}]


@contextmanager
def opened(version: str, base: Path, **settings: object) -> Iterator[Window]:
    """The front-end of that version in a window of its own, with its socket open; the rest of the world is away."""
    with serving(base, "--front-end", FOLDER / version) as server:
        known = json.dumps({"Comfy.TutorialCompleted": True, **settings}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{server.url}/api/settings", known), timeout=PATIENCE_S).close()
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            window = Window(page, server)
            page.set_default_timeout(PATIENCE_S * 1000)
            page.route(lambda url: not url.startswith((server.url, "blob:", "data:")), lambda route: route.abort())
            page.on("pageerror", lambda error: window.faults.append(str(error)))
            page.on("response", lambda answer: window.answers.append(_told(answer, server)))
            page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: _take(window, frame)))
            page.goto(server.url)
            window.wait_until(lambda: bool(window.heard("status")))
            yield window
            page.screenshot(path=base / f"{version}.png")
            faults = [each for each in window.faults if OWN_FAULTS[version] not in each]
            assert faults == []
            broken = [each for each in window.answers if each[2] >= 500]
            assert broken == []
            browser.close()


def add_extension(base: Path) -> None:
    """A pack that brings a script for the front-end."""
    web = base / "custom_nodes" / "a greeting" / "web"
    web.mkdir(parents=True)
    (web.parent / "__init__.py").write_text('WEB_DIRECTORY = "web"\nNODE_CLASS_MAPPINGS = {}\n')
    (web / "greet.js").write_text(
        'import {app} from "../../scripts/app.js";\n'
        'app.registerExtension({name: "test.greeting", setup() { window.greeted = true; }});\n'
    )


def _told(answer: Any, server: Serving) -> tuple[str, str, int]:
    return answer.request.method, answer.url.removeprefix(server.url), answer.status


def _take(window: Window, frame: str | bytes) -> None:
    if isinstance(frame, bytes):
        window.frames.append(frame)
    else:
        window.messages.append(json.loads(frame))


# The width of the picture on the node that saves it, which must be in sight.
SHOWN = """() => {
    const node = (app.rootGraph ?? app.graph)._nodes.find((each) => each.type === "SaveImage");
    return node?.imgs?.length && node.imgs[0].complete && node.imgs[0].naturalWidth;
}"""
SAMPLE = """() => {
    const nodes = (window.app?.rootGraph ?? window.app?.graph)?._nodes;
    return nodes?.length === 7 && nodes.some((node) => node.title === "Remove the noise");
}"""
QUIET = "() => (app.rootGraph ?? app.graph)._nodes.every((node) => node.progress === undefined)"
BUSY = "() => (app.rootGraph ?? app.graph)._nodes.some((node) => node.progress > 0)"


def open_sample(window: Window) -> None:
    """Open the sample workflow as the button for that does."""
    window.wait_for("() => (window.app?.rootGraph ?? window.app?.graph)?._nodes?.length > 0")
    window.page.locator("#comfy-file-input").set_input_files(HOUSE / "workflows" / "text_to_image.json")
    window.wait_for(SAMPLE)


def draw(window: Window) -> int:
    """Run what is open, as its button does; the width of the picture."""
    window.page.evaluate("app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    window.page.get_by_test_id("queue-button").click()
    width: int = window.wait_for(SHOWN)
    window.wait_until(lambda: bool(window.heard("execution_success")))
    window.wait_for(QUIET)
    assert {struct.unpack(">I", frame[:4])[0] for frame in window.frames} == {4}
    [shown] = (data["output"]["images"] for data in window.heard("executed"))
    assert any(f"filename={shown[0]['filename']}" in path for path in window.pictures())
    return width


def test_1_27_draws_its_default_graph_and_shows_how_far_it_is(tmp_path: Path) -> None:
    add_extension(tmp_path)
    with opened("1.27.10", tmp_path) as window:
        window.wait_for("() => window.app?.graph?._nodes?.length === 7")
        window.wait_for("() => window.greeted")
        names = window.page.evaluate("app.graph._nodes.map((node) => node.type).sort()")
        assert names == [
            "CLIPTextEncode", "CLIPTextEncode", "CheckpointLoaderSimple", "EmptyLatentImage", "KSampler", "SaveImage",
            "VAEDecode",
        ]  # fmt: skip
        unknown = "app.graph._nodes.filter((node) => !node.constructor.nodeData).map((node) => node.type)"
        assert window.page.evaluate(unknown) == []
        window.page.evaluate(
            """(checkpoint) => {
                const widget = (type, name) => app.graph._nodes.find((node) => node.type === type)
                    .widgets.find((each) => each.name === name);
                if (!widget("CheckpointLoaderSimple", "ckpt_name").options.values.includes(checkpoint)) throw "absent";
                widget("CheckpointLoaderSimple", "ckpt_name").value = checkpoint;
                widget("EmptyLatentImage", "width").value = widget("EmptyLatentImage", "height").value = 128;
                window.titles = [];
                window.previews = 0;
                new MutationObserver(() => titles.push(document.title)).observe(
                    document.querySelector("title"), {childList: true, subtree: true, characterData: true});
                app.api.addEventListener("b_preview_with_metadata", () => {
                    if (Object.keys(app.nodePreviewImages ?? {}).length) window.previews += 1;
                });
            }""",
            CHECKPOINT,
        )
        assert draw(window) == 128
        assert any("%" in title for title in window.page.evaluate("titles"))
        assert window.page.evaluate("previews") > 0
        assert len(list((tmp_path / "output").glob("ComfyUI_*.png"))) == 1


def test_1_58_opens_the_sample_workflow_and_shows_its_picture(tmp_path: Path) -> None:
    add_extension(tmp_path)
    with opened("1.58.1", tmp_path) as window:
        open_sample(window)
        window.wait_for("() => window.greeted")
        assert draw(window) == 128
        window.page.get_by_text("Job completed").wait_for()
        jobs = [status for _, path, status in window.answers if path.startswith("/api/jobs")]
        assert jobs
        assert set(jobs) == {200}
        assert len(list((tmp_path / "output").glob("darkroom_*.png"))) == 1


def test_1_58_is_told_which_nodes_of_its_default_graph_there_are_not(tmp_path: Path) -> None:
    with opened("1.58.1", tmp_path) as window:
        window.wait_for("() => window.app?.rootGraph?._nodes?.length >= 10")
        with window.page.expect_response(lambda answer: answer.url.endswith("/api/prompt")) as sent:
            window.page.evaluate("app.queuePrompt(0, 1)")
        answer = sent.value
        assert answer.status == 400
        prompt = answer.request.post_data_json["prompt"]
        absent = {node_id for node_id, node in prompt.items() if not node.get("class_type")}
        assert absent
        said = answer.json()
        assert said["error"]["message"]
        assert set(said["node_errors"]) >= absent
        assert all(node["errors"] and isinstance(node["class_type"], str) for node in said["node_errors"].values())
        window.page.get_by_text("issues found").wait_for()


@pytest.mark.parametrize("version", OWN_FAULTS)
def test_a_workflow_is_saved_and_its_run_interrupted_and_both_are_there_when_the_page_is_opened_again(
    version: str, tmp_path: Path
) -> None:
    with opened(version, tmp_path) as window:
        open_sample(window)
        window.page.keyboard.press("Control+s")
        window.page.get_by_role("dialog").get_by_role("textbox").press("Enter")
        saved = "/api/userdata/workflows%2Ftext_to_image.json"
        window.wait_until(lambda: any(path.startswith(saved) and status == 200 for _, path, status in window.answers))
        [file] = tmp_path.glob("user/*/workflows/text_to_image.json")
        assert len(json.loads(file.read_text())["nodes"]) == 7
        window.page.evaluate(
            """(app.rootGraph ?? app.graph)._nodes.find((node) => node.type === "KSampler")
                .widgets.find((widget) => widget.name === "steps").value = 10000"""
        )
        window.page.get_by_test_id("queue-button").click()
        window.wait_for(BUSY)
        window.page.evaluate("app.extensionManager.command.execute('Comfy.Interrupt')")
        window.wait_until(lambda: bool(window.heard("execution_interrupted")))
        window.wait_for(QUIET)
        before = len(window.answers)
        window.page.reload()
        window.wait_for(SAMPLE)
        panel = "/api/history?" if version == "1.27.10" else "/api/jobs?status=completed,failed,cancelled"
        window.wait_until(
            lambda: any(path.startswith(panel) and status == 200 for _, path, status in window.answers[before:])
        )
