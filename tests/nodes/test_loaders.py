"""Checkpoint and prompt nodes on a small untrained checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffusion.memory import Memory
from nodes.conditioning import CLIPSetLastLayer, CLIPTextEncode
from nodes.files import find_embedding
from nodes.latent import VAEDecode, VAEEncode
from nodes.loaders import Checkpoint, CheckpointLoaderSimple, VAELoader
from tests.diffusion.stand_in import TINY


@pytest.fixture
def loaded(ctx, small_checkpoint: Path) -> Checkpoint:
    folder = ctx.paths.base / "models" / "checkpoints"
    folder.mkdir(parents=True)
    shutil.copy(small_checkpoint, folder / "small.safetensors")
    ctx.resources = [Memory(torch.device("cpu"))]
    return CheckpointLoaderSimple(ckpt_name="small.safetensors").run(ctx)


@pytest.mark.parametrize(
    ("node", "folder"),
    [
        (CheckpointLoaderSimple(ckpt_name="broken.safetensors"), "checkpoints"),
        (VAELoader(vae_name="broken.safetensors"), "vae"),
    ],
)
def test_what_is_said_of_a_broken_file_does_not_tell_where_it_lies(ctx, node, folder: str) -> None:
    file = ctx.paths.base / "models" / folder / "broken.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    [(_, sentence)] = node.check(ctx.paths)
    assert sentence == "broken.safetensors: this file is empty; download it again."


def encode(ctx, clip, text: str = "a cat", **inputs: int) -> torch.Tensor:
    [[tokens, extra]] = CLIPTextEncode(text=text, clip=clip, **inputs).run(ctx)
    assert extra["pooled_output"].shape == (1, 16)
    return tokens


def test_clip_skip_counts_as_model_cards_do(ctx, loaded: Checkpoint) -> None:
    last = encode(ctx, loaded.clip)
    assert last.shape == (1, 77, 16)
    assert torch.equal(encode(ctx, loaded.clip, clip_skip=1), last)
    earlier = CLIPSetLastLayer(clip=loaded.clip, stop_at_clip_layer=-2).run(ctx)
    assert torch.equal(encode(ctx, loaded.clip, clip_skip=2), encode(ctx, earlier))
    assert not torch.equal(encode(ctx, earlier), last)
    assert torch.equal(encode(ctx, earlier, clip_skip=1), last)


def test_zero_clip_skip_keeps_what_the_clip_says(ctx, loaded: Checkpoint) -> None:
    earlier = CLIPSetLastLayer(clip=loaded.clip, stop_at_clip_layer=-2).run(ctx)
    assert torch.equal(encode(ctx, earlier, clip_skip=0), encode(ctx, loaded.clip, clip_skip=2))


def test_a_prompt_with_an_embedding_depends_on_its_file(ctx) -> None:
    folder = ctx.paths.base / "models" / "embeddings"
    folder.mkdir(parents=True)
    plain, with_word = (CLIPTextEncode(text=text, clip=None) for text in ("a cat", "a cat, embedding:word"))
    before = plain.fingerprint(ctx.paths), with_word.fingerprint(ctx.paths)
    save_file({"emb_params": torch.ones(2, 16)}, folder / "word.safetensors")
    assert plain.fingerprint(ctx.paths) == before[0]
    assert with_word.fingerprint(ctx.paths) != before[1]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("word", "word.safetensors"),
        ("word.safetensors", "word.safetensors"),
        ("deep", "sub/deep.pt"),
        ("sub/deep", "sub/deep.pt"),
    ],
)
def test_embeddings_are_found_in_sub_folders_and_without_their_ending(ctx, name: str, file: str) -> None:
    folder = ctx.paths.base / "models" / "embeddings"
    (folder / "sub").mkdir(parents=True)
    for each in ("word.safetensors", "sub/deep.pt"):
        (folder / each).touch()
    assert find_embedding(ctx.paths, name) == folder / file
    assert find_embedding(ctx.paths, "absent") is None


def test_the_vae_goes_both_ways_and_cuts_to_multiples_of_8(ctx, loaded: Checkpoint) -> None:
    latent = VAEEncode(pixels=torch.rand(2, 19, 33, 4), vae=loaded.vae).run(ctx)
    assert latent["samples"].shape == (2, 4, 2, 4)
    image = VAEDecode(samples=latent, vae=loaded.vae).run(ctx)
    assert image.shape == (2, 16, 32, 3)
    assert 0 <= image.min() <= image.max() <= 1


def test_a_checkpoint_that_changed_is_another(ctx, loaded: Checkpoint) -> None:
    node = CheckpointLoaderSimple(ckpt_name="small.safetensors")
    before = node.fingerprint(ctx.paths)
    assert node.fingerprint(ctx.paths) == before
    path = ctx.paths.find("checkpoints", "small.safetensors")
    path.write_bytes(path.read_bytes() + b"\0")
    assert node.fingerprint(ctx.paths) != before


def test_a_checkpoint_that_was_copied_or_touched_is_the_same(ctx, loaded: Checkpoint) -> None:
    node = CheckpointLoaderSimple(ckpt_name="small.safetensors")
    before = node.fingerprint(ctx.paths)
    path = ctx.paths.find("checkpoints", "small.safetensors")
    shutil.copy(path, path.with_name("copy.safetensors"))
    path.touch()
    assert node.fingerprint(ctx.paths) == before
    assert CheckpointLoaderSimple(ckpt_name="copy.safetensors").fingerprint(ctx.paths) == before


def test_a_file_that_is_no_checkpoint_is_found_before_anything_runs(ctx, loaded: Checkpoint) -> None:
    path = ctx.paths.find("checkpoints", "small.safetensors")
    path.write_bytes(path.read_bytes()[:100_000])
    [(field, sentence)] = CheckpointLoaderSimple(ckpt_name="small.safetensors").check(ctx.paths)
    assert field == "ckpt_name"
    assert "small.safetensors" in sentence


# ── a VAE alone ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bundled_vae(ctx) -> Path:
    """The bundled checkpoint, and its VAE in a file of its own."""
    prefix = "first_stage_model."
    for kind in ("vae", "checkpoints"):
        (ctx.paths.base / "models" / kind).mkdir(parents=True)
    shutil.copy(TINY, ctx.paths.base / "models" / "checkpoints")
    path = ctx.paths.base / "models" / "vae" / "tiny.safetensors"
    tensors = {name.removeprefix(prefix): each for name, each in load_file(TINY).items() if name.startswith(prefix)}
    save_file(tensors, path, {"darkroom": json.dumps({"vae": {"groups": 8}})})
    return path


def test_the_bundled_vae_draws_the_same_from_a_file_of_its_own(ctx, bundled_vae: Path) -> None:
    own = CheckpointLoaderSimple(ckpt_name=TINY.name).run(ctx).vae
    node = VAELoader(vae_name=bundled_vae.name)
    assert list(node.check(ctx.paths)) == []
    latent = VAEEncode(pixels=torch.rand(1, 64, 64, 3), vae=own).run(ctx)
    assert torch.equal(
        VAEDecode(samples=latent, vae=node.run(ctx)).run(ctx), VAEDecode(samples=latent, vae=own).run(ctx)
    )


def test_a_vae_that_changed_is_another(ctx, bundled_vae: Path) -> None:
    node = VAELoader(vae_name=bundled_vae.name)
    before = node.fingerprint(ctx.paths)
    bundled_vae.write_bytes(bundled_vae.read_bytes() + b"\0")
    assert node.fingerprint(ctx.paths) != before


def test_a_file_that_is_no_vae_is_found_before_anything_runs(ctx, bundled_vae: Path) -> None:
    shutil.copy(TINY, bundled_vae)
    [(field, sentence)] = VAELoader(vae_name=bundled_vae.name).check(ctx.paths)
    assert field == "vae_name"
    assert sentence.startswith(bundled_vae.name)
    assert "whole checkpoint" in sentence
