"""No name of an upload leads elsewhere, and none takes that of another file."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.errors import Refused
from web.uploads import file_name, folder_name, place

SECRET = b"nobody shall read or overwrite this"


hostile_parts = st.sampled_from(
    ["..", "/", "\\", ".png", "a", "\0", "\n", "con", ".", " ", "C:", "é", "e\u0301", "\u202e", "~", "x" * 300]
)
hostile = st.lists(hostile_parts, max_size=5).map("".join) | st.text(max_size=10)


@given(name=hostile.map(lambda name: f"{name}.txt") | hostile, subfolder=hostile)
def test_no_name_however_hostile_is_a_path_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, name: str, subfolder: str
) -> None:
    root = Path("/root-of-it")
    try:
        path = root / folder_name(subfolder) / file_name(name)
    except Refused:
        return
    assert os.path.normpath(path) == str(path)
    assert path.is_relative_to(root)
    assert {unicodedata.category(char) for char in str(path)}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert len(path.name.encode()) <= 255
    assert not any(part.startswith(".") for part in path.parts)


@settings(max_examples=60, deadline=None)
@given(name=hostile.map(lambda name: f"{name}.txt"), subfolder=hostile, overwrite=st.booleans())
def test_nothing_is_ever_written_outside(
    tmp_path_factory: pytest.TempPathFactory, name: str, subfolder: str, overwrite: bool
) -> None:
    base = tmp_path_factory.mktemp("base")
    (base / "secret.txt").write_bytes(SECRET)
    part = base / "upload.part"
    part.write_bytes(b"new")
    folder = base / "input"
    try:
        folder = folder / folder_name(subfolder)
        kept = place(part, folder, file_name(name), overwrite=overwrite)
    except Refused:
        assert not list(folder.rglob("*"))
    else:
        assert (folder / kept).read_bytes() == b"new"
        assert [path for path in (base / "input").rglob("*") if path.is_file()] == [folder / kept]
    assert (base / "secret.txt").read_bytes() == SECRET
    assert {path.name for path in base.iterdir()} <= {"secret.txt", "input", "upload.part"}


def test_numbers_keep_long_names_short_enough(tmp_path: Path) -> None:
    name = "ü" * 125 + ".txt"
    for number in range(12):
        (tmp_path / "part").write_text(str(number))
        kept = place(tmp_path / "part", tmp_path / "folder", name, overwrite=False)
        assert (tmp_path / "folder" / kept).read_text() == str(number)
        assert len(kept.encode()) <= 255
    assert len(list((tmp_path / "folder").iterdir())) == 12


def test_names_are_claimed_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(self: Path, target: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    for content in ("one", "two", "one"):
        (tmp_path / "part").write_text(content)
        place(tmp_path / "part", tmp_path / "folder", "a.txt", overwrite=False)
    assert {path.name: path.read_text() for path in (tmp_path / "folder").iterdir()} == {
        "a.txt": "one",
        "a (1).txt": "two",
    }
