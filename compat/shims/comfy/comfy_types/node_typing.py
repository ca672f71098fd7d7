"""ComfyUI's module comfy.comfy_types.node_typing: names for type checkers, and of the types that travel on wires."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, TypedDict


class IO(str, Enum):  # noqa: UP042  # a StrEnum's members would be equal to what __ne__ says they are not
    """Types of inputs and outputs. ANY, and whatever lists one of a text's alternatives, is not unequal to it."""

    STRING = "STRING"
    IMAGE = "IMAGE"
    MASK = "MASK"
    LATENT = "LATENT"
    BOOLEAN = "BOOLEAN"
    INT = "INT"
    FLOAT = "FLOAT"
    COMBO = "COMBO"
    CONDITIONING = "CONDITIONING"
    SAMPLER = "SAMPLER"
    SIGMAS = "SIGMAS"
    GUIDER = "GUIDER"
    NOISE = "NOISE"
    CLIP = "CLIP"
    CONTROL_NET = "CONTROL_NET"
    VAE = "VAE"
    MODEL = "MODEL"
    LORA_MODEL = "LORA_MODEL"
    LOSS_MAP = "LOSS_MAP"
    CLIP_VISION = "CLIP_VISION"
    CLIP_VISION_OUTPUT = "CLIP_VISION_OUTPUT"
    STYLE_MODEL = "STYLE_MODEL"
    GLIGEN = "GLIGEN"
    UPSCALE_MODEL = "UPSCALE_MODEL"
    AUDIO = "AUDIO"
    WEBCAM = "WEBCAM"
    POINT = "POINT"
    FACE_ANALYSIS = "FACE_ANALYSIS"
    BBOX = "BBOX"
    SEGS = "SEGS"
    VIDEO = "VIDEO"
    ANY = "*"
    NUMBER = "FLOAT,INT"
    PRIMITIVE = "STRING,FLOAT,INT,BOOLEAN"

    def __ne__(self, other: object) -> bool:
        if not isinstance(other, str) or "*" in (self.value, str.__str__(other)):
            return not isinstance(other, str)
        return set(self.value.split(",")).isdisjoint(str.__str__(other).split(","))

    __eq__ = str.__eq__
    __hash__ = str.__hash__
    __str__ = str.__str__


class InputTypeOptions(TypedDict, total=False):
    """Options of an input."""

    default: Any
    defaultInput: bool
    forceInput: bool
    lazy: bool
    rawLink: bool
    tooltip: str
    min: float
    max: float
    step: float
    round: float | Literal[False]
    label_on: str
    label_off: str
    multiline: bool
    placeholder: str
    dynamicPrompts: bool
    display: str
    image_upload: bool
    options: list[Any]
    control_after_generate: bool


class HiddenInputTypeDict(TypedDict, total=False):
    """What INPUT_TYPES() gives as hidden."""

    node_id: Literal["UNIQUE_ID"]
    unique_id: Literal["UNIQUE_ID"]
    prompt: Literal["PROMPT"]
    extra_pnginfo: Literal["EXTRA_PNGINFO"]
    dynprompt: Literal["DYNPROMPT"]


class InputTypeDict(TypedDict, total=False):
    """What INPUT_TYPES() gives."""

    required: dict[str, tuple[Any, Any]]
    optional: dict[str, tuple[Any, Any]]
    hidden: HiddenInputTypeDict


class ComfyNodeABC:
    """What a node class of the V1 protocol may declare. Nodes need not descend from it."""

    DESCRIPTION: str
    CATEGORY: str
    EXPERIMENTAL: bool
    DEPRECATED: bool
    API_NODE: bool | None
    OUTPUT_NODE: bool
    INPUT_IS_LIST: bool
    OUTPUT_IS_LIST: tuple[bool, ...]
    RETURN_TYPES: tuple[Any, ...]
    RETURN_NAMES: tuple[str, ...]
    OUTPUT_TOOLTIPS: tuple[str, ...]
    FUNCTION: str

    @classmethod
    def INPUT_TYPES(cls) -> InputTypeDict:
        """The inputs; none unless a class says otherwise."""
        return {"required": {}}


class CheckLazyMixin:
    """For classes that want all of their lazy inputs."""

    def check_lazy_status(self, **values: Any) -> list[str]:
        """The names of those that are not there."""
        return [name for name, value in values.items() if value is None]


class FileLocator(TypedDict):
    """A file, as nodes show it."""

    filename: str
    subfolder: str
    type: Literal["input", "output", "temp"]
