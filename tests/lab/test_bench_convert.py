"""What measures reading the editor's form measures what it says."""

from pathlib import Path

from graph.paths import Paths
from graph.read.convert import to_prompt
from graph.read.facts import Registered
from graph.registry import Registry
from lab.bench_convert import Show, Work, figures, large


def test_the_workflow_has_subgraphs_and_becomes_as_many_nodes_as_it_should(tmp_path: Path) -> None:
    registry, paths = Registry(Work, Show), Paths(tmp_path)
    converted = to_prompt(large(200), Registered(registry, paths))
    assert len(converted.prompt) == 200
    assert converted.notes == converted.unknown == ()
    first = converted.prompt["3:0"]["inputs"]
    assert (first["value"], first["seed"]) == (["2:18", 0], 3)
    assert converted.prompt["3:5"]["inputs"]["value"] == ["3:4", 0]
    assert figures(large(40), registry, paths)["nodes"] == 40
