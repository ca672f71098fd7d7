"""Live previews: what a sampler shows at each step, and the files that clients get of it."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusion.memory import Memory
from diffusion.model import Clip, Model, Vae, load_checkpoint
from diffusion.preview import Previews
from diffusion.samplers import SAMPLER_NAMES
from graph.node import Unfinished
from graph.paths import Paths
from graph.preview import Preview
from lab.toy import ToyModel
from nodes.previews import LatentPreview, preview_of
from nodes.sampling import DenoisingSteps, KSampler
from nodes.surroundings import surroundings
from tests.diffusion.stand_in import TINY
from tests.nodes.conftest import RecordingContext


@cache
def tiny() -> tuple[Model, Clip, Vae]:
    return load_checkpoint(TINY, Memory(torch.device("cpu")), find_embedding=lambda name: None)


def context(*resources: object) -> RecordingContext:
    return RecordingContext(Paths(Path()), [tiny()[0].source.memory, *resources])


def sampler(text: str = "a blue circle on a yellow background", **changes: Any) -> KSampler:
    model, clip, _ = tiny()
    inputs: dict[str, Any] = {
        "model": model, "seed": 1, "steps": 3, "cfg": 3.0, "sampler_name": "euler", "scheduler": "karras",
        "positive": clip.encode(text), "negative": clip.encode(""), "denoise": 1.0,
        "latent_image": {"samples": torch.zeros(1, 4, 16, 16)},
    }  # fmt: skip
    return KSampler(**(inputs | changes))


def opened(preview: Preview, side_most: int = 512) -> PIL.Image.Image:
    kind, content = preview.encode(side_most)
    picture = PIL.Image.open(io.BytesIO(content))
    assert (picture.format, picture.mode) == (kind.upper(), "RGB")
    return picture


def mean_colour(preview: LatentPreview) -> Tensor:
    return preview.colours.float().mean((0, 1))


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=50)
@given(height=st.integers(1, 200), width=st.integers(1, 200), side_most=st.integers(1, 1024))
def test_a_preview_fits_and_is_no_larger_than_the_picture(height: int, width: int, side_most: int) -> None:
    picture = opened(LatentPreview(torch.zeros((height, width, 3), dtype=torch.uint8)), side_most)
    assert max(picture.size) == min(side_most, 8 * max(height, width))
    times = max(picture.size) / max(height, width)
    assert picture.size == (max(1, round(width * times)), max(1, round(height * times)))


def test_a_preview_keeps_its_colours_and_sides() -> None:
    colours = torch.zeros((8, 16, 3), dtype=torch.uint8)
    colours[:, :8] = torch.tensor([200, 40, 30])
    colours[:, 8:] = torch.tensor([20, 90, 220])
    picture = opened(LatentPreview(colours))
    assert picture.size == (128, 64)
    for place, colour in (((16, 32), (200, 40, 30)), ((112, 32), (20, 90, 220))):
        found = picture.getpixel(place)
        assert isinstance(found, tuple)
        assert max(abs(one - other) for one, other in zip(found, colour, strict=True)) <= 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
@pytest.mark.parametrize(("kind", "expected"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "JPEG")])
def test_what_packs_show_goes_out_in_their_format(mode: str, kind: str, expected: str) -> None:
    preview = preview_of((kind, PIL.Image.new(mode, (40, 20)), None))
    assert isinstance(preview, Preview)
    picture = PIL.Image.open(io.BytesIO(preview.encode(512)[1]))
    assert (picture.format, picture.size) == (expected, (40, 20))


@pytest.mark.parametrize(("own", "asked", "side"), [(None, 512, 300), (100, 512, 100), (100, 50, 50), (None, 1, 1)])
def test_what_packs_show_is_no_larger_than_either_side_wants(own: int | None, asked: int, side: int) -> None:
    preview = preview_of(("PNG", PIL.Image.new("RGB", (300, 3)), own))
    assert preview is not None
    assert PIL.Image.open(io.BytesIO(preview.encode(asked)[1])).size == (side, max(1, side // 100))


@pytest.mark.parametrize("given", [None, "text", b"bytes", ("JPEG", "no picture", None), ("JPEG",), 3])
def test_what_is_no_preview_is_none(given: object) -> None:
    assert preview_of(given) is None


# ── of samplers ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("resources", [[], [Previews("none")]])
def test_without_a_wish_for_previews_there_are_none(resources: list[object]) -> None:
    ctx = context(*resources)
    sampler().run(ctx)
    assert ctx.reported == [(1, 3), (2, 3), (3, 3)]
    assert ctx.previews == [None, None, None]


def test_every_report_has_a_preview_of_its_own() -> None:
    ctx = context(Previews())
    sampler().run(ctx)
    assert ctx.reported == [(1, 3), (2, 3), (3, 3)]
    assert all(isinstance(preview, Preview) for preview in ctx.previews)
    assert len({preview.encode(512) for preview in ctx.previews}) == 3
    assert opened(ctx.previews[-1]).size == (128, 128)


def test_previews_come_to_look_like_the_picture() -> None:
    ctx = context(Previews())
    latent = sampler(steps=12, sampler_name="euler_ancestral").run(ctx)
    picture = tiny()[2].decode(latent["samples"])[0].unfold(0, 8, 8).unfold(1, 8, 8).mean((-1, -2)) * 255
    first, *_, last = (float((each.colours.float() - picture).abs().mean()) for each in ctx.previews)
    assert last < first / 1.5
    assert last < 30  # of 255; with the published map for a VAE of these widths it is 78
    red, green, blue = mean_colour(LatentPreview(ctx.previews[-1].colours[6:10, 6:10]))
    assert blue > red + 60
    red, green, blue = mean_colour(LatentPreview(ctx.previews[-1].colours[:2, :2]))
    assert min(red, green) > blue + 60


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_previews_change_nothing_in_the_result(name: str) -> None:
    with_previews, without = context(Previews()), context()
    node = sampler(sampler_name=name)
    assert torch.equal(node.run(with_previews)["samples"], node.run(without)["samples"])
    assert None not in with_previews.previews


def test_runs_that_share_passes_have_previews_of_their_own_and_the_same_results() -> None:
    nodes = [sampler("a red apple"), sampler("a cat", seed=2), sampler(sampler_name="dpmpp_2m", steps=4)]
    contexts = [context(Previews()), context(), context(Previews())]
    members = [stepper for node in nodes if isinstance(stepper := node.stepper(), DenoisingSteps)]
    for member, ctx in zip(members, contexts, strict=True):
        member.start(ctx)
    ends: dict[DenoisingSteps, Any] = {}
    while waiting := [each for each in members if each not in ends]:
        outcomes = zip(waiting, DenoisingSteps.step_together(waiting), strict=True)
        ends |= {each: outcome for each, outcome in outcomes if not isinstance(outcome, Unfinished)}
    for node, member, ctx in zip(nodes, members, contexts, strict=True):
        own = context(Previews())
        assert torch.equal(ends[member]["samples"], node.run(own)["samples"])
        if ctx is not contexts[1]:
            assert [each.encode(64) for each in ctx.previews] == [each.encode(64) for each in own.previews]
    assert contexts[1].previews == [None, None, None]


def test_what_a_mask_keeps_is_in_the_preview() -> None:
    vae = tiny()[2]
    picture = torch.zeros((1, 128, 128, 3))
    picture[..., 1] = 0.8
    kept = vae.encode(picture)
    mask = torch.zeros((1, 1, 128, 128))
    mask[..., 64:] = 1
    ctx = context(Previews())
    sampler(latent_image={"samples": kept, "noise_mask": mask}).run(ctx)
    plain = context(Previews())
    sampler(latent_image={"samples": kept, "noise_mask": mask * 0}).run(plain)
    for masked, whole in zip(ctx.previews, plain.previews, strict=True):
        assert torch.equal(masked.colours[:, :7], whole.colours[:, :7])
        assert not torch.equal(masked.colours[:, 9:], whole.colours[:, 9:])


def test_of_a_batch_the_first_is_shown() -> None:
    both, first = context(Previews()), context(Previews())
    sampler(latent_image={"samples": torch.zeros(2, 4, 16, 16)}).run(both)
    sampler().run(first)
    for one, other in zip(both.previews, first.previews, strict=True):
        assert one.colours.shape == (16, 16, 3)
        assert (one.colours.float() - other.colours.float()).abs().max() <= 1


def test_a_model_that_cannot_be_shown_draws_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    ctx = context(Previews())
    toy: Any = ToyModel()  # knows nothing of colours
    latent = sampler(model=toy).run(ctx)
    assert latent["samples"].shape == (1, 4, 16, 16)
    assert ctx.reported == [(1, 3), (2, 3), (3, 3)]
    assert ctx.previews == [None, None, None]
    assert [record.name for record in caplog.records] == ["nodes.sampling"]


def test_a_program_says_whether_it_wants_previews() -> None:
    def wishes(**options: Any) -> list[object]:
        return [each for each in surroundings(**options).resources if isinstance(each, Previews)]

    assert wishes() == []
    assert wishes(previews=True) == [Previews("auto")]
