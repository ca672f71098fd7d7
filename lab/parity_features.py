"""Comparisons with set f of the reference: small networks of every family."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from diffusion.devices import load
from diffusion.layers.unet import UNet, UNetConfig
from diffusion.layers.vae import VAE, VAEConfig
from diffusion.text.encoder import TextConfig, build, encode, expected_shapes
from diffusion.text.prompt import Format, Token
from lab.cases import Case, Difference, relative
from lab.recipe import uniform, weight

FORWARD = {"of_std": 2e-5, "l2": 2e-5}
"""The tolerance of single forwards, in the README of set f."""


def by_recipe(network: nn.Module, prefix: str, salt: str) -> None:
    """Give a network on the meta device the weights of the recipe, and make it ready for the CPU."""
    state = {key: weight(prefix + key, tuple(t.shape), salt) for key, t in network.state_dict().items()}
    load(network, state, torch.device("cpu"))


def unet_config(config: dict[str, Any]) -> UNetConfig | str:
    """A reference configuration as Darkroom's, or why it has none yet."""
    levels, depths = config["num_res_blocks"], list(config["transformer_depth"])
    if config["adm_in_channels"] is not None or config["use_linear_in_transformer"] or config.get("num_classes"):
        return "not covered yet: size conditioning and linear projections belong to other families than SD1"
    per_level = []
    for blocks in levels:
        here, depths = set(depths[:blocks]), depths[blocks:]
        if len(here) > 1:
            return "not covered yet: attention of another depth within one level"
        per_level.append(here.pop())
    heads = config["num_heads"]
    return UNetConfig(
        in_channels=config["in_channels"],
        out_channels=config["out_channels"],
        model_channels=config["model_channels"],
        channel_mult=tuple(config["channel_mult"]),
        num_res_blocks=tuple(levels),
        transformer_depth=tuple(per_level),
        middle_depth=config["transformer_depth_middle"],
        context_dim=config["context_dim"],
        num_heads=heads if heads > 0 else None,
        head_dim=config["num_head_channels"] if heads <= 0 else None,
    )


def unet(case: dict[str, Any], name: str, index: dict[str, Any], tensors: dict[str, Tensor]) -> list[Difference] | str:
    """Forwards of a small UNet."""
    config = unet_config(case["config"])
    if isinstance(config, str):
        return config
    with torch.device("meta"):
        network = UNet(config)
    by_recipe(network, case["prefix"], index["weight_salt"])
    differences = []
    for number in range(len(case["forwards"])):
        x, t = tensors[f"{name}.x{number}"], tensors[f"{name}.t{number}"]
        context = tensors.get(f"{name}.context{number}")
        if context is None:
            shape = shape_in(case["forwards"][number]["context"])
            context = uniform(f"{index['set']}-f-in:{name}.c{number}", shape)
        with torch.inference_mode():
            differences += relative(network(x, t, context), tensors[f"{name}.out{number}"], **FORWARD)
    return differences


def shape_in(text: str) -> tuple[int, ...]:
    """The shape at the end of a sentence such as "context0 = input rule, name 'sd1.c0', shape [2, 77, 64]"."""
    return tuple(json.loads(text[text.rindex("[") :]))


def vae(case: dict[str, Any], name: str, index: dict[str, Any], tensors: dict[str, Tensor]) -> list[Difference] | str:
    """Encoding and decoding of a small KL VAE, not tiled."""
    if "config" not in case:
        return "not covered yet: another kind of VAE"
    config = case["config"]
    with torch.device("meta"):
        network = VAE(VAEConfig(config["ch"], tuple(config["ch_mult"]), config["num_res_blocks"], config["z_channels"]))
    by_recipe(network, "first_stage_model.", index["weight_salt"])
    with torch.inference_mode():
        decoded = network.decode(tensors[f"{name}.latent"])
        encoded = network.encode(tensors[f"{name}.image"].movedim(-1, 1) * 2 - 1)
    return relative(decoded, tensors[f"{name}.decoded_raw"], **FORWARD) + relative(
        encoded, tensors[f"{name}.encoded_mode"], **FORWARD
    )


def clip(case: dict[str, Any], name: str, index: dict[str, Any], tensors: dict[str, Tensor]) -> list[Difference] | str:
    """Encodings of sequences of tokens by a small CLIP-L."""
    config = case.get("config", {})
    if config.get("hidden_act") != "quick_gelu":
        return "not covered yet: OpenCLIP's text encoders belong to other families than SD1"
    prefix = "cond_stage_model.transformer.text_model."
    shape = TextConfig(
        config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"], config["intermediate_size"]
    )
    state = {key: weight(prefix + key, size, index["weight_salt"]) for key, size in expected_shapes(shape).items()}
    network = build(shape, state, torch.device("cpu"))
    form = Format()
    sequences = [[Token(token, 1.0, 0) for token in row] for row in tensors[f"{name}.tokens"].tolist()]
    differences = []
    for layer, key in ((-1, "last"), (-1, "stop1_ln"), (-2, "stop2_ln")):
        hidden = torch.cat([encode(network, [sequence], layer, form)[0] for sequence in sequences])
        differences += relative(every_nth_row(hidden, tensors[f"{name}.{key}"]), tensors[f"{name}.{key}"], **FORWARD)
    # Where a sequence has no end token the reference takes the last place; a prompt's chunk always has one.
    ended = (tensors[f"{name}.tokens"] == form.end).any(dim=1)
    pooled = torch.cat([encode(network, [sequence], -1, form)[1] for sequence in sequences])
    differences += relative(pooled[ended], tensors[f"{name}.pooled"][ended], **FORWARD)
    weighted = [
        [Token(token.value, by, 0) for token, by in zip(sequence, weights, strict=True)]
        for sequence, weights in zip((sequences[1], sequences[0]), case["weights"], strict=True)
    ]
    expected = tensors[f"{name}.weighted"]
    return differences + relative(every_nth_row(encode(network, weighted, -1, form)[0], expected), expected, **FORWARD)


def every_nth_row(ours: Tensor, stored: Tensor) -> Tensor:
    """The rows of tokens that the reference stored: all, or every second, third, …"""
    return ours[:, :: math.ceil(ours.shape[1] / stored.shape[1])]


Compare = Callable[[dict[str, Any], str, dict[str, Any], dict[str, Tensor]], list[Difference] | str]
COVERED: dict[str, Compare] = {"f_clip": clip, "f_unet": unet, "f_vae": vae}


def cases(folder: Path) -> Iterator[Case]:
    """Every case of the folder `features`: those of sets that have a comparison, and a line for each other one."""
    for path in sorted((folder / "features").glob("f_*.json")):
        index = json.loads(path.read_text())
        compare = COVERED.get(path.stem)
        for name, case in index["cases"].items():

            def run(
                name: str = name, case: dict[str, Any] = case, path: Path = path, compare: Compare | None = compare
            ) -> list[Difference] | str:
                if compare is None:
                    return "not covered yet"
                index = json.loads(path.read_text())
                return compare(case, name, index, load_file(path.with_suffix(".safetensors")))

            yield Case(f"{path.stem} {name}", run)
