"""Comparisons with set d of the reference: runs on a full-size SD1.5 checkpoint whose random weights a recipe makes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from diffusion.latents import Latent
from diffusion.memory import Memory
from diffusion.model import Clip, Model, Vae, load_checkpoint
from diffusion.sampling import denoising
from lab.cases import Case, Difference, relative
from lab.recipe import read_shapes, sha256, write_checkpoint

Run = Callable[["FullSize", dict[str, Any], dict[str, Tensor]], list[Difference] | str]


@dataclass(frozen=True)
class FullSize:
    """The folder of reference numbers, and the checkpoint that belongs to it."""

    folder: Path
    build: Path

    @cached_property
    def index(self) -> dict[str, Any]:
        """The inputs of every case."""
        index: dict[str, Any] = json.loads((self.folder / "d_index.json").read_text())
        return index

    @cached_property
    def checkpoint(self) -> Path:
        """The checkpoint whose SHA-256 the folder's recipe names; made on first use (half a minute, 2.1 GB)."""
        recipe = json.loads((self.folder / "checkpoint_recipe.json").read_text())
        shapes = read_shapes(self.folder / "keys" / "sd15_keys.json")
        # The reference's own set has no salt; others are salted by their name.
        for salt in dict.fromkeys(("", self.index.get("set", ""))):
            path = self.build / f"sd15_synth{'_' if salt else ''}{salt}.safetensors"
            if not path.exists():
                write_checkpoint(shapes, path, salt=salt)
            if sha256(path) == recipe["file_sha256"]:
                return path
        raise SystemExit(f"No checkpoint made by the recipe has the SHA-256 that {self.folder} asks for.")

    @cached_property
    def parts(self) -> tuple[Model, Clip, Vae]:
        """Model, Clip and Vae of the checkpoint."""
        return load_checkpoint(self.checkpoint, Memory(torch.device("cpu")), find_embedding=self.find_embedding)

    def find_embedding(self, name: str) -> Path | None:
        """Embeddings lie beside the reference numbers."""
        for suffix in ("", ".safetensors", ".pt", ".bin"):
            if (path := self.folder / Path(name + suffix).name).is_file():
                return path
        return None

    def text(self, prompt: str, layer: int | None = None) -> list[Any]:
        """A prompt's conditioning."""
        clip = self.parts[1]
        return list((clip if layer is None else clip.stop_at(layer)).encode(prompt))

    def sample(self, item: dict[str, Any], latent: Latent, **changes: Any) -> Latent:
        """Run the sampler to its end with a case's settings and these changes."""
        settings = {
            "seed": item["seed"],
            "steps": item["steps"],
            "cfg": item["cfg"],
            "sampler_name": item["sampler"],
            "scheduler": item["scheduler"],
            "positive": self.text(item["pos"]),
            "negative": self.text(item["neg"]),
        } | changes
        run = denoising(self.parts[0], latent=latent, **settings)
        while run.step():
            pass
        return run.result()


def empty(*shape: int) -> Latent:
    """An empty latent of this shape."""
    return {"samples": torch.zeros(shape)}


def conditioning(ours: list[Any], reference: dict[str, Tensor], name: str = "") -> list[Difference]:
    """A conditioning against `<name>cond` and `<name>pooled`."""
    [[cond, extras]] = ours
    return relative(cond, reference[f"{name}cond"]) + relative(extras["pooled_output"], reference[f"{name}pooled"])


