"""The modules of ComfyUI that packs import."""

import contextvars
import importlib
import io
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from compat import shims
from compat.calls import CONTEXT, enter
from graph.given import Blocked
from graph.paths import Paths
from tests.nodes.conftest import RecordingContext


@pytest.fixture(autouse=True)
def _installed() -> None:
    shims.install()


def run(code: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(code, names)
    return names


@pytest.mark.parametrize(
    "line",
    [
        "import comfy.utils",
        "import comfy.utils as utils",
        "from comfy import utils",
        "from comfy.utils import ProgressBar",
        "from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict, CheckLazyMixin, FileLocator",
        "from comfy.comfy_types.node_typing import IO",
        "from comfy_execution.graph import ExecutionBlocker, DynamicPrompt",
        "from comfy_execution.graph_utils import GraphBuilder, is_link, add_graph_prefix, ExecutionBlocker",
    ],
)
def test_they_can_be_imported(line: str) -> None:
    run(line)


def test_a_module_is_one_under_all_its_names() -> None:
    assert run("from comfy_execution.graph import ExecutionBlocker as it")["it"] is Blocked
    assert importlib.import_module("comfy.utils") is importlib.import_module("compat.shims.comfy.utils")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("from comfy.utils import lanczos", "lanczos of ComfyUI's module comfy.utils yet"),
        ("from comfy import nothing", "nothing of ComfyUI's module comfy yet"),
        ("import comfy.samplers", "module comfy.samplers yet"),
        ("from comfy.samplers import KSampler", "module comfy.samplers yet"),
        ("import folder_paths", "module folder_paths yet"),
        ("from comfy_api.latest import io", "module comfy_api yet"),
    ],
)
def test_what_is_not_there_says_so(line: str, sentence: str) -> None:
    with pytest.raises(ImportError, match=sentence) as caught:
        run(line)
    assert str(caught.value).startswith("Darkroom does not have")


def test_a_pack_may_look_whether_a_name_is_there() -> None:
    assert run("import comfy.utils\nfound = hasattr(comfy.utils, 'lanczos')")["found"] is False
    with pytest.raises(AttributeError, match="Darkroom does not have lanczos"):
        run("import comfy.utils\ncomfy.utils.lanczos()")


def test_other_modules_are_left_alone() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module'"):
        run("import no_such_module")


def test_types_are_texts_and_any_differs_from_none() -> None:
    from comfy.comfy_types import IO  # type: ignore[import-not-found]

    assert IO.IMAGE == "IMAGE"
    assert f"{IO.IMAGE}" == "IMAGE"
    assert not (IO.ANY != "IMAGE")  # noqa: SIM202
    assert not (IO.IMAGE != "*")  # noqa: SIM202
    assert not (IO.NUMBER != "INT")  # noqa: SIM202
    assert IO.NUMBER != "STRING"
    assert {IO.INT: 1}["INT"] == 1


class At:
    """The context of a node."""

    node_id = "7"


