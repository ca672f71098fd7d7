"""Packs in folders and files: what is loaded, in which order, and what becomes of those that fail."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from compat.packs import PackReport, code_of, load, packs_in
from graph import Int, Lanes, Node, Registry
from graph.context import Context
from graph.given import Many
from tests.compat.house import PACKS, House

CLASS = """
class Own:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def give(self):
        return ("$NAME",)

NODE_CLASS_MAPPINGS = {"$KEY": Own}
"""


class Add(Node[int], category="house"):
    """A class of the house."""

    a: int = Int(default=0)

    def run(self, ctx: Context) -> int:
        return self.a


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "custom_nodes"
    found.mkdir()
    return found


def pack(path: Path, code: str = CLASS, *, key: str = "Own", **files: str) -> Path:
    """A pack: a file if the path ends so, else a folder, with further files in it."""
    if path.suffix != ".py":
        path.mkdir()
    code = code.replace("$NAME", path.stem).replace("$KEY", key)
    (path if path.suffix == ".py" else path / "__init__.py").write_text(code)
    for name, content in files.items():
        (path / f"{name}.py").write_text(content)
    return path


def loaded(folder: Path, registry: Registry | None = None) -> dict[str, PackReport]:
    return {report.name: report for report in load([folder], registry if registry is not None else Registry())}


def test_folders_and_files_are_packs_in_order_of_their_names(folder: Path) -> None:
    for name in ("b", "a.py", "c.disabled", "d.py.disabled", "__pycache__", ".hidden", "E"):
        pack(folder / name)
    (folder / "readme.md").touch()
    assert [path.name for path in packs_in(folder)] == ["E", "a.py", "b"]
    assert packs_in(folder / "nowhere") == []


def test_without_packs_nothing_is_touched(folder: Path) -> None:
    before = list(sys.meta_path)
    assert load([folder, folder / "nowhere"], Registry()) == []
    assert sys.meta_path == before


def test_the_toys(house: House) -> None:
    report = house.reports["toys"]
    assert report.problem is None
    assert report.notes == ()
    assert report.web == PACKS / "toys" / "web"
    assert report.classes.keys() == set(house.registry)
    cls = house.registry["ToyAdd"].declared.cls  # type: ignore[attr-defined]
    assert cls.RELATIVE_PYTHON_MODULE == "custom_nodes.toys"
    assert cls.__module__ == f"{PACKS / 'toys'}".replace(".", "_x_") + ".plain"


def test_of_packs_with_the_same_class_the_last_wins_and_the_house_wins_over_all(folder: Path) -> None:
    pack(folder / "a")
    pack(folder / "b.py")
    pack(folder / "c", key="Add")
    registry = Registry(Add)
    reports = loaded(folder, registry)
    assert registry["Add"] is Add
    assert registry["Own"] is reports["b"].classes["Own"]
    assert reports["a"].classes == reports["c"].classes == {}
    assert reports["a"].notes == ("Own is not used: the pack b has one, too",)
    assert reports["c"].notes == ("not used, since Darkroom has classes of these names: Add",)


NATIVE = """
from graph import Context, Int, Node
from .more import Helper

class Double(Node[int], category="own"):
    "Doubles."
    a: int = Int(default=1)

    def run(self, ctx: Context) -> int:
        return 2 * self.a

class _Hidden(Double):
    pass
"""
MORE = """
from graph import Context, Node

class Helper(Node[int]):
    def run(self, ctx: Context) -> int:
        return 1
