"""What the documents say about the house is so."""

import re
import shlex
from pathlib import Path

import pytest

import main
import nodes
from graph.registry import Registry

HOUSE = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*HOUSE.glob("*.md"), *HOUSE.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HOUSE)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md", "docs/guide/how-a-prompt-becomes-a-picture.md"])
def test_every_file_that_a_document_names_exists(document: str) -> None:
    text = (HOUSE / document).read_text()
    rooms = "graph|diffusion|nodes|lab|tests|docs|workflows|models"
    paths = set(re.findall(rf"`((?:{rooms})/[\w./-]*)`", text))
    made_by_hand = {"models/embeddings/"}
    assert paths
    assert sorted(path for path in paths - made_by_hand if not (HOUSE / path).exists()) == []


def test_the_table_of_examples_names_files_to_copy() -> None:
    rows = re.findall(r"^\| (an? .+?) \| `(.+?)` \|", (HOUSE / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {what for what, _ in rows} >= {"a node", "a sampler", "a schedule", "a model family"}
    assert [path for _, path in rows if not (HOUSE / path).is_file()] == []


def test_every_make_command_in_the_documents_exists() -> None:
    commands = set(re.findall(r"^([a-z]+):.*##", (HOUSE / "Makefile").read_text(), re.MULTILINE))
    said = {
        name for path in DOCUMENTS for name in re.findall(r"^make (\w+)|`make (\w+)", path.read_text(), re.MULTILINE)
    }
    assert {first or second for first, second in said} <= commands


def test_every_node_that_the_guide_names_exists() -> None:
    guide = (HOUSE / "docs" / "guide" / "how-a-prompt-becomes-a-picture.md").read_text()
    named = set(re.findall(r"`([A-Z]\w*[a-z]\w*)`", guide))
    assert {"KSampler", "CLIPTextEncode", "VAEDecode"} <= named
    assert named - set(Registry.scan(nodes)) == set()


def test_every_command_line_in_the_documents_is_understood() -> None:
    lines = [
        line for path in DOCUMENTS for line in re.findall(r"^\S*python main\.py (.+)$", path.read_text(), re.MULTILINE)
    ]
    assert len(lines) >= 5
    for line in lines:
        main.parser().parse_args(shlex.split(line, comments=True))


def test_make_installs_the_torch_that_the_requirements_pin() -> None:
    pinned = re.search(r"^torch==\S+", (HOUSE / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert f"$(PIP) install {pinned.group()}\n" in (HOUSE / "Makefile").read_text()


def test_every_requirement_is_pinned_and_says_what_for() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = [line for line in (HOUSE / name).read_text().splitlines() if line and not line.startswith("#")]
        assert [line for line in lines if not re.fullmatch(r"[\w-]+==[\w.]+ +# .+", line)] == []
