"""The command line takes workflows in any form, says what is missing, and converts between the forms."""

import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo

from tests.cli import House, Workflow, start, workflow

A1111 = (
    "a red apple\nNegative prompt: blurry\n"
    "Steps: 2, Sampler: DPM++ 2M SDE Karras, CFG scale: 3, Seed: 5, Size: 64x64, Model: small"
)


def numbered() -> Workflow:
    """The workflow with numbers for ids, as the editor knows them, and the titles that it would give."""
    nodes = workflow()
    ids = {name: str(number) for number, name in enumerate(nodes, 1)}
    for node in nodes.values():
        node["inputs"] = {
            name: [ids[value[0]], value[1]] if isinstance(value, list) else value
            for name, value in node["inputs"].items()
        }
    for name in ("positive", "negative"):
        nodes[name]["inputs"]["clip_skip"] = 0  # the editor has a field for it, and sends what stands there
    return {ids[name]: node for name, node in nodes.items()}


def converted(house: House, file: Path, out: str, *more: object) -> Path:
    """What a file is converted to."""
    status, said, err = house.call("convert", file, house.base / out, *more)
    assert (status, said) == (0, ""), err
    return house.base / out


def loaded(path: Path) -> Any:
    return json.loads(path.read_text())


def drawing(house: House) -> Path:
    """The workflow as the editor saves it, with a note, a colour and a key that nobody knows."""
    path = converted(house, house.write(numbered(), "api.json"), "drawing.json")
    value = loaded(path)
    value["nodes"].append({"id": 99, "type": "Note", "pos": [1, 2], "size": [3, 4], "widgets_values": ["remember"]})
    value["nodes"][0]["color"] = "#123456"
    value["extra"]["somebody"] = {"keeps": "this"}
    path.write_text(json.dumps(value))
    return path


def picture(house: House, name: str, **texts: str) -> Path:
    """A picture that carries texts: EXIF of WebP and JPEG, as other programs write it, else chunks of PNG."""
    path = house.base / name
    image = PIL.Image.new("RGB", (16, 16))
    if path.suffix == ".png":
        info = PngInfo()
        for key, text in texts.items():
            info.add_text(key, text)
        image.save(path, pnginfo=info)
        return path
    exif = PIL.Image.Exif()
    for tag, (key, text) in zip((0x010F, 0x0110), texts.items(), strict=False):
        exif[tag] = f"{key}:{text}"
    more: dict[str, Any] = {}
    if name.startswith("animated"):
        more = {"save_all": True, "append_images": [PIL.Image.new("RGB", (16, 16), "red")]}
    image.save(path, exif=exif, **more)
    return path


# ── run, check and plan ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg", "animated.webp", "animated.png"])
@pytest.mark.parametrize("form", ["prompt", "workflow"])
def test_pictures_of_every_kind_are_read_with_either_form(house: House, name: str, form: str) -> None:
    value = numbered() if form == "prompt" else loaded(drawing(house))
    file = picture(house, name, **{form: json.dumps(value)})
    assert house.call("check", file) == (0, "ok\n", "")


def test_a_text_of_parameters_is_run_with_the_sampler_that_it_means(house: House) -> None:
    file = picture(house, "a.png", parameters=A1111)
    status, _, err = house.call("run", file, "--match-models")
    assert status == 0, err
    with PIL.Image.open(next((house.base / "output").iterdir())) as drawn:
        sampler = next(n for n in json.loads(drawn.info["prompt"]).values() if n["class_type"] == "KSampler")
    assert (sampler["inputs"]["sampler_name"], sampler["inputs"]["scheduler"]) == ("dpmpp_2m_sde", "karras")


def test_a_drawn_picture_carries_the_editors_form_and_is_converted_back_to_what_ran(house: House) -> None:
    file = drawing(house)
    status, out, err = house.call("run", file)
    assert status == 0, err
    drawn = Path(out.splitlines()[0])
    with PIL.Image.open(drawn) as image:
        assert json.loads(image.info["workflow"]) == loaded(file)
        assert json.loads(image.info["prompt"]) == numbered()
    assert loaded(converted(house, drawn, "back.json")) == loaded(file)
    assert loaded(converted(house, drawn, "prompt.json", "--to", "api")) == numbered()


