"""Series and Claim: numbered names for new files, so that no two savers, threads or processes, ever take the same."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is on record of one claim: its name, and how to tell after a crash that the file there is our own."""

    path: Path
    proof: Path  # a hidden file: what was linked to the name from here is ours
    marks: tuple[str, ...] = ()  # of the empty claim, then of its content: a file with one of these is ours


class Ledger(Protocol):
    """Remembers the names that a task of a job claims, so that it reuses them when it runs again after a crash."""

    def earlier(self) -> Reservation | None:
        """Goes on to the task's next claim; gives what an earlier attempt put on record of it."""

    def keep(self, reservation: Reservation) -> None:
        """Put this on record of the present claim, in place of what was there. Returns when it is on disk."""


class Series:
    """Names `<name>_<number>_<ending>` in one folder; the number is one more than the highest that is there.

    With a ledger a claim survives the death of the process, at whatever moment: the same task, run again, takes the
    same name, overwrites no file that is not surely its own, and leaves no empty one behind. For that, every step is on
    record before it is taken:

    1. the intention: a name and a hidden file, the proof, which is then made and linked to the name. Linking fails if
       somebody has the name, and while the proof is there, both being the same file shows that nobody else made it.
    2. the claim: the mark of the empty file that now has the name. The proof goes.
    3. the content, in a hidden file beside: its mark, before it is renamed over the claim.

    So what lies at a name on record is ours if it is the proof or has one of the marks. Anything else is somebody
    else's, because people may remove our file, and others save under its name, before the task runs again.
    Where a file system knows no links, the name is claimed without a proof: then a crash between claim and mark, some
    microseconds, leaves an empty file, since nothing shows that it is ours.
    """

    def __init__(self, folder: Path, name: str, subfolder: PurePath, where: str, ledger: Ledger | None = None) -> None:
        self.folder = folder
        self.name = name
        self.subfolder = subfolder
        self.where = where
        self.files: list[Path] = []  # what was claimed here and has its content
        self._root = folder.parents[len(subfolder.parts) - 1] if subfolder.parts else folder
        self._ledger = ledger
        self._next: dict[str, int] = {}
        self._last = 0  # names that differ by %batch_num% count on from each other

    def claim(self, ending: str, *, batch_num: int = 0) -> Claim:
        """Take the next free name, such as picture_00001_.png, for `with`; `%batch_num%` in the name is replaced."""
        if self._ledger and (known := self._earlier(self._ledger, ending)):
            return Claim(self, known.path, known)
        name = self.name.replace("%batch_num%", str(batch_num))
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max(self._last + 1, self._next.get(name) or next_number(self.folder, name))
        while True:
            path = self.folder / f"{name}_{number:05}_{ending}"
            number += 1
            reservation = None
            try:
                if self._ledger:
                    reservation = _claim_on_record(path, self._ledger)
                else:
                    _create(path)
            except FileExistsError:
                continue
            self._next[name] = number
            self._last = number - 1
            return Claim(self, path, reservation)

    def entry(self, path: Path) -> dict[str, str]:
        """What a node shows of one of the files."""
        subfolder = path.parent.relative_to(self._root)
        return {
            "filename": path.name,
            "subfolder": subfolder.as_posix() if subfolder.parts else "",
            "type": self.where,
        }

    def keep(self, reservation: Reservation) -> None:
        """Put on record how a claim goes on."""
        if self._ledger:
            self._ledger.keep(reservation)

    def _earlier(self, ledger: Ledger, ending: str) -> Reservation | None:
        """What an earlier attempt claimed here, if it is surely ours still and fits what is asked for."""
        known = ledger.earlier()
        if known is None:
            return None
        if _is_proven(known):
            known = replace(known, marks=(*known.marks, _mark(known.path)))
            ledger.keep(known)
        known.proof.unlink(missing_ok=True)
        number = known.path.name.removesuffix(f"_{ending}").rpartition("_")[2]
        if not _is_ours(known) or not known.path.is_relative_to(self._root) or not number.isdecimal():
            return None
        self._last = int(number)
        return known


def _claim_on_record(path: Path, ledger: Ledger) -> Reservation:
    """Claim a name so that a crash at any moment leaves no doubt whose it is. Raises FileExistsError if it is taken."""
    reservation = Reservation(path, path.with_name(f".{path.name}.{secrets.token_hex(4)}.claim"))
    ledger.keep(reservation)
    try:
        _create(reservation.proof)
        try:
            os.link(reservation.proof, path)
        except FileExistsError:
            raise
        except OSError:  # no links here
            _create(path)
        try:
            reservation = replace(reservation, marks=(_mark(path),))
            ledger.keep(reservation)
        except BaseException:  # such as a full disk
            path.unlink()
            raise
    finally:
        reservation.proof.unlink(missing_ok=True)
    return reservation


def abandon(reservation: Reservation) -> None:
    """Remove what a claim of a dead process left and no attempt will take up again; what was saved whole stays."""
    path = reservation.path
    if _is_ours(reservation) or _is_proven(reservation):
        _part(path).unlink(missing_ok=True)
        if not path.stat().st_size:
            path.unlink()
    reservation.proof.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    """Where the content of a file is written before it is moved into place."""
    return path.with_name(f".{path.name}.part")


def _is_ours(reservation: Reservation) -> bool:
    mark = _mark(reservation.path)
    return mark != "" and mark in reservation.marks


def _is_proven(reservation: Reservation) -> bool:
    mark = _mark(reservation.path)
    return mark != "" and mark == _mark(reservation.proof)


def _create(path: Path) -> None:
    """Make an empty file. Raises FileExistsError if there is one of that name."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def _mark(path: Path) -> str:
    """Tells a file from any other of its name, before and after a rename; "" if there is none."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return ""
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


class Claim:
    """A file name that nobody else can take. Within `with`, write the content to `part`; the end moves it into place.

    When the block raises, neither name nor content remains. `entry` is what a node shows of the file.
    """

    def __init__(self, series: Series, path: Path, reservation: Reservation | None = None) -> None:
        self.path = path
        self.part = _part(path)
        self.entry = series.entry(path)
        self._series = series
        self._reservation = reservation

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if known := self._reservation:
                    self._series.keep(replace(known, marks=(*known.marks, _mark(self.part))))
                self.part.replace(self.path)
                self._series.files.append(self.path)
                return
        except BaseException:
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
