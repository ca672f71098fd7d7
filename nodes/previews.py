"""Previews as clients see them: pictures of work in progress, made small or large, as files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import PIL.Image
from torch import Tensor

from graph.preview import Preview

MOST_TIMES = 8  # as large as the picture that a latent stands for
QUALITY = 95  # of JPEG, up to 100


@dataclass(frozen=True, eq=False)
class LatentPreview:
    """The colours of a latent, [h, w, 3] uint8 on the CPU; a `graph.preview.Preview`."""

    colours: Tensor

    def encode(self, side_most: int) -> tuple[Literal["jpeg", "png"], bytes]:
        """A JPEG, as large as the finished picture or as `side_most` pixels allow."""
        height, width, _ = self.colours.shape
        small = PIL.Image.frombytes("RGB", (width, height), self.colours.contiguous().numpy().tobytes())
        return "jpeg", _file(_sized(small, min(MOST_TIMES * max(height, width), side_most)), "jpeg")


@dataclass(frozen=True, eq=False)
class PicturePreview:
    """A picture that a node has made of its work, and in which format it shall go out; a `graph.preview.Preview`."""

    picture: PIL.Image.Image
    kind: Literal["jpeg", "png"] = "jpeg"
    side_most: int | None = None

    def encode(self, side_most: int) -> tuple[Literal["jpeg", "png"], bytes]:
        """A file of that format, no larger than the picture is and than both limits allow."""
        most = min(max(self.picture.size), side_most, self.side_most or side_most)
        modes = ("RGB", "RGBA") if self.kind == "png" else ("RGB",)
        plain = self.picture if self.picture.mode in modes else self.picture.convert("RGB")
        return self.kind, _file(_sized(plain, most), self.kind)


def preview_of(given: object) -> Preview | None:
    """The preview that ComfyUI's nodes hand over as ("JPEG" or "PNG", picture, largest side or None)."""
    match given:
        case (str(kind), PIL.Image.Image() as picture, int() | None as side_most):
            return PicturePreview(picture, "png" if kind.upper() == "PNG" else "jpeg", side_most)
    return None


def _sized(picture: PIL.Image.Image, side: int) -> PIL.Image.Image:
    """The picture with the longer of its sides that long, in pixels."""
    times = side / max(picture.size)
    width, height = (max(1, round(each * times)) for each in picture.size)
    return picture.resize((width, height), PIL.Image.Resampling.BICUBIC)


def _file(picture: PIL.Image.Image, kind: Literal["jpeg", "png"]) -> bytes:
    file = io.BytesIO()
    if kind == "jpeg":
        picture.save(file, format="jpeg", quality=QUALITY)
    else:
        picture.save(file, format="png", compress_level=1)
    return file.getvalue()