def test_a_change_reaches_the_editors_form_in_the_picture_too(house: House) -> None:
    status, out, err = house.call("run", drawing(house), "--set", "KSampler.seed=77", "--set", "3.text=fog")
    assert status == 0, err
    with PIL.Image.open(out.splitlines()[0]) as image:
        carried = json.loads(image.info["workflow"])
        assert json.loads(image.info["prompt"])["5"]["inputs"]["seed"] == 77
    nodes = {node["id"]: node for node in carried["nodes"]}
    assert nodes[5]["widgets_values"][0] == 77
    assert nodes[3]["widgets_values"][0] == "fog"
    assert nodes[99]["widgets_values"] == ["remember"]


def test_nodes_inside_of_subgraphs_are_changed_by_their_ids(house: House) -> None:
    value = loaded(drawing(house))
    latent = next(node for node in value["nodes"] if node["type"] == "EmptyLatentImage")
    link = next(each for each in value["links"] if each[1] == latent["id"])
    inner = latent | {"id": 12, "outputs": [{"name": "LATENT", "type": "LATENT", "links": [1]}]}
    value["definitions"] = {"subgraphs": [{
        "id": "sub", "name": "Empty", "nodes": [inner], "inputs": [],
        "outputs": [{"id": "o", "name": "LATENT", "type": "LATENT", "linkIds": [1]}],
        "links": [{"id": 1, "origin_id": 12, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "LATENT"}],
    }]}  # fmt: skip
    latent |= {"type": "sub", "widgets_values": [], "outputs": [{"name": "L", "type": "LATENT", "links": [link[0]]}]}
    file = house.write(value, "sub.json")
    node_id = f"{latent['id']}:12"
    status, out, err = house.call("run", file, "--set", f"{node_id}.width=128")
    assert status == 0, err
    with PIL.Image.open(out.splitlines()[0]) as image:
        assert image.size == (128, 64)
        assert json.loads(image.info["prompt"])[node_id]["inputs"]["width"] == 128
    assert node_id in house.call("plan", file)[1]


def test_what_was_odd_is_said_once_with_the_name_of_the_file_where_there_are_several(house: House) -> None:
    file = drawing(house)
    value = loaded(file)
    value["nodes"].append(value["nodes"][0])
    odd = house.write(value, "odd.json")
    sentence = f"Two nodes have the id {value['nodes'][0]['id']}; the second one was left out.\n"
    assert house.call("check", odd) == (0, "ok\n", sentence)
    assert house.call("check", odd, file) == (0, f"{odd}: ok\n{file}: ok\n", f"{odd}: {sentence}")


def test_values_of_inputs_that_are_gone_are_told_and_stop_nothing(house: House) -> None:
    nodes = workflow()
    nodes["sampler"]["inputs"]["sharpness"] = 3
    said = "KSampler (node sampler) has no input 'sharpness'; its value is passed over.\n"
    assert house.call("check", house.write(nodes)) == (0, "ok\n", said)


# ── what is missing ───────────────────────────────────────────────────────────────────────────────────────────────────


def lacking(house: House) -> Path:
    """A workflow of the editor that needs a pack, a model and a choice that are not here."""
    value = loaded(drawing(house))
    for node in value["nodes"]:
        if node["type"] == "CheckpointLoaderSimple":
            node["widgets_values"] = ["sub/smal.safetensors"]
            model = {"name": "smal.safetensors", "url": "https://example.org/smal.safetensors"}
            node["properties"] = {"models": [model]}
        if node["type"] == "KSampler":
            node["widgets_values"][4] = "eulr"
            node["widgets_values"][2] = 0
    other = {"id": 50, "type": "Qzzz", "inputs": [], "outputs": [], "properties": {"cnr_id": "the-pack"}}
    value["nodes"].append(other)
    return house.write(value, "lacking.json")


