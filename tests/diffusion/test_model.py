"""A checkpoint's handles: what they are, what their networks are made of, and pictures to latents and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.testing import assert_close

from diffusion.checkpoint import CheckpointError
from diffusion.layers.unet import UNet, UNetConfig
from diffusion.layers.vae import VAE, VAEConfig
from diffusion.memory import Memory
from diffusion.model import Clip, Model, ShapeError, Vae, load_checkpoint, load_vae
from diffusion.parameterisation import DiscreteEps
from diffusion.text.encoder import TextConfig, expected_shapes
from tests.diffusion.conftest import HEADER

Parts = tuple[Model, Clip, Vae]
Network = TypeVar("Network", bound=torch.nn.Module)


def nothing(name: str) -> None:
    return None


@pytest.fixture
def parts(checkpoint: Path, memory: Memory) -> Parts:
    return load_checkpoint(checkpoint, memory, find_embedding=nothing)


@pytest.fixture
def vae(parts: Parts) -> Vae:
    return parts[2]


@pytest.fixture(scope="module")
def plain_vae(tensors: dict[str, Tensor], vae_config: VAEConfig) -> VAE:
    """The same VAE, loaded the plain way."""
    return plain(VAE(vae_config), tensors, "first_stage_model.")


def plain(network: Network, tensors: dict[str, Tensor], prefix: str) -> Network:
    network.load_state_dict({n.removeprefix(prefix): t.float() for n, t in tensors.items() if n.startswith(prefix)})
    return network.eval().requires_grad_(False)


# ── handles ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_loading_reads_no_network(parts: Parts, memory: Memory) -> None:
    assert memory.size_bytes() == 0


def test_what_samplers_need_to_know(parts: Parts) -> None:
    model = parts[0]
    assert (model.family.name, model.scale_factor, model.latent_channels) == ("Stable Diffusion 1", 0.18215, 4)
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)
    assert model.parameterisation == DiscreteEps()


def test_handles_of_one_file_are_equal_and_use_one_network(checkpoint: Path, parts: Parts, memory: Memory) -> None:
    again = load_checkpoint(checkpoint, memory, find_embedding=lambda name: None)
    assert parts == again
    assert list(map(hash, parts)) == list(map(hash, again))
    assert parts[0].network() is again[0].network()
    assert parts[1].stop_at(-2) != parts[1]


def test_handles_say_what_they_are_not_where_it_is_held(checkpoint: Path, parts: Parts) -> None:
    assert load_checkpoint(checkpoint, Memory(torch.device("cpu")), find_embedding=nothing) == parts


def test_a_copy_of_the_file_is_another_model(checkpoint: Path, parts: Parts, memory: Memory, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(checkpoint.read_bytes())
    assert load_checkpoint(copy, memory, find_embedding=nothing)[0] != parts[0]


def test_a_file_that_changed_after_loading_is_refused(make_checkpoint: Callable[..., Path], memory: Memory) -> None:
    path = make_checkpoint()
    model = load_checkpoint(path, memory, find_embedding=nothing)[0]
    os.utime(path, (1, 1))
    with pytest.raises(CheckpointError, match="has changed since it was loaded"):
        model.network()


def test_a_refusal_names_the_file(make_checkpoint: Callable[..., Path], memory: Memory) -> None:
    path = make_checkpoint({"first_stage_model.quant_conv.bias": None})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, memory, find_embedding=nothing)
    assert str(caught.value).startswith(f"{path.name}: its VAE is incomplete or damaged (1 missing: quant_conv.bias)")


# ── networks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_unet_computes_what_the_files_tensors_say(
    parts: Parts, tensors: dict[str, Tensor], unet_config: UNetConfig
) -> None:
    x, timesteps, context = torch.randn(2, 4, 8, 6), torch.tensor([3.0, 900.0]), torch.randn(2, 77, 64)
    expected = plain(UNet(unet_config), tensors, "model.diffusion_model.")(x, timesteps, context)
    with torch.inference_mode():
        assert_close(parts[0].network()(x, timesteps, context), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_unet_alone_takes_the_dtype_asked_for(checkpoint: Path, dtype: torch.dtype) -> None:
    model, clip, vae = load_checkpoint(checkpoint, Memory(torch.device("cpu"), dtype), find_embedding=nothing)
    network = model.network()
    assert {weight.dtype for weight in (*network.parameters(), *network.buffers())} == {dtype}
    assert model.dtype == dtype
    assert clip.encode("a cat")[0][0].dtype == vae.decode(torch.zeros(1, 4, 1, 1)).dtype == torch.float32


def test_loading_draws_no_random_numbers(parts: Parts) -> None:
    model, clip, vae = parts
    before = torch.get_rng_state()
    model.network()
    clip.encode("a cat")
    vae.decode(torch.zeros(1, 4, 1, 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_of_torch_loads_the_same(tmp_path: Path, memory: Memory) -> None:
    # Such files cannot say how many groups and heads there are, so this one has the usual numbers.
    unet = UNetConfig(model_channels=32, channel_mult=(1,), num_res_blocks=(1,), transformer_depth=(1,), context_dim=64)
    vae = VAEConfig(channels=32, channel_mult=(1, 1, 1, 1), num_res_blocks=1)
    text = {name: torch.zeros(shape) for name, shape in expected_shapes(TextConfig(64, 1, 1, 64)).items()}
    parts = {
        "model.diffusion_model.": UNet(unet).state_dict(),
        "first_stage_model.": VAE(vae).state_dict(),
        "cond_stage_model.transformer.": text,
    }
    tensors = {f"{prefix}{name}": tensor for prefix, part in parts.items() for name, tensor in part.items()}
    torch.save({"state_dict": tensors, "global_step": 1}, tmp_path / "x.ckpt")
    save_file(tensors, tmp_path / "x.safetensors")

    latents = torch.randn(1, 4, 2, 2)
    one, other = (
        load_checkpoint(tmp_path / name, memory, find_embedding=nothing)[2].decode(latents)
        for name in ("x.ckpt", "x.safetensors")
    )
    assert torch.equal(one, other)


@pytest.fixture
def vae_file(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    """The checkpoint's VAE in a file of its own, as such files are published."""
    path = tmp_path / "vae.safetensors"
    prefix = "first_stage_model."
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    save_file(named, path, metadata=HEADER)
    return path


