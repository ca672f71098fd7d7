"""Pictures from and to files, against recorded results and by hand."""

import json
import multiprocessing
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import PIL.Image
import pytest
import torch

from graph.paths import Paths
from nodes.image import LoadImage, PreviewImage, SaveImage
from nodes.pictures import PictureError, read_picture, write_png

PICTURES = Path(__file__).resolve().parents[1] / "golden" / "pictures"
SAVERS, PICTURES_EACH = 4, 100  # in each of two processes


def saved(ctx, entry) -> Path:
    return ctx.paths.folders[entry["type"]] / entry["subfolder"] / entry["filename"]


def pixels(path: Path) -> torch.Tensor:
    with PIL.Image.open(path) as picture:
        return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).reshape(
            picture.height, picture.width, -1
        )


def test_pictures_load_as_recorded(golden, ctx) -> None:
    shutil.copytree(PICTURES, ctx.paths.folders["input"])
    cases = golden("LoadImage")
    assert len(cases) == 15
    for case in cases:
        loaded = LoadImage(**case["inputs"]).run(ctx)
        image, mask = (output["value"] for output in case["outputs"])
        assert torch.equal(loaded.image, image), case["id"]
        assert torch.equal(loaded.mask, mask), case["id"]


def test_an_animation_that_is_transparent_only_later_has_a_mask_for_every_frame(tmp_path) -> None:
    frames = [PIL.Image.new("RGB", (5, 3), "red"), PIL.Image.new("RGBA", (5, 3), (0, 0, 255, 0))]
    frames[0].save(tmp_path / "late.tiff", save_all=True, append_images=frames[1:])
    image, mask = read_picture(tmp_path / "late.tiff")
    assert image.shape == (2, 3, 5, 3)
    assert mask.shape == (2, 3, 5)
    assert mask[0].sum() == 0
    assert mask[1].min() == 1


def test_frames_of_another_size_are_left_out(tmp_path) -> None:
    frames = [PIL.Image.new("RGB", size) for size in ((5, 3), (4, 4), (5, 3))]
    frames[0].save(tmp_path / "mixed.tiff", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "mixed.tiff")[0].shape == (2, 3, 5, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", (PICTURES / "rgb.png").read_bytes()[:200]])
def test_a_file_that_is_no_whole_picture_is_named_in_a_sentence(tmp_path, content) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(PictureError, match=r"'broken.png' cannot be read as a picture .*give a whole PNG"):
        read_picture(tmp_path / "broken.png")


def test_a_picture_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(tmp_path) -> None:
    frame = PIL.Image.new("1", (8000, 8000))
    frame.save(tmp_path / "bomb.tiff", save_all=True, append_images=[frame] * 2, compression="group4")
    with pytest.raises(PictureError, match=r"too large to load \(192000000 pixels"):
        read_picture(tmp_path / "bomb.tiff")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.png", "no file 'absent.png'"),
        ("../secret.png", "leads out of the input folder"),
        ("text.png", "cannot be read"),
    ],
)
def test_a_wrong_picture_is_found_before_anything_runs(ctx, name, sentence) -> None:
    ctx.paths.folders["input"].mkdir()
    (ctx.paths.folders["input"] / "text.png").write_text("no picture")
    [(field, problem)] = LoadImage(image=name).check(ctx.paths)
    assert field == "image"
    assert sentence in problem


def test_loading_depends_on_the_content_of_the_file(ctx) -> None:
    shutil.copytree(PICTURES, ctx.paths.folders["input"])
    before = LoadImage(image="rgb.png").fingerprint(ctx.paths)
    assert LoadImage(image="rgb.png").fingerprint(ctx.paths) == before
    shutil.copy(PICTURES / "gray.png", ctx.paths.folders["input"] / "rgb.png")
    assert LoadImage(image="rgb.png").fingerprint(ctx.paths) != before


