"""Inputs that are computed only if they are asked for."""

from comfy.comfy_types import CheckLazyMixin


class Mix:
    """Blends two numbers, and asks for neither that has no weight."""

    RETURN_TYPES = ("FLOAT",)
    FUNCTION = "mix"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "a": ("INT", {"lazy": True}),
                "b": ("INT", {"lazy": True}),
                "mask": ("FLOAT,INT", {"default": 0.5}),
            }
        }

    def check_lazy_status(self, mask, a, b):
        asked = []
        if a is None and mask < 1:
            asked.append("a")
        if b is None and mask > 0:
            asked.append("b")
        return asked

    def mix(self, a, b, mask):
        return ((a or 0) * (1 - mask) + (b or 0) * mask,)


class Switch:
    """Asks step by step: first which, then for that one."""

    RETURN_TYPES = ("*",)
    FUNCTION = "switch"

    @classmethod
    def INPUT_TYPES(cls):
        spec = ("*", {"lazy": True})
        return {"required": {"which": ("INT", {"lazy": True})}, "optional": {"in0": spec, "in1": spec}}

    async def check_lazy_status(self, which, **values):
        if which is None:
            return ["which"]
        return [f"in{which}"] if values.get(f"in{which}") is None else []

    def switch(self, which, **values):
        return (values[f"in{which}"],)


class All(CheckLazyMixin, Mix):
    """Wants all."""

    check_lazy_status = CheckLazyMixin.check_lazy_status


class Silent(Mix):
    """Asks for nothing."""

    check_lazy_status = None

    def mix(self, a, b, mask):
        return (0.0 if a is None and b is None else 1.0,)


class Knows(Mix):
    """Remembers what it asked for, and for which node."""

    @classmethod
    def INPUT_TYPES(cls):
        return {**super().INPUT_TYPES(), "hidden": {"id": "UNIQUE_ID", "prompt": "PROMPT"}}

    def check_lazy_status(self, id, prompt, **values):
        self.asked = (id, prompt)
        return ["a"]

    def mix(self, a, b, mask, id, prompt):
        return (self.asked,)


class Wrong(Mix):
    """Asks for what it does not have."""

    def check_lazy_status(self, **values):
        return ["nothing"]


CLASSES = {"ToyMix": Mix, "ToySwitch": Switch, "ToyAll": All, "ToySilent": Silent, "ToyWrong": Wrong, "ToyKnows": Knows}
