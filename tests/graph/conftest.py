from collections.abc import Iterator
from pathlib import Path

import pytest

from graph import Lanes, Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    with Lanes() as threads:
        yield threads
