"""Which waiting job goes next."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from graph.queue.waiting import LOOK_AHEAD, OVERTAKEN_MOST, Turn, Waiting


def turn(number: int, client: str = "", *, priority: int = 0, front: bool = False, models: str = "") -> Turn:
    name = f"{client}{number}"
    return Turn(name, client, priority, front, number, 0, frozenset(models.split()))


def line_of(*turns: Turn) -> Waiting:
    waiting = Waiting()
    for each in turns:
        waiting.add(each)
    return waiting


def begun(waiting: Waiting, count: int) -> list[str]:
    """The next so many, while none ends."""
    return [each.id for each in (waiting.take() for _ in range(count)) if each]


def taken(waiting: Waiting, at_once: int = 1) -> list[str]:
    """The order in which jobs begin when each ends after as many others have begun as may run at once."""
    running: list[str] = []
    order = []
    while waiting:
        if len(running) == at_once:
            waiting.ended(running.pop(0))
        turn = waiting.take()
        assert turn is not None
        running.append(turn.id)
        order.append(running[-1])
    return order


def test_the_number_decides_among_equals() -> None:
    assert taken(line_of(turn(3), turn(1), turn(2))) == ["1", "2", "3"]


def test_priority_goes_before_all_and_front_before_the_rest_of_its_priority() -> None:
    waiting = line_of(turn(1), turn(2, priority=1), turn(-1, front=True), turn(-2, front=True), turn(0, priority=-1))
    assert taken(waiting) == ["2", "-2", "-1", "1", "0"]


def test_clients_take_turns_however_many_jobs_they_have() -> None:
    waiting = line_of(*(turn(n, "a") for n in range(1, 5)), turn(5, "b"), turn(6, "b"), turn(7, "c"))
    assert taken(waiting) == ["a1", "b5", "c7", "a2", "b6", "a3", "a4"]


def test_running_jobs_count_against_their_client() -> None:
    waiting = line_of(*(turn(n, "a") for n in range(1, 7)))
    assert begun(waiting, 3) == ["a1", "a2", "a3"]
    waiting.add(turn(7, "b"))
    waiting.add(turn(8, "b"))
    assert [each.id for each in waiting] == ["b7", "b8", "a4", "a5", "a6"]


def test_a_client_that_comes_late_waits_for_one_job_of_each_other_at_most() -> None:
    waiting = line_of(*(turn(n, client) for n in range(1, 20) for client in "ab"))
    for job_id in begun(waiting, 2):
        waiting.ended(job_id)
    waiting.add(turn(99, "late"))
    assert begun(waiting, 1) == ["late99"]


def test_the_order_told_is_the_order_taken() -> None:
    waiting = line_of(*(turn(n, "ab"[n % 3 == 0], priority=n % 2, front=n % 7 == 0) for n in range(1, 30)))
    told = [each.id for each in waiting]
    assert begun(waiting, len(told)) == told


def test_a_copy_has_the_order_of_its_moment() -> None:
    waiting = line_of(*(turn(n, "ab"[n % 2]) for n in range(1, 7)), turn(7, "a", priority=1), turn(-1, front=True))
    waiting.take()
    before = [each.id for each in waiting]
    copy = waiting.copy()
    waiting.take()
    waiting.add(turn(9, "c"))
    waiting.remove("b3")
    waiting.move("a6", 3, front=True, numbers={"a6": -5})
    assert [each.id for each in copy] == before != [each.id for each in waiting]


def test_a_job_whose_models_are_loaded_goes_first() -> None:
    waiting = line_of(turn(1, models="x"), turn(2, models="y"), turn(3, models="x"), turn(4, models="x z"))
    assert taken(waiting) == ["1", "3", "2", "4"]


def test_a_job_is_overtaken_so_many_times_and_no_more() -> None:
    waiting = line_of(turn(0, models="x"), turn(1, models="y"), *(turn(n, models="x") for n in range(2, 20)))
    assert taken(waiting).index("1") == 1 + OVERTAKEN_MOST


def test_only_the_next_few_are_looked_at() -> None:
    others = [turn(n, models=f"m{n}") for n in range(1, LOOK_AHEAD + 1)]
    waiting = line_of(turn(0, models="x"), *others, turn(50, models="x"))
    assert taken(waiting)[:2] == ["0", "1"]


def test_neither_priority_nor_front_is_overtaken_for_models() -> None:
    waiting = line_of(turn(0, models="x", priority=9))
    waiting.take()
    for each in (turn(1, models="y", priority=1), turn(2, models="y", front=True), turn(3, models="x")):
        waiting.add(each)
    assert begun(waiting, 3) == ["1", "2", "3"]


def test_beside_a_job_that_runs_alone_nothing_begins() -> None:
    waiting = line_of(turn(1), turn(2), turn(3))
    waiting.take()
    for each in waiting:
        each.alone = each.id == "2"
    assert waiting.take() is None
    waiting.ended("1")
    assert [each.id for each in (waiting.take(), waiting.take()) if each] == ["2"]
    waiting.ended("2")
    assert [each.id for each in (waiting.take(), waiting.take()) if each] == ["3"]


def test_a_removed_job_does_not_go() -> None:
    waiting = line_of(turn(1), turn(2, "a"), turn(3))
    assert waiting.remove("a2") is not None
    assert waiting.remove("a2") is None
    assert "a2" not in waiting
    assert len(waiting) == 2
    assert taken(waiting) == ["1", "3"]


JOBS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-1, 1), st.booleans(), st.sampled_from(["", "x", "y", "x y"])),
    max_size=25,
)


@given(JOBS, st.integers(1, 4))
def test_all_go_once_no_rank_before_a_better_one_and_nobody_is_overtaken_for_ever(
    jobs: list[tuple[str, int, bool, str]], at_once: int
) -> None:
    turns = [
        turn(number, client, priority=priority, front=front, models=models)
        for number, (client, priority, front, models) in enumerate(jobs)
    ]
    by_id = {each.id: each for each in turns}
    order = taken(line_of(*turns), at_once)
    assert Counter(order) == Counter(by_id.keys())
    ranks = [by_id[job_id].rank for job_id in order]
    assert ranks == sorted(ranks)
    assert all(each.overtaken <= OVERTAKEN_MOST for each in turns)
