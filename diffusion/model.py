"""The parts of model files as light handles for wires: Model, Clip, Vae. A network is built when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from diffusion import devices
from diffusion.batching import Sharing
from diffusion.checkpoint import CheckpointError, FileIdentity, read_state_dict, under
from diffusion.detect import Detected, Shapes, detect, detect_vae
from diffusion.families import Family
from diffusion.layers.unet import UNet
from diffusion.layers.vae import VAE, VAEConfig
from diffusion.memory import Memory
from diffusion.parameterisation import Parameterisation
from diffusion.patches.embeddings import read_embedding
from diffusion.preview import fit_map, map_of
from diffusion.text import encoder, prompt

FindEmbedding = Callable[[str], Path | None]
"""The file that a prompt's `embedding:name` means, or None where there is none."""

Conditioning = list[list[Any]]
"""Entries of a tensor [1, T, width] and a dict that has "pooled_output" [1, width]."""

Network = TypeVar("Network", bound=nn.Module)
Found = TypeVar("Found")


ROW_MAPS = 40
"""What a UNet's pass takes for each of its rows, in feature maps of the latent's size and the network's width: 36 to 40
by the peak of allocated memory at SD1.5's shape, 2 and 4 rows at 32 × 32 and 64 × 64 latents; 12 to 19 at the bundled
checkpoint's, which has no wide attention at the finest level."""


class ShapeError(ValueError):
    """Pixels or latents of a shape that a VAE does not take."""


@dataclass(frozen=True)
class ModelFile:
    """A file as it was when it was loaded, and where its networks are held."""

    file: FileIdentity
    memory: Memory = field(compare=False, repr=False)

    def on(self, memory: Memory) -> Self:
        """The same file for another device."""
        return self if memory is self.memory else replace(self, memory=memory)

    def network(self, part: str, build: Callable[[], Network]) -> Network:
        """The network of a part, from memory or built now. Raises CheckpointError if the file is not what it was."""
        return self.memory.get((self.file, part), build)

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """One part's tensors, mapped from the file."""
        if FileIdentity.of(self.file.path) != self.file:
            raise CheckpointError(f"{self.file.path.name}: this file has changed since it was loaded; load it again.")
        return under(read_state_dict(self.file.path), prefix)

    def build(self, network: Callable[[], Network], prefix: str, dtype: torch.dtype) -> Network:
        """A network with the tensors of a prefix, ready to compute in a dtype."""
        with torch.device("meta"):
            built = network().to(dtype)
        devices.load(built, self.tensors(prefix), self.memory.device)
        return built


@dataclass(frozen=True)
class Source(ModelFile):
    """A whole checkpoint, and what is in it."""

    detected: Detected

    def vae(self) -> Vae:
        """Its VAE."""
        return Vae(self, self.detected.vae, self.detected.family.vae_prefix)


@dataclass(frozen=True)
class Model:
    """What samplers need of a checkpoint: its UNet, and what the UNet's input and output mean."""

    source: Source
    parameterisation: Parameterisation

    def on(self, memory: Memory) -> Model:
        """The same model on the device of another memory."""
        return replace(self, source=self.source.on(memory))

    @property
    def family(self) -> Family:
        return self.source.detected.family

    @property
    def scale_factor(self) -> float:
        """Latents times this have about unit variance; the UNet sees them so."""
        return self.family.scale_factor

    @property
    def latent_channels(self) -> int:
        return self.source.detected.vae.latent_channels

    @property
    def device(self) -> torch.device:
        return self.source.memory.device

    @property
    def dtype(self) -> torch.dtype:
        return self.source.memory.dtype

    @property
    def sharing(self) -> Sharing:
        return self.source.memory.sharing

    def row_bytes(self, height: int, width: int) -> int:
        """About what each row of a pass takes beside the weights, at a latent's height and width."""
        channels = self.source.detected.unet.model_channels
        return ROW_MAPS * channels * height * width * self.dtype.itemsize

    def network(self) -> UNet:
        """The UNet, on the model's device and of its dtype, for inference."""
        source = self.source
        return source.network(
            "unet", lambda: source.build(lambda: UNet(source.detected.unet), self.family.unet_prefix, self.dtype)
        )

    def colours(self) -> nn.Linear:
        """The map from latents on the UNet's scale to colours in 0..255, for previews; fitted now if unknown."""
        return self.source.network("preview", self._colours)

    def _colours(self) -> nn.Linear:
        source = self.source
        if source.detected.vae == self.family.published_vae:
            found = map_of(self.family.preview)
        else:
            vae = source.vae()
            found = fit_map(lambda pictures: vae.encode(pictures) * self.scale_factor, vae.ratio)
        return found.to(source.memory.device)


