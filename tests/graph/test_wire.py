"""Which wires fit which inputs."""

from enum import StrEnum
from typing import Any

import pytest

from graph.wire import matches, plain, words


class Anything(str):
    """As third-party classes declare that they take anything."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False


class Equal(Anything):
    """As others do, who lose their hash by it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Name(StrEnum):
    INT = "INT"


@pytest.mark.parametrize(
    ("received", "declared", "fits"),
    [
        ("MODEL", "MODEL", True),
        ("MODEL", "CLIP", False),
        ("IMAGE", "IMAGE,MASK", True),
        ("LATENT", "IMAGE,MASK", False),
        ("IMAGE,LATENT", "MASK, LATENT", True),
        ("*", "MODEL", True),
        ("MODEL", "*", True),
        ("INT", "FLOAT", False),
        ("MODEL", "MOD", False),
        (Anything("X"), "MODEL", True),
        ("MODEL", Anything("X"), True),
        (Equal("X"), ["a", "b"], True),
        (["a", "b"], Equal("X"), True),
        (Name.INT, "INT", True),
        ("FLOAT,INT", Name.INT, True),
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["c"], True),
        (("a", "b"), "COMBO", True),
        (["a", "b"], "STRING", False),
        ("STRING", ["a", "b"], False),
        (["a", "b"], "*", True),
        (None, "*", True),
        (None, "MODEL", False),
        (3, 3, True),
    ],
)
def test_matches(received: Any, declared: Any, fits: bool) -> None:
    assert matches(received, declared) is fits


@pytest.mark.parametrize(("declared", "text"), [(Equal("INT"), "INT"), (Name.INT, "INT"), (["a"], "COMBO"), (3, "")])
def test_a_plain_type_is_an_ordinary_text(declared: Any, text: str) -> None:
    assert type(plain(declared)) is str
    assert plain(declared) == text


def test_words_are_the_alternatives() -> None:
    assert words("IMAGE, MASK") == {"IMAGE", "MASK"}
    assert words(3) == set()
