"""A1111's text becomes the workflow it describes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nodes
from graph import DocumentError, Link, Paths, Registry, plan, read, validate
from graph.model import Graph
from graph.read.a1111 import is_parameters, parse, to_prompt
from graph.read.convert import Converted
from graph.read.facts import Described, Registered

TINY = Path(__file__).parents[2] / "models" / "checkpoints" / "darkroom-tiny.safetensors"
LINE = "Steps: 28, Sampler: Euler a, CFG scale: 7.5, Seed: 123, Size: 512x768, Model: tiny"


def described(settings: str = LINE, prompt: str = "a cat", negative: str = "a dog") -> Converted:
    return to_prompt(f"{prompt}\nNegative prompt: {negative}\n{settings}, RNG: CPU")


def inputs(converted: Converted, class_type: str, number: int = 0) -> dict[str, Any]:
    """The inputs of a node, by its class and its number among those of that class."""
    found = [node["inputs"] for node in converted.prompt.values() if node["class_type"] == class_type]
    return dict(found[number])


def classes(converted: Converted) -> list[str]:
    return [node["class_type"] for node in converted.prompt.values()]


def behind(converted: Converted, link: list[Any]) -> str:
    """The class of the node that a link comes from."""
    return str(converted.prompt[link[0]]["class_type"])


def with_files(**files: list[str]) -> Described:
    kinds = {
        "ckpt_name": "CheckpointLoaderSimple", "lora_name": "LoraLoader", "vae_name": "VAELoader",
        "model_name": "UpscaleModelLoader",
    }  # fmt: skip
    return Described({kinds[name]: {"input": {"required": {name: [choices, {}]}}} for name, choices in files.items()})


def test_the_plain_workflow() -> None:
    found = described()
    assert classes(found) == [
        "CheckpointLoaderSimple", "CLIPTextEncode", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode",
        "SaveImage",
    ]  # fmt: skip
    assert found.notes == ()
    sampler = inputs(found, "KSampler")
    assert {name: value for name, value in sampler.items() if not isinstance(value, list)} == {
        "seed": 123, "steps": 28, "cfg": 7.5, "sampler_name": "euler_ancestral", "scheduler": "normal", "denoise": 1.0,
    }  # fmt: skip
    assert found.prompt[sampler["positive"][0]]["inputs"]["text"] == "a cat"
    assert found.prompt[sampler["negative"][0]]["inputs"]["text"] == "a dog"
    assert inputs(found, "EmptyLatentImage") == {"width": 512, "height": 768, "batch_size": 1}
    assert inputs(found, "CheckpointLoaderSimple") == {"ckpt_name": "tiny.safetensors"}
    assert inputs(found, "VAEDecode") == {"samples": [list(found.prompt)[4], 0], "vae": ["1", 2]}


def test_the_plain_workflow_can_be_run(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "checkpoints" / "sub"
    folder.mkdir(parents=True)
    (folder / "Tiny.safetensors").symlink_to(TINY)
    registry, paths = Registry.scan(nodes), Paths(tmp_path)
    document = read(f"a cat\n{LINE}, RNG: CPU".encode(), Registered(registry, paths))
    assert document.notes == ()
    assert document.nodes["1"].inputs == {"ckpt_name": "sub/Tiny.safetensors"}
    assert document.nodes["2"].inputs["clip"] == Link("1", 1)
    graph = validate(document, registry, paths)
    assert isinstance(graph, Graph)
    assert len(plan(graph).tasks) == 7


def test_prompts_of_several_lines_and_missing_parts() -> None:
    assert parse("one\n\ntwo\nNegative prompt: no\nnever\nSteps: 1") == ("one\n\ntwo", "no\nnever", {"Steps": "1"})
    assert parse("one\nSteps: 1") == ("one", "", {"Steps": "1"})
    assert parse("Negative prompt: no\nSteps: 1") == ("", "no", {"Steps": "1"})
    assert parse("Steps: 1") == ("", "", {"Steps": "1"})
    assert parse("Steps: 5 of them\nSteps: 1, Seed: 2\nTemplate: a, b: c\n")[2] == {
        "Steps": "1", "Seed": "2", "Template": "a", "b": "c",
    }  # fmt: skip
    assert parse("Steps: 5 of them\nSteps: 1")[0] == "Steps: 5 of them"
    assert parse("one\r\nSteps: 1, Seed: 2".replace("\r\n", "\n"))[2]["Seed"] == "2"


def test_values_in_quotes_and_in_braces() -> None:
    line = 'Steps: 1, Lora hashes: "a: 1, b: 2", Hires prompt: "say \\"hi\\",\\nSteps: 9", '
    line += 'Hashes: {"model": "x, y"}, Seed: 3'
    assert parse(f"p\n{line}")[2] == {
        "Steps": "1", "Lora hashes": "a: 1, b: 2", "Hires prompt": 'say "hi",\nSteps: 9',
        "Hashes": '{"model": "x, y"}', "Seed": "3",
    }  # fmt: skip
    assert parse('Steps: 1, Model: "half, Seed: 3')[2] == {"Steps": "1", "Model": '"half', "Seed": "3"}


names = st.from_regex(r"\A[A-Z][a-z]{1,8}( [a-z]{1,5})?\Z")


@given(st.dictionaries(names, st.from_regex(r"\A[A-Za-z0-9_+.]([A-Za-z0-9_ +.()-]*[A-Za-z0-9_+.])?\Z"), max_size=8))
def test_settings_come_back_as_they_were_written(settings: dict[str, str]) -> None:
    line = ", ".join(f"{name}: {value}" for name, value in settings.items())
    assert parse(f"p\nSteps: 1, {line}")[2] == {"Steps": "1"} | settings


def test_what_is_missing_is_taken_and_told() -> None:
    found = to_prompt("a cat\nSteps: 7")
    assert inputs(found, "EmptyLatentImage")["width"] == 512
    assert inputs(found, "KSampler")["seed"] == 0
    assert inputs(found, "KSampler")["sampler_name"] == "euler"
    assert inputs(found, "CheckpointLoaderSimple") == {"ckpt_name": "model.safetensors"}
    assert [note.split(";")[0].split(" (")[0] for note in found.notes] == [
        "The text says no size", "The text says no model", "The text says no seed",
        "The noise was not drawn on the processor",
    ]  # fmt: skip


@pytest.mark.parametrize(("line", "told"), [("CFG scale: much", "“CFG scale: much” is no number; 7 is taken."),
    ("CFG scale: -", "“CFG scale: -” is no number"), ("CFG scale: ١", "“CFG scale: ١” is no number"),
    ("Size: large", "“Size: large” is no size"), ("Clip skip: " + "9" * 30, "is no number")])  # fmt: skip
def test_what_is_no_number_is_told(line: str, told: str) -> None:
    assert told in " ".join(described(f"Steps: 3, Seed: 1, Model: x, {line}").notes)


def test_seeds_are_kept_exactly() -> None:
    assert inputs(described("Steps: 1, Seed: 18446744073709551615"), "KSampler")["seed"] == 18446744073709551615
    assert inputs(described("Steps: 1, Seed: -1"), "KSampler")["seed"] == 0


def test_clip_skip() -> None:
    found = described(f"{LINE}, Clip skip: 2")
    assert inputs(found, "CLIPSetLastLayer") == {"clip": ["1", 1], "stop_at_clip_layer": -2}
    assert behind(found, inputs(found, "CLIPTextEncode", 0)["clip"]) == "CLIPSetLastLayer"
    assert behind(found, inputs(found, "CLIPTextEncode", 1)["clip"]) == "CLIPSetLastLayer"
    assert "CLIPSetLastLayer" not in classes(described(f"{LINE}, Clip skip: 1"))


def test_loras_are_chained_in_order() -> None:
    found = described(prompt="<lora:one:0.5>a <lora:two> cat<lyco:three:0.2:0.9> <lora:four:te=0.1:unet=-.7>")
    assert inputs(found, "CLIPTextEncode")["text"] == "a  cat"
    chain = [inputs(found, "LoraLoader", number) for number in range(4)]
    assert [(each["lora_name"], each["strength_model"], each["strength_clip"]) for each in chain] == [
        ("one.safetensors", 0.5, 0.5), ("two.safetensors", 1.0, 1.0), ("three.safetensors", 0.9, 0.2),
        ("four.safetensors", -0.7, 0.1),
    ]  # fmt: skip
    assert [each["model"] for each in chain] == [["1", 0], ["2", 0], ["3", 0], ["4", 0]]
    assert [each["clip"] for each in chain] == [["1", 1], ["2", 1], ["3", 1], ["4", 1]]
    assert inputs(found, "KSampler")["model"] == ["5", 0]
    assert inputs(found, "CLIPTextEncode")["clip"] == ["5", 1]


def test_other_networks_and_loras_in_the_negative_prompt_are_told() -> None:
    found = described(prompt="a <hypernet:x:0.5> cat", negative="dog <lora:y:1>")
    assert "LoraLoader" not in classes(found)
    assert inputs(found, "CLIPTextEncode", 0)["text"] == "a  cat"
    assert inputs(found, "CLIPTextEncode", 1)["text"] == "dog <lora:y:1>"
    assert "<hypernet:x:0.5> in the prompt has no counterpart and is left out." in found.notes
    assert "LoRAs named in the negative prompt have no effect" in " ".join(found.notes)


def test_vae() -> None:
    found = described(f"{LINE}, VAE hash: 1, VAE: mse.ckpt")
    assert inputs(found, "VAELoader") == {"vae_name": "mse.ckpt"}
    assert behind(found, inputs(found, "VAEDecode")["vae"]) == "VAELoader"
    assert "VAELoader" not in classes(described(f"{LINE}, VAE: Automatic"))


HIRES = f"{LINE}, Denoising strength: 0.4, Hires upscale: 1.55, Hires steps: 12, Hires upscaler: "


def test_hires_fix_in_latent_space() -> None:
    found = described(f"{HIRES}Latent (nearest-exact)")
    larger = inputs(found, "LatentUpscale")
    assert behind(found, larger["samples"]) == "KSampler"
    assert (larger["upscale_method"], larger["width"], larger["height"]) == ("nearest-exact", 792, 1184)
    second = inputs(found, "KSampler", 1)
    assert behind(found, second["latent_image"]) == "LatentUpscale"
    assert (second["steps"], second["denoise"], second["seed"]) == (12, 0.4, 123)
    assert found.prompt[inputs(found, "VAEDecode")["samples"][0]]["inputs"] == second


def test_hires_fix_with_a_network_that_enlarges() -> None:
    facts = with_files(model_name=["more/RealESRGAN_x4plus.pth"])
    found = to_prompt(f"a\n{HIRES}R-ESRGAN 4x+, Hires resize: 1000x1504", facts)
    assert inputs(found, "UpscaleModelLoader") == {"model_name": "more/RealESRGAN_x4plus.pth"}
    scaled = inputs(found, "ImageScale")
    assert behind(found, scaled["image"]) == "ImageUpscaleWithModel"
    assert (scaled["width"], scaled["height"], scaled["upscale_method"]) == (1000, 1504, "lanczos")
    assert behind(found, inputs(found, "KSampler", 1)["latent_image"]) == "VAEEncode"
    assert inputs(to_prompt(f"a\n{HIRES}4x-UltraSharp"), "UpscaleModelLoader") == {"model_name": "4x-UltraSharp.pth"}
    assert {"ImageScale", "UpscaleModelLoader"} & set(classes(described(f"{HIRES}Lanczos"))) == {"ImageScale"}


def test_hires_fix_with_settings_of_its_own() -> None:
    more = 'Hires sampler: DPM++ 2M, Hires schedule type: Karras, Hires CFG Scale: 3, Hires prompt: "a large cat, sat"'
    found = described(f"{HIRES}Latent, {more}, Hires steps: 0")
    first, second = inputs(found, "KSampler", 0), inputs(found, "KSampler", 1)
    assert (second["sampler_name"], second["scheduler"], second["cfg"]) == ("dpmpp_2m", "karras", 3.0)
    assert found.prompt[second["positive"][0]]["inputs"]["text"] == "a large cat, sat"
    assert second["negative"] == first["negative"]
    same = described(f"{HIRES}Latent, Hires sampler: Use same sampler, Hires schedule type: Use same scheduler")
    assert inputs(same, "KSampler", 1)["sampler_name"] == "euler_ancestral"


def test_a_picture_made_from_another_is_told() -> None:
    found = described(f"{LINE}, Denoising strength: 0.4")
    assert inputs(found, "KSampler")["denoise"] == 1.0
    assert "The picture was made from another one" in found.notes[0]


def test_settings_without_counterpart_are_told_together() -> None:
    found = described(f"{LINE}, ENSD: 31337, Version: v1.9, Face restoration: CodeFormer")
    assert found.notes == (
        "Settings that have no counterpart are left out: ENSD: 31337, Face restoration: CodeFormer.",
    )


def test_samplers_and_schedules() -> None:
    found = described("Steps: 1, Sampler: DPM++ 2M SDE, Schedule type: Karras")
    assert (inputs(found, "KSampler")["sampler_name"], inputs(found, "KSampler")["scheduler"]) == (
        "dpmpp_2m_sde",
        "karras",
    )
    found = described("Steps: 1, Sampler: Restart, Schedule type: Align Your Steps")
    assert (inputs(found, "KSampler")["sampler_name"], inputs(found, "KSampler")["scheduler"]) == ("euler", "normal")
    assert "There is no counterpart of the sampler 'Restart'; euler is taken." in found.notes
    assert "There is no counterpart of the schedule 'Align Your Steps'; normal is taken." in found.notes


def test_models_are_found_by_name_in_any_folder_and_by_nearly_that_name() -> None:
    facts = with_files(ckpt_name=["other.safetensors", "sd15\\Dream.Shaper_8.safetensors"], lora_name=["x/Detail.pt"])

    def model(name: str) -> Converted:
        return to_prompt(f"a <lora:detail:1>\nSteps: 1, Model: {name}", facts)

    assert inputs(model("dream.shaper_8"), "CheckpointLoaderSimple")["ckpt_name"].endswith("Dream.Shaper_8.safetensors")
    assert inputs(model("x"), "LoraLoader")["lora_name"] == "x/Detail.pt"
    near = model("DreamShaper_8")
    assert inputs(near, "CheckpointLoaderSimple")["ckpt_name"].endswith("Dream.Shaper_8.safetensors")
    assert "which has nearly that name, is taken" in " ".join(near.notes)
    assert inputs(model("quite another"), "CheckpointLoaderSimple")["ckpt_name"] == "quite another.safetensors"
    assert inputs(to_prompt("a\nSteps: 1", facts), "CheckpointLoaderSimple")["ckpt_name"] == "other.safetensors"


def test_learnt_words_are_marked(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "embeddings" / "sub"
    folder.mkdir(parents=True)
    (folder / "BadHands.pt").touch()
    facts = Registered(Registry.scan(nodes), Paths(tmp_path))
    found = to_prompt('badhands, easyneg\nSteps: 1, TI hashes: "easyneg: 12, other: 3"', facts)
    assert inputs(found, "CLIPTextEncode")["text"] == "embedding:BadHands, embedding:easyneg"


def test_classes_that_there_are_not_are_listed(tmp_path: Path) -> None:
    found = to_prompt(f"a\n{HIRES}Latent", Registered(Registry.scan(nodes), Paths(tmp_path)))
    assert [found.prompt[node]["class_type"] for node in found.unknown] == ["LatentUpscale"]
    assert to_prompt(f"a\n{HIRES}Latent").unknown == ()


@pytest.mark.parametrize(
    "text", ["", "a cat", "a cat, Steps: 20", "Steps: many", '{"steps": 20}', "Steps: 1" + " " * 2**20]
)
def test_what_says_no_steps_is_no_such_text(text: str) -> None:
    assert not is_parameters(text)
    with pytest.raises(DocumentError, match="does not say how it was drawn"):
        to_prompt(text)


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_every_text_with_steps_is_a_workflow(prompt: str, negative: str, rest: str) -> None:
    found = to_prompt(f"{prompt}\nNegative prompt: {negative}\nSteps: 20, {rest}")
    ids = found.prompt.keys()
    for node in found.prompt.values():
        assert all(value[0] in ids for value in node["inputs"].values() if isinstance(value, list))
