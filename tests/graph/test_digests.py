"""Files are known by content and hashed once, as long as they are as they were."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graph import Paths
from graph.digests import WORTH_WRITING, DigestError, Digests

HOUSE = Path(__file__).resolve().parents[2]
LARGE = b"x" * WORTH_WRITING


def put(path: Path, content: bytes, *, age_s: float = 60) -> Path:
    """A file that was last changed that long ago."""
    path.write_bytes(content)
    changed = path.stat().st_mtime - age_s
    os.utime(path, (changed, changed))
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files that were read through, in order."""
    names: list[str] = []
    real = hashlib.file_digest

    def counted(file: Any, algorithm: str) -> Any:
        names.append(Path(file.name).name)
        return real(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return names


def test_a_file_is_hashed_once(tmp_path: Path, hashed: list[str]) -> None:
    file, digests = put(tmp_path / "a", b"x"), Digests()
    assert [digests.of(file), digests.of(file)] == [sha256(b"x")] * 2
    assert hashed == ["a"]


def test_equal_content_is_equal_whatever_its_name(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    assert paths.digest(put(tmp_path / "a", b"x")) == paths.digest(put(tmp_path / "b", b"x"))


def test_a_changed_file_is_hashed_again(tmp_path: Path) -> None:
    digests = Digests()
    assert digests.of(put(tmp_path / "a", b"x")) == sha256(b"x")
    assert digests.of(put(tmp_path / "a", b"longer")) == sha256(b"longer")
    assert digests.of(put(tmp_path / "a", b"same size", age_s=50)) == sha256(b"same size")
    assert digests.of(put(tmp_path / "a", b"SAME SIZE", age_s=40)) == sha256(b"SAME SIZE")


def test_another_file_of_the_same_size_and_time_is_another(tmp_path: Path) -> None:
    digests = Digests()
    for name, content in (("a", b"x"), ("b", b"y")):
        os.utime(put(tmp_path / name, content), (1000, 1000))
    assert digests.of(tmp_path / "a") == sha256(b"x")
    (tmp_path / "b").replace(tmp_path / "a")
    assert digests.of(tmp_path / "a") == sha256(b"y")


def test_a_file_that_just_changed_is_not_remembered(tmp_path: Path, hashed: list[str]) -> None:
    file, digests = put(tmp_path / "a", b"x", age_s=0), Digests()
    digests.of(file)
    digests.of(file)
    assert hashed == ["a", "a"]


def test_a_file_from_the_future_is_remembered(tmp_path: Path, hashed: list[str]) -> None:
    file, digests = put(tmp_path / "a", b"x", age_s=-1000), Digests()
    digests.of(file)
    digests.of(file)
    assert hashed == ["a"]


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, digests = put(tmp_path / "a", b"x"), Digests()
    real = hashlib.file_digest

    def slow(opened: Any, algorithm: str) -> Any:
        found = real(opened, algorithm)
        put(file, b"y", age_s=30)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", slow)
        digests.of(file)
    assert digests.of(file) == sha256(b"y")


def test_of_several_who_ask_at_once_one_hashes(tmp_path: Path, hashed: list[str]) -> None:
    file, digests = put(tmp_path / "a", LARGE), Digests()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(digests.of(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [sha256(LARGE)] * 8
    assert hashed == ["a"]


def test_a_later_process_knows_large_files(tmp_path: Path, hashed: list[str]) -> None:
    large, small, memory = put(tmp_path / "large", LARGE), put(tmp_path / "small", b"x"), tmp_path / "sub" / "digests"
    for _ in range(2):
        digests = Digests(memory)
        assert [digests.of(large), digests.of(small)] == [sha256(LARGE), sha256(b"x")]
    assert hashed == ["large", "small", "small"]


def test_processes_add_to_each_others_files(tmp_path: Path, hashed: list[str]) -> None:
    memory = tmp_path / "digests"
    first, second = Digests(memory), Digests(memory)
    first.of(put(tmp_path / "a", LARGE))
    second.of(put(tmp_path / "b", LARGE))
    third = Digests(memory)
    third.of(tmp_path / "a")
    third.of(tmp_path / "b")
    assert hashed == ["a", "b"]


def test_processes_that_write_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path / f"{number}", LARGE)
    code = (
        "import sys; from pathlib import Path; from graph.digests import Digests; folder = Path(sys.argv[1]);"
        "[Digests(folder / 'digests').of(folder / f'{number}') for number in range(20)]"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=HOUSE) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    known = json.loads((tmp_path / "digests").read_bytes())["files"]
    assert len(known) >= 10
    assert all(digest == sha256(LARGE) for *_, digest in known.values())
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b"null", b'{"version": 2, "algorithm": "sha256", "files": {}}',
                b'{"version": 1, "algorithm": "sha256", "files": {"a": 1}}',
                b'{"version": 1, "algorithm": "sha256", "files": []}']
)  # fmt: skip
def test_a_damaged_memory_is_ignored_and_made_anew(tmp_path: Path, content: bytes, hashed: list[str]) -> None:
    memory, file = put(tmp_path / "digests", content), put(tmp_path / "a", LARGE)
    assert Digests(memory).of(file) == sha256(LARGE)
    assert Digests(memory).of(file) == sha256(LARGE)
    assert hashed == ["a"]


def test_a_memory_that_cannot_be_written_is_told_of_and_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = put(tmp_path / "a", LARGE)
    assert Digests(file / "digests").of(file) == sha256(LARGE)
    assert "cannot be remembered" in caplog.text


@pytest.mark.parametrize("name", ["gone", "."])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DigestError, match="cannot be read"):
        Digests().of(tmp_path / name)
