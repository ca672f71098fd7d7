"""Node classes in other languages: everything that is shown of a class has a text, and nothing else is there."""

import json
from pathlib import Path

import pytest

import nodes
from graph.paths import Paths
from graph.registry import Registry

LOCALES = Path(__file__).parents[2] / "locales"
LANGUAGES = sorted(path.name for path in LOCALES.iterdir())


def test_chinese_is_among_the_languages() -> None:
    assert "zh" in LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_class_its_inputs_and_outputs_are_named_and_explained(language: str, tmp_path: Path) -> None:
    texts = json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))
    wanted = {}
    for name, shown in Registry.scan(nodes).object_info(Paths(tmp_path)).items():
        inputs = {
            each: {"name", "tooltip"} if len(spec) > 1 and spec[1].get("tooltip") else {"name"}
            for kind in ("required", "optional")
            for each, spec in shown["input"].get(kind, {}).items()
        }
        wanted[name] = ({"display_name", "description"}, inputs, {str(each) for each in range(len(shown["output"]))})
    found = {
        name: (
            each.keys() - {"inputs", "outputs"},
            {name: set(texts) for name, texts in each.get("inputs", {}).items()},
            each.get("outputs", {}).keys(),
        )
        for name, each in texts.items()
    }
    assert found == wanted
    assert all(text.strip() for text in _texts(texts))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_category_is_named(language: str, tmp_path: Path) -> None:
    texts = json.loads((LOCALES / language / "main.json").read_text(encoding="utf-8"))["nodeCategories"]
    shown = Registry.scan(nodes).object_info(Paths(tmp_path)).values()
    assert texts.keys() == {part for each in shown for part in each["category"].split("/")}


def _texts(value: object) -> list[str]:
    return [text for each in value.values() for text in _texts(each)] if isinstance(value, dict) else [str(value)]