@pytest.mark.parametrize("command", ["check", "run", "plan"])
def test_what_is_missing_is_said_first_and_nothing_twice(house: House, command: str) -> None:
    status, out, err = house.call(command, lacking(house))
    assert (status, out) == (2, "")
    first, second, third, fourth = err.splitlines()
    assert "no node class 'Qzzz'" in first
    assert "the-pack" in first
    assert "no file 'sub/smal.safetensors' in models/checkpoints; did you mean 'small.safetensors'?" in second
    assert "https://example.org/smal.safetensors" in second
    assert "'eulr'; did you mean 'euler'?" in third
    assert "'steps' is 0" in fourth


def test_a_model_that_only_an_unused_node_names_is_not_missed(house: House) -> None:
    nodes = workflow() | {"idle": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "absent.ckpt"}}}
    assert house.call("check", house.write(nodes)) == (0, "ok\n", "")
    nodes["sampler"]["inputs"]["steps"] = 0
    status, _, err = house.call("check", house.write(nodes))
    assert (status, len(err.splitlines())) == (2, 1)
    assert "absent.ckpt" not in err


@pytest.mark.parametrize("command", ["check", "run", "plan"])
def test_models_of_a_similar_name_are_taken_when_asked_for(house: House, command: str) -> None:
    nodes = workflow()
    nodes["checkpoint"]["inputs"]["ckpt_name"] = "elsewhere/SMALL.safetensors"
    file = house.write(nodes)
    assert house.call(command, file)[0] == 2
    status, _, err = house.call(command, file, "--match-models")
    assert status == 0
    said = "Node checkpoint: 'small.safetensors' is taken for 'elsewhere/SMALL.safetensors', which is not here."
    assert err.splitlines()[0] == said


# ── convert ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("to", ["editor", "api", "python"])
@pytest.mark.parametrize("source", ["editor", "api", "python"])
def test_every_form_is_converted_to_every_other_without_loss(house: House, source: str, to: str) -> None:
    file = drawing(house)
    if source == "api":
        file = house.base / "api.json"
    if source == "python":
        file = converted(house, file, "source.py")
    made = converted(house, file, "made.py" if to == "python" else "made.json", "--to", to)
    assert house.call("check", made)[1] == "ok\n" or to == "python"
    there = loaded(converted(house, made, "there.json", "--to", "api"))
    plain = {name: {key: node[key] for key in ("class_type", "inputs")} for name, node in there.items()}
    wanted = {name: {key: node[key] for key in ("class_type", "inputs")} for name, node in numbered().items()}
    if "python" in (source, to):  # which need not write what is the default, and may give ids anew
        assert sorted(node["class_type"] for node in plain.values()) == sorted(n["class_type"] for n in wanted.values())
        assert house.call("check", house.base / "there.json") == (0, "ok\n", "")
    else:
        assert plain == wanted
    if (source, to) == ("editor", "editor"):
        assert loaded(made) == loaded(file)


def test_the_form_follows_from_the_names_and_what_the_file_is(house: House) -> None:
    file = drawing(house)
    assert loaded(converted(house, file, "one.json")) == numbered()
    assert "nodes" in loaded(converted(house, house.base / "one.json", "two.json"))
    python = converted(house, file, "three.py")
    assert "build(" in python.read_text()
    assert "nodes" in loaded(converted(house, python, "four.json"))
    assert "nodes" in loaded(converted(house, picture(house, "a.webp", prompt=json.dumps(numbered())), "five.json"))
    status, out, _ = house.call("convert", file, "-")
    assert (status, json.loads(out)) == (0, numbered())
    status, out, err = house.call("convert", file, house.base / "six.png")
    assert (status, out) == (2, "")
    assert "must end in .json or .py" in err
    assert not (house.base / "six.png").exists()


