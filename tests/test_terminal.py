"""What the command line draws while several runs go on: one line, about nodes of one name at a time."""

import re
from pathlib import Path

import pytest

from graph import Paths, plan
from graph.events import Event, NodeBlocked, NodeFinished, NodeProgress, NodeStarted, RunFinished
from terminal import Progress
from tests.graph.toys import document, graph


class Screen:
    """Runs of one node that counts, and what is drawn of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.progress = Progress()
        counting = plan(graph(document(c=("Count", {"to": 3})), Paths(folder), targets=["c"]))
        self.sinks = [self.progress.of(number, counting, f"{number}: ") for number in range(2)]

    def take(self, run: int, *events: Event) -> None:
        for event in events:
            self.sinks[run](event)

    def drawn(self) -> list[str]:
        """Each state of the line, without bar and pace; one that ends the line ends with a line feed."""
        said = re.sub(r" [█·]{30} ", " … ", self.capsys.readouterr().err)
        said = re.sub(r"(, \d+\.\d{3} s per step)? +(?=[\r\n]|$)", "", said)
        return [part for part in re.split(r"\r|(?<=\n)", said) if part]


@pytest.fixture
def screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Screen:
    return Screen(tmp_path, capsys)


def start(node: str, name: str = "Count") -> Event:
    return NodeStarted("run", node, node, name)


def step(node: str, value: float, total: float = 3) -> Event:
    return NodeProgress("run", node, node, value, total, None)


def end(node: str) -> Event:
    return NodeFinished("run", node, node, {}, 1.0, ())


def test_nodes_of_one_name_in_several_runs_share_a_line_until_the_last_ends(screen: Screen) -> None:
    screen.take(0, start("c"), step("c", 1))
    screen.take(1, start("c"), step("c", 1))
    screen.take(0, step("c", 3), end("c"), RunFinished("run", "succeeded", 1.0))
    screen.take(1, step("c", 3), end("c"), RunFinished("run", "succeeded", 1.0))
    assert screen.drawn() == ["Count … 1/3", "2 × Count … 2/6", "2 × Count … 4/6", "2 × Count … 6/6\n"]
    assert screen.progress.times(0, {"c": 1.0}) == ""  # it belongs to no stage


def test_the_iterations_of_a_loop_begin_anew_and_the_line_stays_one(screen: Screen) -> None:
    screen.take(0, start("c"), step("c", 3), end("c"), start("end", "Loop"), step("end", 1, 2))
    screen.take(0, start("end.1.c"), step("end.1.c", 3), end("end.1.c"), end("end"))
    assert screen.drawn() == ["Count … 3/3\n", "Node … 1/2", "Count … 3/3\n"]


def test_what_is_said_between_has_a_line_of_its_own_with_the_name_of_its_run(screen: Screen) -> None:
    screen.take(0, start("c"), step("c", 1))
    screen.take(1, NodeBlocked("run", "s", "s", "Show", "not now"))
    screen.take(0, step("c", 2), RunFinished("run", "cancelled", 1.0))
    assert screen.drawn() == ["Count … 1/3\n", "1: Show (node s) did not run: not now\n", "Count … 2/3\n"]
