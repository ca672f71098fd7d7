"""The text encoder: CLIP's architecture over the few words that captions use, first taught to tell captions apart."""

from __future__ import annotations

import random
from functools import cache, lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from diffusion.text.tokenizer import END, START, tokenize
from lab.tiny.captions import BEFORE, OTHER_WORDS, PLAIN, STYLES, example, names
from lab.tiny.pictures import ALL_GLYPHS, ALL_SHAPES, COLOURS, GLYPHS, SHAPES
from lab.tiny.stage import Plan, run_stage

WIDTH, LAYERS, HEADS, LENGTH = 64, 2, 1, 77
PLAN = Plan("text", updates=800, lr=2e-3, decay=0.98, adam_lr=2.0)
BATCH = 64
UNKNOWN_SHARE = 0.25  # captions that get strange words between their own
SEED = 2


@cache
def vocabulary() -> tuple[int, ...]:
    """The ids that training captions use, ascending. Row i of the table is word i; the last row is any other."""
    texts = [*PLAIN, *BEFORE, *STYLES, *COLOURS, *(word for words in OTHER_WORDS.values() for word in words), "an a"]
    texts += [name for subject in (*ALL_GLYPHS, *ALL_SHAPES) for name in names(subject)]
    plain = [text.format("", a="", n="", b="") for text in texts]
    return tuple(sorted({START, END, *(token for text in plain for token in tokenize(text))}))


@cache
def _rows() -> dict[int, int]:
    return {token: row for row, token in enumerate(vocabulary())}


@lru_cache(maxsize=100_000)
def rows(caption: str) -> tuple[int, ...]:
    """A caption as rows of the table, without start and end."""
    return tuple(_rows().get(token, len(vocabulary())) for token in tokenize(caption))


def batch_rows(captions: list[str], rng: random.Random | None = None) -> Tensor:
    """Captions as [B, 77] rows: start, words, then end as padding, as SD1 pads. With rng, some get unknown words."""
    start, end, unknown = _rows()[START], _rows()[END], len(vocabulary())
    batch = []
    for caption in captions:
        words = list(rows(caption))
        if rng and words and rng.random() < UNKNOWN_SHARE:
            for _ in range(rng.randint(1, 3)):
                words.insert(rng.randint(0, len(words)), unknown)
        words = words[: LENGTH - 2]
        batch.append([start, *words, *[end] * (LENGTH - 1 - len(words))])
    return torch.tensor(batch)


def new_encoder() -> CLIPTextModel:
    """A text encoder with fresh weights and the compact table."""
    config = CLIPTextConfig(
        vocab_size=len(vocabulary()) + 1,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=_rows()[START],
        eos_token_id=_rows()[END],
        pad_token_id=_rows()[END],
    )
    encoder = CLIPTextModel(config)
    for name, p in encoder.named_parameters():
        if "embedding" in name:
            p.is_table = True  # type: ignore[attr-defined]
            nn.init.normal_(p, std=0.05)
    return encoder


class Classifier(nn.Module):
    """Names what a caption speaks of from the states at its end and padding, where a UNet looks most."""

    KINDS = (len(GLYPHS) + len(SHAPES), len(COLOURS) + 1, len(COLOURS) + 1)  # subject, its colour, its background's

    def __init__(self) -> None:
        super().__init__()
        self.encoder = new_encoder()
        self.heads = nn.ModuleList(nn.Linear(WIDTH, kinds) for kinds in self.KINDS)

    def forward(self, ids: Tensor) -> list[Tensor]:
        """ids [B, 77]; returns the logits of each kind."""
        states = self.encoder(input_ids=ids).last_hidden_state
        after = (ids == _rows()[END]).float()[..., None]
        mean = (states * after).sum(1) / after.sum(1)
        return [head(mean) for head in self.heads]


def _labels(seed: int, index: int) -> tuple[int, int, int]:
    drawn = example(seed, index)
    subject = drawn.scene.subject
    colours = list(COLOURS)
    if subject.colour is None:
        kind, colour = list(GLYPHS).index(subject.name), len(colours)
    else:
        kind, colour = len(GLYPHS) + SHAPES.index(subject.name), colours.index(subject.colour)
    return kind, colour, len(colours) if drawn.background is None else colours.index(drawn.background)


def train(folder: Path, *, plan: Plan = PLAN, until: int | None = None) -> CLIPTextModel:
    """The text encoder that tells captions apart, compact table and all."""
    torch.manual_seed(SEED)
    classifier = Classifier()

    def loss(update: int) -> Tensor:
        indices = range(update * BATCH, (update + 1) * BATCH)
        told = [i for i in indices if example(SEED, i).caption]
        ids = batch_rows([example(SEED, i).caption for i in told], random.Random(f"words {update}"))
        labels = torch.tensor([_labels(SEED, i) for i in told])
        return torch.stack([F.cross_entropy(x, labels[:, k]) for k, x in enumerate(classifier(ids))]).sum()

    classifier.load_state_dict(run_stage(plan, classifier, loss, folder, until=until))
    return classifier.encoder
