"""Ordinary classes: numbers, outputs of every form, UI, hidden inputs, state, progress."""

import itertools
import time
from pathlib import Path

import torch
from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict
from comfy.utils import ProgressBar

from .log import RAN


class AnyType(str):
    """A type that is unequal to none."""

    def __ne__(self, other):
        return False


class AnyInput(dict):
    """Inputs under any name."""

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return self.get(name, (AnyType("*"),))


class Add(ComfyNodeABC):
    DESCRIPTION = "Adds."
    CATEGORY = "toys"
    RETURN_TYPES = (IO.INT,)
    FUNCTION = "add"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypeDict:
        return {
            "required": {"a": (IO.INT, {"default": 1, "min": 0, "max": 100, "knob": {"own": True}})},
            "optional": {"b": ("INT", {"forceInput": True})},
            "hidden": {"id": "UNIQUE_ID"},
        }

    def add(self, a, id, b=10):
        RAN.append(id)
        return (a + b,)


class Show:
    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (AnyType("*"),)}, "hidden": {"id": "UNIQUE_ID"}}

    def show(self, value, id):
        RAN.append(id)
        return {"ui": {"text": [value], "animated": (True,)}}


class Forms:
    """Returns in the form that it is told."""

    RETURN_TYPES = ("INT", "STRING")
    RETURN_NAMES = ("number",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"form": (["tuple", "list", "dict", "text", "long", "short", "none", "number", "ui"],)}}

    @staticmethod
    def give(form):
        return {
            "tuple": (1, "a"),
            "list": [1, "a"],
            "dict": {"ui": {"text": ["seen"]}, "result": (1, "a")},
            "text": "xy",
            "long": (1, "a", "more"),
            "short": (1,),
            "none": None,
            "number": 5,
            "ui": {"ui": {"text": ["only"]}},
        }[form]


class Collect:
    """Takes whatever is linked to it under whatever name."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "collect"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": AnyInput()}

    def collect(self, **values):
        return (str(sorted(values.items())),)


class CollectLinks(Collect):
    """Takes what is linked, and drops literals that it does not declare."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}


class Hidden:
    RETURN_TYPES = ("DICT",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls):
        hidden = ["PROMPT", "EXTRA_PNGINFO", "UNIQUE_ID", "DYNPROMPT", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"]
        return {"hidden": {**{name.lower(): name for name in hidden}, "widget": "OWN"}}

    def give(self, prompt, dynprompt, extra_pnginfo, **values):
        prompt["mine"] = {"inputs": {}}  # packs do
        return ({"prompt": prompt, "nodes": dynprompt.all_node_ids(), "png": extra_pnginfo, **values},)


class Remember:
    """Counts the calls of its object."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "count"

    def __init__(self):
        self.calls = itertools.count(1)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}}

    def count(self, value):
        return (next(self.calls),)


class Same(Add):
    NOT_IDEMPOTENT = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {})}}

    @classmethod
    def add(cls, a):
        RAN.append("same")
        return (a,)


class Steps:
    RETURN_TYPES = ("INT",)
    FUNCTION = "work"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"steps": ("INT",)}}

    def work(self, steps):
        bar = ProgressBar(steps)
        for _ in range(steps):
            bar.update(1)
        return (steps,)


class Tensor:
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def give(self):
        RAN.append("tensor")
        return ({"samples": torch.zeros(4)},)


class Spoil:
    """Writes into what it is given."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "spoil"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",), "tensor": ("BOOLEAN",)}}

    def spoil(self, latent, tensor):
        latent["mine"] = True
        if tensor:
            latent["samples"].add_(1)
        return (latent,)


class Crowd(Add):
    """Fails if another one is at work."""

    inside = 0

    def add(self, a, id, b=10):
        Crowd.inside += 1
        for _ in range(100):
            time.sleep(0)  # another thread may come in here
        assert Crowd.inside == 1
        Crowd.inside -= 1
        return (a,)


class Fail(Show):
    def show(self, value, id):
        raise RuntimeError("on purpose")


class Link(Show):
    """Wants to know where its value comes from, not what it is."""

    OUTPUT_NODE = False
    RETURN_TYPES = ("LIST",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"rawLink": True})}}

    def show(self, value):
        return (value,)


class Save(Show):
    """Saves a file without anyone's help."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING",), "folder": ("STRING",)}}

    def show(self, text, folder):
        RAN.append("save")
        Path(folder, "toy.txt").write_text(text)
        return {"ui": {"files": [{"filename": "toy.txt", "subfolder": "", "type": "output"}]}}


CLASSES = {
    "ToySave": Save,
    "ToyAdd": Add,
    "ToyShow": Show,
    "ToyForms": Forms,
    "ToyCollect": Collect,
    "ToyCollectLinks": CollectLinks,
    "ToyHidden": Hidden,
    "ToyRemember": Remember,
    "ToySame": Same,
    "ToySteps": Steps,
    "ToySpoil": Spoil,
    "ToyTensor": Tensor,
    "ToyCrowd": Crowd,
    "ToyFail": Fail,
    "ToyLink": Link,
}
