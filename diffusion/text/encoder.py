"""CLIP's text transformer (Radford et al. 2021, arXiv:2103.00020): chunks of tokens in, what the UNet reads out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffusion import devices
from diffusion.text.prompt import Format, Token, empty_chunk

if TYPE_CHECKING:
    from transformers.models.clip.modeling_clip import CLIPTextModel


@dataclass(frozen=True)
class TextConfig:
    """Everything that shapes a text encoder. The defaults are CLIP-L, Stable Diffusion 1's."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    inner_width: int = 3072
    vocabulary: int = 49408
    positions: int = 77
    activation: str = "quick_gelu"


def expected_shapes(config: TextConfig) -> dict[str, tuple[int, ...]]:
    """The names and shapes of an encoder's tensors, as `build` wants them."""
    width, inner = config.width, config.inner_width
    norm = {"weight": (width,), "bias": (width,)}
    square = {"weight": (width, width), "bias": (width,)}
    layer: dict[str, Mapping[str, tuple[int, ...]]] = {
        **{f"self_attn.{name}": square for name in ("q_proj", "k_proj", "v_proj", "out_proj")},
        "layer_norm1": norm,
        "layer_norm2": norm,
        "mlp.fc1": {"weight": (inner, width), "bias": (inner,)},
        "mlp.fc2": {"weight": (width, inner), "bias": (width,)},
    }
    modules: dict[str, Mapping[str, tuple[int, ...]]] = {
        "embeddings.token_embedding": {"weight": (config.vocabulary, width)},
        "embeddings.position_embedding": {"weight": (config.positions, width)},
        **{f"encoder.layers.{n}.{name}": shapes for n in range(config.layers) for name, shapes in layer.items()},
        "final_layer_norm": norm,
    }
    return {f"{module}.{name}": shape for module, shapes in modules.items() for name, shape in shapes.items()}


def build(config: TextConfig, tensors: Mapping[str, Tensor], device: torch.device) -> CLIPTextModel:
    """The network with a file's tensors, computing in float32. The table of words stays in the file's own precision."""
    # Importing it takes longer than everything else here, so only those who encode do.
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    with torch.device("meta"):
        network = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=config.width,
                intermediate_size=config.inner_width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                vocab_size=config.vocabulary,
                max_position_embeddings=config.positions,
                hidden_act=config.activation,
                attn_implementation="sdpa",  # type: ignore[call-arg]  # of the base class, which takes any
            )
        )
    embeddings = network.embeddings
    embeddings.token_embedding.to(tensors["embeddings.token_embedding.weight"].dtype)
    positions = torch.arange(config.positions, device=device)[None]
    embeddings.register_buffer("position_ids", positions, persistent=False)  # not in every file
    devices.load(network, tensors, device)
    return network


def encode(network: CLIPTextModel, chunks: list[list[Token]], layer: int, form: Format) -> tuple[Tensor, Tensor]:
    """The hidden states of a prompt's chunks [1, 77 · chunks, width] and the pooled output [1, width], float32.

    `layer` −1 is the last, −2 the one before, …; one that the network does not have is the last. Its hidden states get
    the final normalisation. A token z of weight w becomes e + w (z − e), where e is an empty prompt's at its place.
    Pooled is the last layer at the first chunk's first end token, without weights.
    """
    weights = torch.tensor([[token.weight for token in chunk] for chunk in chunks])[..., None]  # [chunks, 77, 1]
    weighted = bool((weights != 1).any())
    hidden, pooled = _forward(network, [*chunks, empty_chunk(form)] if weighted else chunks, layer, form)
    if weighted:
        hidden, empty = hidden[:-1], hidden[-1:]
        hidden = torch.where(weights == 1, hidden, empty + (hidden - empty) * weights)
    # Copies, made outside of inference mode: tensors that others may do with what they like.
    return hidden.reshape(1, -1, hidden.shape[-1]).clone(), pooled[:1].clone()


@torch.inference_mode()
def _forward(network: CLIPTextModel, chunks: list[list[Token]], layer: int, form: Format) -> tuple[Tensor, Tensor]:
    """The normalised hidden states of a layer [chunks, 77, width] and the pooled output [chunks, width], on the CPU."""
    table = network.embeddings.token_embedding.weight
    ids = torch.tensor([[token.value if isinstance(token.value, int) else -1 for token in chunk] for chunk in chunks])
    words = table[ids.clamp(min=0).to(table.device)].float()
    for row, chunk in enumerate(chunks):
        for column, token in enumerate(chunk):
            if isinstance(token.value, Tensor):
                words[row, column] = token.value.to(words)

    states = [network.embeddings(inputs_embeds=words)]
    for each in network.encoder.layers:
        states.append(each(states[-1], attention_mask=None, is_causal=True))
    last = network.final_layer_norm(states[-1])
    chosen = network.final_layer_norm(states[layer]) if -len(states) < layer < -1 else last
    pooled = last[torch.arange(len(chunks)), (ids == form.end).int().argmax(dim=-1)]
    return chosen.cpu(), pooled.cpu()
