"""Recognising checkpoints by their structure, and refusing others with a sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion.checkpoint import CheckpointError, Shape
from diffusion.detect import detect, detect_vae
from diffusion.families import families
from diffusion.families.sd1 import SD1
from diffusion.layers.unet import UNet, UNetConfig
from diffusion.layers.vae import VAE, VAEConfig
from diffusion.text.encoder import TextConfig, expected_shapes

HEADER = {"darkroom": json.dumps({"unet": {"groups": 16}, "vae": {"groups": 8}, "text": {"num_heads": 2}})}
UNET_PREFIX, VAE_PREFIX, TEXT_PREFIX = SD1.unet_prefix, SD1.vae_prefix, SD1.text_prefixes[0]


def layout(unet: UNetConfig, vae: VAEConfig, text: TextConfig) -> dict[str, Shape]:
    """Names and shapes of a whole checkpoint."""
    with torch.device("meta"):
        parts: dict[str, Mapping[str, Any]] = {UNET_PREFIX: UNet(unet).state_dict(), VAE_PREFIX: VAE(vae).state_dict()}
    shapes = {part + name: tuple(tensor.shape) for part, each in parts.items() for name, tensor in each.items()}
    return shapes | {TEXT_PREFIX + name: shape for name, shape in expected_shapes(text).items()}


@pytest.fixture(scope="module")
def sd15() -> dict[str, Shape]:
    """Stable Diffusion 1.5's names and shapes, proven to be so by the digest of the published file's list."""
    shapes = layout(UNetConfig(), VAEConfig(), TextConfig()) | {f"{TEXT_PREFIX}embeddings.position_ids": (1, 77)}
    lines = "\n".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items()))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    assert digest == "6526f487a98afe4c81660ebe6391558c4e38c52cbf4236b255cecbf877bd88f4"
    return shapes


def test_stable_diffusion_1_5_has_the_default_configurations(sd15: dict[str, Shape]) -> None:
    detected = detect(sd15, {})
    assert detected.family is SD1
    assert (detected.unet, detected.vae, detected.text) == (UNetConfig(), VAEConfig(), TextConfig())


def test_a_text_encoder_without_the_inner_prefix_is_taken(sd15: dict[str, Shape]) -> None:
    detected = detect({name.replace(".text_model.", "."): shape for name, shape in sd15.items()}, {})
    assert detected.text_prefix == "cond_stage_model.transformer."


@pytest.mark.parametrize(
    "unet",
    [
        UNetConfig(model_channels=32, channel_mult=(1, 2, 3), num_res_blocks=(1, 3, 2), transformer_depth=(0, 2, 1)),
        UNetConfig(model_channels=64, channel_mult=(2,), num_res_blocks=(1,), transformer_depth=(1,), middle_depth=3),
    ],
)
def test_other_depths_and_widths_of_the_architecture(unet: UNetConfig) -> None:
    vae = VAEConfig(channels=32, channel_mult=(1, 1, 3, 2), num_res_blocks=1)
    text = TextConfig(width=128, layers=2, heads=2, inner_width=200)
    unet = UNetConfig(**{**unet.__dict__, "context_dim": 128})
    detected = detect(layout(unet, vae, text), {})
    assert (detected.unet, detected.vae, detected.text) == (unet, vae, text)


def test_the_header_says_what_shapes_do_not() -> None:
    unet = UNetConfig(
        model_channels=16, channel_mult=(1,), num_res_blocks=(1,), transformer_depth=(1,), context_dim=64, num_heads=4,
        groups=8,
    )  # fmt: skip
    vae, text = VAEConfig(channels=8, groups=4), TextConfig(width=64, layers=1, heads=4, inner_width=64)
    said = {"unet": {"num_heads": 4, "groups": 8}, "vae": {"groups": 4}, "text": {"num_heads": 4}, "card": "later"}
    detected = detect(layout(unet, vae, text), {"darkroom": json.dumps(said)})
    assert (detected.unet, detected.vae, detected.text) == (unet, vae, text)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("no JSON", "makes no sense"),
        ("[]", "makes no sense"),
        ('{"unet": 3}', "makes no sense"),
        ('{"vae": {"groups": 0}}', "vae.groups is 0"),
        ('{"text": {"num_heads": true}}', "text.num_heads is True"),
        ('{"unet": {"groups": 7}}', "must say how many groups"),
        ('{"unet": {"num_heads": 7}}', "layers of 320 channels, which 7 attention heads cannot share"),
        ('{"text": {"num_heads": 5}}', "layers of 768 channels, which 5 attention heads cannot share"),
    ],
)
def test_a_header_that_cannot_be(said: str, answer: str, sd15: dict[str, Shape]) -> None:
    with pytest.raises(CheckpointError) as caught:
        detect(sd15, {"darkroom": said})
    assert answer in str(caught.value)


@pytest.mark.parametrize(
    ("prefix", "name", "part"),
    [
        (UNET_PREFIX, "input_blocks.4.1.norm.weight", "UNet"),
        (UNET_PREFIX, "middle_block.1.transformer_blocks.0.ff.net.2.bias", "UNet"),
        (VAE_PREFIX, "quant_conv.weight", "VAE"),
        (TEXT_PREFIX, "encoder.layers.5.mlp.fc2.bias", "text encoder"),
        (TEXT_PREFIX, "final_layer_norm.weight", "text encoder"),
    ],
)
def test_missing_and_misshapen_tensors_are_named(prefix: str, name: str, part: str, sd15: dict[str, Shape]) -> None:
    with pytest.raises(CheckpointError, match=f"its {part} is incomplete .*1 missing: {name}"):
        detect({each: shape for each, shape in sd15.items() if each != prefix + name}, {})
    with pytest.raises(CheckpointError, match=f"its {part} is incomplete .*1 misshapen: {name} is 3 × 1, not "):
        detect(sd15 | {prefix + name: (3, 1)}, {})


def test_of_many_missing_tensors_three_are_named(sd15: dict[str, Shape]) -> None:
    rest = {name: shape for name, shape in sd15.items() if ".output_blocks.3." not in name}
    with pytest.raises(CheckpointError, match=r"38 missing: output_blocks\.3\.\S+, output_\S+, output_\S+, …\)"):
        detect(rest, {})


READ = (  # where configurations are read from
    f"{UNET_PREFIX}input_blocks.0.0.weight",
    f"{UNET_PREFIX}input_blocks.1.0.in_layers.2.weight",
    f"{UNET_PREFIX}out.2.weight",
    f"{UNET_PREFIX}input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight",
    f"{VAE_PREFIX}encoder.conv_in.weight",
    f"{VAE_PREFIX}encoder.down.1.block.0.conv1.weight",
    f"{VAE_PREFIX}decoder.conv_in.weight",
    f"{TEXT_PREFIX}embeddings.token_embedding.weight",
    f"{TEXT_PREFIX}embeddings.position_embedding.weight",
    f"{TEXT_PREFIX}encoder.layers.0.mlp.fc1.weight",
)


@pytest.mark.parametrize("name", READ)
def test_whatever_tensor_is_wrong_there_is_a_sentence(name: str, tensors: dict[str, Tensor]) -> None:
    shapes = {each: tuple(tensor.shape) for each, tensor in tensors.items()}
    for shape in ((), (0, 0, 0, 0), (3, 4), (1, 1, 1, 1)):
        with pytest.raises(CheckpointError):
            detect(shapes | {name: shape}, HEADER)
    del shapes[name]
    with pytest.raises(CheckpointError):
        detect(shapes, HEADER)


def test_a_text_encoder_with_other_words_or_places(sd15: dict[str, Shape]) -> None:
    for name, shape in (("token_embedding", (1000, 768)), ("position_embedding", (64, 768))):
        with pytest.raises(CheckpointError, match="so prompts cannot be read"):
            detect(sd15 | {f"{TEXT_PREFIX}embeddings.{name}.weight": shape}, {})


def test_a_longer_vocabulary_is_taken(sd15: dict[str, Shape]) -> None:
    assert detect(sd15 | {f"{TEXT_PREFIX}embeddings.token_embedding.weight": (49500, 768)}, {}).text.vocabulary == 49500


ONE: Shape = (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("shapes", "kind"),
    [
        (
            {f"{UNET_PREFIX}label_emb.0.0.weight": ONE, "conditioner.embedders.1.model.ln_final.bias": ONE},
            "Stable Diffusion XL",
        ),
        (
            {f"{UNET_PREFIX}label_emb.0.0.weight": ONE, "conditioner.embedders.0.model.ln_final.bias": ONE},
            "the refiner",
        ),
        ({f"{UNET_PREFIX}out.0.weight": ONE, "cond_stage_model.model.ln_final.bias": ONE}, "Stable Diffusion 2"),
        ({f"{UNET_PREFIX}joint_blocks.0.x.weight": ONE}, "Stable Diffusion 3"),
        ({"double_blocks.0.img_attn.qkv.weight": ONE}, "Flux"),
        ({f"{UNET_PREFIX}out.0.weight": ONE}, "a UNet without its text encoder"),
        ({"input_blocks.0.0.weight": ONE}, "a UNet alone"),
        ({"down_blocks.0.resnets.0.conv1.weight": ONE}, "a network in the layout of diffusers"),
        ({"decoder.conv_in.weight": ONE}, "a VAE alone"),
        ({"text_model.encoder.layers.0.mlp.fc1.weight": ONE}, "a text encoder alone"),
        ({"lora_unet_x.lora_up.weight": ONE}, "a LoRA"),
        ({"control_model.input_blocks.0.0.weight": ONE}, "a ControlNet"),
        ({"emb_params": ONE}, "an embedding for prompts"),
        ({"something": ONE}, "no model that is known here"),
    ],
)
def test_other_files_are_told_apart(shapes: dict[str, Shape], kind: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        detect(shapes, {})
    assert f"looks like {kind}" in str(caught.value)
    assert "what can be loaded is Stable Diffusion 1" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"input_blocks.0.0.weight": (320, 9, 3, 3)}, "an inpainting model"),
        ({"input_blocks.0.0.weight": (320, 8, 3, 3)}, "a model that edits pictures"),
        ({"label_emb.0.0.weight": (1280, 2816)}, "an unknown relative of Stable Diffusion 1"),
        ({"input_blocks.1.1.proj_in.weight": (320, 320)}, "an unknown relative of Stable Diffusion 1"),
    ],
)
def test_relatives_of_stable_diffusion_1(change: dict[str, Shape], kind: str, sd15: dict[str, Shape]) -> None:
    with pytest.raises(CheckpointError) as caught:
        detect(sd15 | {UNET_PREFIX + name: shape for name, shape in change.items()}, {})
    assert kind in str(caught.value)


@pytest.mark.parametrize("levels", [3, 5])
def test_a_vae_of_another_ratio_is_another_family(levels: int) -> None:
    vae = VAEConfig(channels=32, channel_mult=(1,) * levels, num_res_blocks=1)
    unet = UNetConfig(model_channels=32, channel_mult=(1,), num_res_blocks=(1,), transformer_depth=(1,), context_dim=64)
    with pytest.raises(CheckpointError, match="an unknown relative of Stable Diffusion 1"):
        detect(layout(unet, vae, TextConfig(width=64, layers=1, inner_width=64)), {})


def test_a_unet_for_another_text_encoder_is_another_family(sd15: dict[str, Shape]) -> None:
    wider = {name: (shape[0], 1024) for name, shape in sd15.items() if name.endswith("attn2.to_k.weight")}
    with pytest.raises(CheckpointError, match="an unknown relative of Stable Diffusion 1"):
        detect(sd15 | wider, {})


def test_families_are_found_by_scanning() -> None:
    assert SD1 in families()


def test_the_fixtures_checkpoint_is_one(tensors: dict[str, Tensor]) -> None:
    detected = detect({name: tuple(tensor.shape) for name, tensor in tensors.items()}, HEADER)
    assert detected.unet.num_res_blocks == (1, 2)
    assert detected.unet.transformer_depth == (0, 2)


# ── a VAE alone ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def vae_alone(sd15: dict[str, Shape]) -> dict[str, Shape]:
    """Stable Diffusion 1.5's VAE, named as in files that hold nothing else."""
    return {name.removeprefix(VAE_PREFIX): shape for name, shape in sd15.items() if name.startswith(VAE_PREFIX)}


