"""Candidates that are opened when they are first needed, and unloaded where memory is bounded; from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from premodel.clock import now_ms
from premodel.errors import InputError, OptionError, PremodelError, RemoteError, RunError
from premodel.files import FileMark, file_mark
from premodel.runtime.candidate import Network, NetworkPool, OpenedCandidate
from premodel.runtime.residency import OpeningTimes, Worth, needless
from premodel.zoo.candidate import Candidate
from premodel.zoo.verify import verify

FILE_FACTOR = 2.0
"""Memory of an opened network over the size of its file, where it was not measured: its weights once more as the
runtime lays them out, and what it computes with. An assumption on the safe side, not a measurement."""
LEAST_MB = 0.01
"""Of a network that takes nothing by its measurement."""
UNKNOWN_MB = 0.0
"""For a network that has no file here, such as one on a server."""
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
"""How long a candidate that could not be opened is left alone; twice as long after every attempt, up to the last."""
ROOM_S = 60.0
"""How long a run waits for others to end, where the memory budget has no room beside them."""


@dataclass(eq=False)
class Slot:
    """One network: who uses it, and what it takes."""

    memory_mb: float
    network: Network | None = None
    users: int = 0
    used: int = 0
    """When it was used last, in uses."""
    stays: bool = False
    """Someone holds it for good."""
    opening: bool = False
    """It is being opened beside the answers, and takes its room already."""

    @property
    def in_memory(self) -> bool:
        """Does it take room."""
        return self.opening or self.network is not None


@dataclass(eq=False)
class _Loss:
    """A candidate that could not be opened."""

    reason: str
    wait_s: float
    again_ms: float
    """When it is tried again, by the one clock."""
    marks: tuple[FileMark | None, ...]
    """Of its files, where the reason lies in them: as long as they stay, nothing has to be read again."""


class LazyCandidates:
    """Candidates by index.

    Parameters
    ----------
    candidates:
        What may be opened.
    find:
        Gives a candidate's model file.
    threads:
        Threads of every runtime; None for what each candidate was profiled with.
    memory_budget_mb:
        What the opened networks may take together, in 10^6 bytes; to make room, that is unloaded which was worth least
        to the last inputs for the room it takes, then what was used longest ago (`residency`). None for no bound.
    measured_mb:
        What each candidate's network takes, by name; for the others it is FILE_FACTOR times their file.
    measured_load_ms:
        What opening each candidate's network took in the profile, by name.

    Attributes
    ----------
    losses:
        How often each candidate was lost: its model could not be opened, or its file changed while it was open.

    Notes
    -----
    A network is unloaded only when no one runs it: an answer in progress keeps its model. Whoever needs room waits
    until a run has ended, so the budget holds at every moment, but for what one run itself allocates.

    A candidate that cannot be opened is left alone for FIRST_RETRY_S, then tried again by whoever asks for it, after
    ever longer waits of up to LAST_RETRY_S: its file may come back. Files are compared with their digests when they
    are opened, and again whenever they were written to since (`FileMark`). One line is logged when a model is lost, and
    one when it is back. A server that is away is asked every time.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        find: Callable[[Candidate], Path],
        threads: int | None = None,
        memory_budget_mb: float | None = None,
        measured_mb: Mapping[str, float] | None = None,
        measured_load_ms: Mapping[str, float] | None = None,
    ) -> None:
        self._candidates = tuple(candidates)
        self._find = find
        self._threads = threads
        self._budget_mb = memory_budget_mb
        self._measured_mb = dict(measured_mb or {})
        profiled = measured_load_ms or {}
        self._times = OpeningTimes([profiled.get(candidate.name, 0.0) for candidate in self._candidates])
        self._worth = Worth(len(self._candidates))
        self._pool = NetworkPool()
        self._changed = threading.Condition()
        self._closed = False
        self._uses = 0
        self._slots: dict[str, Slot] = {}
        self._slot_of: list[Slot | None] = [None] * len(self._candidates)
        self._opened: list[OpenedCandidate | None] = [None] * len(self._candidates)
        self._lost: dict[int, _Loss] = {}
        self._marks: dict[int, tuple[FileMark | None, ...]] = {}
        self._moved: set[int] = set()
        self.losses = [0] * len(self._candidates)

    @property
    def unavailable(self) -> dict[int, str]:
        """Candidates that could not be opened when they were last tried, by index, with the reason."""
        return {index: loss.reason for index, loss in list(self._lost.items())}

    def lose(self, index: int, error: PremodelError) -> None:
        """Note, without a line in the log, that a candidate cannot be opened now."""
        with self._changed:
            self._note_loss(index, error)

    def __getitem__(self, index: int) -> OpenedCandidate:
        """The candidate, opened, and never unloaded from now on.

        Raises
        ------
        RunError
            It cannot be opened, whatever the reason, or all were closed.
        """
        with self._changed:
            opened = self._take(index)
            self._slot(index).stays = True
            return opened

    @contextmanager
    def use(self, index: int, keep: int | None = None) -> Generator[OpenedCandidate]:
        """The candidate, opened and kept so for the time of the `with`; raises RunError as indexing does.

        `keep` is one that is not unloaded for it, unless nothing else makes room.
        """
        opened = self.hold(index, keep)
        try:
            yield opened
        finally:
            self.release(index)

    def hold(self, index: int, keep: int | None = None) -> OpenedCandidate:
        """The candidate, opened and kept so until `release`; `keep` and what it raises are those of `use`."""
        if self._budget_mb is None:
            opened = self._opened[index]
            return self[index] if opened is None else opened
        with self._changed:
            return self._take(index, keep)

    def release(self, index: int) -> None:
        """A use that `hold` began has ended."""
        if self._budget_mb is not None:
            with self._changed:
                self._release(index)

    def _is_verified(self, index: int, marks: tuple[FileMark | None, ...]) -> bool:
        """Were the files of a candidate compared with their digests, and not written to since."""
        return index not in self._moved and None not in marks and self._marks.get(index) == marks

    def look_again(self) -> None:
        """Try what is due to be tried, and see whether the files of open networks are still what they were.

        An open network does not need its files: it answers on, and one line is logged.
        """
        for index, loss in list(self._lost.items()):
            if now_ms() >= loss.again_ms:
                with suppress(RunError), self.use(index):
                    pass
        for index, opened in enumerate(list(self._opened)):
            if opened is not None and index in self._marks:
                self._compare_files(index, opened)

    def _compare_files(self, index: int, opened: OpenedCandidate) -> None:
        """Have a change of an open network's files known; they are read only if they were written to."""
        candidate = opened.candidate
        marks = self._marks_of(candidate)
        if marks == self._marks[index]:
            return
        reason = ""
        try:
            verify(candidate.model)
        except InputError as error:
            reason = str(error)
        with self._changed:
            self._marks[index] = marks
            if not reason and index in self._moved:
                self._moved.remove(index)
                _warn("the file of %s is back", candidate.name)
            elif reason and index not in self._moved:
                self._moved.add(index)
                self.losses[index] += 1
                _warn("%s; %s answers on from memory", reason, candidate.name)

    def loaded_mb(self) -> float:
        """What the networks that are open now take together, by measurement or by their files."""
        with self._changed:
            return sum(slot.memory_mb for slot in self._slots.values() if slot.in_memory)

    def memory_mb(self, index: int) -> float:
        """What a candidate's network takes: measured, else by the size of its file; 0 where there is none."""
        candidate = self._candidates[index]
        measured = self._measured_mb.get(candidate.name)
        if measured is not None:
            return measured
        try:
            files = candidate.model.with_file(self._find(candidate)).all_files()
            return FILE_FACTOR * sum(file.stat().st_size for file in files) / 1e6
        except (PremodelError, OSError):  # opening it will tell
            return UNKNOWN_MB

    def opening_ms(self, index: int) -> float | None:
        """What opening a candidate took the last time in this process; None if it was not opened."""
        return self._times.last_ms(index)

    def check_budget(self, indices: Sequence[int]) -> None:
        """Raise OptionError, naming it, if one of these candidates is larger than the whole budget."""
        for index in indices:
            memory_mb = self.memory_mb(index)
            if self._budget_mb is not None and memory_mb > self._budget_mb:
                name = self._candidates[index].name
                how = "measured" if name in self._measured_mb else f"{FILE_FACTOR:g} times its file"
                raise OptionError(
                    f"candidate {name} is larger than the whole memory budget", given=f"{self._budget_mb:g} MB",
                    allowed=f"{memory_mb:.1f} MB ({how}) or more",
                    do="raise memory_budget_mb, or train with --max-memory-mb",
                )  # fmt: skip

    def close(self) -> None:
        """Close every network; closing twice is allowed."""
        with self._changed:
            self._closed = True
            self._opened = [None] * len(self._candidates)
            self._slots.clear()
            self._slot_of = [None] * len(self._candidates)
            self._pool.close()
            self._changed.notify_all()

    def _take(self, index: int, keep: int | None = None) -> OpenedCandidate:
        """The candidate opened, and one user more; the lock is held."""
        until_ms = now_ms() + 1e3 * ROOM_S
        while True:
            if self._closed:
                raise RunError("the premodel is closed")
            if index in self._lost:
                self._check_lost(index)
            opened = self._opened[index]
            if opened is None and self._make_room(index, keep):
                opened = self._open(index)
            if opened is not None:
                slot = self._slot(index)
                self._uses += 1
                slot.users, slot.used = slot.users + 1, self._uses
                return opened
            left_s = (until_ms - now_ms()) / 1e3
            if left_s <= 0:
                raise RunError(
                    f"candidate {self._candidates[index].name} found no room in the memory budget",
                    given=f"{ROOM_S:g} s of waiting", do="raise memory_budget_mb",
                )  # fmt: skip
            self._changed.wait(left_s)

    def _check_lost(self, index: int) -> None:
        """RunError unless a lost candidate is to be tried now; its files are compared before anything makes room."""
        loss = self._lost[index]
        if now_ms() < loss.again_ms:
            raise RunError(loss.reason)
        try:
            prepared = self._prepared(index)
            if loss.marks and loss.marks == self._marks_of(prepared):
                self._postpone(loss)
                raise RunError(loss.reason)
            verify(prepared.model)
        except InputError as error:
            self._lose(index, error)
            raise RunError(str(error)) from error

    def _lose(self, index: int, error: PremodelError) -> None:
        """Note that a candidate cannot be opened, and say so unless its model is known to be lost."""
        name = self._candidates[index].model.name
        if all(self._candidates[other].model.name != name for other in self._lost):
            _warn("%s is left out, and tried again: %s", self._candidates[index].name, error)
        self._note_loss(index, error)

    def _note_loss(self, index: int, error: PremodelError) -> None:
        loss = self._lost.get(index)
        if loss is None:
            loss = self._lost[index] = _Loss("", FIRST_RETRY_S / 2, 0.0, ())
            self.losses[index] += 1
        loss.reason, loss.marks = str(error), ()
        if isinstance(error, InputError):
            with suppress(InputError):
                loss.marks = self._marks_of(self._prepared(index))
        self._postpone(loss)

    def _postpone(self, loss: _Loss) -> None:
        loss.wait_s = min(2 * loss.wait_s, LAST_RETRY_S)
        loss.again_ms = now_ms() + 1e3 * loss.wait_s

    def _find_again(self, index: int) -> None:
        """A candidate was opened: those of its model that were lost can be tried at once."""
        name = self._candidates[index].model.name
        lost = [other for other in self._lost if self._candidates[other].model.name == name]
        for other in lost:
            del self._lost[other]
        if lost:
            _warn("%s is back", self._candidates[index].name)

    def _marks_of(self, candidate: Candidate) -> tuple[FileMark | None, ...]:
        return tuple(file_mark(file) for file in candidate.model.all_files())

    def _release(self, index: int) -> None:
        self._slot(index).users -= 1
        self._changed.notify_all()

    def _slot(self, index: int) -> Slot:
        """What the candidate's network has in common with all that share it."""
        slot = self._slot_of[index]
        if slot is None:
            try:
                key = self._prepared(index).network_key
            except PremodelError as error:
                self._lose(index, error)
                raise RunError(str(error)) from error
            slot = self._slots.setdefault(key, Slot(self.memory_mb(index)))
            self._slot_of[index] = slot
        return slot

    def _prepared(self, index: int) -> Candidate:
        """The candidate with its file and threads."""
        candidate = self._candidates[index]
        candidate = candidate.with_file(self._find(candidate))
        return candidate if self._threads is None else candidate.with_threads(self._threads)

    def _make_room(self, index: int, keep: int | None) -> bool:
        """Unload by rank until the candidate fits; False if it has to wait for a run to end."""
        wanted = self._slot(index)
        if wanted.opening:
            return False
        if self._budget_mb is None or wanted.network is not None:
            return True
        loaded = [slot for slot in self._slots.values() if slot.in_memory]
        for slot in self._in_the_way(wanted, None if keep is None else self._slot_of[keep]):
            self._unload(slot)
            loaded.remove(slot)
        if not loaded or sum(slot.memory_mb for slot in loaded) + wanted.memory_mb <= self._budget_mb:
            return True  # one alone is let in whatever it takes: `check_budget` is where that is refused
        if all(slot.stays for slot in loaded):
            taken_mb = sum(slot.memory_mb for slot in loaded)
            raise RunError(
                f"candidate {self._candidates[index].name} has no room beside those that stay open",
                given=f"{wanted.memory_mb:.1f} MB and {taken_mb:.1f} MB", allowed=f"{self._budget_mb:g} MB",
            )  # fmt: skip
        return False

    def _in_the_way(self, wanted: Slot, kept: Slot | None) -> list[Slot]:
        """What would be unloaded, of what no one runs, for a network to fit; `kept` only if nothing else makes room."""
        loaded = [slot for slot in self._slots.values() if slot.in_memory]
        too_much_mb = sum(slot.memory_mb for slot in loaded) + wanted.memory_mb - (self._budget_mb or 0.0)
        chosen: list[Slot] = []
        idle = [slot for slot in loaded if slot.users == 0 and not slot.opening]
        for slot in sorted(idle, key=lambda slot: self._rank(slot, kept)):
            if sum(one.memory_mb for one in chosen) >= too_much_mb:
                break
            chosen.append(slot)
        stay = needless([slot.memory_mb for slot in chosen], too_much_mb)
        return [slot for place, slot in enumerate(chosen) if place not in stay]

    def _rank(self, slot: Slot, kept: Slot | None) -> tuple[bool, float, int]:
        """Whose room is given up first: what was worth least for it, then what was used longest ago."""
        return slot is kept, self._worth_ms(slot) / max(slot.memory_mb, LEAST_MB), slot.used

    def _worth_ms(self, slot: Slot) -> float:
        """What the candidates of a network were worth to the last inputs together."""
        return self._worth.of(self._sharing(slot))

    def _sharing(self, slot: Slot) -> list[int]:
        """The candidates of a network."""
        return [index for index, own in enumerate(self._slot_of) if own is slot]

    def _unload(self, slot: Slot) -> None:
        network, slot.network = slot.network, None
        for index, own in enumerate(self._slot_of):
            if own is slot:
                self._opened[index] = None
        if network is not None:
            self._pool.drop(network)

    def _open(self, index: int) -> OpenedCandidate:
        slot = self._slot(index)
        start_ms, was_open = now_ms(), slot.network is not None
        try:
            prepared = self._prepared(index)
            marks = self._marks_of(prepared)
            opened = self._pool.open(prepared, verified=self._is_verified(index, marks))
            if not was_open and marks != self._marks_of(prepared):
                self._pool.drop(opened.network)
                raise RunError(f"model file of {prepared.model.name} changed while it was opened")
        except RemoteError as error:  # a server may come back
            raise RunError(str(error)) from error
        except PremodelError as error:
            self._lose(index, error)
            raise RunError(str(error)) from error
        self._settle(index, opened, marks, None if was_open else now_ms() - start_ms)
        return opened

    def _settle(
        self, index: int, opened: OpenedCandidate, marks: tuple[FileMark | None, ...], took_ms: float | None
    ) -> None:
        """Note that a candidate is open, and how long it took; None where its network was open before."""
        slot = self._slot(index)
        self._find_again(index)
        self._marks[index] = marks
        self._moved.discard(index)
        opened.network.backend.hurry()
        if took_ms is not None:
            for other in self._sharing(slot):
                self._times.note(other, took_ms)
        slot.network = opened.network
        self._opened[index] = opened


def _warn(message: str, *about: object) -> None:
    """One line in the log; a device where nothing is lost need not wait for what logs."""
    import logging

    logging.getLogger(__name__).warning(message, *about)
