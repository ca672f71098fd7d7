"""Which wires fit which inputs."""

import pytest

from graph.wire import matches


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
    ],
)
def test_matches(received: str, declared: str, fits: bool) -> None:
    assert matches(received, declared) is fits
