"""Effects: which output nodes need not run again, since the files they saved are still there as they were."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from graph.jobs import JobOutput

MOST = 10_000  # remembered; the oldest go first


class _Saved(NamedTuple):
    output: JobOutput
    files: Mapping[str, tuple[int, int]]  # path: size in bytes, time of change in ns


class Effects:
    """What output nodes saved while this program runs, by fingerprint. Safe to use from many threads."""

    def __init__(self) -> None:
        self._saved: OrderedDict[str, _Saved] = OrderedDict()
        self._lock = Lock()

    def remember(self, key: str, ui: Mapping[str, Sequence[Any]], files: Sequence[str]) -> None:
        """An output node with that fingerprint has saved these files. One that saved none has to run each time."""
        facts = {file: found for file in files if (found := _facts(file)) is not None}
        if not files or len(facts) < len(files):
            return
        with self._lock:
            self._saved[key] = _Saved(JobOutput("", "", ui, tuple(files)), facts)
            self._saved.move_to_end(key)
            while len(self._saved) > MOST:
                self._saved.popitem(last=False)

    def clear(self) -> None:
        """Forget all: every output node runs again."""
        with self._lock:
            self._saved.clear()

    def unchanged(self, key: str) -> JobOutput | None:
        """What a node with that fingerprint showed, if every file that it saved is there unchanged."""
        with self._lock:
            saved = self._saved.get(key)
        if saved is None or any(_facts(file) != facts for file, facts in saved.files.items()):
            return None
        return saved.output


def _facts(file: str) -> tuple[int, int] | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
