"""Files of weights to the handles that travel on wires."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from diffusion.checkpoint import CheckpointError, FileIdentity, read_state_dict
from diffusion.detect import detect
from diffusion.memory import Memory
from diffusion.model import load_checkpoint
from graph.context import Context
from graph.node import Node
from graph.paths import Paths
from graph.widgets import Choice, ModelNames
from nodes.files import find_embedding
from nodes.types import Clip, Model, Vae


class Checkpoint(NamedTuple):
    """What one checkpoint file holds. The names are those that clients see on the node."""

    MODEL: Model
    CLIP: Clip
    VAE: Vae


class CheckpointLoaderSimple(Node[Checkpoint], category="loaders", display="Load Checkpoint"):
    """Load a checkpoint: the network that removes noise, the text model that reads prompts, the VAE for pixels."""

    ckpt_name: str = Choice(ModelNames("checkpoints"), tooltip="A file in models/checkpoints.")

    lane = "device"

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        try:
            state = read_state_dict(paths.find("checkpoints", self.ckpt_name))
            detect(state.shapes, state.metadata)
        except CheckpointError as error:
            yield "ckpt_name", str(error)

    def fingerprint(self, paths: Paths) -> str:
        return repr(FileIdentity.of(paths.find("checkpoints", self.ckpt_name)))

    def run(self, ctx: Context) -> Checkpoint:
        def embedding(name: str) -> Path | None:
            return find_embedding(ctx.paths, name)

        path = ctx.paths.find("checkpoints", self.ckpt_name)
        return Checkpoint(*load_checkpoint(path, ctx.resource(Memory), find_embedding=embedding))
