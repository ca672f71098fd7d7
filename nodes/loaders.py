"""Files of weights to the handles that travel on wires."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import torch

from diffusion.checkpoint import CheckpointError
from diffusion.memory import Memory
from diffusion.model import load_checkpoint, load_vae
from graph.context import Context
from graph.node import Node
from graph.paths import Paths
from graph.widgets import Choice, ModelNames
from nodes.files import find_embedding
from nodes.types import Clip, Model, Vae


class Checkpoint(NamedTuple):
    """What one checkpoint file holds."""

    model: Model
    clip: Clip
    vae: Vae


class CheckpointLoaderSimple(Node[Checkpoint], category="loaders", display="Load Checkpoint"):
    """Load a checkpoint: the network that removes noise, the text model that reads prompts, the VAE for pixels."""

    ckpt_name: str = Choice(ModelNames("checkpoints"), tooltip="A file in models/checkpoints.")

    lane = "device"

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        try:
            self._load(paths, Memory(torch.device("cpu")))  # reads names and shapes only
        except CheckpointError as error:
            yield "ckpt_name", str(error)

    def fingerprint(self, paths: Paths) -> str:
        return paths.digest(paths.find("checkpoints", self.ckpt_name))

    def run(self, ctx: Context) -> Checkpoint:
        return self._load(ctx.paths, ctx.resource(Memory))

    def _load(self, paths: Paths, memory: Memory) -> Checkpoint:
        path = paths.find("checkpoints", self.ckpt_name)
        return Checkpoint(*load_checkpoint(path, memory, find_embedding=partial(find_embedding, paths)))


class VAELoader(Node[Vae], category="loaders", display="Load VAE"):
    """Load a VAE from a file of its own, to be used instead of the one in a checkpoint."""

    vae_name: str = Choice(ModelNames("vae"), tooltip="A file in models/vae.")

    lane = "device"

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        try:
            self._load(paths, Memory(torch.device("cpu")))  # reads names and shapes only
        except CheckpointError as error:
            yield "vae_name", str(error)

    def fingerprint(self, paths: Paths) -> str:
        return paths.digest(paths.find("vae", self.vae_name))

    def run(self, ctx: Context) -> Vae:
        return self._load(ctx.paths, ctx.resource(Memory))

    def _load(self, paths: Paths, memory: Memory) -> Vae:
        return load_vae(paths.find("vae", self.vae_name), memory)
