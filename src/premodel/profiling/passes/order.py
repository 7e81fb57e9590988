"""The order in which samples are answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress
from premodel.profiling.race import Race, looks
from premodel.profiling.samples import Task, tasks_of
from premodel.store.samples import Entry


class Order:
    """Which sample is answered when, and by whom: by row; in a race by looks at samples drawn at random."""

    def __init__(
        self,
        dataset: Dataset,
        entries: Sequence[Entry],
        wanted: Mapping[str, tuple[int, ...]],
        race: Race | None,
        progress: Progress,
    ) -> None:
        self._dataset, self._entries, self._wanted, self._race, self._progress = (
            dataset, entries, wanted, race, progress
        )  # fmt: skip
        self._asked: dict[str, int] = {}
        self.alone: frozenset[str] = frozenset()
        if race is not None:
            self._drawn = [entries[place] for place in race.draw(len(entries))]
            self.alone = race.timed([entry.sample for entry in self._drawn if entry.sample in wanted])

    def tasks(self) -> Iterator[Task]:
        """The tasks in order; those that left the race are no longer asked."""
        if self._race is None:
            yield from tasks_of(self._dataset, self._entries, self._wanted)
            return
        start, drawn = 0, self._drawn
        for stop in [*looks(len(drawn)), len(drawn)]:
            part = sorted(drawn[start:stop], key=lambda entry: entry.row)
            asked = {one.sample: self.running(self._wanted.get(one.sample, ())) for one in part}
            self._asked.update({sample: len(indices) for sample, indices in asked.items()})
            for task in tasks_of(self._dataset, part, asked):
                yield self._race.shuffled(task) if task.entry.sample in self.alone else task
            if stop < len(drawn):
                gone = set(self._race.look([entry.sample for entry in drawn[:stop]]))
                saved = [len(gone.intersection(self._wanted.get(entry.sample, ()))) for entry in drawn[stop:]]
                self._progress.advance(sum(saved))
            start = stop

    def asked(self, sample: str) -> int:
        """How many candidates were asked."""
        return self._asked.get(sample, len(self._wanted[sample]))

    def running(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Those of the candidates that have not left the race."""
        if self._race is None:
            return tuple(indices)
        still = set(self._race.running)
        return tuple(index for index in indices if index in still)

    def note(self, index: int, sample: str, rank: int, latency_ms: float | None) -> None:
        """Give the race an answer."""
        if self._race is not None:
            self._race.add(index, sample, rank, latency_ms, sample in self.alone)