def test_a_vae_alone_is_recognised(vae_alone: dict[str, Shape]) -> None:
    assert detect_vae(vae_alone, {}) == VAEConfig()
    assert detect_vae(vae_alone | {"loss.logvar": (), "model_ema.decay": ()}, {}) == VAEConfig()  # left from training


def test_the_header_says_how_many_groups_a_vae_has(vae_alone: dict[str, Shape]) -> None:
    assert detect_vae(vae_alone, HEADER) == VAEConfig(groups=8)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"lora_unet_x.lora_up.weight": ONE}, "looks like a LoRA"),
        ({"encoder.down_blocks.0.resnets.0.conv1.weight": ONE}, "looks like a network in the layout of diffusers"),
        ({"decoder.1.weight": ONE}, "looks like no model that is known here"),
        ({"decoder.conv_in.weight": ONE}, "looks like a VAE alone; .* with its encoder and decoder"),
        ({"first_stage_model.encoder.conv_in.weight": ONE}, "this file is a whole checkpoint"),
    ],
)
def test_a_file_that_is_no_vae_is_refused(shapes: dict[str, Shape], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        detect_vae(shapes, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"quant_conv": None},  # as Flux and Stable Diffusion 3 have it
        {"decoder.conv_in.weight": (512, 16, 3, 3)},
        {"encoder.down.3": None},
    ],
)
def test_the_vae_of_another_kind_of_model_is_refused(
    changes: dict[str, Shape | None], vae_alone: dict[str, Shape]
) -> None:
    [(part, shape)] = changes.items()
    shapes = {name: each for name, each in vae_alone.items() if shape or part not in name}
    with pytest.raises(CheckpointError, match="the VAE of another kind of model; what can be loaded is"):
        detect_vae(shapes | ({part: shape} if shape else {}), {})


def test_a_vae_with_a_hole_is_refused(vae_alone: dict[str, Shape]) -> None:
    del vae_alone["decoder.up.2.block.1.conv1.weight"]
    with pytest.raises(CheckpointError, match=r"its VAE is incomplete or damaged .*up.2.block.1.conv1.weight"):
        detect_vae(vae_alone, {})
