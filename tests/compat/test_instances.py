"""Objects of V1 classes, one for each node."""

from compat.instances import Instances


def test_a_node_has_its_object_again() -> None:
    instances = Instances(object)
    assert instances.of("a") is instances.of("a")
    assert instances.of("a") is not instances.of("b")


def test_those_used_longest_ago_go_first() -> None:
    instances = Instances(object, most=2)
    kept = {node_id: instances.of(node_id) for node_id in ("a", "b", "a", "c")}
    assert len(instances) == 2
    assert instances.of("a") is kept["a"]
    assert instances.of("b") is not kept["b"]