def test_what_is_not_installed_is_converted_as_far_as_the_file_tells(house: House) -> None:
    status, out, err = house.call("convert", lacking(house), "-")
    assert status == 0
    assert json.loads(out)["50"]["class_type"] == "Qzzz"
    assert json.loads(out)["1"]["inputs"]["ckpt_name"] == "sub/smal.safetensors"
    assert err.splitlines()[-1].startswith("There is no node class 'Qzzz' (node 50); the workflow says")


def test_a_file_is_written_over_as_a_whole_but_never_the_one_that_is_read(house: House) -> None:
    file = drawing(house)
    before = file.read_bytes()
    link = house.base / "link.json"
    link.symlink_to(file)
    for out in (file, link):
        status, _, err = house.call("convert", file, out)
        assert status == 2
        assert "is the file that is read" in err
        assert file.read_bytes() == before
    other = house.base / "other.json"
    other.write_text("old")
    other.chmod(0o640)
    assert converted(house, file, "other.json").stat().st_mode & 0o777 == 0o640
    assert loaded(other) == numbered()
    assert loaded(converted(house, file, "drawing.json", "--force")) == numbered()
    assert not list(house.base.glob("*.part"))


def test_new_files_can_be_read_by_whom_others_can(house: House) -> None:
    plain = house.write(numbered())
    assert converted(house, plain, "new.json").stat().st_mode == plain.stat().st_mode


def test_what_python_prints_is_no_result_and_its_faults_are_sentences(house: House) -> None:
    source = converted(house, drawing(house), "source.py")
    source.write_text('print("hello")\n' + source.read_text())
    status, out, err = house.call("convert", source, "-", "--to", "api")
    assert status == 0
    assert json.loads(out)
    assert "hello" in err
    for text, said in (("1 / 0", "ZeroDivisionError"), ("x = 1", "no workflow"), ("def", "SyntaxError")):
        source.write_text(text)
        status, out, err = house.call("convert", source, "-")
        assert (status, out) == (2, "")
        assert said in err
        assert err.startswith(f"{source}: ")
        assert len(err.splitlines()) == 1


def test_what_cannot_be_written_is_one_sentence(house: House) -> None:
    file = drawing(house)
    for out in (house.base, file / "below.json"):
        status, said, err = house.call("convert", file, out, "--to", "api")
        assert (status, said, len(err.splitlines())) == (2, "", 1)
        assert "cannot be written" in err


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────────────────────────

BROKEN: dict[str, tuple[bytes, str]] = {
    "cut.png": (b"\x89PNG\r\n\x1a\n\0\0", "cannot be read"),
    "cut.webp": (b"RIFF\xff\0\0\0WEBPEXIF\xff\0\0\0ab", "cannot be read"),
    "cut.jpg": (b"\xff\xd8\xff\xe1\xff", "cannot be read"),
    "cut.json": (b'{"nodes": [', "not JSON"),
    "no_id.json": (b'{"nodes": [{"type": "KSampler"}], "links": []}', "has no id"),
    "no_type.json": (b'{"nodes": [{"id": 1}], "links": []}', "has no type"),
    "archive.json": (b"PK\3\4", "an archive"),
    "empty.json": (b"", "not JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_of_each_kind_are_sentences_for_every_command(house: House, name: str) -> None:
    file = house.base / name
    file.write_bytes(BROKEN[name][0])
    before = house.files()
    for command in ("run", "check", "plan", "convert"):
        more = [house.base / "out.json"] if command == "convert" else []
        status, out, err = house.call(command, file, *more)
        assert (status, out) == (2, "")
        assert BROKEN[name][1] in err
        assert all(line.startswith(f"{file}: ") and line.endswith(".") for line in err.splitlines())
    assert house.files() == before


def test_a_picture_without_a_workflow_is_one_sentence(house: House) -> None:
    status, _, err = house.call("check", picture(house, "plain.png"))
    assert (status, len(err.splitlines())) == (2, 1)
    assert "carries no workflow" in err


def test_a_real_process_converts_in_a_pipe(house: House) -> None:
    process = start("convert", "--base", house.base, drawing(house), "-")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out) == numbered()
