"""Loaders that are listed and cannot run yet: ComfyUI's front-end 1.27 draws no graph where one of their names lacks.

It looks each of them up when it starts, to know which node a model file dragged onto the canvas becomes. A workflow
that needs one is refused, with a sentence, before anything of it runs.
"""

from collections.abc import Iterable
from typing import Annotated, ClassVar, NamedTuple, NoReturn

from graph.context import Context
from graph.node import Node
from graph.paths import Paths
from graph.widgets import Choice, Float, ModelNames, Wire
from graph.wire import Socket
from nodes.types import Clip, Model, Vae

ClipVision = Annotated[object, Socket("CLIP_VISION")]
ControlNet = Annotated[object, Socket("CONTROL_NET")]
Gligen = Annotated[object, Socket("GLIGEN")]
StyleModel = Annotated[object, Socket("STYLE_MODEL")]
UpscaleModel = Annotated[object, Socket("UPSCALE_MODEL")]


class AnnouncedError(ValueError):
    """A node that cannot run yet; the message says what to do instead."""


class Announced:
    """What these classes have in common. Their lists of files are open, so that no other sentence comes first."""

    instead: ClassVar[str]

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        """Always refuses."""
        yield "", self._sentence()

    def run(self, ctx: Context) -> NoReturn:
        """Reached by nodes alone that other nodes make while a workflow runs."""
        raise AnnouncedError(self._sentence())

    def _sentence(self) -> str:
        return f"Darkroom lists this node but cannot run it yet; {self.instead}"


class ModelAndClip(NamedTuple):
    """A network and the text encoder that belongs to it, both changed."""

    model: Model
    clip: Clip


class ImageModel(NamedTuple):
    """What a checkpoint without a text encoder holds."""

    model: Model
    clip_vision: ClipVision
    vae: Vae


class ImageOnlyCheckpointLoader(
    Announced,
    Node[ImageModel],
    category="loaders/video_models",
    display="Image Only Checkpoint Loader (img2vid model)",
):
    """Cannot run yet. Load a checkpoint that makes a video of a picture."""

    ckpt_name: str = Choice(ModelNames("checkpoints"), open=True, tooltip="A file in models/checkpoints.")

    instead = "videos cannot be made here, so remove it and what it is linked to."


class LoraLoader(Announced, Node[ModelAndClip], category="loaders", display="Load LoRA"):
    """Cannot run yet. Change a model and its text encoder by a LoRA, a small file trained for a subject or a style."""

    model: Model = Wire(tooltip="The network to change.")
    clip: Clip = Wire(tooltip="The text encoder to change.")
    lora_name: str = Choice(ModelNames("loras"), open=True, tooltip="A file in models/loras.")
    strength_model: float = Float(
        default=1.0, min=-100.0, max=100.0, step=0.01, tooltip="How strongly to change the network; 0: not at all."
    )
    strength_clip: float = Float(
        default=1.0,
        min=-100.0,
        max=100.0,
        step=0.01,
        tooltip="How strongly to change the text encoder; 0: not at all.",
    )

    instead = "remove it, and link what comes after it to the model and clip that come before it."


class LoraLoaderModelOnly(Announced, Node[Model], category="loaders"):
    """Cannot run yet. Change a model by a LoRA, and leave its text encoder as it is."""

    model: Model = Wire(tooltip="The network to change.")
    lora_name: str = Choice(ModelNames("loras"), open=True, tooltip="A file in models/loras.")
    strength_model: float = Float(
        default=1.0, min=-100.0, max=100.0, step=0.01, tooltip="How strongly to change the network; 0: not at all."
    )

    instead = "remove it, and link what comes after it to the model that comes before it."


class ControlNetLoader(Announced, Node[ControlNet], category="loaders", display="Load ControlNet Model"):
    """Cannot run yet. Load a ControlNet, which makes a picture follow edges, a pose or a depth map."""

    control_net_name: str = Choice(ModelNames("controlnet"), open=True, tooltip="A file in models/controlnet.")

    instead = "remove it and the nodes that apply it, and link the prompts to the sampler."


class UNETLoader(Announced, Node[Model], category="advanced/loaders", display="Load Diffusion Model"):
    """Cannot run yet. Load a network that removes noise from a file of its own."""

    unet_name: str = Choice(
        ModelNames("diffusion_models"), open=True, tooltip="A file in models/diffusion_models or models/unet."
    )
    weight_dtype: str = Choice(
        ("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"),
        tooltip="In how many bits the weights are held; default is as in the file.",
    )

    instead = "load a whole checkpoint with CheckpointLoaderSimple."


class UpscaleModelLoader(Announced, Node[UpscaleModel], category="loaders", display="Load Upscale Model"):
    """Cannot run yet. Load a network that makes pictures larger."""

    model_name: str = Choice(ModelNames("upscale_models"), open=True, tooltip="A file in models/upscale_models.")

    instead = "remove it and the node that makes the picture larger."


class StyleModelLoader(Announced, Node[StyleModel], category="loaders", display="Load Style Model"):
    """Cannot run yet. Load a network that turns a picture's style into a prompt."""

    style_model_name: str = Choice(ModelNames("style_models"), open=True, tooltip="A file in models/style_models.")

    instead = "remove it and the node that applies it, and link the prompt to the sampler."


class GLIGENLoader(Announced, Node[Gligen], category="loaders"):
    """Cannot run yet. Load a network that puts things where boxes say."""

    gligen_name: str = Choice(ModelNames("gligen"), open=True, tooltip="A file in models/gligen.")

    instead = "remove it and the nodes that use it, and link the prompt to the sampler."
