"""Workflows of the editor for tests: a few node classes, and a way to draw with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from graph.problems import DocumentError
from graph.read.convert import Circumstances, Converted, to_prompt
from graph.read.facts import Described

NOON = Circumstances(datetime(2031, 2, 3, 4, 5, 6), lambda count: 0)


def described(outputs: Sequence[str] = (), optional: dict[str, Any] | None = None, **required: Any) -> dict[str, Any]:
    """A class in object_info's form; an input is its type, or a list of that and its options."""
    groups = {"required": required, "optional": optional or {}}
    return {
        "input": {
            group: {name: [spec] if isinstance(spec, str) else spec for name, spec in inputs.items()}
            for group, inputs in groups.items()
        },
        "output": list(outputs),
    }


CLASSES = {
    "Load": described(["MODEL", "CLIP", "VAE"], file=[["a.ckpt", "b.ckpt"]]),
    "Lora": described(["MODEL", "CLIP"], model="MODEL", clip="CLIP", file=[["x"]], strength=["FLOAT", {"default": 1}]),
    "Text": described(["CONDITIONING"], clip="CLIP", text=["STRING", {"multiline": True, "dynamicPrompts": True}]),
    "Empty": described(["LATENT"], width=["INT", {"default": 64}], height=["INT", {"default": 64}]),
    "KSampler": described(
        ["LATENT"],
        {"latent": "LATENT"},
        model="MODEL", positive="CONDITIONING", seed=["INT", {"default": 0}], steps=["INT", {"default": 20}],
        cfg=["FLOAT", {"default": 8.0}], sampler_name=[["euler", "heun"]],
    ),
    "Decode": described(["IMAGE"], samples="LATENT", vae="VAE"),
    "Mix": described(["LATENT"], one="LATENT", two="LATENT"),
    "Inpaint": described(["CONDITIONING", "LATENT"], condition="CONDITIONING", pixels="IMAGE", mask="MASK"),
    "LoadImage": described(["IMAGE", "MASK"], image=[["in.png"], {"image_upload": True}]),
    "SaveImage": described(images="IMAGE", filename_prefix=["STRING", {"default": "out"}]),
    "PreviewAny": described(source="*"),
    "Int": described(["INT"], value=["INT", {"default": 7, "control_after_generate": True}]),
    "Words": described(["STRING"], text=["STRING", {"default": ""}]),
    "Pick": described(choice=[["one", "two"], {"control_after_generate": "next"}], flag="BOOLEAN", empty=[[]]),
    "Stamp": described(["IMAGE"], {"steps": ["INT", {"forceInput": True}]}, image="IMAGE", label="STRING"),
}  # fmt: skip
FACTS = Described({name: {"name": name, "display_name": f"The {name}", **each} for name, each in CLASSES.items()})


def slot(name: str, kind: str = "*", link: object = None, *, widget: bool = False) -> dict[str, Any]:
    """An input in a file."""
    return {"name": name, "type": kind, "link": link} | ({"widget": {"name": name}} if widget else {})


class Drawing:
    """Draws nodes and wires. An input is written down once a wire leads to it, as in exported files."""

    def __init__(self) -> None:
        self.nodes: dict[object, dict[str, Any]] = {}
        self.links: list[list[Any]] = []
        self.ports: dict[str, list[dict[str, Any]]] = {"inputs": [], "outputs": []}

    def node(self, node_id: object, kind: str, values: Any = None, **more: Any) -> Drawing:
        """Add a node; `more` are further keys of it."""
        outputs = [{"name": name, "type": name} for name in CLASSES.get(kind, {}).get("output", ())]
        self.nodes[node_id] = {
            "id": node_id, "type": kind, "mode": 0, "inputs": [], "outputs": outputs, "widgets_values": values, **more,
        }  # fmt: skip
        return self

    def wire(self, origin: object, output: int, target: object, name: str, kind: str | None = None) -> Drawing:
        """Lead an output to an input, which is found by its name or made."""
        node = self.nodes[target]
        groups = CLASSES.get(node["type"], {}).get("input", {"required": {}})
        spec = next((specs[name] for specs in groups.values() if name in specs), None)
        declared = "*" if spec is None else spec[0] if isinstance(spec[0], str) else "COMBO"
        is_widget = declared in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO") and "forceInput" not in str(spec)
        number = next((at for at, each in enumerate(node["inputs"]) if each["name"] == name), len(node["inputs"]))
        if number == len(node["inputs"]):
            node["inputs"].append(slot(name, kind or declared, widget=is_widget))
        self.links.append([len(self.links) + 1, origin, output, target, number, kind or declared])
        node["inputs"][number]["link"] = len(self.links)
        return self

    def enter(self, name: str, kind: str, *ends: tuple[object, str]) -> Drawing:
        """Add an input of the subgraph, and lead it to inputs of nodes inside."""
        before = len(self.links)
        for target, end in ends:
            self.wire(-10, len(self.ports["inputs"]), target, end)
        made = [link[0] for link in self.links[before:]]
        self.ports["inputs"].append({"id": f"{name} in", "name": name, "type": kind, "linkIds": made})
        return self

    def leave(self, name: str, kind: str, origin: object, output: int) -> Drawing:
        """Add an output of the subgraph, and lead an output inside to it."""
        link = len(self.links) + 1
        self.links.append([link, origin, output, -20, len(self.ports["outputs"]), kind])
        self.ports["outputs"].append({"id": f"{name} out", "name": name, "type": kind, "linkIds": [link]})
        return self

    def workflow(self, *subgraphs: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The file, in the form of version 0.4."""
        return {
            "version": 0.4, "nodes": list(self.nodes.values()), "links": self.links,
            "definitions": {"subgraphs": list(subgraphs)}, "extra": {}, **more,
        }  # fmt: skip

    def workflow_1(self) -> dict[str, Any]:
        """The file in the form of version 1, whose links are objects."""
        return {"version": 1, "state": {}, "nodes": list(self.nodes.values()), "links": self._objects()}

    def subgraph(self, subgraph_id: str) -> dict[str, Any]:
        """What was drawn as the inside of a subgraph."""
        return {"id": subgraph_id, "name": f"The {subgraph_id}", **self.workflow_1(), **self.ports}

    def group(self, **more: Any) -> dict[str, Any]:
        """What was drawn as the inside of group nodes; the ids must be 0, 1, 2, …"""
        nodes = [
            {**node, "inputs": [{**each, "link": None} for each in node["inputs"]]} for node in self.nodes.values()
        ]
        links = [[*link[1:5], 99, link[5]] for link in self.links]
        return {"nodes": [{**each, "id": -1} for each in nodes], "links": links, "external": [], **more}

    def _objects(self) -> list[dict[str, Any]]:
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        return [dict(zip(keys, link, strict=True)) for link in self.links]


def convert(workflow: Any) -> Converted:
    """Convert at a fixed time; texts take their first alternatives."""
    return to_prompt(workflow, FACTS, NOON)


def inputs(workflow: Any) -> dict[str, dict[str, Any]]:
    """The inputs of each node of the prompt."""
    return {node_id: node["inputs"] for node_id, node in convert(workflow).prompt.items()}


def values(kind: str, saved: Any, **more: Any) -> dict[str, Any]:
    """The inputs that one node alone is sent with."""
    return inputs(Drawing().node(1, kind, saved, **more).workflow())["1"]


def refusal(workflow: Any) -> list[str]:
    """The sentences with which a workflow is refused."""
    try:
        convert(workflow)
    except DocumentError as error:
        return [problem.sentence for problem in error.problems]
    raise AssertionError("this was read")
