"""The networks against reference numbers, published sizes and their own packed form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from diffusion.devices import load
from diffusion.layers.packed import (
    PACKED_FROM,
    PackedConv2d,
    PackedUpsample,
    PointwiseConv2d,
    pack_convolutions,
)
from diffusion.layers.unet import UNet, UNetConfig, timestep_embedding
from diffusion.layers.vae import VAE, Upsample, VAEConfig
from lab.recipe import uniform, weight

GOLDEN = Path(__file__).parents[1] / "golden" / "networks.safetensors"  # its header says where the numbers are from


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN)


def by_recipe(network: nn.Module, prefix: str) -> nn.Module:
    state = {key: weight(prefix + key, tuple(tensor.shape)).float() for key, tensor in network.state_dict().items()}
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    with torch.device("meta"):
        network = UNet(UNetConfig(model_channels=64, context_dim=64))
    return by_recipe(network, "model.diffusion_model.")


@pytest.fixture(scope="module")
def vae() -> nn.Module:
    with torch.device("meta"):
        network = VAE(VAEConfig(channels=32))
    return by_recipe(network, "first_stage_model.")


def assert_same(ours: Tensor, reference: Tensor) -> None:
    """Within 2e-5 of the reference's standard deviation. Another kernel or thread count changes half of it."""
    assert ours.shape == reference.shape
    assert ((ours - reference).abs().max() / reference.std()).item() < 2e-5


@pytest.mark.parametrize(("case", "tokens"), [(0, 77), (1, 154), (2, 77)], ids=["8x8", "12x20", "odd 9x13"])
def test_unet_gives_the_reference_numbers(unet: nn.Module, golden: dict[str, Tensor], case: int, tokens: int) -> None:
    context = uniform(f"golden-f-in:sd1.c{case}", (2, tokens, 64))
    assert_same(unet(golden[f"unet/x{case}"], golden[f"unet/t{case}"], context), golden[f"unet/out{case}"])


def test_vae_gives_the_reference_numbers(vae: nn.Module, golden: dict[str, Tensor]) -> None:
    assert isinstance(vae, VAE)
    assert_same(vae.decode(golden["vae/latent"]), golden["vae/decoded_raw"])
    pixels = golden["vae/image"].movedim(-1, 1) * 2 - 1
    assert_same(vae.encode(pixels), golden["vae/encoded_mode"])


def test_the_defaults_are_stable_diffusion_1() -> None:
    """The published sizes: 859.52 million parameters in the UNet, 83.65 million in the VAE."""
    with torch.device("meta"):
        unet, vae = UNet(UNetConfig()), VAE(VAEConfig())
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863


def test_packing_changes_no_number_that_matters(golden: dict[str, Tensor]) -> None:
    network = UNet(UNetConfig(model_channels=64, context_dim=64))
    by_recipe(network, "model.diffusion_model.")
    pack_convolutions(network)
    assert not any(isinstance(module, nn.Conv2d) for module in network.modules())
    x = golden["unet/x2"].contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        out = network(x, golden["unet/t2"], uniform("golden-f-in:sd1.c2", (2, 77, 64)))
    assert_same(out, golden["unet/out2"])


@pytest.mark.parametrize(
    ("conv", "kind"),
    [
        (nn.Conv2d(8, 16, 3, padding=1), PackedConv2d),
        (nn.Conv2d(8, 16, 3, stride=2), PackedConv2d),
        (nn.Conv2d(8, 16, 3, padding=1, bias=False), PackedConv2d),
        (nn.Conv2d(8, 16, 1), PointwiseConv2d),
        (nn.Conv2d(8, 16, 1, stride=2), PackedConv2d),
    ],
    ids=["3x3", "strided", "no bias", "1x1", "1x1 strided"],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
def test_each_kind_of_convolution_packs(conv: nn.Conv2d, kind: type, memory_format: torch.memory_format) -> None:
    network = nn.Sequential(conv)
    x = uniform("x", (2, 8, 7, 9)).contiguous(memory_format=memory_format)
    with torch.inference_mode():
        plain = network(x)
        pack_convolutions(network)
        packed = network(x)
    assert type(network[0]) is kind
    torch.testing.assert_close(packed, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 3)])
def test_enlarging_in_four_parts_is_enlarging(size: tuple[int, int]) -> None:
    network = nn.Sequential(Upsample(4))
    x = uniform("x", (2, 4, *size))
    with torch.inference_mode():
        plain = network(x)
        pack_convolutions(network)
        packed = network(x)
    assert type(network[0]) is PackedUpsample
    torch.testing.assert_close(packed, plain, rtol=1e-5, atol=1e-6)


def test_a_packed_vae_gives_the_reference_numbers(golden: dict[str, Tensor]) -> None:
    network = VAE(VAEConfig(channels=32))
    by_recipe(network, "first_stage_model.")
    pack_convolutions(network)
    assert not any(isinstance(module, nn.Conv2d) for module in network.modules())
    with torch.inference_mode():
        assert_same(network.decode(golden["vae/latent"]), golden["vae/decoded_raw"])
        assert_same(network.encode(golden["vae/image"].movedim(-1, 1) * 2 - 1), golden["vae/encoded_mode"])


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("dtype", PACKED_FROM)
def test_packing_takes_the_weights_of_a_file_as_they_are(dtype: torch.dtype, kernel: int) -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(8, 16, kernel))
    in_file = {"0.weight": uniform("w", (16, 8, kernel, kernel)).to(dtype), "0.bias": uniform("b", (16,)).to(dtype)}
    load(network, in_file, torch.device("cpu"))
    x = uniform("x", (1, 8, 5, 5))
    plain = torch.conv2d(x, in_file["0.weight"].float(), in_file["0.bias"].float())
    with torch.inference_mode():
        torch.testing.assert_close(network(x), plain, rtol=1e-5, atol=1e-5)


def test_weights_that_cannot_be_packed_from_are_converted_first() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(2, 2, 3))
    in_file = {"0.weight": torch.ones(2, 2, 3, 3, dtype=torch.float64), "0.bias": torch.zeros(2, dtype=torch.float64)}
    load(network, in_file, torch.device("cpu"))
    with torch.inference_mode():
        assert network(torch.ones(1, 2, 3, 3)).flatten().tolist() == [18, 18]


def test_timestep_embedding_is_cosines_then_sines() -> None:
    embedding = timestep_embedding(torch.tensor([0.0, 3.0]), 6)
    assert embedding[0].tolist() == [1, 1, 1, 0, 0, 0]
    torch.testing.assert_close(embedding[1, 0], torch.cos(torch.tensor(3.0)))
    torch.testing.assert_close(embedding[1, 4], torch.sin(torch.tensor(3.0 * 10000 ** (-1 / 3))))


def test_a_unet_without_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="num_heads"):
        UNetConfig(num_heads=8, head_dim=64)


def test_loading_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with torch.device("meta"):
        network = nn.Linear(1, 1)
    load(network, {"weight": torch.ones(1, 1), "bias": torch.ones(1)}, torch.device("cpu"))
    found = torch.get_num_threads()
    torch.set_num_threads(before)
    assert found == 3
