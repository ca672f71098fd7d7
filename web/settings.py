"""Settings: how the server was asked to behave, fixed from its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MEGABYTE = 2**20

PreviewsFor = Literal["none", "known", "all"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says of the server. Its defaults are safe."""

    base: Path  # where models, input, output, temp and user lie
    addresses: tuple[str, ...] = ("127.0.0.1",)
    port: int = 8188
    tokens: Mapping[str, str] = field(default_factory=dict)  # user: secret; none: everybody is "default"
    allow_hosts: tuple[str, ...] = ()  # names that requests may be addressed to, beside those of the addresses
    allow_origins: tuple[str, ...] = ()  # such as "https://example.org": pages that may use the server
    upload_most_bytes: int = 100 * MEGABYTE
    json_most_bytes: int = 32 * MEGABYTE
    front_end: Path | None = None  # the static folder of somebody else's front-end
    editor: Path | None = None  # where Darkroom's own lies, for when there is no other
    preview_px: int = 512  # the longer side of previews
    previews: PreviewsFor = "known"  # clients that say that they know them

    @property
    def users(self) -> Path:
        """Where every user has a folder."""
        return self.base / "user"
