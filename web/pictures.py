"""Pictures: what the server makes of picture files. Pillow works in threads, on few at a time, never on huge ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from aiohttp import web

from web.errors import Refused

if TYPE_CHECKING:  # importing it takes a while, and few requests need it
    from PIL.Image import Image

Result = TypeVar("Result")

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")  # no others are tried: some start programs
PIXELS_MOST = 178_956_970  # of one frame; beyond this Pillow, too, suspects a bomb
SIDE_MOST = {"webp": 16_383, "jpeg": 65_500}  # pixels; what the formats can hold
AT_ONCE = 2  # the largest picture takes 1.5 GB while it is worked on
TURN = web.AppKey("turn", asyncio.Semaphore)  # to work on a picture


async def in_turn(request: web.Request, work: Callable[[], Result]) -> Result:
    """What `work` returns, done in a thread as soon as it is this request's turn."""
    async with request.app[TURN]:
        return await asyncio.to_thread(work)


@contextmanager
def opened_picture(file: BinaryIO, name: str) -> Iterator[Image]:
    """A picture in an open file, of which only the header is read. Raises Refused (400, 413), also out of the block."""
    import PIL.Image

    too_large = f"The picture {name!r} is too large to work with: at most {PIXELS_MOST} pixels; make it smaller."
    try:
        file.seek(0)
        with PIL.Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > PIXELS_MOST:
                raise Refused(413, "too_large", too_large)
            yield picture
    except Refused:
        raise
    except (PIL.Image.DecompressionBombError, MemoryError):
        raise Refused(413, "too_large", too_large) from None
    except Exception as error:  # a broken file can make a decoder fail in any way
        message = f"{name!r} cannot be read as a picture: give a whole PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file."
        raise Refused(400, "invalid_picture", message, details=str(error)) from error


def preview(file: BinaryIO, name: str, kind: str, quality: int, *, has_alpha: bool = True) -> bytes:
    """A picture, upright, as a "webp" or "jpeg" file of a quality in 1..100, shrunk only if the format asks for it."""
    with opened_picture(file, name) as picture:
        upright = _upright(picture, "RGBA" if has_alpha and kind == "webp" else "RGB")
        upright.thumbnail((SIDE_MOST[kind], SIDE_MOST[kind]))
        return _saved(upright, kind, quality=quality)


def without_alpha(file: BinaryIO, name: str) -> bytes:
    """A picture's colours as a PNG file."""
    with opened_picture(file, name) as picture:
        return _saved(_upright(picture, "RGB"), "png", compress_level=1)


def alpha_alone(file: BinaryIO, name: str) -> bytes:
    """A picture's alpha as that of a black PNG file; opaque if it has none."""
    import PIL.Image

    with opened_picture(file, name) as picture:
        upright = _upright(picture, "RGBA")
        black = PIL.Image.new("RGBA", upright.size)
        black.putalpha(upright.getchannel("A"))
        return _saved(black, "png", compress_level=1)


def with_alpha_of(original: BinaryIO, original_name: str, mask: BinaryIO, mask_name: str) -> bytes:
    """The original with the mask's alpha in place of its own, as a PNG file that keeps the original's texts.

    Raises Refused (400) if they differ in size.
    """
    from PIL.PngImagePlugin import PngInfo

    with opened_picture(mask, mask_name) as picture:
        alpha = _upright(picture, "RGBA").getchannel("A")
    with opened_picture(original, original_name) as picture:
        result = _upright(picture, "RGBA")
        if result.size != alpha.size:
            sizes = f"{result.width} x {result.height} and {alpha.width} x {alpha.height} pixels"
            message = f"Picture and mask must be of one size, and these are {sizes}; scale the mask."
            raise Refused(400, "sizes_differ", message)
        result.putalpha(alpha)
        texts = PngInfo()
        for key, value in getattr(picture, "text", {}).items():
            texts.add_text(key, value)
        return _saved(result, "png", compress_level=4, pnginfo=texts)


def _upright(picture: Image, mode: str) -> Image:
    """The first frame, turned as its EXIF data says. There are as few copies as possible: each may take 700 MB."""
    from PIL import ImageOps

    if picture.mode == "I":  # 32 bits a pixel, but by custom with the values of 8
        picture = picture.point(lambda value: value * (1 / 255))
    if picture.mode in {"CMYK", "LAB", "YCbCr"}:
        picture.info.pop("icc_profile", None)  # it says nothing of the colours after conversion
    ImageOps.exif_transpose(picture, in_place=True)
    return picture if picture.mode == mode else picture.convert(mode)


def _saved(picture: Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()
