"""The command line: what it draws and says, and that bad input is one sentence, exit status 2, and nothing written."""

import json
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch

from tests.cli import HOUSE, House, Workflow, start, workflow


class Trap:
    """What a hostile pickle does when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


# ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def pixels(path: Path) -> bytes:
    with PIL.Image.open(path) as picture:
        return picture.tobytes()


def test_run_draws_and_says_where_and_how_long(house: House) -> None:
    status, out, err = house.call("run", house.write(workflow()))
    assert status == 0
    picture, times = out.splitlines()
    assert Path(picture) == house.base / "output" / "darkroom_00001_.png"
    assert re.fullmatch(
        r"Text encoding \d+\.\d\d s, denoising \d+\.\d\d s \(\d+\.\d{3} s per step\), decoding \d+\.\d\d s", times
    )
    assert re.search(r"KSampler █+ 2/2, \d+\.\d{3} s per step $", err.rstrip("\n"))
    with PIL.Image.open(picture) as image:
        assert image.size == (64, 64)


def test_a_picture_repeats_itself(house: House) -> None:
    nodes = workflow()
    house.call("run", house.write(nodes))
    first = house.base / "output" / "darkroom_00001_.png"
    with PIL.Image.open(first) as picture:
        assert json.loads(picture.info["prompt"]) == nodes
    status, out, _ = house.call("run", first)
    assert status == 0
    second = Path(out.splitlines()[0])
    assert second.name == "darkroom_00002_.png"
    assert pixels(first) == pixels(second)


def test_set_changes_the_picture_and_its_recipe(house: House) -> None:
    file = house.write(workflow())
    house.call("run", file)
    changes = ("--set", "KSampler.seed=7", "--set", "positive.text=a dog", "--set", "Keep it.filename_prefix=other/dog")
    status, out, _ = house.call("run", file, *changes)
    assert status == 0
    changed = Path(out.splitlines()[0])
    assert changed == house.base / "output" / "other" / "dog_00001_.png"
    assert pixels(changed) != pixels(house.base / "output" / "darkroom_00001_.png")
    with PIL.Image.open(changed) as picture:
        recipe = json.loads(picture.info["prompt"])
    assert recipe["sampler"]["inputs"]["seed"] == 7
    assert recipe["positive"]["inputs"]["text"] == "a dog"


def test_pictures_can_go_elsewhere(house: House) -> None:
    status, out, _ = house.call("run", house.write(workflow()), "--output", house.base / "else" / "where")
    assert status == 0
    assert Path(out.splitlines()[0]) == house.base / "else" / "where" / "darkroom_00001_.png"
    assert not (house.base / "output").exists()


def test_ctrl_c_stops_between_two_passes_and_leaves_no_file(house: House) -> None:
    nodes = workflow()
    nodes["sampler"]["inputs"]["steps"] = 10000
    before = {*house.files(), house.write(nodes)}
    process = start("run", "--base", house.base, house.base / "workflow.json")
    assert process.stderr is not None
    said = ""
    while "1/10000" not in said:
        letter = process.stderr.read(1)
        assert letter, said
        said += letter
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.endswith("Stopped.\n")
    assert "Traceback" not in said + err
    assert house.files() == before


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_says_ok(house: House) -> None:
    assert house.call("check", house.write(workflow())) == (0, "ok\n", "")


def test_plan_shows_what_would_run_in_order(house: House) -> None:
    status, out, err = house.call("plan", house.write(workflow()))
    assert (status, err) == (0, "")
    classes = [line.split()[2] for line in out.splitlines()]
    assert sorted(classes) == sorted(node["class_type"] for node in workflow().values())
    assert classes.index("KSampler") < classes.index("VAEDecode") < classes.index("SaveImage")
    assert re.search(r"decode +VAEDecode +after sampler, checkpoint$", out, re.MULTILINE)


def test_plan_leaves_out_what_no_output_needs(house: House) -> None:
    nodes = workflow() | {
        "idle": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
    }
    assert "idle" not in house.call("plan", house.write(nodes))[1]


def test_nodes_lists_every_class(house: House) -> None:
    status, out, _ = house.call("nodes")
    assert status == 0
    assert "\n  VAEDecode(samples, vae) → IMAGE\n      Turn latents into pictures.\n" in out
    assert "\n  SaveImage(images, filename_prefix) → nothing\n" in out


def test_nodes_describes_one_class(house: House) -> None:
    status, out, _ = house.call("nodes", "KSampler")
    assert status == 0
    assert "  cfg: FLOAT; default 8.0; min 0.0; max 100.0\n" in out
    assert "  sampler_name: COMBO; one of euler, " in out
    assert out.endswith("Outputs\n  LATENT: LATENT\n")


def test_nodes_suggests_names_for_an_unknown_one(house: House) -> None:
    status, out, err = house.call("nodes", "ksampler")
    assert (status, out) == (2, "")
    assert err.startswith("There is no node class 'ksampler'; did you mean KSampler")


def test_help_needs_no_torch() -> None:
    code = "import sys, main\ntry: main.main(['--help'])\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=HOUSE, capture_output=True).returncode == 0


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def changed(node: str, **inputs: object) -> Callable[[House], Workflow]:
    """The workflow with other inputs of one node; None takes one away."""

    def make(house: House) -> Workflow:
        nodes = workflow()
        given = nodes[node]["inputs"] | inputs
        nodes[node]["inputs"] = {name: value for name, value in given.items() if value is not None}
        return nodes

    return make


def with_class(name: str) -> Callable[[House], Workflow]:
    def make(house: House) -> Workflow:
        nodes = workflow()
        nodes["sampler"]["class_type"] = name
        return nodes

    return make


def with_checkpoint(name: str, write: Callable[[Path, House], object]) -> Callable[[House], Workflow]:
    def make(house: House) -> Workflow:
        write(house.base / "models" / "checkpoints" / name, house)
        return changed("checkpoint", ckpt_name=name)(house)

    return make


def truncated(path: Path, house: House) -> None:
    whole = (path.parent / "small.safetensors").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def foreign(path: Path, house: House) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, path)


def with_code(path: Path, house: House) -> None:
    path.write_bytes(pickle.dumps({"state_dict": Trap(house.base / "trapped")}))


def with_code_in_torch_form(path: Path, house: House) -> None:
    torch.save({"state_dict": Trap(house.base / "trapped")}, path)


def no_image(house: House) -> Workflow:
    (house.base / "input").mkdir()
    (house.base / "input" / "words.png").write_text("no picture")
    nodes = workflow()
    nodes["picture"] = {"class_type": "LoadImage", "inputs": {"image": "words.png"}}
    nodes["latent"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["picture", 0], "vae": ["checkpoint", 2]}}
    return nodes


def text(content: str) -> Callable[[House], str]:
    return lambda house: content


BAD_INPUT: dict[str, tuple[Callable[[House], Workflow | str], str]] = {
    "not JSON": (text("{'1': }"), r"not JSON.*line 1, column 2"),
    "not text": (text("\0\1\2"), r"neither JSON nor a PNG"),
    "JSON that is no workflow": (text('{"a": 1}'), r"no workflow"),
    "a list": (text("[1, 2]"), r"no workflow"),
    "nothing to output": (text("{}"), r"no output"),
    "an unknown class": (with_class("KSamplr"), r"'KSamplr' .*; did you mean KSampler"),
    "a missing input": (changed("sampler", steps=None), r"KSampler \(node sampler\): the input 'steps' is missing"),
    "a missing link": (
        changed("decode", vae=None),
        r"VAEDecode \(node decode\): the input 'vae' is missing; link .* VAE",
    ),
    "a link to no node": (changed("decode", samples=["gone", 0]), r"linked to node gone, which does not exist"),
    "a link to no output": (changed("decode", vae=["checkpoint", 3]), r"output 3 of node checkpoint .* does not exist"),
    "a wrong type on a wire": (changed("decode", vae=["checkpoint", 0]), r"takes VAE, but output 0 .* gives MODEL"),
    "a cycle": (changed("sampler", latent_image=["sampler", 0]), r"KSampler \(node sampler\): takes its own output"),
    "a value out of range": (changed("sampler", steps=0), r"'steps' is 0, which is below 1"),
    "a value of the wrong type": (changed("sampler", steps="many"), r"'steps' takes INT, and 'many' is none"),
    "a value not in the list": (
        changed("sampler", sampler_name="eular"),
        r"sampler_name has no choice 'eular'; did you mean 'euler'",
    ),
    "a size that is not valid": (
        changed("latent", width=8),
        r"EmptyLatentImage \(node latent\): the input 'width' is 8",
    ),
    "a model that is not there": (
        changed("checkpoint", ckpt_name="big.ckpt"),
        r"no file 'big.ckpt'.*small.safetensors",
    ),
    "a truncated checkpoint": (with_checkpoint("cut.safetensors", truncated), r"cut.safetensors"),
    "a foreign checkpoint": (with_checkpoint("other.safetensors", foreign), r"other.safetensors"),
    "a pickle with code": (with_checkpoint("trap.ckpt", with_code), r"trap.ckpt.*code"),
    "torch's pickle with code": (with_checkpoint("trap2.ckpt", with_code_in_torch_form), r"trap2.ckpt.*code"),
    "an image that is no image": (no_image, r"LoadImage \(node picture\).*'words.png' cannot be read as a picture"),
    "a prefix that leaves": (
        changed("save", filename_prefix="../x"),
        r"SaveImage \(node save\).*leads out of the output folder",
    ),
}


def bad_file(house: House, name: str) -> Path:
    content = BAD_INPUT[name][0](house)
    if isinstance(content, str):
        path = house.base / f"{name}.json"
        path.write_text(content)
        return path
    return house.write(content, f"{name}.json")


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_sentence_and_nothing_is_written(house: House, name: str) -> None:
    file = bad_file(house, name)
    before = house.files()
    status, out, err = house.call("run", file)
    assert (status, out) == (2, "")
    [sentence] = err.splitlines()
    assert re.search(BAD_INPUT[name][1], sentence)
    assert sentence.endswith((".", "?"))
    assert house.files() == before


def test_bad_input_is_told_without_a_traceback_by_a_real_process(house: House) -> None:
    files = [bad_file(house, name) for name in BAD_INPUT]
    before = house.files()
    process = start("check", "--base", house.base, *files)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    sentences = err.splitlines()
    assert len(sentences) == len(files)
    for file, sentence, (_, pattern) in zip(files, sentences, BAD_INPUT.values(), strict=True):
        assert sentence.startswith(f"{file}: ")
        assert re.search(pattern, sentence)
    assert house.files() == before


def test_a_real_run_of_bad_input_ends_with_status_2(house: House) -> None:
    process = start("run", "--base", house.base, bad_file(house, "a truncated checkpoint"))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, len(err.splitlines())) == (2, "", 1)
    assert not (house.base / "output").exists()


def test_what_only_shows_in_the_middle_of_a_run_is_one_sentence_too(house: House) -> None:
    nodes = no_image(house)
    PIL.Image.effect_noise((64, 64), 50).save(house.base / "input" / "whole.png")
    whole = (house.base / "input" / "whole.png").read_bytes()
    (house.base / "input" / "words.png").write_bytes(whole[: len(whole) // 2])
    assert house.call("check", house.write(nodes)) == (0, "ok\n", "")
    status, out, err = house.call("run", house.write(nodes))
    assert (status, out) == (2, "")
    assert re.fullmatch(r"LoadImage \(node picture\) failed: 'words.png' cannot be read as a picture .*\n", err)
    assert not (house.base / "output").exists()


def test_a_file_in_the_place_of_the_output_folder_is_one_sentence(house: House) -> None:
    file = house.write(workflow())
    status, out, err = house.call("run", file, "--output", file)
    assert (status, out) == (2, "")
    assert err == f"{file} is a file; give a folder to --output.\n"
    assert house.call("run", file, "--output", file / "deeper" / "yet") == (2, "", err)


def test_all_problems_are_told_at_once(house: House) -> None:
    nodes = workflow()
    nodes["sampler"]["inputs"] |= {"steps": 0, "cfg": -1, "scheduler": "carras"}
    nodes["save"]["inputs"]["filename_prefix"] = "../x"
    status, _, err = house.call("check", house.write(nodes))
    assert status == 2
    assert len(err.splitlines()) == 4


def test_a_cycle_of_several_nodes_is_named(house: House) -> None:
    nodes = workflow()
    nodes["again"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["decode", 0], "vae": ["checkpoint", 2]}}
    nodes["sampler"]["inputs"]["latent_image"] = ["again", 0]
    status, _, err = house.call("check", house.write(nodes))
    assert status == 2
    assert re.search(r"circle of 3", err)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("seed=1", "is no change: write NODE.INPUT=VALUE"),
        ("Sampler.seed=1", "no node here is called 'Sampler'"),
        ("CLIPTextEncode.text=x", "names 2 nodes here; use one of their ids: positive, negative"),
        ("KSampler.steps=0", "which is below 1"),
    ],
)
def test_a_change_that_does_not_fit_is_one_sentence(house: House, change: str, sentence: str) -> None:
    status, out, err = house.call("run", house.write(workflow()), "--set", change)
    assert (status, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_file_that_is_not_there_is_one_sentence(house: House) -> None:
    status, _, err = house.call("run", house.base / "absent.json")
    assert status == 2
    assert "absent.json: No such file or directory" in err
