"""Texts for fields from which the editor chooses parts: written so that they are sent as they are."""

from __future__ import annotations

import re

CHOICE = re.compile(r"[{}|]")
COMMENT = re.compile(r"/(?=[/*])")


def guarded(text: str) -> str:
    """A text that the editor sends as the given one: nothing in it is chosen from, or taken for a comment."""
    return COMMENT.sub("/{}", CHOICE.sub(r"\\\g<0>", text))  # a choice of nothing stands between / and /
