"""New files: numbered names that nobody takes twice, and no half-written file."""

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graph import Paths
from graph.jobs import JobOutput, JobRequest
from graph.saving import Reservation, Series
from graph.store import Store, StoreError, StoreLimits


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


def save_half(series: Series) -> None:
    """Be interrupted amid the content of a new file."""

    def write() -> None:
        with series.claim(".png") as file:
            file.part.write_bytes(b"half")
            raise Interrupted

    with pytest.raises(Interrupted):
        write()


def test_an_error_leaves_neither_name_nor_content(tmp_path: Path) -> None:
    series = Paths(tmp_path).series("pic")
    save_half(series)
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


# -- names that survive a crash


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "queue.sqlite", limits=StoreLimits(deaths=1000)) as opened:
        opened.add(JobRequest("job", {}))
        opened.start("job").result()
        yield opened


def attempt(
    paths: Paths, store: Store, *, pictures: int = 2, content: bytes = b"ours", prefix: str = "pic"
) -> list[str]:
    """What a task that saves pictures does, each time it runs."""
    series = paths.series(prefix, ledger=store.ledger("job", "9"))
    for number in range(pictures):
        with series.claim(".png", batch_num=number) as file:
            file.part.write_bytes(content)
    return [path.name for path in series.files]


def below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_task_that_runs_again_reuses_its_names_until_it_is_recorded(tmp_path: Path, store: Store) -> None:
    paths = Paths(tmp_path)
    assert attempt(paths, store, content=b"one") == ["pic_00001_.png", "pic_00002_.png"]
    save(paths, "pic", b"another")
    assert attempt(paths, store, pictures=3) == ["pic_00001_.png", "pic_00002_.png", "pic_00004_.png"]
    store.finish_task("job", JobOutput("9", "9", {})).result()
    assert attempt(paths, store, pictures=1) == ["pic_00005_.png"]
    assert below(tmp_path / "output") == {
        "pic_00001_.png": b"ours", "pic_00002_.png": b"ours", "pic_00003_.png": b"another", "pic_00004_.png": b"ours",
        "pic_00005_.png": b"ours",
    }  # fmt: skip


def test_tasks_and_jobs_have_names_of_their_own(tmp_path: Path, store: Store) -> None:
    store.add(JobRequest("other", {})).result()
    for job_id, node_id in [("job", "1"), ("job", "2"), ("other", "1")] * 2:
        series = Paths(tmp_path).series("pic", ledger=store.ledger(job_id, node_id))
        with series.claim(".png") as file:
            file.part.write_text(f"{job_id} {node_id}")
    assert below(tmp_path / "output") == {
        "pic_00001_.png": b"job 1", "pic_00002_.png": b"job 2", "pic_00003_.png": b"other 1",
    }  # fmt: skip


def test_a_name_is_reused_though_prefix_or_folder_are_others_now(tmp_path: Path, store: Store) -> None:
    paths = Paths(tmp_path)
    attempt(paths, store, pictures=1, prefix="monday/10-00")
    series = paths.series("tuesday/b/10-01", ledger=store.ledger("job", "9"))
    with series.claim(".png") as file:
        file.part.touch()
    assert file.entry == {"filename": "10-00_00001_.png", "subfolder": "monday", "type": "output"}
    with paths.series("x", "temp", ledger=store.ledger("job", "9")).claim(".png") as file:  # not where it was
        file.part.touch()
    assert file.path == tmp_path / "temp" / "x_00001_.png"


def test_names_with_the_number_in_the_batch_count_on_after_a_crash(tmp_path: Path, store: Store) -> None:
    paths = Paths(tmp_path)
    assert attempt(paths, store, pictures=1, prefix="n%batch_num%") == ["n0_00001_.png"]
    assert attempt(paths, store, pictures=3, prefix="n%batch_num%") == [
        "n0_00001_.png",
        "n1_00002_.png",
        "n2_00003_.png",
    ]


def test_another_kind_of_file_gets_another_name(tmp_path: Path, store: Store) -> None:
    paths = Paths(tmp_path)
    attempt(paths, store, pictures=1)
    with paths.series("pic", ledger=store.ledger("job", "9")).claim(".webp") as file:
        file.part.touch()
    assert file.path.name == "pic_00002_.webp"


@pytest.mark.parametrize("foreign", [b"", b"ours", b"theirs"])
def test_what_others_saved_under_our_name_meanwhile_stays(tmp_path: Path, store: Store, foreign: bytes) -> None:
    paths = Paths(tmp_path)
    attempt(paths, store, pictures=1)
    path = tmp_path / "output" / "pic_00001_.png"
    path.unlink()
    path.write_bytes(foreign)
    assert attempt(paths, store, pictures=1) == ["pic_00002_.png"]
    assert path.read_bytes() == foreign


def test_a_file_that_was_removed_meanwhile_is_made_again(tmp_path: Path, store: Store) -> None:
    paths = Paths(tmp_path)
    attempt(paths, store)
    (tmp_path / "output" / "pic_00002_.png").unlink()
    assert attempt(paths, store) == ["pic_00001_.png", "pic_00002_.png"]


def test_an_error_with_a_ledger_leaves_nothing_and_is_tried_again(tmp_path: Path, store: Store) -> None:
    paths = Paths(tmp_path)
    series = paths.series("pic", ledger=store.ledger("job", "9"))
    save_half(series)
    assert series.files == []
    assert below(tmp_path / "output") == {}
    assert attempt(paths, store, pictures=1) == ["pic_00001_.png"]


