"""Says what a 128×128 picture shows: the nearest of all glyphs, or a colour and shape; and the background's colour."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.tiny.pictures import ALL_GLYPHS, COLOURS, SHAPES, SIDE, Subject, cutout, shape_mask

Array = NDArray[np.float64]

SHRUNK = 4  # pictures are compared at a quarter of their size,
SMALL = SIDE // SHRUNK  # 32×32
FARTHEST = 6  # from the middle, in pixels of that size
SIZES = (84, 90, 96, 102, 108)  # tried for each glyph and shape


def _centred(picture: Image.Image) -> Image.Image:
    canvas = Image.new(picture.mode, (SIDE, SIDE))
    canvas.paste(picture, ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2))
    return canvas


def _small(pixels: Array) -> Array:
    """[..., 128, 128] to [..., 32, 32] by averaging."""
    small: Array = pixels.reshape(*pixels.shape[:-2], SMALL, SHRUNK, SMALL, SHRUNK).mean((-3, -1))
    return small


class _Templates:
    """Layers to compare with a picture: each is a coverage and colours times coverage."""

    def __init__(self, layers: Sequence[Image.Image]) -> None:
        """layers: RGBA pictures of 128×128."""
        pixels = np.stack([np.asarray(layer) for layer in layers]).transpose(0, 3, 1, 2) / 255.0  # [N, 4, 128, 128]
        cover = _small(pixels[:, 3:])
        paint = _small(pixels[:, :3] * pixels[:, 3:])
        self.cover_spectra, self.paint_spectra = np.fft.rfft2(cover), np.fft.rfft2(paint)
        # What the squared difference from any flat background needs.
        self.paint_paint = (paint**2).sum((1, 2, 3))
        self.paint_cover = (paint * cover).sum((2, 3))  # [N, 3]
        self.cover_cover = (cover**2).sum((1, 2, 3))

    def distances(self, picture: Array, background: Array) -> Array:
        """Mean squared differences of a picture [3, 32, 32] from each layer, at its best place, before a background."""
        off = picture - background[:, None, None]
        spectra = self.paint_spectra - background[:, None, None] * self.cover_spectra
        overlaps = np.fft.irfft2((np.fft.rfft2(off) * spectra.conj()).sum(1), s=(SMALL, SMALL))  # [N, 32, 32], by shift
        near = np.r_[0 : FARTHEST + 1, -FARTHEST:0]
        best = overlaps[:, near][:, :, near].max((1, 2))
        own = self.paint_paint - 2 * self.paint_cover @ background + (background**2).sum() * self.cover_cover
        distances: Array = ((off**2).sum() + own - 2 * best) / off.size
        return distances


@cache
def _glyph_templates() -> _Templates:
    return _Templates([_centred(cutout(glyph, size)) for glyph in ALL_GLYPHS for size in SIZES])


@cache
def _shape_templates() -> _Templates:
    white = [Image.new("RGBA", (SIDE, SIDE), "white") for _ in range(len(SHAPES) * len(SIZES))]
    masks = [_centred(shape_mask(shape, size)) for shape in SHAPES for size in SIZES]
    for layer, mask in zip(white, masks, strict=True):
        layer.putalpha(mask)
    return _Templates(white)


def _channels(picture: Image.Image) -> Array:
    channels: Array = np.asarray(picture.convert("RGB"), dtype=np.float64).transpose(2, 0, 1) / 255.0
    return channels


def _border(pixels: Array) -> Array:
    edge = np.ones((SIDE, SIDE), dtype=bool)
    edge[4:-4, 4:-4] = False
    middle: Array = np.median(pixels[:, edge], axis=1)
    return middle


def _nearest_colour(rgb: Array) -> str:
    return min(COLOURS, key=lambda name: float(((np.array(COLOURS[name]) / 255.0 - rgb) ** 2).sum()))


def background(picture: Image.Image) -> str:
    """The named colour nearest to what lies along the picture's edge."""
    return _nearest_colour(_border(_channels(picture)))


def glyph(picture: Image.Image) -> Subject:
    """The glyph that, at some size and place before the picture's background, differs least from the picture."""
    pixels = _channels(picture)
    distances = _glyph_templates().distances(_small(pixels), _border(pixels))
    return ALL_GLYPHS[int(distances.argmin()) // len(SIZES)]


def shape(picture: Image.Image) -> Subject:
    """The shape and the named colour of what differs from the background."""
    pixels = _channels(picture)
    behind = _border(pixels)
    off = pixels - behind[:, None, None]
    contrast = np.sqrt((off**2).sum(0))
    standing_out = contrast > 0.6 * np.quantile(contrast, 0.98)
    if not standing_out.any():  # one flat colour
        return Subject(SHAPES[0], _nearest_colour(behind))
    colour: Array = np.median(pixels[:, standing_out], axis=1)
    towards = colour - behind
    length = float((towards**2).sum()) or 1.0
    cover = np.clip((off * towards[:, None, None]).sum(0) / length, 0, 1)
    grey = np.repeat(_small(cover)[None], 3, axis=0)
    distances = _shape_templates().distances(grey, np.zeros(3))
    return Subject(SHAPES[int(distances.argmin()) // len(SIZES)], _nearest_colour(colour))
