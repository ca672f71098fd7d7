"""Asks the bundled checkpoint for pictures in words new to it, and counts how many show what was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from diffusion.memory import Memory
from diffusion.model import load_checkpoint
from diffusion.sampling import denoising
from lab.tiny import detector
from lab.tiny.captions import BEFORE, HELD_OUT_BEFORE, HELD_OUT_PLAIN, backgrounds, names, phrase, training_captions
from lab.tiny.pictures import ALL_GLYPHS, ALL_SHAPES, SIDE, Subject

STEPS, CFG, SAMPLER, SCHEDULER = 20, 3.0, "euler_ancestral", "karras"


@dataclass(frozen=True)
class Asked:
    """A prompt, and what its picture should show. background: the colour's name, if the prompt says one."""

    kind: str
    prompt: str
    subject: Subject
    background: str | None


@dataclass(frozen=True)
class Found:
    """What the detector saw in the picture of a prompt."""

    asked: Asked
    subject: Subject
    background: str

    @property
    def subject_right(self) -> bool:
        """Whether the nearest glyph, or the shape and its colour, is the one asked for."""
        return self.subject == self.asked.subject

    @property
    def background_right(self) -> bool:
        """Whether the background is the one asked for, or none was."""
        return self.asked.background in (None, self.background)


def prompts() -> list[Asked]:
    """The prompts of the score: glyphs, and shapes in all colours. None is a caption of training.

    Without a background the wording is new; with one, the combination of the two is, and mostly the wording.
    """
    asked: list[Asked] = []
    plain, before = cycle(HELD_OUT_PLAIN), cycle((*HELD_OUT_BEFORE, *BEFORE[:2]))
    shapes = ALL_SHAPES[::2]
    on_backgrounds = [subject for subject in ALL_SHAPES if backgrounds(subject, held_out=True)][::-1][:62]
    for kind, subjects in (("glyph", ALL_GLYPHS), ("shape", shapes)):
        for subject in subjects:
            asked.append(Asked(kind, phrase(next(plain), names(subject)[0]), subject, None))
    for kind, subjects in (("glyph, background", ALL_GLYPHS), ("shape, background", tuple(on_backgrounds))):
        for index, subject in enumerate(subjects):
            kept = backgrounds(subject, held_out=True)
            if kept:
                background = kept[index % len(kept)]
                text = phrase(next(before), names(subject)[0], background)
                asked.append(Asked(kind, text, subject, background))
    trained = set(training_captions())
    if known := [each.prompt for each in asked if each.prompt in trained]:
        raise AssertionError(f"the score asks in words of the training: {known[:3]}")
    return asked


class Painter:
    """Draws pictures with a checkpoint, as a workflow of loader, prompts, sampler and decoder would."""

    def __init__(self, checkpoint: Path) -> None:
        memory = Memory(torch.device("cpu"))
        self.model, self.clip, self.vae = load_checkpoint(checkpoint, memory, find_embedding=lambda name: None)

    def picture(
        self, prompt: str, seed: int, *, negative: str = "", steps: int = STEPS, cfg: float = CFG
    ) -> Image.Image:
        """A picture of 128×128 pixels."""
        run = denoising(
            self.model,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=SAMPLER,
            scheduler=SCHEDULER,
            positive=self.clip.encode(prompt),
            negative=self.clip.encode(negative),
            latent={"samples": torch.zeros(1, self.model.latent_channels, SIDE // 8, SIDE // 8)},
        )
        while run.step():
            pass
        pixels = self.vae.decode(run.result()["samples"])[0]
        return Image.fromarray((pixels.numpy() * 255).round().astype(np.uint8))


def look(asked: Asked, picture: Image.Image) -> Found:
    """What the detector says of a prompt's picture."""
    see = detector.glyph if asked.subject.is_glyph else detector.shape
    return Found(asked, see(picture), detector.background(picture))


def score(checkpoint: Path, asked: list[Asked]) -> Iterator[tuple[Found, Image.Image]]:
    """Each prompt's picture, its seed being its place in the list, and what is found in it."""
    painter = Painter(checkpoint)
    for seed, each in enumerate(asked):
        picture = painter.picture(each.prompt, seed)
        yield look(each, picture), picture


def summary(found: list[Found]) -> dict[str, dict[str, float]]:
    """Per kind of prompt and for all: how many, and the shares whose subject, background, and both are right."""
    kinds = dict.fromkeys(each.asked.kind for each in found)
    groups = {kind: [each for each in found if each.asked.kind == kind] for kind in kinds} | {"all": found}
    return {
        kind: {
            "prompts": len(group),
            "subject": sum(f.subject_right for f in group) / len(group),
            "background": sum(f.background_right for f in group) / len(group),
            "both": sum(f.subject_right and f.background_right for f in group) / len(group),
        }
        for kind, group in groups.items()
    }


def table(shares: dict[str, dict[str, float]]) -> str:
    """The summary as lines of text."""
    lines = [f"{'':20}{'prompts':>8}{'subject':>10}{'background':>12}{'both':>8}"]
    for kind, row in shares.items():
        lines.append(f"{kind:20}{row['prompts']:8.0f}{row['subject']:10.1%}{row['background']:12.1%}{row['both']:8.1%}")
    return "\n".join(lines)


def as_json(found: list[Found]) -> str:
    """The summary and every prompt with what was found, as JSON."""
    rows = [
        {
            **asdict(each.asked),
            "subject": str(each.asked.subject),
            "found": str(each.subject),
            "found_background": each.background,
            "subject_right": each.subject_right,
            "background_right": each.background_right,
        }
        for each in found
    ]
    return json.dumps({"summary": summary(found), "prompts": rows}, indent=1)