def test_pictures_save_as_recorded(golden, ctx) -> None:
    cases = golden("SaveImage")
    assert len(cases) == 6
    for case in cases:
        ctx.shown.clear()
        SaveImage(**case["inputs"]).run(ctx)
        assert len(ctx.shown) == len(case["outputs"])
        for (key, entry), output in zip(ctx.shown, case["outputs"], strict=True):
            expected = output["value"]
            assert key == "images"
            assert entry == {name: expected[name] for name in ("filename", "subfolder", "type")}
            assert torch.equal(pixels(saved(ctx, entry)), expected["pixels"][0]), case["id"]


def test_previews_go_to_the_temp_folder_with_the_same_pixels(golden, ctx) -> None:
    for case in golden("PreviewImage"):
        ctx.shown.clear()
        PreviewImage(**case["inputs"]).run(ctx)
        for (key, entry), output in zip(ctx.shown, case["outputs"], strict=True):
            assert key == "images"
            assert re.fullmatch(r"ComfyUI_temp_[a-z]{5}_0000\d_\.png", entry["filename"])
            assert {**entry, "filename": ""} == {"filename": "", "subfolder": "", "type": "temp"}
            assert torch.equal(pixels(saved(ctx, entry)), output["value"]["pixels"][0])


def test_a_saved_picture_carries_its_recipe(ctx) -> None:
    ctx.prompt = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "läuft – 写真"}}}
    ctx.extra_pnginfo = {"workflow": {"nodes": [1, 2]}}
    SaveImage(images=torch.zeros(1, 4, 4, 3), filename_prefix="with").run(ctx)
    with PIL.Image.open(ctx.paths.folders["output"] / "with_00001_.png") as picture:
        texts = dict(picture.text)
    assert {key: json.loads(text) for key, text in texts.items()} == {"prompt": ctx.prompt, **ctx.extra_pnginfo}
    assert all(text.isascii() for text in texts.values())


def test_a_picture_that_cannot_be_written_leaves_no_file(ctx) -> None:
    with pytest.raises(PictureError, match=r"1, 3 or 4 channels.*\[4, 4, 2\]"):
        SaveImage(images=torch.zeros(1, 4, 4, 2), filename_prefix="odd").run(ctx)
    assert list(ctx.paths.folders["output"].iterdir()) == []


def test_values_that_are_no_numbers_become_black(tmp_path) -> None:
    write_png(tmp_path / "nan.png", torch.full((2, 2, 3), float("nan")), {}, compress_level=1)
    assert pixels(tmp_path / "nan.png").sum() == 0


@pytest.mark.parametrize("prefix", ["../elsewhere", "/tmp/elsewhere", "a/../../b"])
def test_a_prefix_that_leaves_the_output_folder_is_found_before_anything_runs(ctx, prefix) -> None:
    [(field, problem)] = SaveImage(filename_prefix=prefix, images=torch.zeros(0)).check(ctx.paths)
    assert field == "filename_prefix"
    assert "leads out of the output folder" in problem


def save_many(base: Path, process: int, start: object) -> None:
    def save(saver: int) -> None:
        for number in range(PICTURES_EACH):
            colour = torch.tensor([process, saver, number]) / 255
            with Paths(base).series("many").claim(".png") as claim:
                write_png(claim.part, colour.expand(1, 1, 3), {}, compress_level=1)

    start.wait()
    with ThreadPoolExecutor(SAVERS) as pool:
        list(pool.map(save, range(SAVERS)))


def test_eight_savers_in_two_processes_lose_no_picture(tmp_path) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(2)
    processes = [spawn.Process(target=save_many, args=(tmp_path, process, start)) for process in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    files = sorted((tmp_path / "output").iterdir())
    assert [file.name for file in files] == [f"many_{number:05}_.png" for number in range(1, 801)]
    colours = {tuple(pixels(file).flatten().tolist()) for file in files}
    assert colours == {(p, s, n) for p in range(2) for s in range(SAVERS) for n in range(PICTURES_EACH)}
