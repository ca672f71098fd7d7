"""What a model file is: names and shapes of its tensors in, its family and the configuration of each network out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
from torch import nn

from diffusion.checkpoint import CheckpointError, Shape, under
from diffusion.families import Family, families
from diffusion.layers.unet import UNet, UNetConfig
from diffusion.layers.vae import VAE, VAEConfig
from diffusion.text.encoder import TextConfig, expected_shapes

Shapes = Mapping[str, Shape]

LOADABLE_VAES = (
    "what can be loaded is the VAE of Stable Diffusion 1 in a file of its own, with its encoder and decoder."
)


@dataclass(frozen=True)
class Detected:
    """A checkpoint's family and everything that its networks are built from."""

    family: Family
    unet: UNetConfig
    vae: VAEConfig
    text: TextConfig
    text_prefix: str  # which of the family's the file has


def detect(shapes: Shapes, metadata: Mapping[str, str]) -> Detected:
    """Recognise a checkpoint by its structure.

    What shapes cannot tell, the numbers of heads and of groups, is the family's unless the file's header says more:
    metadata["darkroom"] is JSON such as {"unet": {"num_heads": 4, "groups": 16}, "vae": {"groups": 8}, "text":
    {"num_heads": 2}}. Raises CheckpointError if no family takes the file, or if tensors are missing or misshapen.
    """
    family = next((family for family in families() if family.matches(shapes)), None)
    if family is None:
        known = ", ".join(each.name for each in families())
        raise CheckpointError(f"this file looks like {_looks_like(shapes)}; what can be loaded is {known}.")
    hints = _hints(metadata)
    text_prefix = next(prefix for prefix in family.text_prefixes if any(name.startswith(prefix) for name in shapes))
    unet, vae, text = (under(shapes, prefix) for prefix in (family.unet_prefix, family.vae_prefix, text_prefix))
    detected = Detected(
        family,
        replace(_unet_config(unet, family), **hints["unet"]),
        replace(_vae_config(vae), **hints["vae"]),
        replace(_text_config(text, family), **hints["text"]),
        text_prefix,
    )
    _require_heads(detected)
    _compare("UNet", _shapes_of(lambda: UNet(detected.unet)), unet)
    _compare("VAE", _shapes_of(lambda: VAE(detected.vae)), vae)
    _compare("text encoder", expected_shapes(detected.text), text)
    return detected


