"""Whose turn it is, when answers take longer for one than for another."""

from collections import Counter

from inference.routing.fair_share import KEPT_ROUNDS, Turns

PLACES = 4


def waiting(*projects: int) -> Turns:
    turns = Turns()
    for project in projects:
        turns.join(project, PLACES)
    return turns


def serve(turns: Turns, projects: list[int], lengths: dict[int, float], times: int) -> Counter[int]:
    """Serve so many requests of projects that always wait, one after the other; return how often each was."""
    served: Counter[int] = Counter()
    for _ in range(times):
        project = min(projects, key=turns.had_by)
        turns.take(project)
        turns.end(project, lengths[project], PLACES, is_counted=True)
        served[project] += 1
    return served


def test_answers_of_one_length_are_shared_by_number() -> None:
    served = serve(waiting(1, 2, 3), [1, 2, 3], {1: 2.0, 2: 2.0, 3: 2.0}, 300)
    assert served == {1: 100, 2: 100, 3: 100}


def test_whose_answers_are_long_gets_as_much_time_and_fewer_of_them() -> None:
    served = serve(waiting(1, 2), [1, 2], {1: 1.0, 2: 4.0}, 500)
    assert 3.5 < served[1] / served[2] < 4.5


def test_one_that_was_away_is_served_first_for_no_longer_than_is_kept() -> None:
    turns = waiting(1, 2)
    serve(turns, [1], {1: 1.0}, 1_000)
    turns.join(3, PLACES)
    served = serve(turns, [1, 3], {1: 1.0, 3: 1.0}, 100)
    assert abs(served[3] - served[1] - KEPT_ROUNDS * PLACES) <= 1


def test_one_endless_answer_is_not_held_against_a_project_for_ever() -> None:
    turns = waiting(1, 2)
    serve(turns, [1, 2], {1: 1.0, 2: 1.0}, 100)
    turns.take(2)
    turns.end(2, 600.0, PLACES, is_counted=True)
    served = serve(turns, [1, 2], {1: 1.0, 2: 1.0}, 100)
    # What the mean makes of it passes, too.
    assert served[2] > 10
    assert 45 <= serve(turns, [1, 2], {1: 1.0, 2: 1.0}, 100)[2] <= 55


def test_answers_that_take_no_time_at_all_take_turns_too() -> None:
    assert serve(waiting(1, 2), [1, 2], {1: 0.0, 2: 0.0}, 100) == {1: 50, 2: 50}
