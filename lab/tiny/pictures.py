"""Training pictures: a scene in (subject, background, size, place), always the same 128×128 picture out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")  # Debian's fonts-noto-color-emoji
FONT_SIZE = 109  # the one size the font's bitmaps have
SIDE = 128  # pixels of a picture, both ways
SIZES = (84, 96, 108)  # of a subject's longer side, in pixels
SHIFTS = (-8, -4, 0, 4, 8)  # of a subject from the middle, in pixels

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (225, 45, 45),
    "orange": (255, 140, 0),
    "yellow": (255, 217, 40),
    "green": (46, 160, 67),
    "blue": (40, 100, 220),
    "purple": (135, 60, 180),
    "pink": (250, 130, 185),
    "brown": (122, 78, 44),
    "black": (24, 24, 24),
    "white": (250, 250, 250),
    "grey": (135, 135, 135),
}

# What lies behind a subject when the caption names no background: something light; dark behind white shapes.
LIGHT: tuple[Colour, ...] = (
    (248, 248, 248),
    (252, 245, 226),
    (222, 236, 250),
    (250, 229, 234),
    (226, 243, 227),
    (237, 229, 247),
)
DARK: tuple[Colour, ...] = ((62, 74, 94), (74, 88, 72), (92, 70, 84))

# Name: the character in the font, and other words for the same picture.
GLYPHS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cat": ("🐱", ("kitten", "cat face", "kitty")),
    "dog": ("🐶", ("puppy", "dog face")),
    "fox": ("🦊", ()),
    "bear": ("🐻", ("brown bear", "teddy bear")),
    "panda": ("🐼", ("panda bear",)),
    "frog": ("🐸", ("green frog",)),
    "pig": ("🐷", ("pink pig",)),
    "lion": ("🦁", ()),
    "monkey": ("🐵", ()),
    "rabbit": ("🐰", ("bunny",)),
    "chicken": ("🐔", ("hen",)),
    "penguin": ("🐧", ()),
    "owl": ("🦉", ()),
    "elephant": ("🐘", ()),
    "fish": ("🐟", ("blue fish",)),
    "octopus": ("🐙", ()),
    "turtle": ("🐢", ("tortoise",)),
    "butterfly": ("🦋", ()),
    "bee": ("🐝", ()),
    "ladybug": ("🐞", ("ladybird",)),
    "crab": ("🦀", ()),
    "duck": ("🦆", ()),
    "red apple": ("🍎", ("apple",)),
    "green apple": ("🍏", ()),
    "pear": ("🍐", ("green pear",)),
    "banana": ("🍌", ("yellow banana",)),
    "strawberry": ("🍓", ("red strawberry",)),
    "cherry": ("🍒", ("red cherry",)),
    "bunch of grapes": ("🍇", ("grape",)),
    "watermelon": ("🍉", ("slice of watermelon",)),
    "pineapple": ("🍍", ()),
    "lemon": ("🍋", ("yellow lemon",)),
    "carrot": ("🥕", ("orange carrot",)),
    "mushroom": ("🍄", ("red mushroom", "toadstool")),
    "pizza": ("🍕", ("slice of pizza",)),
    "hamburger": ("🍔", ("burger", "cheeseburger")),
    "ice cream": ("🍦", ("ice cream cone",)),
    "cake": ("🎂", ("birthday cake",)),
    "donut": ("🍩", ("doughnut",)),
    "cup of coffee": ("☕", ("coffee", "cup of tea")),
    "tree": ("🌳", ("green tree",)),
    "cactus": ("🌵", ()),
    "sunflower": ("🌻", ("flower", "yellow flower")),
    "rose": ("🌹", ("red rose", "red flower")),
    "sun": ("🌞", ("smiling sun",)),
    "moon": ("🌙", ("crescent moon",)),
    "cloud": ("☁", ()),
    "rainbow": ("🌈", ()),
    "snowman": ("⛄", ()),
    "fire": ("🔥", ("flame",)),
    "house": ("🏠", ("home",)),
    "red car": ("🚗", ("car",)),
    "blue car": ("🚙", ()),
    "rocket": ("🚀", ("spaceship",)),
    "airplane": ("✈", ("plane", "aeroplane")),
    "sailboat": ("⛵", ("boat", "sailing boat")),
    "balloon": ("🎈", ("red balloon",)),
    "umbrella": ("☂", ("purple umbrella",)),
    "key": ("🔑", ("golden key",)),
    "red book": ("📕", ("book",)),
    "green book": ("📗", ()),
    "blue book": ("📘", ()),
    "alarm clock": ("⏰", ("clock",)),
    "guitar": ("🎸", ("red guitar", "electric guitar")),
    "soccer ball": ("⚽", ("football", "ball")),
    "gift": ("🎁", ("present", "gift box")),
    "crown": ("👑", ("golden crown",)),
    "bell": ("🔔", ("golden bell",)),
    "ghost": ("👻", ()),
    "robot": ("🤖", ()),
    "pumpkin": ("🎃", ("halloween pumpkin",)),
    "smiley": ("😀", ("smiley face", "smiling face")),
}

SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring", "hexagon")


@dataclass(frozen=True)
class Subject:
    """What a picture shows: a glyph by its name, or a shape in a colour."""

    name: str
    colour: str | None = None  # of a shape; a glyph has its own

    @property
    def is_glyph(self) -> bool:
        return self.colour is None

    def __str__(self) -> str:
        return self.name if self.colour is None else f"{self.colour} {self.name}"


@dataclass(frozen=True)
class Scene:
    """A subject before a background. size: its longer side; right, down: its shift from the middle; in pixels."""

    subject: Subject
    background: Colour
    size: int = 96
    right: int = 0
    down: int = 0


ALL_GLYPHS = tuple(Subject(name) for name in GLYPHS)
ALL_SHAPES = tuple(Subject(shape, colour) for shape in SHAPES for colour in COLOURS)


def font_is_here() -> bool:
    """Whether the emoji font that pictures of glyphs need is installed."""
    return FONT.is_file()


@cache
def _font() -> ImageFont.FreeTypeFont:
    if not font_is_here():
        raise FileNotFoundError(f"{FONT} is missing: install Debian's package fonts-noto-color-emoji")
    return ImageFont.truetype(str(FONT), FONT_SIZE)


def _fit(picture: Image.Image, size: int) -> Image.Image:
    scale = size / max(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)


@cache
def _glyph(character: str, size: int) -> Image.Image:
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((10, 10), character, font=_font(), embedded_color=True)
    return _fit(canvas.crop(canvas.getbbox()), size)


def _ring_of_points(count: int, radii: tuple[float, ...] = (1.0,), turn: float = -90.0) -> list[tuple[float, float]]:
    angles = [math.radians(turn + 360 * i / count) for i in range(count)]
    return [(radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a)) for i, a in enumerate(angles)]


def _outline(shape: str) -> list[tuple[float, float]]:
    match shape:
        case "circle" | "ring":
            return _ring_of_points(180)
        case "square":
            return [(-1, -1), (1, -1), (1, 1), (-1, 1)]
        case "triangle":
            return _ring_of_points(3)
        case "star":
            return _ring_of_points(10, (1.0, 0.42))
        case "heart":  # the usual parametric heart
            turns = [math.radians(2 * i) for i in range(180)]
            return [
                (
                    16 * math.sin(t) ** 3,
                    -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)),
                )
                for t in turns
            ]
        case "diamond":
            return [(0, -1), (0.68, 0), (0, 1), (-0.68, 0)]
        case "cross":
            a = 0.34
            return [
                (-a, -1),
                (a, -1),
                (a, -a),
                (1, -a),
                (1, a),
                (a, a),
                (a, 1),
                (-a, 1),
                (-a, a),
                (-1, a),
                (-1, -a),
                (-a, -a),
            ]
        case "hexagon":
            return _ring_of_points(6, turn=0)
    raise ValueError(f"there is no shape {shape!r}: take one of {', '.join(SHAPES)}")


@cache
def shape_mask(shape: str, size: int) -> Image.Image:
    """A shape's coverage, 0..255, its longer side `size` pixels."""
    points = _outline(shape)
    left, top = min(x for x, _ in points), min(y for _, y in points)
    width, height = max(x for x, _ in points) - left, max(y for _, y in points) - top
    fine = 8 * size / max(width, height)
    mask = Image.new("L", (round(width * fine), round(height * fine)))
    draw = ImageDraw.Draw(mask)
    draw.polygon([((x - left) * fine, (y - top) * fine) for x, y in points], fill=255)
    if shape == "ring":
        draw.ellipse([mask.width * 0.27, mask.height * 0.27, mask.width * 0.73, mask.height * 0.73], fill=0)
    return _fit(mask, size)


@cache
def cutout(subject: Subject, size: int) -> Image.Image:
    """The subject alone on nothing (RGBA), its longer side `size` pixels."""
    if subject.colour is None:
        return _glyph(GLYPHS[subject.name][0], size)
    mask = shape_mask(subject.name, size)
    picture = Image.new("RGBA", mask.size, COLOURS[subject.colour])
    picture.putalpha(mask)
    return picture


def draw(scene: Scene) -> Image.Image:
    """The scene as a picture of 128×128 RGB pixels."""
    picture = Image.new("RGB", (SIDE, SIDE), scene.background)
    subject = cutout(scene.subject, scene.size)
    place = ((SIDE - subject.width) // 2 + scene.right, (SIDE - subject.height) // 2 + scene.down)
    picture.paste(subject, place, subject)
    return picture


def contact_sheet(pictures: list[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size side by side, in rows."""
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    return sheet
