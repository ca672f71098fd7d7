"""The command line over several runs: workflows together, the cache folder, explanations, the time limit, packs."""

from pathlib import Path

import PIL.Image
import pytest

import main
from tests.cli import House, start, workflow

PACK = '''
print("hello from the pack")

class Invert:
    """Light becomes dark."""
    CATEGORY = "image"
    FUNCTION = "invert"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def invert(self, image):
        return (1 - image,)

class Hang:
    CATEGORY = "test"
    FUNCTION = "hang"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def hang(self):
        import threading
        threading.Event().wait(600)

class Tells(Invert):
    OUTPUT_NODE = True

    def invert(self, image):
        from comfy_execution.graph import ExecutionBlocker
        print("hello from the node")
        image.mul_(1)
        shown = {"images": [1, {}, {"type": "elsewhere", "filename": "x"}]}
        return {"ui": shown, "result": (ExecutionBlocker("nothing to save"),)}

NODE_CLASS_MAPPINGS = {"Invert": Invert, "Hang": Hang, "Tells": Tells}
'''


def variant(house: House, name: str, **sampler: object) -> Path:
    """The workflow with other settings of its sampler, in a file of that name."""
    nodes = workflow()
    nodes["sampler"]["inputs"] |= sampler
    nodes["save"]["inputs"]["filename_prefix"] = name
    return house.write(nodes, f"{name}.json")


def with_node(house: House, class_type: str) -> Path:
    """The workflow with a node of the pack before it saves."""
    (house.base / "custom_nodes").mkdir(exist_ok=True)
    (house.base / "custom_nodes" / "inverting.py").write_text(PACK)
    nodes = workflow()
    nodes["between"] = {"class_type": class_type, "inputs": {"image": ["decode", 0]}}
    nodes["save"]["inputs"]["images"] = ["between", 0]
    return house.write(nodes, f"{class_type}.json")


def pixels(path: Path) -> bytes:
    with PIL.Image.open(path) as picture:
        return picture.tobytes()


# ── several workflows ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_several_workflows_share_what_they_can_and_each_has_its_pictures_listed(house: House) -> None:
    one, two = variant(house, "one", seed=1), variant(house, "two", seed=2)
    status, out, _ = house.call("run", one, two)
    assert status == 0
    lines = out.splitlines()
    assert [line.startswith(f"{file}: ") for file, line in zip((one, one, two, two), lines, strict=True)] == [True] * 4
    assert lines[0] == f"{one}: {house.base / 'output' / 'one_00001_.png'}"
    assert lines[2] == f"{two}: {house.base / 'output' / 'two_00001_.png'}"
    assert [line.lower().count("text encoding") for line in (lines[1], lines[3])] in ([1, 0], [0, 1])
    house.call("run", two)
    assert pixels(house.base / "output" / "two_00001_.png") == pixels(house.base / "output" / "two_00002_.png")


def test_a_file_that_cannot_run_does_not_stop_the_others(house: House) -> None:
    bad, good = variant(house, "bad", steps=0), variant(house, "good")
    status, out, err = house.call("run", bad, house.base / "absent.json", good)
    assert status == 2
    assert out.startswith(f"{good}: {house.base / 'output' / 'good_00001_.png'}\n")
    first, second = err.splitlines()[:2]
    assert first.startswith(f"{bad}: KSampler (node sampler): the input 'steps' is 0")
    assert second == f"{house.base / 'absent.json'}: No such file or directory; give the name of a workflow file."


def test_runs_may_share_passes_more_loosely_and_are_not_confused_with_others(house: House) -> None:
    files = [variant(house, "one", seed=1, cfg=1.0), variant(house, "two", seed=2, cfg=1.0)]
    cache = house.base / "cache"
    assert house.call("run", *files, "--batch-loose", "--cache-dir", cache)[0] == 0
    assert len(list((house.base / "output").iterdir())) == 2
    loose = house.call("plan", files[0], "--explain", "--batch-loose", "--cache-dir", cache)[1]
    strict = house.call("plan", files[0], "--explain", "--cache-dir", cache)[1]
    assert "on disk" in loose
    assert "loose_batches changed from True to False" in strict


def test_changes_are_made_to_every_workflow(house: House) -> None:
    files = [variant(house, "one"), variant(house, "two")]
    assert house.call("run", *files, "--set", "save.filename_prefix=same")[0] == 0
    assert {path.name for path in (house.base / "output").iterdir()} == {"same_00001_.png", "same_00002_.png"}


# ── the cache folder ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_on_disk_is_not_computed_again_and_each_node_says_why(house: House) -> None:
    file, cache = house.write(workflow()), house.base / "cache"

    def explained(*changes: str) -> dict[str, str]:
        status, out, err = house.call("plan", file, "--explain", "--cache-dir", cache, *changes)
        assert (status, err) == (0, "")
        return {line.split()[1]: line.split(maxsplit=3)[3] for line in out.splitlines()}

    first = explained()
    assert set(first) == set(workflow())
    assert first["sampler"] == "runs: no result for these inputs is remembered; needed by decode"
    house.call("run", file, "--cache-dir", cache)
    status, out, err = house.call("run", file, "--cache-dir", cache)
    picture = house.base / "output" / "darkroom_00002_.png"
    assert (status, out, err) == (0, f"{picture}\n", "")
    assert pixels(picture) == pixels(picture.with_name("darkroom_00001_.png"))
    again = explained()
    assert again["decode"] == "does not run: its result is remembered on disk; needed by save"
    assert again["sampler"].startswith("does not run: nothing that runs needs it")
    assert again["save"].startswith("runs: it is an output node")
    changed = explained("--set", "sampler.seed=7")
    assert "the input 'seed' changed from 1 to 7" in changed["sampler"]
    assert changed["positive"] == "does not run: its result is remembered on disk; needed by sampler"
    assert "'samples' comes from KSampler (node sampler)" in changed["decode"]


