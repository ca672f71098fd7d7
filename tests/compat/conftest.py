from collections.abc import Iterator
from pathlib import Path

import pytest

from graph import Lanes
from tests.compat.house import House


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    with Lanes() as threads:
        yield threads


@pytest.fixture
def house(lanes: Lanes, tmp_path: Path) -> House:
    return House(lanes, tmp_path)
