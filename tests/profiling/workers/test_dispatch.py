"""Work is done once, whatever becomes of the workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest

from premodel.errors import RunError
from premodel.profiling.workers.dispatch import Died, Reported, dispatch

Part = tuple[str, ...]


class Letters:
    """A task is some letters; a result is some of them."""

    def open(self) -> None:
        pass

    def work(self, task: Part) -> Iterator[Part]:
        yield task

    def rest(self, task: Part, result: Part) -> Part | None:
        return tuple(letter for letter in task if letter not in result) or None

    def close(self) -> None:
        pass


class Scripted:
    """A worker pool that does what a script states: (worker, "die"), or (worker, letters of its oldest task)."""

    def __init__(self, workers: Sequence[int], script: Sequence[tuple[int, str | int]]) -> None:
        self.workers = list(workers)
        self.script = list(script)
        self.has: dict[int, dict[int, Part]] = {}
        self.handed: list[tuple[int, Part]] = []
        self.closed = 0

    def ready_workers(self) -> Iterable[int]:
        return list(self.workers)

    def room(self, worker: int, pending: int) -> int:
        return 2 - pending

    def send(self, worker: int, tasks: Sequence[tuple[int, Part]]) -> None:
        self.has.setdefault(worker, {}).update(tasks)
        self.handed += [(worker, task) for _, task in tasks]

    def wait(self) -> Iterator[Reported[Part] | Died]:
        worker, what = self.script.pop(0)
        if what == "join":
            self.workers.append(worker)
        elif isinstance(what, str):
            self.workers.remove(worker)
            yield Died(worker, what)
        else:
            number, task = next(iter(self.has[worker].items()))
            rest = task[what:]
            self.has[worker] = {key: value for key, value in self.has[worker].items() if key != number}
            if rest:
                self.has[worker] = {number: rest, **self.has[worker]}
            yield Reported(worker, number, (task[:what],))

    def close(self) -> None:
        self.closed += 1


def given(pool: Scripted, tasks: Sequence[Part]) -> list[str]:
    return ["".join(part) for part in dispatch(pool, Letters(), tasks)]


def test_everything_comes_once() -> None:
    pool = Scripted([1, 2], [(1, 1), (2, 1), (2, 1), (1, 1), (1, 1)])
    assert sorted(given(pool, [("a",), ("b",), ("c",), ("d",), ("e",)])) == ["a", "b", "c", "d", "e"]
    assert pool.closed == 1


def test_what_a_dead_worker_owed_is_done_by_another() -> None:
    pool = Scripted([1, 2], [(1, "killed"), (2, 1), (2, 1), (2, 1), (2, 1)])
    assert sorted(given(pool, [("a",), ("b",), ("c",), ("d",)])) == ["a", "b", "c", "d"]
    assert sorted(pool.handed) == [
        (1, ("a",)), (1, ("b",)), (2, ("a",)), (2, ("b",)), (2, ("c",)), (2, ("d",)),
    ]  # fmt: skip


def test_what_had_come_of_a_task_is_not_done_again() -> None:
    pool = Scripted([1], [(1, 2), (1, "killed"), (2, "join"), (2, 1)])
    assert given(pool, [("a", "b", "c")]) == ["ab", "c"]
    assert pool.handed == [(1, ("a", "b", "c")), (2, ("c",))]


def test_a_worker_that_joins_is_used() -> None:
    pool = Scripted([1], [(2, "join"), (1, 1), (2, 1), (2, 1), (1, 1)])
    assert sorted(given(pool, [("a",), ("b",), ("c",), ("d",)])) == ["a", "b", "c", "d"]
    assert {worker for worker, _ in pool.handed} == {1, 2}


def test_work_that_kills_two_workers_ends_the_run() -> None:
    pool = Scripted([1, 2], [(1, "killed"), (2, 1), (2, "killed again")])
    with pytest.raises(RunError, match="two workers died of the same work; given: killed again"):
        given(pool, [("a",), ("b",), ("c",)])
    assert pool.closed == 1


def test_the_crew_ends_with_whoever_wanted_the_results() -> None:
    pool = Scripted([1], [(1, 1), (1, 1)])
    results = dispatch(pool, Letters(), [("a",), ("b",)])
    next(results)
    results.close()
    assert pool.closed == 1
