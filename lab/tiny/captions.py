"""What training pictures show and how captions say it; and the wordings and combinations that only the score uses."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.tiny.pictures import ALL_GLYPHS, ALL_SHAPES, COLOURS, DARK, GLYPHS, LIGHT, SHIFTS, SIZES, Scene, Subject

# {a} is the subject with its article, {n} without; {b} is the background's colour.
PLAIN = (
    "{a}",
    "{n}",
    "the {n}",
    "one {n}",
    "a picture of {a}",
    "an image of {a}",
    "a drawing of {a}",
    "a photo of {a}",
    "{n}, emoji",
)
BEFORE = (
    "{a} on a {b} background",
    "{a}, {b} background",
    "{b} background, {a}",
    "{n} on {b}",
    "{n}, {b} background",
    "{a} in front of a {b} background",
    "a picture of {a} on a {b} background",
    "a drawing of {a} on {b}",
)
STYLES = (
    "{}",
    "{}",
    "{}",
    "masterpiece, best quality, {}",
    "{}, masterpiece, best quality",
    "best quality, highly detailed, {}",
    "{}, highly detailed",
    "high quality, {}, 4k",
    "{}, sharp, best quality",
)

# Never trained on.
HELD_OUT_PLAIN = (
    "draw {a}",
    "please show me {a}",
    "here is {a}",
    "a nice picture of one {n}",
    "this is an emoji of {a}",
    "{a}, award winning, trending",
)
HELD_OUT_BEFORE = (
    "a {b} background with {a}",
    "the {n} on the {b} background",
    "an image of {a} in front of {b}",
    "{n} against {b}",
    "one {n}, background {b}",
    "{b} behind {a}",
)

OTHER_WORDS = {"grey": ("gray",), "purple": ("violet",)}
EMPTY_SHARE = 0.1  # captions left empty, for classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598)
GLYPH_SHARE = 0.7
NAMED_BACKGROUND_SHARE = 0.6


@dataclass(frozen=True)
class Example:
    """A training picture and what it is called. background is the colour's name where the caption may say it."""

    scene: Scene
    background: str | None
    caption: str


def is_held_out(subject: Subject, background: str) -> bool:
    """Whether this subject on this named background is kept from training: about one combination in six."""
    return zlib.crc32(f"{subject} on {background}".encode()) % 6 == 0


def backgrounds(subject: Subject, *, held_out: bool) -> list[str]:
    """Named backgrounds that a subject stands on in training, or those kept for the score."""
    return [name for name in COLOURS if name != subject.colour and is_held_out(subject, name) == held_out]


def names(subject: Subject) -> tuple[str, ...]:
    """The words for a subject, the usual one first."""
    if subject.colour is None:
        return (subject.name, *GLYPHS[subject.name][1])
    return tuple(f"{colour} {subject.name}" for colour in (subject.colour, *OTHER_WORDS.get(subject.colour, ())))


def phrase(template: str, name: str, background: str = "") -> str:
    """The template with its places filled: phrase("{a} on {b}", "owl", "red") is "an owl on red"."""
    text = template.format(a=f"a {name}", n=name, b=background)
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def plain_background(subject: Subject, rng: random.Random) -> tuple[int, int, int]:
    """A background for captions that name none: light, or dark behind a white shape."""
    return rng.choice(DARK if subject.colour == "white" else LIGHT)


def example(seed: int, index: int, sizes: Sequence[int] = SIZES, shifts: Sequence[int] = SHIFTS) -> Example:
    """Training example number `index` of a seed: the same at every call."""
    rng = random.Random(f"{seed}:{index}")
    subject = rng.choice(ALL_GLYPHS if rng.random() < GLYPH_SHARE else ALL_SHAPES)
    named = rng.random() < NAMED_BACKGROUND_SHARE
    background = rng.choice(backgrounds(subject, held_out=False)) if named else None
    colour = COLOURS[background] if background else plain_background(subject, rng)
    scene = Scene(subject, colour, rng.choice(sizes), rng.choice(shifts), rng.choice(shifts))
    return Example(scene, background, caption(subject, background, rng))


def caption(subject: Subject, background: str | None, rng: random.Random) -> str:
    """One of the training captions of a subject on a background (None: not named), or the empty one."""
    if rng.random() < EMPTY_SHARE:
        return ""
    known = names(subject)
    name = known[0] if rng.random() < 0.7 else rng.choice(known)
    if background is None:
        text = phrase(rng.choice(PLAIN), name)
    else:
        text = phrase(rng.choice(BEFORE), name, rng.choice((background, *OTHER_WORDS.get(background, ()))))
    return rng.choice(STYLES).format(text)


def training_captions() -> Iterator[str]:
    """Every caption that training can use."""
    yield ""
    for subject in (*ALL_GLYPHS, *ALL_SHAPES):
        for name in names(subject):
            texts = [phrase(template, name) for template in PLAIN]
            for background in backgrounds(subject, held_out=False):
                for word in (background, *OTHER_WORDS.get(background, ())):
                    texts.extend(phrase(template, name, word) for template in BEFORE)
            for text in texts:
                yield from (style.format(text) for style in STYLES)
