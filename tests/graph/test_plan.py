"""Plans: what the targets need, sources first, one branch after the other, always in the same order."""

import pytest

from graph import Graph, Link, Paths, Plan, Spec, plan
from tests.graph.toys import Add, document, graph


def order(of: Plan) -> list[str]:
    return [task.id for task in of.tasks]


@pytest.fixture
def two_branches(paths: Paths) -> Graph:
    return graph(
        document(
            show2=("Show", {"value": ["b2", 0]}), show1=("Show", {"value": ["b1", 0]}), base=("Add", {"a": 1}),
            b1=("Add", {"a": ["base", 0], "b": 1}), b2=("Add", {"a": ["base", 0], "b": ["base", 0]}),
        ),
        paths,
    )  # fmt: skip


def test_sources_come_first_and_a_branch_is_finished_before_the_next(two_branches: Graph) -> None:
    assert order(plan(two_branches)) == ["base", "b2", "show2", "b1", "show1"]
    assert order(plan(two_branches)) == order(plan(two_branches))


def test_wires_lead_to_earlier_tasks(two_branches: Graph) -> None:
    tasks = plan(two_branches).tasks
    assert tasks[1].wires == (("a", 0, 0), ("b", 0, 0))
    assert tasks[1].spec.node is Add
    assert tasks[1].schema is Add.schema()


def test_a_plan_of_some_targets_has_only_what_they_need(two_branches: Graph) -> None:
    some = plan(two_branches, ["b1", "base", "b1"])
    assert order(some) == ["base", "b1"]
    assert some.targets == ("b1", "base")
    assert order(plan(two_branches, [])) == []
    with pytest.raises(KeyError, match="nowhere"):
        plan(two_branches, ["nowhere"])


def test_a_graph_that_is_not_in_order_is_refused() -> None:
    specs = {"a": Spec(Add, {"a": Link("b", 0)}), "b": Spec(Add, {"a": 1})}
    with pytest.raises(ValueError, match="node a takes from node b, which does not come before it"):
        plan(Graph(specs, ("a",)))


def test_a_target_may_have_any_name(paths: Paths) -> None:
    assert order(plan(graph(document(**{"": ("Show", {"value": 1})}), paths))) == [""]
