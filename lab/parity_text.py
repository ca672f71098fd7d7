"""Comparisons with set c of the reference: token ids, weights and word numbers of prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from torch import Tensor

from diffusion.families.sd1 import SD1
from diffusion.patches.embeddings import read_embedding
from diffusion.text.prompt import Format, chunks
from lab.cases import Case, Difference

FORMATS = {
    "sd1_l": Format(),
    "sd1_l_noembdir": Format(),
    "sdxl_l": Format(),
    "sdxl_g": Format(pad=0),
    "sd2_h": Format(pad=0),
}
"""How each text encoder of the reference wants its chunks."""
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


def compare(folder: Path, prompt: str, encoder: str, reference: Any) -> list[Difference] | str:
    """How many tokens differ."""
    if isinstance(reference, dict):
        return "the reference fails here; Darkroom reads the prompt without it"
    load = None if encoder == "sd1_l_noembdir" else partial(load_embedding, folder)
    ours = chunks(prompt, load, FORMATS[encoder])
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
            if encoder not in FORMATS:  # the prompt itself, or both of SDXL's encoders where the reference fails
                continue
            while isinstance(reference, str):  # "same as sd1_l"
                reference = entry[reference.removeprefix("same as ")]
            yield Case(f"c {encoder} {json.dumps(prompt)[:50]}", partial(compare, folder, prompt, encoder, reference))
