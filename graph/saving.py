"""Series and Claim: numbered names for new files, so that no two savers, threads or processes, ever take the same."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from types import TracebackType
from typing import Protocol, Self


class Ledger(Protocol):
    """Remembers the names that one task of a job claims, so that the same task, run again after a crash, reuses them."""

    def earlier(self) -> Path | None:
        """The name that this claim, counted from the task's first, had in an earlier attempt and is surely its own."""

    def intend(self, path: Path) -> None:
        """This name will be claimed now. Returns when that is on record."""

    def claimed(self, path: Path) -> None:
        """The name is ours. Returns when that is on record; only then is content written."""


class Series:
    """Names `<name>_<number>_<ending>` in one folder; the number is one more than the highest that is there."""

    def __init__(self, folder: Path, name: str, subfolder: PurePath, where: str) -> None:
        self.folder = folder
        self.name = name
        self.subfolder = subfolder
        self.where = where
        self._next: dict[str, int] = {}
        self._last = 0  # names that differ by %batch_num% count on from each other

    def claim(self, ending: str, *, batch_num: int = 0) -> Claim:
        """Take the next free name, such as picture_00001_.png, for `with`; `%batch_num%` in the name is replaced."""
        name = self.name.replace("%batch_num%", str(batch_num))
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max(self._last + 1, self._next.get(name) or next_number(self.folder, name))
        while True:
            path = self.folder / f"{name}_{number:05}_{ending}"
            number += 1
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            except FileExistsError:
                continue
            self._next[name] = number
            self._last = number - 1
            return Claim(path, self.subfolder, self.where)


class Claim:
    """A file name that nobody else can take. Within `with`, write the content to `part`; the end moves it into place.

    When the block raises, neither name nor content remains. `entry` is what a node shows of the file.
    """

    def __init__(self, path: Path, subfolder: PurePath, where: str) -> None:
        self.path = path
        self.part = path.with_name(f".{path.name}.part")
        self.entry = {
            "filename": path.name,
            "subfolder": subfolder.as_posix() if subfolder.parts else "",
            "type": where,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.part.replace(self.path)
                return
        except OSError:
            self._forget()
            raise
        self._forget()

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def next_number(folder: Path, name: str) -> int:
    """One more than the highest number among files `<name>_<digits>_…`, told apart by case only where files are."""
    pattern = re.compile(re.escape(os.path.normcase(name)) + r"_(\d+)_")
    numbers = (int(found[1]) for entry in os.scandir(folder) if (found := pattern.match(os.path.normcase(entry.name))))
    return 1 + max(numbers, default=0)