def test_a_vae_in_a_file_of_its_own_computes_the_same(vae_file: Path, vae: Vae, memory: Memory) -> None:
    alone = load_vae(vae_file, memory)
    assert memory.size_bytes() == 0
    assert alone.ratio == vae.ratio == 8
    latents, picture = torch.randn(2, 4, 3, 5), torch.rand(1, 16, 24, 3)
    assert torch.equal(alone.decode(latents), vae.decode(latents))
    assert torch.equal(alone.encode(picture), vae.encode(picture))
    other = Memory(torch.device("cpu"))
    assert alone.on(other) == alone
    assert torch.equal(alone.on(other).decode(latents), vae.decode(latents))
    assert other.size_bytes() > 0


def test_a_vae_file_that_changed_after_loading_is_refused(vae_file: Path, memory: Memory) -> None:
    alone = load_vae(vae_file, memory)
    os.utime(vae_file, (1, 1))
    with pytest.raises(CheckpointError, match="has changed since it was loaded"):
        alone.decode(torch.zeros(1, 4, 1, 1))


def test_a_refusal_of_a_vae_names_the_file(checkpoint: Path, memory: Memory) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_vae(checkpoint, memory)
    assert (
        str(caught.value)
        == f"{checkpoint.name}: this file is a whole checkpoint, not a VAE alone; load it as a checkpoint."
    )


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_decoding(vae: Vae, plain_vae: VAE) -> None:
    latents = torch.randn(3, 4, 5, 4) * 3
    pictures = vae.decode(latents)
    expected = ((plain_vae.decode(latents) + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1)
    assert_close(pictures, expected, rtol=0, atol=1e-5)
    assert pictures.shape == (3, 40, 32, 3)
    assert pictures.is_contiguous()
    assert not pictures.is_inference()


@pytest.mark.parametrize("channels", [3, 4])
def test_encoding_takes_the_middle_and_the_colours(channels: int, vae: Vae, plain_vae: VAE) -> None:
    pixels = torch.rand(2, 19, 28, channels)
    latents = vae.encode(pixels)
    middle = pixels[:, 1:17, 2:26, :3].permute(0, 3, 1, 2)
    assert_close(latents, plain_vae.encode(middle * 2 - 1), rtol=0, atol=1e-5)
    assert not latents.is_inference()


def test_encoding_leaves_the_picture_as_it_was(vae: Vae) -> None:
    pixels = torch.rand(1, 8, 8, 3)
    before = pixels.clone()
    vae.encode(pixels)
    assert torch.equal(pixels, before)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((8, 8, 3), r"\[batch, height, width, colours\]; these are \[8, 8, 3\]"),
        ((1, 8, 8, 1), r"these are \[1, 8, 8, 1\]"),
        ((0, 8, 8, 3), r"these are \[0, 8, 8, 3\]"),
        ((1, 7, 30, 3), "30×7 pixels is smaller than one latent, which is 8×8"),
    ],
)
def test_what_is_no_picture_gets_a_sentence(shape: tuple[int, ...], said: str, vae: Vae) -> None:
    with pytest.raises(ShapeError, match=said):
        vae.encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(4, 8, 8), (1, 3, 8, 8), (1, 4, 0, 8), (1, 4, 2, 8, 8)])
def test_what_is_no_latent_gets_a_sentence(shape: tuple[int, ...], vae: Vae) -> None:
    with pytest.raises(ShapeError, match=r"latents \[batch, 4, height, width\]; these are"):
        vae.decode(torch.zeros(shape))