def detect_vae(shapes: Shapes, metadata: Mapping[str, str]) -> VAEConfig:
    """The configuration of a VAE that is alone in its file; see detect() for metadata. Raises CheckpointError."""
    if any(name.startswith(("model.diffusion_model.", "first_stage_model.")) for name in shapes):
        raise CheckpointError("this file is a whole checkpoint, not a VAE alone; load it as a checkpoint.")
    if not {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= shapes.keys():
        raise CheckpointError(f"this file looks like {_looks_like(shapes)}; {LOADABLE_VAES}")
    latent_channels = _shape(shapes, "decoder.conv_in.weight", 4)[1]
    without_quant = not any(name.startswith(("quant_conv.", "post_quant_conv.")) for name in shapes)
    if without_quant or latent_channels != 4 or _count(shapes, "encoder.down.") != 4:
        raise CheckpointError(f"this file looks like the VAE of another kind of model; {LOADABLE_VAES}")
    config = replace(_vae_config(shapes), **_hints(metadata)["vae"])
    _compare("VAE", _shapes_of(lambda: VAE(config)), shapes)
    return config


# ── reading configurations off names and shapes ───────────────────────────────────────────────────────────────────────


def _unet_config(shapes: Shapes, family: Family) -> UNetConfig:
    width, in_channels = _shape(shapes, "input_blocks.0.0.weight", 4)[:2]
    levels: list[list[int]] = [[]]  # the blocks before the first, second, … downsampling
    for block in count(1):
        if f"input_blocks.{block}.0.op.weight" in shapes:
            levels.append([])
        elif f"input_blocks.{block}.0.in_layers.2.weight" in shapes:
            levels[-1].append(block)
        else:
            break
    if not all(levels):
        raise CheckpointError("its UNet has a resolution without blocks, so tensors are missing; download it again.")
    firsts = [blocks[0] for blocks in levels]
    return UNetConfig(
        in_channels=in_channels,
        out_channels=_shape(shapes, "out.2.weight", 4)[0],
        model_channels=width,
        channel_mult=tuple(_multiple(shapes, f"input_blocks.{n}.0.in_layers.2.weight", width) for n in firsts),
        num_res_blocks=tuple(map(len, levels)),
        transformer_depth=tuple(_count(shapes, f"input_blocks.{n}.1.transformer_blocks.") for n in firsts),
        middle_depth=_count(shapes, "middle_block.1.transformer_blocks."),
        context_dim=_shape(shapes, next(name for name in shapes if name.endswith(".attn2.to_k.weight")), 2)[1],
        num_heads=family.unet_heads,
    )


def _vae_config(shapes: Shapes) -> VAEConfig:
    channels = _shape(shapes, "encoder.conv_in.weight", 4)[0]
    levels = range(_count(shapes, "encoder.down."))
    return VAEConfig(
        channels=channels,
        channel_mult=tuple(_multiple(shapes, f"encoder.down.{n}.block.0.conv1.weight", channels) for n in levels),
        num_res_blocks=_count(shapes, "encoder.down.0.block."),
        latent_channels=_shape(shapes, "decoder.conv_in.weight", 4)[1],
    )


def _text_config(shapes: Shapes, family: Family) -> TextConfig:
    vocabulary, width = _shape(shapes, "embeddings.token_embedding.weight", 2)
    positions = _shape(shapes, "embeddings.position_embedding.weight", 2)[0]
    wanted = TextConfig(vocabulary=max(family.text_format.start, family.text_format.end) + 1)
    if vocabulary < wanted.vocabulary or positions != family.text_format.length:
        raise CheckpointError(
            f"its text encoder knows {vocabulary} words and {positions} places, not the {wanted.vocabulary} and "
            f"{family.text_format.length} of {family.name}, so prompts cannot be read; choose another."
        )
    return TextConfig(
        width=width,
        layers=_count(shapes, "encoder.layers."),
        heads=max(1, width // family.text_head_width),
        inner_width=_shape(shapes, "encoder.layers.0.mlp.fc1.weight", 2)[0],
        vocabulary=vocabulary,
        positions=positions,
    )


def _shape(shapes: Shapes, name: str, rank: int) -> Shape:
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"the tensor {name} is missing: the file is incomplete; download it again.")
    if len(shape) != rank or 0 in shape:
        raise CheckpointError(f"the tensor {name} is {_times(shape)}, which no network has; download the file again.")
    return shape


def _multiple(shapes: Shapes, name: str, width: int) -> int:
    """How many times as wide as the first layer a convolution is."""
    mult, rest = divmod(_shape(shapes, name, 4)[0], width)
    if rest:
        raise CheckpointError(f"the tensor {name} is no multiple of {width} channels wide; download the file again.")
    return mult


def _count(shapes: Shapes, prefix: str) -> int:
    """How many different parts stand right after a prefix."""
    return len({name[len(prefix) :].partition(".")[0] for name in shapes if name.startswith(prefix)})


# ── what the header says ──────────────────────────────────────────────────────────────────────────────────────────────

# For each part, names in the header and the fields of its configuration that they set.
_HINTS = {
    "unet": {"num_heads": "num_heads", "groups": "groups"},
    "vae": {"groups": "groups"},
    "text": {"num_heads": "heads"},
}


def _hints(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Per part, the fields that the header sets."""
    hints: dict[str, dict[str, Any]] = {part: {} for part in _HINTS}
    try:
        said = json.loads(metadata.get("darkroom", "{}"))
        for part, fields in _HINTS.items():
            for name in fields.keys() & said.get(part, {}).keys():
                value = said[part][name]
                if type(value) is not int or value < 1:
                    raise ValueError(f"{part}.{name} is {value!r}")
                hints[part][fields[name]] = value
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"its header's 'darkroom' entry makes no sense ({error}); export it again.") from error
    return hints


def _require_heads(detected: Detected) -> None:
    unet, text = detected.unet, detected.text
    mults = {mult for mult, depth in zip(unet.channel_mult, unet.transformer_depth, strict=True) if depth}
    widths = [unet.model_channels * mult for mult in sorted(mults | {unet.channel_mult[-1]})]
    layers = [("UNet", width, unet.num_heads or 1) for width in widths] + [("text encoder", text.width, text.heads)]
    for part, width, heads in layers:
        if width % heads:
            raise CheckpointError(
                f"its {part} has layers of {width} channels, which {heads} attention heads cannot share; "
                "its header's 'darkroom' entry must say the right number."
            )


# ── comparing with what the networks need ─────────────────────────────────────────────────────────────────────────────


def _shapes_of(build: Callable[[], nn.Module]) -> dict[str, Shape]:
    try:
        with torch.device("meta"):
            return {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"no network can be built from its tensors ({error}); if they are right, its header's 'darkroom' entry "
            "must say how many groups the normalisations have."
        ) from error


def _compare(part: str, expected: Shapes, found: Shapes) -> None:
    missing = [name for name in expected if name not in found]
    misshapen = [
        f"{name} is {_times(found[name])}, not {_times(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    faults = [
        f"{len(each)} {what}: {', '.join(each[:3])}{', …' if len(each) > 3 else ''}"
        for what, each in (("missing", missing), ("misshapen", misshapen))
        if each
    ]
    if faults:
        raise CheckpointError(f"its {part} is incomplete or damaged ({'; '.join(faults)}); download it again.")


def _times(shape: Shape) -> str:
    return " × ".join(map(str, shape)) or "a single number"


# ── what else a file may be ───────────────────────────────────────────────────────────────────────────────────────────


def _looks_like(shapes: Shapes) -> str:
    """A guess at what a file is that no family takes, by names that its kind alone has."""
    unet = under(shapes, "model.diffusion_model.")
    in_channels = unet.get("input_blocks.0.0.weight", ())[1:2]

    def has(*parts: str) -> bool:
        return any(part in name for name in shapes for part in parts)

    kinds = (
        (has(".lora_up.", ".lora_down.", ".lora_A.", ".lora_B.", ".hada_w1_a", ".lokr_w1"), "a LoRA"),
        (has("control_model.", "zero_convs.", "controlnet_"), "a ControlNet"),
        (has("double_blocks."), "Flux"),
        (has("joint_blocks."), "Stable Diffusion 3"),
        (has("conditioner.embedders.1."), "Stable Diffusion XL"),
        (has("conditioner.embedders.0."), "the refiner of Stable Diffusion XL"),
        (has("cond_stage_model.model."), "Stable Diffusion 2"),
        (bool(unet) and not has("cond_stage_model."), "a UNet without its text encoder"),
        (bool(unet) and not has("first_stage_model."), "a model without its VAE"),
        (in_channels == (9,), "an inpainting model"),
        (in_channels == (8,), "a model that edits pictures by instruction"),
        (bool(unet), "a damaged file or an unknown relative of Stable Diffusion 1"),
        (has("down_blocks.", "up_blocks."), "a network in the layout of diffusers, one part of a model"),
        (has("input_blocks."), "a UNet alone"),
        (has("decoder.conv_in.", "decoder.conv_out."), "a VAE alone"),
        (has("encoder.layers."), "a text encoder alone"),
        (has("emb_params", "string_to_param"), "an embedding for prompts"),
    )
    return next((kind for fits, kind in kinds if fits), "no model that is known here")
