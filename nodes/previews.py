"""Previews as clients see them: small pictures made large, as files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import PIL.Image
from torch import Tensor

MOST_TIMES = 8  # as large as the picture that a latent stands for
QUALITY = 95  # of JPEG, up to 100


@dataclass(frozen=True, eq=False)
class LatentPreview:
    """The colours of a latent, [h, w, 3] uint8 on the CPU; a `graph.preview.Preview`."""

    colours: Tensor

    def encode(self, side_most: int) -> tuple[Literal["jpeg", "png"], bytes]:
        """A JPEG, as large as the finished picture or as `side_most` pixels allow."""
        height, width, _ = self.colours.shape
        times = min(MOST_TIMES, side_most / max(height, width))
        size = max(1, round(width * times)), max(1, round(height * times))
        small = PIL.Image.frombytes("RGB", (width, height), self.colours.contiguous().numpy().tobytes())
        file = io.BytesIO()
        small.resize(size, PIL.Image.Resampling.BICUBIC).save(file, format="jpeg", quality=QUALITY)
        return "jpeg", file.getvalue()