def test_names_that_others_take_between_intention_and_claim_are_passed_over(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bytes] = []
    link = os.link

    def link_late(proof: Path, path: Path) -> None:
        if len(taken) < 2:  # somebody else is quicker
            taken.append(b"theirs")
            path.write_bytes(b"theirs")
        link(proof, path)

    monkeypatch.setattr(os, "link", link_late)
    assert attempt(Paths(tmp_path), store, pictures=1) == ["pic_00003_.png"]
    assert list(below(tmp_path / "output").values()) == [b"theirs", b"theirs", b"ours"]


def test_a_disk_without_links_will_do(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(proof: Path, path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    paths = Paths(tmp_path)
    save(paths, "pic", b"theirs")
    for _ in range(2):
        assert attempt(paths, store) == ["pic_00002_.png", "pic_00003_.png"]
    assert below(tmp_path / "output") == {
        "pic_00001_.png": b"theirs", "pic_00002_.png": b"ours", "pic_00003_.png": b"ours",
    }  # fmt: skip


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_when_the_ledger_cannot_write_nothing_remains(tmp_path: Path, store: Store, steps: int) -> None:
    ledger = store.ledger("job", "9")
    keep, kept = ledger.keep, []

    def until_full(reservation: Reservation) -> None:
        if len(kept) == steps:
            raise StoreError("There is no room left.")
        kept.append(reservation)
        keep(reservation)

    ledger.keep = until_full  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="no room"), Paths(tmp_path).series("pic", ledger=ledger).claim(".png") as file:
        file.part.write_bytes(b"ours")
    assert below(tmp_path / "output") == {}
    assert attempt(Paths(tmp_path), store, pictures=1) == ["pic_00001_.png"]


# Processes that die, by the clearest of deaths, each one step later: before or after a call that others could see.
DIE = """
import os, signal, sys
from pathlib import Path
from graph import Paths
from graph.jobs import JobRequest
from graph.store import Store, StoreLimits

def deadly(function, die_at, steps=[0]):
    def call(*arguments, **more):
        step()
        result = function(*arguments, **more)
        step()
        return result

    def step():
        steps[0] += 1
        if steps[0] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return call

def work(folder, die_at):
    store = Store(folder / "queue.sqlite", limits=StoreLimits(deaths=1000))
    store.add(JobRequest("job", {}))
    store.start("job").result()
    ledger = store.ledger("job", "9")
    ledger.keep = deadly(ledger.keep, die_at)
    for place, name in ((os, "link"), (os, "open"), (Path, "unlink"), (Path, "replace"), (Path, "write_bytes")):
        setattr(place, name, deadly(getattr(place, name), die_at))
    series = Paths(folder).series("pic", ledger=ledger)
    for number in range(2):
        with series.claim(".png") as file:
            file.part.write_bytes(b"ours")

status = None
die_at = 0
while status != 0:
    die_at += 1
    folder = Path(sys.argv[1], str(die_at))
    if (child := os.fork()) == 0:
        work(folder, die_at)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    if status:
        print(folder, flush=True)
"""


def deaths(folder: Path) -> list[Path]:
    """What processes left that died at their first, second, … step; each in a folder of its own."""
    command = [sys.executable, "-c", DIE, str(folder)]
    done = subprocess.run(
        command, cwd=Path(__file__).resolve().parents[2], stdout=subprocess.PIPE, text=True, check=True
    )
    folders = [Path(line) for line in done.stdout.splitlines()]
    assert len(folders) > 20
    return folders


def others_do_nothing(folder: Path) -> None:
    pass


def others_save(folder: Path) -> None:
    save(Paths(folder), "pic", b"theirs")


def others_clean_up(folder: Path) -> None:
    """Remove what is empty, and save under the names that this frees; leave one file empty."""
    for path in (folder / "output").glob("*.png"):
        if not path.read_bytes():
            path.unlink()
    save(Paths(folder), "pic", b"theirs")
    (folder / "output" / "pic_00004_.png").touch()


@pytest.mark.parametrize("others", [others_do_nothing, others_save, others_clean_up])
def test_killed_at_any_step_a_rerun_loses_nothing_and_leaves_nothing(
    tmp_path: Path, others: Callable[[Path], None]
) -> None:
    for folder in deaths(tmp_path):
        output = folder / "output"
        others(folder)
        theirs = {name: data for name, data in below(output).items() if not name.startswith(".") and data == b"theirs"}
        empty = {name for name in below(output) if name == "pic_00004_.png"}
        with Store(folder / "queue.sqlite", limits=StoreLimits(deaths=1000)) as store:
            store.recover()
            store.start("job").result()
            names = attempt(Paths(folder), store)
        found = below(output)
        assert {name: found[name] for name in names} == dict.fromkeys(names, b"ours")
        assert found == {**dict.fromkeys(names, b"ours"), **theirs, **dict.fromkeys(empty, b"")}
        assert len(names) == 2


@pytest.mark.parametrize("end", ["cancelled", "poison"])
def test_a_job_that_does_not_begin_again_leaves_no_empty_file(tmp_path: Path, end: str) -> None:
    for folder in deaths(tmp_path):
        with Store(folder / "queue.sqlite", limits=StoreLimits(deaths=1 if end == "poison" else 1000)) as store:
            store.recover()
            if end == "cancelled":
                store.finish("job", "cancelled").result()
        assert set(below(folder / "output").items()) <= {(f"pic_{n:05}_.png", b"ours") for n in (1, 2)}
