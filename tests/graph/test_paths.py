"""Names from outside become paths inside the folder they belong to, or are refused."""

import os
from pathlib import Path

import pytest

from graph import PathError, Paths


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def age(folder: Path) -> None:
    """Let a folder look as if nothing had changed in it for a while, so that its listing may be kept."""
    long_ago = folder.stat().st_mtime - 60
    os.utime(folder, (long_ago, long_ago))


def test_models_are_listed_below_all_their_folders_sorted(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("models/clip/b.safetensors", "models/text_encoders/sub/a.PT", "output/clip/c.ckpt"):
        put(tmp_path / name)
    for name in ("models/clip/notes.txt", "models/clip/.hidden.safetensors", "models/clip/.git/d.safetensors"):
        put(tmp_path / name)
    put(elsewhere / "b.safetensors")
    paths = Paths(tmp_path, models={"text_encoders": [elsewhere]})
    assert paths.list("text_encoders") == ["b.safetensors", "c.ckpt", str(Path("sub/a.PT"))]
    assert paths.list("clip") == paths.list("text_encoders")
    assert paths.find("text_encoders", "b.safetensors") == elsewhere / "b.safetensors"
    assert paths.find("text_encoders", "sub/a.PT") == tmp_path / "models/text_encoders/sub/a.PT"


def test_a_kind_of_ones_own_takes_every_file(tmp_path: Path) -> None:
    put(tmp_path / "mine" / "any.thing")
    assert Paths(tmp_path, models={"mine": [tmp_path / "mine"]}).list("mine") == ["any.thing"]


def test_kinds_differ_in_the_endings_that_count(tmp_path: Path) -> None:
    for kind in ("classifiers", "diffusers", "configs"):
        for name in ("none", "a.yaml", "b.safetensors", "sub/folder"):
            put(tmp_path / "models" / kind / name)
    paths = Paths(tmp_path)
    assert paths.list("classifiers") == ["none", str(Path("sub/folder"))]
    assert paths.list("diffusers") == []
    assert paths.list("configs") == ["a.yaml"]
    assert paths.list_below("configs", paths.roots("configs")[0]) == ["a.yaml"]


def test_a_name_too_long_for_any_file_is_the_name_of_none(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no file"):
        Paths(tmp_path).find("vae", "x" * 5000)
    with pytest.raises(PathError, match="no file"):
        Paths(tmp_path).find_annotated("x" * 5000)


def test_a_missing_model_says_which_are_there(tmp_path: Path) -> None:
    put(tmp_path / "models/loras/there.safetensors")
    with pytest.raises(PathError, match=r"no file 'gone\.safetensors' in models/loras; there are: there\.safetensors"):
        Paths(tmp_path).find("loras", "gone.safetensors")
    with pytest.raises(PathError, match="no kind of model called 'lora'"):
        Paths(tmp_path).list("lora")


def test_a_listing_is_kept_until_some_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = put(tmp_path / "models/vae/deep/one.safetensors")
    paths = Paths(tmp_path)
    for folder in (first.parent, first.parent.parent):
        age(folder)
    assert paths.list("vae") == [str(Path("deep/one.safetensors"))]
    walks = []
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda root, **options: walks.append(root) or walk(root, **options))
    assert len(paths.list("vae")) == 1
    assert tmp_path / "models/vae" not in walks
    put(first.with_name("two.safetensors"))
    assert len(paths.list("vae")) == 2
    put(first.with_name("three.safetensors"))  # perhaps within the same tick of the file system's clock
    assert len(paths.list("vae")) == 3


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    put(tmp_path / "big disk/m.ckpt")
    root = tmp_path / "models/checkpoints"
    root.mkdir(parents=True)
    (root / "linked").symlink_to(tmp_path / "big disk", target_is_directory=True)
    (root / "circle").symlink_to(root, target_is_directory=True)
    paths = Paths(tmp_path)
    assert paths.list("checkpoints") == [str(Path("linked/m.ckpt"))]
    assert paths.find("checkpoints", "linked/m.ckpt").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../secret.ckpt", "/etc/passwd", "a/../../secret.ckpt", "..", "bad\0name"])
def test_no_name_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    put(tmp_path / "models/secret.ckpt")
    paths = Paths(tmp_path)
    for look in (lambda: paths.find("checkpoints", name), lambda: paths.annotated(name), lambda: paths.series(name)):
        with pytest.raises(PathError):
            look()


def test_annotated_names_choose_the_folder(tmp_path: Path) -> None:
    paths = Paths(tmp_path, output_folder=tmp_path / "out")
    assert paths.annotated("a.png") == tmp_path / "input/a.png"
    assert paths.annotated("sub/a.png [output]") == tmp_path / "out/sub/a.png"
    assert paths.annotated("a.png[temp]") == tmp_path / "temp/a.png"
    assert paths.annotated("a [b].png", "output") == tmp_path / "out/a [b].png"
    put(tmp_path / "out/there.png")
    assert paths.find_annotated("there.png [output]") == tmp_path / "out/there.png"
    with pytest.raises(PathError, match=r"no file 'gone\.png \[output\]' in the output folder; there are: there\.png"):
        paths.find_annotated("gone.png [output]")


def test_files_lists_one_folder_without_its_sub_folders(tmp_path: Path) -> None:
    assert Paths(tmp_path).files("input") == []
    for name in ("b.png", "a.txt", "sub/c.png"):
        put(tmp_path / "input" / name)
    assert Paths(tmp_path).files("input") == ["a.txt", "b.png"]
