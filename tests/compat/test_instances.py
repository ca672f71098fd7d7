"""Objects of V1 classes, one for each node."""

from collections.abc import Iterator

from compat.instances import Instances


def made() -> Instances:
    numbers: Iterator[int] = iter(range(100))
    return Instances(lambda: [next(numbers)], most=2)


def test_a_node_has_its_object_again() -> None:
    instances = made()
    with instances.of("a") as first, instances.of("b") as second:
        assert first != second
    with instances.of("a") as again:
        assert again is first


def test_two_calls_at_the_same_time_have_two_objects_and_the_last_to_end_leaves_its_own() -> None:
    instances = made()
    with instances.of("a") as first, instances.of("a") as second:
        assert second is not first
    with instances.of("a") as again:
        assert again is first


def test_calls_that_overlap_in_one_thread_share() -> None:
    instances = made()
    assert instances.shared("a") is instances.shared("a")


def test_those_used_longest_ago_go_first() -> None:
    instances = made()
    kept = {}
    for node_id in ("a", "b", "a", "c"):
        with instances.of(node_id) as kept[node_id]:
            pass
    assert len(instances) == 2
    with instances.of("a") as again:
        assert again is kept["a"]
    with instances.of("b") as again:
        assert again is not kept["b"]
