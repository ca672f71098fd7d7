"""New files: numbered names that nobody takes twice, and no half-written file."""

import multiprocessing
import threading
from pathlib import Path

import pytest

from graph import Paths


def save(paths: Paths, prefix: str, content: bytes = b"x", **values: int) -> str:
    with paths.series(prefix, **values).claim(".png") as file:
        file.part.write_bytes(content)
    return file.path.name


def test_the_number_is_one_more_than_the_highest(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    assert save(paths, "pic") == "pic_00001_.png"
    for name in ("pic_00007_.webp", "pic_100000_.png", "pic_9999999.png", "picture_200000_.png", "pic_x_00300_.png"):
        (tmp_path / "output" / name).touch()
    assert save(paths, "pic") == "pic_100001_.png"
    (tmp_path / "output/pic_100001_.png").unlink()
    assert save(paths, "pic") == "pic_100001_.png"


def test_a_series_goes_on_and_skips_names_that_others_took(tmp_path: Path) -> None:
    series = Paths(tmp_path).series("pic")
    for expected in ("pic_00001_.png", "pic_00002_.png", "pic_00004_.png"):
        with series.claim(".png") as file:
            file.part.touch()
        assert file.path.name == expected
        (tmp_path / "output/pic_00003_.png").touch()


def test_prefix_with_sub_folder_and_placeholders(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with paths.series("a/b/%width%x%height%", width=64, height=48).claim(".png") as file:
        file.part.touch()
    assert file.entry == {"filename": "64x48_00001_.png", "subfolder": "a/b", "type": "output"}
    assert file.path == tmp_path / "output/a/b/64x48_00001_.png"
    assert file.path.is_file()
    with paths.series("n%batch_num%", "temp").claim(".png", batch_num=3) as file:
        file.part.touch()
    assert file.entry == {"filename": "n3_00001_.png", "subfolder": "", "type": "temp"}
    name = save(paths, "%year%-%month%-%day% %hour%%minute%%second%")
    assert [len(part) for part in name.removesuffix("_00001_.png").replace(" ", "-").split("-")] == [4, 2, 2, 6]


@pytest.mark.parametrize("prefix", ["", ".", "sub/.", "sub/"])
def test_odd_prefixes_stay_inside(tmp_path: Path, prefix: str) -> None:
    name = save(Paths(tmp_path), prefix)
    assert [path.name for path in (tmp_path / "output").rglob("*.png")] == [name]


def test_the_name_is_taken_before_the_content_is_there(tmp_path: Path) -> None:
    with Paths(tmp_path).series("pic").claim(".png") as file:
        file.part.write_bytes(b"half")
        assert file.path.read_bytes() == b""
        file.part.write_bytes(b"whole")
    assert file.path.read_bytes() == b"whole"
    assert list((tmp_path / "output").iterdir()) == [file.path]


class Interrupted(BaseException):
    pass


def test_an_error_leaves_neither_name_nor_content(tmp_path: Path) -> None:
    series = Paths(tmp_path).series("pic")

    def interrupted() -> None:
        with series.claim(".png") as file:
            file.part.write_bytes(b"half")
            raise Interrupted

    with pytest.raises(Interrupted):
        interrupted()
    with pytest.raises(FileNotFoundError), series.claim(".png"):
        pass  # nothing was written
    assert list((tmp_path / "output").iterdir()) == []


def save_many(folder: Path, saver: int) -> None:
    paths = Paths(folder)

    def work(number: int) -> None:
        for count in range(100):
            save(paths, "pic", f"{saver} {number} {count}".encode())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_eight_savers_in_two_processes_lose_none_of_800_files(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=save_many, args=(tmp_path, saver)) for saver in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    files = sorted((tmp_path / "output").iterdir())
    assert [file.name for file in files] == [f"pic_{number:05}_.png" for number in range(1, 801)]
    assert len({file.read_bytes() for file in files}) == 800
