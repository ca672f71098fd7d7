"""Comparisons with set c of the reference: token ids, weights and word numbers of prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from torch import Tensor

from diffusion.families.sd1 import SD1
from diffusion.patches.embeddings import read_embedding
from diffusion.text.prompt import chunks
from lab.cases import Case, Difference

ENCODERS = {"sd1_l": True, "sd1_l_noembdir": False}
"""The encoders that there are, and whether their prompts may name embeddings."""
WIDTH = 768


def load_embedding(folder: Path, name: str) -> Sequence[Tensor] | None:
    """The vectors of an embedding that lies beside the reference numbers."""
    for suffix in ("", ".safetensors", ".pt", ".bin"):
        if (path := folder / Path(name + suffix).name).is_file():
            return list(read_embedding(path, SD1.text_encoder, WIDTH))
    return None


def readable(value: Any, weight: Any, word: int) -> str:
    """A token as text that can be compared: its id or the first numbers of its vector, its weight, its word."""
    if isinstance(value, Tensor):
        value = value[:4].tolist()
    elif isinstance(value, dict):
        value = value["embedding_row_first4"]
    if isinstance(value, list):
        value = [round(number, 5) for number in value]
    return f"{value} {float(weight)} {word}"


def compare(folder: Path, prompt: str, reference: Any, *, with_embeddings: bool) -> list[Difference] | str:
    """How many tokens differ."""
    if isinstance(reference, dict):
        return "the reference fails here; Darkroom reads the prompt without it"
    if not with_embeddings and "embedding:" in prompt:
        return "not covered: prompts in which embedding: is plain text, as without an embeddings folder"
    ours = chunks(prompt, lambda name: load_embedding(folder, name), SD1.text_format)
    theirs = [chunk["tokens"] + [chunk["tokens"][-1]] * chunk["pad_repeat"] for chunk in reference]
    pairs = zip_longest(chain.from_iterable(ours), chain.from_iterable(theirs), fillvalue=(None, 0, 0))
    return [Difference(sum(readable(*a) != readable(*b) for a, b in pairs), 0, "tokens")]


def cases(folder: Path) -> Iterator[Case]:
    """Every prompt of set c, for each encoder."""
    path = folder / "c_tokens.json"
    if not path.exists():
        return
    for entry in json.loads(path.read_text())["prompts"]:
        prompt = entry["prompt"]
        for encoder, reference in entry.items():
            if encoder == "prompt":
                continue

            def run(encoder: str = encoder, entry: dict[str, Any] = entry) -> list[Difference] | str:
                if encoder not in ENCODERS:
                    return "not covered yet: another text encoder"
                reference = entry[encoder]
                while isinstance(reference, str):  # "same as sd1_l"
                    reference = entry[reference.removeprefix("same as ")]
                return compare(folder, entry["prompt"], reference, with_embeddings=ENCODERS[encoder])

            yield Case(f"c {encoder} {json.dumps(prompt)[:50]}", run)