class TestGraphBuilder:
    @pytest.fixture
    def builder(self) -> object:
        return importlib.import_module("comfy_execution.graph_utils").GraphBuilder

    def test_ids_say_node_call_graph_and_number(self, builder: type) -> None:
        def ids() -> list[str]:
            enter(At(), 2)  # type: ignore[arg-type]
            first, second = builder(), builder()
            return [first.node("A").id, first.node("A", id="own").id, first.node("A").id, second.node("A").id]

        for _ in range(2):
            assert contextvars.copy_context().run(ids) == ["7.2.0.1", "7.2.0.own", "7.2.0.2", "7.2.1.1"]

    def test_ids_within_ids_stay_short_and_differ(self, builder: type) -> None:
        def nest() -> list[str]:
            ids, root, name = [], "7", "8"
            for _ in range(50):
                builder.set_default_prefix(root, 0)  # type: ignore[attr-defined]
                graph = builder()
                root, name = graph.node("End", id="again").id, graph.node("A", id=name).id
                assert graph.lookup_node(ids[-2] if ids else "8").id == name
                ids += [name, root]
            return ids

        ids = contextvars.copy_context().run(nest)
        assert len(set(ids)) == 100
        assert max(map(len, ids)) < 150
        assert {node_id.split(".")[0] for node_id in ids} == {"7"}
        assert {node_id.split(".")[-1] for node_id in ids} == {"8", "again"}
        assert contextvars.copy_context().run(nest) == ids

    def test_a_graph_in_api_form(self, builder: type) -> None:
        graph = builder("p.")
        source = graph.node("Load", id="l", name="x")
        taker = graph.node("Save", picture=source.out(1), note="n", gone=1)
        taker.set_input("note", None)
        taker.set_input("gone", None)
        taker.set_input("size", 3)
        taker.set_override_display_id("5")
        assert (taker.get_input("size"), taker.get_input("note")) == (3, None)
        assert graph.lookup_node("l") is source
        assert graph.node("Load", id="l") is source
        assert graph.finalize() == {
            "p.l": {"class_type": "Load", "inputs": {"name": "x"}},
            "p.1": {"class_type": "Save", "inputs": {"picture": ["p.l", 1], "size": 3}, "override_display_id": "5"},
        }

    def test_outputs_can_be_replaced_and_nodes_removed(self, builder: type) -> None:
        graph = builder("")
        graph.node("A", id="a")
        b = graph.node("B", id="b", x=["a", 0], y=["a", 1], z="a")
        graph.replace_node_output("a", 0, ["c", 2])
        graph.replace_node_output("a", 1, None)
        graph.remove_node("a")
        assert b.inputs == {"x": ["c", 2], "z": "a"}
        assert graph.finalize().keys() == {"b"}
        assert graph.lookup_node("a") is None

    def test_a_prefix_can_be_put_before_a_finished_graph(self) -> None:
        utils = importlib.import_module("comfy_execution.graph_utils")
        graph = {"a": {"class_type": "A", "inputs": {"x": 1}}, "b": {"class_type": "B", "inputs": {"y": ["a", 0]}}}
        found, outputs = utils.add_graph_prefix(graph, (["b", 0], 5), "p.")
        assert found == {
            "p.a": {"class_type": "A", "inputs": {"x": 1}}, "p.b": {"class_type": "B", "inputs": {"y": ["p.a", 0]}},
        }  # fmt: skip
        assert outputs == (["p.b", 0], 5)

    @pytest.mark.parametrize(
        ("value", "is_one"),
        [
            (["a", 0], True),
            (["a", 1.0], True),
            (("a", 0), False),
            ([1, 0], False),
            (["a"], False),
            (["a", True], False),
        ],
    )
    def test_what_is_a_link(self, value: object, is_one: bool) -> None:
        assert importlib.import_module("comfy_execution.graph_utils").is_link(value) is is_one


def test_a_progress_bar_without_a_node_reports_to_nobody() -> None:
    bar = importlib.import_module("comfy.utils").ProgressBar(3)
    bar.update(2)
    bar.update(2)
    assert bar.current == 3
    bar.update_absolute(1, 10)
    assert (bar.current, bar.total) == (1, 10)


def test_a_progress_bar_hands_on_the_picture_that_it_is_given() -> None:
    ctx: Any = RecordingContext(Paths(Path()))

    def work() -> None:
        CONTEXT.set(ctx)
        bar = importlib.import_module("comfy.utils").ProgressBar(3)
        bar.update_absolute(1, 3, ("PNG", PIL.Image.new("RGB", (30, 10)), 15))
        bar.update_absolute(2, 3)

    contextvars.copy_context().run(work)
    assert ctx.reported == [(1, 3), (2, 3)]
    shown, nothing = ctx.previews
    assert nothing is None
    kind, content = shown.encode(512)
    with PIL.Image.open(io.BytesIO(content)) as picture:
        assert (kind, picture.format, picture.size) == ("png", "PNG", (15, 5))
