"""Between picture files and tensors. Pillow reads and writes; nothing here knows of nodes."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from PIL import ImageOps, ImageSequence
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

MAX_PIXELS = 178_956_970  # of all frames together; beyond this Pillow, too, suspects a bomb. 2 GB as float32
# No others are tried, by whatever name a file goes: for some of them Pillow starts other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "ICO", "QOI")
SIDE_WITHOUT_ALPHA = 64  # pixels; of the empty mask of a picture without transparency
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # by channels
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, PIL.Image.DecompressionBombError)


class PictureError(ValueError):
    """A file that is no picture, or one that is too large; the message is a sentence for people."""


def check_picture(path: Path) -> None:
    """Look at a file's header. Raises PictureError unless it is a picture of a size that can be worked with."""
    with _opened(path):
        pass


def read_picture(path: Path) -> tuple[Tensor, Tensor]:
    """A picture file as image [B, H, W, 3] in 0..1 and mask [B, H, W], 1 where it is transparent.

    Turned upright as its EXIF data says. The frames of an animation become the batch; frames of another size than the
    first are left out. Without any transparency the mask is [B, 64, 64] zeros. Raises PictureError.
    """
    images: list[Tensor] = []
    masks: list[Tensor | None] = []
    with _opened(path) as file:
        for each in ImageSequence.Iterator(file):
            frame = ImageOps.exif_transpose(each)
            if frame.mode == "I":  # 32 bits a pixel, but by custom with the values of 8
                frame = frame.point(lambda value: value * (1 / 255))
            image = _tensor(frame.convert("RGB"))
            if not images or image.shape == images[0].shape:
                images.append(image)
                masks.append(_transparency(frame))
            if file.format == "MPO":  # a stereo picture: the second frame is the other eye's
                break
    empty = images[0].shape[:2] if any(mask is not None for mask in masks) else (SIDE_WITHOUT_ALPHA, SIDE_WITHOUT_ALPHA)
    return torch.stack(images), torch.stack([torch.zeros(empty) if mask is None else mask for mask in masks])


def write_png(path: Path, image: Tensor, metadata: Mapping[str, Any], *, compress_level: int) -> None:
    """Write one picture [H, W, C] in 0..1; C is 1, 3 or 4. Values are cut to 0..1 and rounded down to 8 bits.

    Each entry of `metadata` becomes a text chunk of JSON. Raises PictureError for another number of channels.
    """
    if image.ndim != 3 or image.shape[-1] not in MODES:
        raise PictureError(
            f"a picture to save is [height, width, 1, 3 or 4 channels], and this one is {list(image.shape)}."
        )
    height, width, channels = image.shape
    pixels = (255.0 * image).clamp(0, 255).nan_to_num(0).to(torch.uint8).cpu().contiguous()
    texts = PngInfo()
    for key, value in metadata.items():
        texts.add_text(key, json.dumps(value))
    picture = PIL.Image.frombytes(MODES[channels], (width, height), pixels.numpy().tobytes())
    picture.save(path, format="png", pnginfo=texts, compress_level=compress_level)


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image.Image]:
    try:
        with PIL.Image.open(path, formats=FORMATS) as file:
            pixels = file.width * file.height * getattr(file, "n_frames", 1)
            if pixels > MAX_PIXELS:
                raise PIL.Image.DecompressionBombError(f"{pixels} pixels")
            yield file
    except PIL.Image.DecompressionBombError as error:
        raise PictureError(
            f"{path.name!r} is too large to load ({error}; at most {MAX_PIXELS} pixels in all frames): make it smaller."
        ) from error
    except UNREADABLE as error:
        raise PictureError(
            f"{path.name!r} cannot be read as a picture ({error}): give a whole PNG, JPEG, WebP, GIF, BMP or TIFF file."
        ) from error


def _tensor(picture: PIL.Image.Image) -> Tensor:
    """[H, W] or [H, W, C] in 0..1."""
    return torch.from_numpy(np.array(picture).astype(np.float32) / 255.0)


def _transparency(frame: PIL.Image.Image) -> Tensor | None:
    """[H, W], 1 where the frame is transparent; None if it cannot be."""
    if "A" in frame.getbands():
        return 1.0 - _tensor(frame.getchannel("A"))
    if frame.mode == "P" and "transparency" in frame.info:
        return 1.0 - _tensor(frame.convert("RGBA").getchannel("A"))
    return None