def test_without_a_cache_folder_every_node_runs(house: House) -> None:
    status, out, err = house.call("plan", house.write(workflow()), "--explain")
    assert (status, err) == (0, "")
    assert [" runs: " in line for line in out.splitlines()] == [True] * len(workflow())


def test_a_damaged_cache_is_told_of_and_computed_again(house: House, caplog: pytest.LogCaptureFixture) -> None:
    file, cache = house.write(workflow()), house.base / "cache"
    house.call("run", file, "--cache-dir", cache)
    for blob in (cache / "blobs").iterdir():
        blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    (cache / "notes.json").write_text("{")
    (cache / "digests.json").write_text("{")
    status, out, _ = house.call("run", file, "--cache-dir", cache)
    assert status == 0
    assert "denoising" in out
    assert any("is deleted, and what it held is computed again" in record.getMessage() for record in caplog.records)


def test_a_cache_without_room_keeps_nothing(house: House) -> None:
    file, cache = house.write(workflow()), house.base / "cache"
    for _ in range(2):
        status, out, _ = house.call("run", file, "--cache-dir", cache, "--cache-size", "0")
        assert status == 0
        assert "denoising" in out


# ── the time limit, and packs ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_that_hangs_is_given_up_and_the_process_ends(house: House) -> None:
    with_node(house, "Invert")
    file = house.write({"waits": {"class_type": "Hang", "inputs": {}}})
    process = start("run", "--base", house.base, file, "--node-limit", "0.5")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines()[-1].startswith("Hang (node waits) failed: it took longer than 0.5 seconds")
    assert not (house.base / "output").exists()


def test_packs_bring_classes_and_what_they_print_is_no_result(house: House) -> None:
    file = with_node(house, "Invert")
    status, out, err = house.call("run", file)
    assert status == 0
    assert out.startswith(str(house.base / "output" / "darkroom_00001_.png"))
    assert "hello from the pack" in err
    assert house.call("check", file)[:2] == (0, "ok\n")
    listed = house.call("nodes")[1]
    assert "\n  Invert(image) → IMAGE\n" in listed
    assert "\nPacks\n  inverting: Hang, Invert, Tells\n" in listed


def test_what_nodes_of_packs_do_besides_is_told_and_is_no_result(house: House) -> None:
    status, out, err = house.call("run", with_node(house, "Tells"))
    assert status == 0
    assert out.splitlines()[0].startswith("Text encoding")
    assert "hello from the node" in err
    assert "Tells (node between) wrote into what it was given as image" in err
    assert "SaveImage (node save) did not run: nothing to save" in err


def test_a_pack_that_cannot_be_imported_is_named_and_harms_nothing(house: House) -> None:
    file = with_node(house, "Invert")
    (house.base / "custom_nodes" / "broken.py").write_text("import no_such_module_anywhere")
    status, out, err = house.call("check", file)
    assert (status, out) == (0, "ok\n")
    assert "The pack broken could not be loaded: it needs the Python package no_such_module_anywhere" in err
    assert "\n  broken: it needs the Python package no_such_module_anywhere" in house.call("nodes")[1]


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--cache-size", "lots"], "argument --cache-size: 'lots' is no size; write a number with K, M, G or T, such"),
        (["--cache-size", "-1G"], "argument --cache-size: "),
        (["--cache-size", "9" * 400], "999' is no size; write a number with"),
        (["--node-limit", "0"], "argument --node-limit: '0' is no time; write a number of seconds above 0"),
        (["--node-limit", "nan"], "argument --node-limit: 'nan' is no time"),
        (["--node-limit", "soon"], "argument --node-limit: 'soon' is no time"),
    ],
)
def test_an_option_that_is_no_number_is_one_sentence(house: House, arguments: list[str], sentence: str) -> None:
    with pytest.raises(SystemExit) as left:
        house.call("run", house.write(workflow()), *arguments)
    assert left.value.code == 2
    assert sentence in house.capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_file_in_the_place_of_the_cache_folder_is_one_sentence(house: House, command: str) -> None:
    file = house.write(workflow())
    before = house.files()
    status, out, err = house.call(command, file, "--cache-dir", file)
    assert (status, out) == (2, "")
    assert err == f"{file} is a file; give a folder to --cache-dir.\n"
    assert house.call(command, file, "--cache-dir", file / "deeper") == (2, "", err)
    assert house.files() == before


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("1.5k", 1500), ("20GB", 20 * 10**9), ("1T", 10**12), (" 7m ", 7 * 10**6)],
)
def test_sizes_are_written_as_people_write_them(text: str, size: int) -> None:
    assert main.size_bytes(text) == size
