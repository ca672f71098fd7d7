from collections.abc import Iterator
from pathlib import Path

import pytest

from graph import Engine, Lanes, MemoryCache, Paths, WeightlessValues
from graph.result import Limits
from graph.store import Store
from tests.graph.semantic_toys import EVERY
from tests.graph.toys import Gate, Log, engine


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    with Lanes() as threads:
        yield threads


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "queue.sqlite") as opened:
        yield opened


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def runner(lanes: Lanes, tmp_path: Path, log: Log) -> Engine:
    return engine(lanes, tmp_path, log, Gate())


@pytest.fixture
def house(lanes: Lanes, tmp_path: Path, log: Log) -> Engine:
    cache = MemoryCache(10**9, WeightlessValues())
    return Engine(lanes, cache, Paths(tmp_path), registry=EVERY, resources=[log, Gate()], limits=Limits(depth=20))
