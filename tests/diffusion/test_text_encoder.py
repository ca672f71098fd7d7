"""Text encodings, compared with the library's own forward pass over unweighted chunks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import CLIPTextConfig, CLIPTextModel

from diffusion import devices
from diffusion.memory import Memory
from diffusion.model import Clip, load_checkpoint
from diffusion.text import encoder
from diffusion.text.encoder import TextConfig, expected_shapes
from diffusion.text.tokenizer import tokenize

PREFIX = "cond_stage_model.transformer.text_model."
LAYERS = 3


@pytest.fixture(scope="module")
def reference(tensors: dict[str, Tensor]) -> CLIPTextModel:
    """The same network by the library's usual way: built, loaded, with its slow attention."""
    config = CLIPTextConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=LAYERS, num_attention_heads=2, vocab_size=49408,
        attn_implementation="eager",
    )  # fmt: skip
    network = CLIPTextModel(config).eval()
    state = {name.removeprefix(PREFIX): tensor.float() for name, tensor in tensors.items() if name.startswith(PREFIX)}
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    return network


@pytest.fixture
def clip(checkpoint: Path, memory: Memory) -> Clip:
    return load_checkpoint(checkpoint, memory, find_embedding=lambda name: None)[1]


@torch.no_grad()
def plain(reference: CLIPTextModel, words: str, layer: int = -1) -> tuple[Tensor, Tensor]:
    """Hidden states [1, 77, 64] of one chunk of plain words, and their last state at the first end token [1, 64]."""
    ids = [49406, *tokenize(words), 49407]
    out = reference(torch.tensor([ids + [49407] * (77 - len(ids))]), output_hidden_states=True)
    states = [reference.final_layer_norm(each) for each in out.hidden_states]
    return states[layer], states[-1][:, len(ids) - 1]


def assert_near(ours: Tensor, reference: Tensor) -> None:
    assert_close(ours, reference, rtol=0, atol=2e-5)


@pytest.mark.parametrize("layer", [-1, -2, -3])
@pytest.mark.parametrize("prompt", ["", "a photo of a cat", "森の中の城 🚀"])
def test_a_plain_prompt(prompt: str, layer: int, clip: Clip, reference: CLIPTextModel) -> None:
    [[hidden, extra]] = clip.stop_at(layer).encode(prompt)
    expected, pooled = plain(reference, prompt, layer)
    assert_near(hidden, expected)
    assert_near(extra["pooled_output"], pooled)


def test_a_layer_that_is_not_there_is_the_last(clip: Clip) -> None:
    [[hidden, _]], [[last, _]] = clip.stop_at(-LAYERS - 1).encode("a cat"), clip.encode("a cat")
    assert torch.equal(hidden, last)


def test_layers_count_from_the_end(clip: Clip) -> None:
    with pytest.raises(ValueError, match="−1 is the last"):
        clip.stop_at(0)


@pytest.mark.parametrize("layer", [-1, -2])
def test_weights_are_relative_to_the_empty_prompt_place_by_place(
    layer: int, clip: Clip, reference: CLIPTextModel
) -> None:
    [[hidden, extra]] = clip.stop_at(layer).encode("a (red:1.3) cat (dark:-0.5)")
    unweighted, pooled = plain(reference, "a red cat dark", layer)
    empty, _ = plain(reference, "", layer)
    weights = torch.tensor([1.0, 1.0, 1.3, 1.0, -0.5] + [1.0] * 72)[:, None]
    assert_near(hidden, empty + (unweighted - empty) * weights)
    assert_near(extra["pooled_output"], pooled)


def test_a_long_prompt_is_its_chunks_in_a_row_and_pooled_is_the_firsts(clip: Clip, reference: CLIPTextModel) -> None:
    [[hidden, extra]] = clip.encode("cat " * 75 + "dog")
    first, pooled = plain(reference, "cat " * 75)
    second, _ = plain(reference, "dog")
    assert_near(hidden, torch.cat([first, second], dim=1))
    assert_near(extra["pooled_output"], pooled)


def test_pooled_is_at_the_first_end_token(clip: Clip, reference: CLIPTextModel) -> None:
    [[_, extra]] = clip.encode("cat <|endoftext|> dog")
    ids = [49406, 2368, 49407, 1929] + [49407] * 73
    with torch.no_grad():
        states = reference(torch.tensor([ids])).last_hidden_state
    assert_near(extra["pooled_output"], states[:, 2])


def test_embedding_vectors_stand_for_words(
    checkpoint: Path, memory: Memory, tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    words = tensors[f"{PREFIX}embeddings.token_embedding.weight"]
    torch.save({"string_to_param": {"*": words[tokenize("red cat")]}}, tmp_path / "red_cat.pt")
    names: list[str] = []

    def find(name: str) -> Path | None:
        names.append(name)
        return tmp_path / "red_cat.pt" if name == "red_cat" else None

    clip = load_checkpoint(checkpoint, memory, find_embedding=find)[1]
    [[with_file, pooled]], [[with_words, same]] = (
        clip.encode("a (embedding:red_cat:1.2), sitting"),
        clip.encode("a (red cat:1.2), sitting"),
    )
    assert torch.equal(with_file, with_words)
    assert torch.equal(pooled["pooled_output"], same["pooled_output"])
    assert names == ["red_cat"]


def test_the_empty_chunk_is_computed_only_for_weights(clip: Clip) -> None:
    clip.encode("")
    network = clip.source.network("text", CLIPTextModel)  # the one that is held: nothing is built here
    sizes: list[int] = []
    network.embeddings.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    for prompt in ("a cat", "(a cat:1.0)", "a (cat:1.1)", "cat " * 80):
        clip.encode(prompt)
    assert sizes == [1, 1, 2, 2]


def test_encodings_are_ordinary_tensors(clip: Clip) -> None:
    for prompt in ("a cat", "a (cat:1.2)"):
        [[hidden, extra]] = clip.encode(prompt)
        for tensor in (hidden, extra["pooled_output"]):
            assert (tensor.dtype, tensor.device.type) == (torch.float32, "cpu")
            assert not tensor.is_inference()
            assert not tensor.requires_grad


@pytest.mark.parametrize("config", [TextConfig(), TextConfig(width=64, layers=2, heads=1, inner_width=96)])
def test_the_expected_tensors_are_the_librarys(config: TextConfig) -> None:
    with torch.device("meta"):
        network: nn.Module = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=config.width, intermediate_size=config.inner_width, num_hidden_layers=config.layers,
                num_attention_heads=config.heads, vocab_size=config.vocabulary,
            )
        )  # fmt: skip
    assert expected_shapes(config) == {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_tensors_in_float32_are_used_as_they_are_and_words_in_any_precision() -> None:
    config = TextConfig(width=64, layers=1, heads=1, inner_width=64)
    tensors = {name: torch.randn(shape) for name, shape in expected_shapes(config).items()}
    tensors["embeddings.token_embedding.weight"] = tensors["embeddings.token_embedding.weight"].half()
    network = encoder.build(config, tensors, torch.device("cpu"))
    for name, tensor in network.state_dict().items():
        assert tensor.data_ptr() == tensors[name].data_ptr()
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def test_filling_changes_the_dtype_only_where_it_must() -> None:
    tensors = {"weight": torch.randn(3, 2).half(), "bias": torch.randn(3)}
    with torch.device("meta"):
        network = nn.Linear(2, 3)
    devices.load(network, tensors, torch.device("cpu"))
    assert torch.equal(network.weight, tensors["weight"].float())
    assert network.bias.data_ptr() == tensors["bias"].data_ptr()
