"""The bundled checkpoint: what trains it, what measures it, and the file itself."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import ImageChops
from safetensors import safe_open
from torch import Tensor

from diffusion.layers.vae import VAE, VAEConfig
from diffusion.text.tokenizer import END, START, tokenize
from lab.tiny import detector, export, score, text, unet, vae
from lab.tiny.captions import BEFORE, PLAIN, backgrounds, caption, example, is_held_out, phrase, training_captions
from lab.tiny.pictures import ALL_GLYPHS, ALL_SHAPES, COLOURS, SIDE, Scene, Subject, draw, font_is_here, shape_mask

needs_font = pytest.mark.skipif(not font_is_here(), reason="the emoji font is missing (Debian: fonts-noto-color-emoji)")

CAT, APPLE = Subject("cat"), Subject("red apple")
BLUE_CIRCLE = Subject("circle", "blue")


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_scene_is_always_the_same_picture() -> None:
    scene = Scene(BLUE_CIRCLE, COLOURS["yellow"], 96, 4, -8)
    first, second = draw(scene), draw(scene)
    assert first.size == (SIDE, SIDE)
    assert ImageChops.difference(first, second).getbbox() is None
    assert ImageChops.difference(first, draw(replace(scene, right=8))).getbbox() is not None


def test_a_subject_lies_in_the_middle_and_moves_as_the_scene_says() -> None:
    behind = COLOURS["yellow"]
    picture = draw(Scene(BLUE_CIRCLE, behind, 96, 8, -4))
    blue = ImageChops.difference(picture, draw(Scene(Subject("circle", "yellow"), behind))).getbbox()
    assert blue == (16 + 8, 16 - 4, 112 + 8, 112 - 4)


def test_shapes_differ() -> None:
    masks = {subject.name: shape_mask(subject.name, 96).tobytes() for subject in ALL_SHAPES}
    assert len(set(masks.values())) == len(masks) == 9


@needs_font
def test_glyphs_differ_and_none_is_missing_in_the_font() -> None:
    pictures = {draw(Scene(glyph, (128, 128, 128))).tobytes() for glyph in ALL_GLYPHS}
    assert len(pictures) == len(ALL_GLYPHS) == 72


# ── captions ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("template", "name", "background", "wanted"),
    [
        ("{a} on a {b} background", "owl", "orange", "an owl on an orange background"),
        ("{a} on a {b} background", "cat", "blue", "a cat on a blue background"),
        ("{n} on {b}", "red apple", "grey", "red apple on grey"),
    ],
)
def test_articles_fit_their_words(template: str, name: str, background: str, wanted: str) -> None:
    assert phrase(template, name, background) == wanted


def test_training_says_only_what_its_list_of_captions_has() -> None:
    known = set(training_captions())
    said = [example(11, index).caption for index in range(2000)]
    assert set(said) <= known
    assert 0.07 < said.count("") / len(said) < 0.13


def test_an_example_depends_on_its_number_alone() -> None:
    assert [example(3, i) for i in range(20)] == [example(3, i) for i in reversed(range(20))][::-1]
    assert example(3, 1) != example(4, 1)


def test_held_out_combinations_are_never_trained_and_about_one_in_six() -> None:
    trained = {(e.scene.subject, e.background) for e in (example(5, i) for i in range(4000)) if e.background}
    assert not any(is_held_out(subject, background) for subject, background in trained)
    counts = Counter(is_held_out(s, b) for s in (*ALL_GLYPHS, *ALL_SHAPES) for b in COLOURS)
    assert 0.12 < counts[True] / counts.total() < 0.21


def test_the_score_asks_at_least_200_things_that_no_training_caption_says() -> None:
    asked = score.prompts()
    trained = set(training_captions())
    assert len(asked) >= 200
    assert not [each.prompt for each in asked if each.prompt in trained]
    assert len({each.prompt for each in asked}) == len(asked)
    assert all(each.background is None or is_held_out(each.subject, each.background) for each in asked)


def test_every_training_word_has_a_row_and_the_others_share_the_last() -> None:
    rng, unknown = random.Random(1), len(text.vocabulary())
    said = [caption(subject, rng.choice(backgrounds(subject, held_out=False)), rng) for subject in ALL_GLYPHS]
    assert not any(unknown in text.rows(each) for each in said)
    assert unknown in text.rows("a zebra")
    ids = text.batch_rows([phrase(PLAIN[0], "cat"), phrase(BEFORE[0], "cat", "red")])
    assert ids.shape == (2, 77)
    table = torch.arange(unknown + 1.0)[:, None]
    full = export.full_table(table)
    words = [START, *tokenize("a cat"), END]
    assert full[words, 0].tolist() == ids[0, : len(words)].tolist()
    assert full[tokenize("zebra"), 0].tolist() == [unknown]


# ── detector ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _scenes(count: int, *, glyphs: bool) -> list[tuple[Subject, str | None, Scene]]:
    examples = (example(21, index) for index in range(10 * count))
    chosen = [(e.scene.subject, e.background, e.scene) for e in examples if e.scene.subject.is_glyph == glyphs]
    return chosen[:count]


@needs_font
def test_the_detector_knows_clean_glyphs() -> None:
    scenes = _scenes(50, glyphs=True)
    right = [detector.glyph(draw(scene)) == subject for subject, _, scene in scenes]
    assert sum(right) >= 0.98 * len(right)


@needs_font
def test_the_detector_is_wrong_about_other_glyphs() -> None:
    scenes = _scenes(25, glyphs=True)
    others = [subject for subject, _, _ in scenes[7:] + scenes[:7]]
    right = [detector.glyph(draw(scene)) == other for other, (_, _, scene) in zip(others, scenes, strict=True)]
    assert sum(right) <= 0.1 * len(right)


def test_the_detector_knows_clean_shapes_colours_and_backgrounds() -> None:
    scenes = _scenes(50, glyphs=False)
    right = [detector.shape(draw(scene)) == subject for subject, _, scene in scenes]
    assert sum(right) >= 0.98 * len(right)
    named = [(background, scene) for _, background, scene in scenes if background]
    assert all(detector.background(draw(scene)) == background for background, scene in named)
    others = [subject for subject, _, _ in scenes[7:] + scenes[:7]]
    wrong = [detector.shape(draw(scene)) == other for other, (_, _, scene) in zip(others, scenes, strict=True)]
    assert sum(wrong) <= 0.1 * len(wrong)


# ── training ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text_stage(folder: Path, until: int) -> dict[str, Tensor]:
    return text.train(folder, plan=replace(text.PLAN, updates=2), until=until).state_dict()


def _unet_stage(folder: Path, until: int) -> dict[str, Tensor]:
    shown = [example(1, index) for index in range(8)]
    latents = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    plan = replace(unet.PLAN, updates=2)
    return unet.train(folder, shown, latents, text.new_encoder(), plan=plan, until=until).state_dict()


@pytest.mark.parametrize("stage", [_text_stage, _unet_stage])
def test_a_stage_that_stopped_goes_on_as_if_it_had_not(
    stage: Callable[[Path, int], dict[str, Tensor]], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    whole = stage(tmp_path / "whole", 2)
    torch.manual_seed(5)
    half = stage(tmp_path / "parts", 1)
    parts = stage(tmp_path / "parts", 2)
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert not all(torch.equal(whole[key], half[key]) for key in whole)


def test_fitting_latents_to_the_schedule_changes_no_picture() -> None:
    torch.manual_seed(0)
    network = VAE(VAEConfig(channels=8, channel_mult=(1, 1), num_res_blocks=1, groups=2)).eval()
    pictures = torch.randn(8, 3, 16, 16)
    with torch.no_grad():
        before = network.encode(pictures)
        drawn = network.decode(before)
        unit = vae.fit_to_schedule(network, before)
        after = network.encode(pictures)
        assert torch.allclose(after * vae.SCALE_FACTOR, unit, atol=1e-4)
        assert torch.allclose(network.decode(after), drawn, atol=1e-4)
    flat = unit.transpose(0, 1).flatten(1)
    assert torch.allclose(flat.mean(1), torch.zeros(4), atol=1e-4)
    assert flat.var(1).max() < 1.001


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_is_small_and_tells_what_shapes_do_not() -> None:
    assert export.CHECKPOINT.stat().st_size <= 25_000_000
    with safe_open(export.CHECKPOINT, "pt") as file:
        header = json.loads(file.metadata()["darkroom"])
        assert header == export.HEADER
        prefixes = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model.")
        counts = Counter(prefix for key in file.keys() for prefix in prefixes if key.startswith(prefix))  # noqa: SIM118
        assert set(counts) == set(prefixes)
        assert counts.total() == len(file.keys())
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118
        table = file.get_slice("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight")
        assert table.get_shape() == [49408, text.WIDTH]


@needs_font
@pytest.mark.parametrize(
    ("prompt", "subject", "background"),
    [
        ("a cat", CAT, None),
        ("a red apple", APPLE, None),
        ("a dog on a blue background", Subject("dog"), "blue"),
        ("a blue circle on a yellow background", BLUE_CIRCLE, "yellow"),
    ],
)
def test_the_file_draws_what_a_prompt_says(prompt: str, subject: Subject, background: str | None) -> None:
    picture = score.Painter(export.CHECKPOINT).picture(prompt, seed=1)
    found = score.look(score.Asked("", prompt, subject, background), picture)
    assert found.subject_right
    assert found.background_right