"""


def test_classes_of_darkrooms_own_kind_are_packs_too(folder: Path) -> None:
    pack(folder / "own", NATIVE, more=MORE)
    registry = Registry()
    report = loaded(folder, registry)["own"]
    assert report.problem is None
    assert registry.keys() == {"Double", "Helper"}
    assert registry["Double"].schema().module == registry["Helper"].schema().module == "custom_nodes.own"


TRACES = "import sys\nsys.path.insert(0, __file__)\nfrom . import leaf\n"  # what a pack leaves behind before it fails


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_package_here.inner", ["needs the Python package no_such_package_here", "pip install"]),
        ("from comfy.samplers import KSampler", ["Darkroom does not have ComfyUI's module comfy.samplers yet."]),
        ("from comfy.utils import lanczos", ["Darkroom does not have lanczos of ComfyUI's module comfy.utils yet."]),
        ("def broken(:", ["__init__.py, line 4 is not Python"]),
        ("sys.exit(3)", ["ends the program", "__init__.py, line 4"]),
        ("sys.nothing()", ["AttributeError", "'nothing'", "__init__.py, line 4"]),
        ("from .inner import x", ["ZeroDivisionError", "inner.py, line 1"]),
        ("x = 1", ["neither a NODE_CLASS_MAPPINGS"]),
        ("async def comfy_entrypoint(): ...", ["V3 protocol"]),
    ],
)
def test_a_pack_that_fails_says_why_and_harms_nothing(code: str, words: list[str], folder: Path) -> None:
    pack(folder / "broken", TRACES + code, inner="1 / 0", leaf="")
    pack(folder / "good")
    modules, search = set(sys.modules), list(sys.path)
    registry = Registry()
    report = loaded(folder, registry)["broken"]
    assert report.problem is not None
    assert [word for word in words if word not in report.problem] == []
    assert report.classes == {}
    assert registry.keys() == {"Own"}, "the other one is there"
    assert [name for name in set(sys.modules) - modules if "broken" in name] == []
    assert sys.path == search


def test_the_users_own_interruption_is_no_fault_of_a_pack(folder: Path) -> None:
    pack(folder / "slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load([folder], Registry())


def test_a_folder_without_code_is_no_pack(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert "no __init__.py" in str(loaded(folder)["empty"].problem)


def test_a_class_that_cannot_be_used_is_left_out_and_the_others_are_there(folder: Path) -> None:
    pack(folder / "half", CLASS + "\nclass Bad: pass\nNODE_CLASS_MAPPINGS.update(Bad=Bad, Worse=3)")
    report = loaded(folder)["half"]
    assert report.problem is None
    assert report.classes.keys() == {"Own"}
    assert report.notes[0] == "the class Bad has no INPUT_TYPES, and is left out"
    assert "Worse" in report.notes[1]


def test_scripts_that_come_first_come_before_all_packs(folder: Path) -> None:
    pack(folder / "a", "import sys\nassert sys.toy_started\n" + CLASS)
    pack(folder / "b", CLASS, key="Other", prestartup_script="import sys\nsys.toy_started = True")
    pack(folder / "c", CLASS, key="Third", prestartup_script="1 / 0")
    try:
        reports = loaded(folder)
    finally:
        del sys.toy_started  # type: ignore[attr-defined]
    assert [report.problem for report in reports.values()] == [None] * 3
    assert "prestartup_script.py failed: ZeroDivisionError" in reports["c"].notes[0]


def test_a_change_in_a_packs_sources_changes_the_code_digest_of_its_classes_alone(folder: Path) -> None:
    paths = [pack(folder / "a"), pack(folder / "b.py", key="B")]

    def digests() -> dict[str, str]:
        registry = Registry(Add)
        code = code_of(load([folder], registry), "house")
        return {name: code(cls) for name, cls in registry.items()}

    first = digests()
    assert first == digests()
    assert first["Add"] == "house"
    assert len(set(first.values())) == 3
    for path, name in zip(paths, ("Own", "B"), strict=True):
        file = path / "__init__.py" if path.is_dir() else path
        file.write_text(file.read_text() + "# changed\n")
        after = digests()
        assert {each for each in after if after[each] != first[each]} == {name}
        first = after


def test_the_example(lanes: Lanes, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).resolve().parents[2] / "custom_nodes" / "example", folder / "example")
    shutil.copytree(PACKS / "toys", folder / "toys")
    house = House(lanes, tmp_path, folder)
    assert house.reports["example"].problem is None

    def lines(**inputs: Any) -> Any:
        prompt = {
            "1": ("TextLines", {"text": " a dog\n\na cat\na bird \n", **inputs}),
            "2": ("ToyCollect", {"x": ["1", 0]}),
        }
        return house.value(prompt, "2")

    assert lines() == Many(f"[('x', '{word}')]" for word in ("a dog", "a cat", "a bird"))
    assert lines(start=1, most=1) == "[('x', 'a cat')]"
    assert lines(keep_empty=True, most=2) == Many(("[('x', 'a dog')]", "[('x', '')]"))
    info = house.registry.object_info(house.paths)["TextLines"]
    assert (info["python_module"], info["output_is_list"]) == ("custom_nodes.example", [True])