@dataclass(frozen=True)
class Clip:
    """A checkpoint's text encoder, and the layer whose hidden states are used."""

    source: Source
    find_embedding: FindEmbedding = field(compare=False, repr=False)
    layer: int = -1

    def on(self, memory: Memory) -> Clip:
        """The same text encoder on the device of another memory."""
        return replace(self, source=self.source.on(memory))

    def stop_at(self, layer: int) -> Clip:
        """Use the hidden states after another layer: −1 is the last, −2 the one before, …"""
        if layer >= 0:
            raise ValueError(f"Layers count from the end: −1 is the last, −2 the one before; got {layer}.")
        return replace(self, layer=layer)

    def encode(self, text: str) -> Conditioning:
        """Encode a prompt; one entry, on the CPU. The grammar is that of `diffusion.text.prompt`."""
        detected = self.source.detected
        form = detected.family.text_format
        chunks = prompt.chunks(text, self._embedding, form)
        network = self.source.network(
            "text",
            lambda: encoder.build(detected.text, self.source.tensors(detected.text_prefix), self.source.memory.device),
        )
        hidden, pooled = encoder.encode(network, chunks, self.layer, form)
        return [[hidden, {"pooled_output": pooled}]]

    def _embedding(self, name: str) -> Sequence[Tensor] | None:
        path = self.find_embedding(name)
        if path is None:
            return None
        detected = self.source.detected
        return list(read_embedding(path, detected.family.text_encoder, detected.text.width))


@dataclass(frozen=True)
class Vae:
    """A VAE, between pictures [B, H, W, C] in 0..1 and unscaled latents [B, channels, h, w]."""

    source: ModelFile
    config: VAEConfig
    prefix: str  # of its tensors in the file

    def on(self, memory: Memory) -> Vae:
        """The same VAE on the device of another memory."""
        return replace(self, source=self.source.on(memory))

    @property
    def ratio(self) -> int:
        """Pixels per latent, along each side."""
        return self.config.ratio

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents of pictures: the posterior's mode, float32 on the CPU.

        Only red, green and blue are used, and what remains of a side after a multiple of `ratio` is cut off evenly.
        Raises ShapeError for what is no batch of pictures.
        """
        if pixels.ndim != 4 or pixels.shape[-1] < 3 or 0 in pixels.shape:
            raise ShapeError(f"A VAE encodes pictures [batch, height, width, colours]; these are {list(pixels.shape)}.")
        if min(pixels.shape[1:3]) < self.ratio:
            height, width = pixels.shape[1:3]
            raise ShapeError(
                f"A picture of {width}×{height} pixels is smaller than one latent, which is {self.ratio}×{self.ratio}."
            )
        top, left = (side % self.ratio // 2 for side in pixels.shape[1:3])
        height, width = (side // self.ratio * self.ratio for side in pixels.shape[1:3])
        cut = pixels[:, top : top + height, left : left + width, :3].permute(0, 3, 1, 2)
        network = self._network()
        return _one_by_one(lambda picture: network.encode(picture * 2 - 1), cut, self.source.memory.device)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures [B, H, W, 3] in 0..1 of latents, float32 on the CPU. Raises ShapeError for what is none."""
        channels = self.config.latent_channels
        if latents.ndim != 4 or latents.shape[1] != channels or 0 in latents.shape:
            raise ShapeError(
                f"This VAE decodes latents [batch, {channels}, height, width]; these are {list(latents.shape)}."
            )
        network = self._network()
        pictures = _one_by_one(
            lambda latent: (network.decode(latent) / 2 + 0.5).clamp(0, 1), latents, self.source.memory.device
        )
        return pictures.permute(0, 2, 3, 1).contiguous()

    def _network(self) -> VAE:
        source = self.source
        return source.network("vae", lambda: source.build(lambda: VAE(self.config), self.prefix, torch.float32))


def _one_by_one(run: Callable[[Tensor], Tensor], batch: Tensor, device: torch.device) -> Tensor:
    """A network's float32 results for a batch, on the CPU. One picture is enough work, and takes a bounded memory."""
    with torch.inference_mode():
        results = [run(each.to(device, torch.float32)).cpu() for each in torch.split(batch, 1)]
    # A copy, made outside of inference mode: a tensor that others may do with what they like.
    return torch.cat(results)


def load_checkpoint(path: Path, memory: Memory, *, find_embedding: FindEmbedding) -> tuple[Model, Clip, Vae]:
    """Recognise a checkpoint file. Reads names and shapes only; tensors follow, part by part, when they are used.

    Raises CheckpointError, in a sentence, for a file that cannot be used.
    """
    file, detected = _detected(path, detect)
    source = Source(file, memory, detected)
    return Model(source, detected.family.parameterisation), Clip(source, find_embedding), source.vae()


def load_vae(path: Path, memory: Memory) -> Vae:
    """Recognise a file that holds a VAE alone, as load_checkpoint() does a checkpoint. Raises CheckpointError."""
    file, config = _detected(path, detect_vae)
    return Vae(ModelFile(file, memory), config, prefix="")


def _detected(path: Path, look: Callable[[Shapes, Mapping[str, str]], Found]) -> tuple[FileIdentity, Found]:
    """A file, and what is found in it by its shapes and its metadata."""
    file = FileIdentity.of(path)
    state_dict = read_state_dict(path)
    try:
        return file, look(state_dict.shapes, state_dict.metadata)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error