def clip(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    return [
        difference
        for number, prompt in enumerate(item["prompts"])
        for layer in item["layers"]
        for difference in conditioning(full_size.text(prompt, layer), reference, f"p{number}_L{-layer}.")
    ]


def clip_long(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    return conditioning(full_size.text(item["prompt"]), reference)


def ti_clip(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    return [
        difference
        for number, prompt in enumerate(item["prompts"])
        for difference in conditioning(full_size.text(prompt), reference, f"p{number}.")
    ]


def unet(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    model = full_size.parts[0]
    sigma = reference["sigma"]
    with torch.inference_mode():
        eps = model.network()(reference["x"], reference["t"], reference["context"])
        noised = reference["x"] * (sigma**2 + 1).sqrt()[:, None, None, None]
        scaled = model.parameterisation.scale_input(noised, sigma)
        output = model.network()(scaled, model.parameterisation.timestep(sigma), reference["context"])
        denoised = model.parameterisation.denoised(output, noised, sigma)
    return relative(eps, reference["eps"]) + relative(denoised, reference["denoised"])


def vae(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    vae = full_size.parts[2]
    return (
        relative(vae.decode(reference["latent"]), reference["decoded"])
        + relative(vae.encode(reference["image"]), reference["encoded"])
        + relative(vae.encode(reference["image_odd"]), reference["encoded_odd"])
    )


def ksampler(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    latent = empty(1, 4, item["h"] // 8, item["w"] // 8)
    return relative(full_size.sample(item, latent)["samples"], reference["samples"])


def plain(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    latent = empty(*reference["samples"].shape)
    return relative(full_size.sample(item, latent)["samples"], reference["samples"])


def img2img(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    ours = full_size.sample(item, {"samples": reference["latent"]}, denoise=item["denoise"])
    return relative(ours["samples"], reference["samples"])


def inpaint(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    mask = reference["mask"].reshape(-1, 1, *reference["mask"].shape[-2:])
    latent = {"samples": reference["latent"], "noise_mask": mask}
    whole = full_size.sample(item, latent)
    part = full_size.sample(item, latent, sampler_name="ddim", scheduler="ddim_uniform", denoise=item["denoise"])
    return relative(whole["samples"], reference["samples_euler"]) + relative(
        part["samples"], reference["samples_ddim_d"]
    )


def numbers(item: dict[str, Any], pattern: str) -> list[int]:
    """The numbers that a case's description gives in these words, each marked by `#`."""
    found = re.search(re.escape(pattern).replace(r"\#", r"(\d+)"), item["what"])
    if found is None:
        raise SystemExit(f"The description of a case does not say {pattern!r}: {item['what']}")
    return [int(number) for number in found.groups()]


def batch(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    shape = reference["samples"].shape
    whole = full_size.sample(item, empty(*shape))
    _, index, length = numbers(item, "batch of #, index #, length #")
    part = full_size.sample(item, {**empty(length, *shape[1:]), "batch_index": list(range(index, index + length))})
    return relative(whole["samples"], reference["samples"]) + relative(part["samples"], reference["samples_frombatch"])


def advanced(full_size: FullSize, item: dict[str, Any], reference: dict[str, Tensor]) -> list[Difference]:
    latent = empty(*reference["first"].shape)
    begin, half = numbers(item, "first #..#")
    first = full_size.sample(item, latent, start_step=begin, last_step=half)
    second = full_size.sample(item, first, add_noise=False, start_step=half, last_step=10000, force_full_denoise=True)
    start, end = numbers(item, "start # end #")
    other = full_size.sample(
        item, latent, sampler_name="dpmpp_2m", start_step=start, last_step=end, force_full_denoise=True
    )
    return (
        relative(first["samples"], reference["first"])
        + relative(second["samples"], reference["second"])
        + relative(other["samples"], reference["other"])
    )


RUNS: dict[str, Run] = {
    "clip": clip,
    "clip_long": clip_long,
    "ti_clip": ti_clip,
    "vae": vae,
    "x_base": plain,
    "x_ti": plain,
    "x_img2img": img2img,
    "x_inpaint": inpaint,
    "x_batch": batch,
    "x_adv": advanced,
}


def run_for(name: str) -> Run | None:
    """What compares the case of this name, if anything does yet."""
    if name.startswith("ks_"):
        return ksampler
    if name.startswith("unet_"):
        return unet
    return RUNS.get(name)


def cases(full_size: FullSize) -> Iterator[Case]:
    """Every case of set d."""
    if not (full_size.folder / "d_index.json").exists():
        return
    for name, item in full_size.index["items"].items():
        run = run_for(name)

        def compare(name: str = name, item: dict[str, Any] = item, run: Run | None = run) -> list[Difference] | str:
            if run is None:
                return f"not covered yet: {item['what'].split(':')[0]}"
            return run(full_size, item, load_file(full_size.folder / f"d_{name}.safetensors"))

        yield Case(f"d {name}", compare)
