"""Which image a batch on Ray leaves out: the one that ends new workers by itself, and none for what befalls them."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.commands.batch.blame import MOST_ENDS, MOST_LOSSES, Call, End, Line, after_end
from annotator.commands.batch.command import add_arguments
from annotator.commands.batch.ray_pool import RayPool
from annotator.commands.batch.ray_worker import Begun, Recipe
from annotator.commands.batch.work_list import WorkItem
from annotator.domain.errors import UserError

POISON = "017.png"


def call(*names: str, **state: Any) -> Call:
    return Call(tuple(WorkItem(name, Path(name)) for name in names), **state)


def test_an_end_beside_others_blames_nobody_however_often() -> None:
    group, behind = call("a", "b"), call("c", "d")
    again, guilty = after_end([group, behind], End.PROCESS)
    assert again == [call("a", is_alone=True), call("b", is_alone=True), behind]
    assert guilty is None


def test_an_image_that_was_asked_alone_is_blamed_at_the_last_of_several_ends() -> None:
    asked = [call("a", is_alone=True)]
    for ends in range(1, MOST_ENDS):
        asked, guilty = after_end(asked, End.PROCESS)
        assert (asked, guilty) == ([call("a", is_alone=True, ends=ends)], None)
    assert after_end(asked, End.PROCESS) == ([], call("a", is_alone=True, ends=MOST_ENDS))


def test_a_machine_that_goes_blames_nobody() -> None:
    asked = [call("a", is_alone=True, ends=MOST_ENDS - 1)]
    for losses in range(1, 100):
        asked, guilty = after_end(asked, End.MACHINE)
        assert (asked[0].ends, asked[0].losses, guilty) == (MOST_ENDS - 1, losses, None)


def test_a_suspect_goes_to_a_worker_with_empty_hands_and_a_proof_to_a_new_one() -> None:
    line = Line(deque([call("a", is_alone=True), call("b", "c")]))
    assert line.next_for([call("x", "y")], is_new=False) is None
    suspect = line.next_for([], is_new=False)
    assert suspect == call("a", is_alone=True)
    assert line.next_for([suspect], is_new=False) is None  # nothing behind it
    line.give_back([call("a", is_alone=True, ends=1)])
    assert line.next_for([], is_new=False) == call("b", "c")
    assert line.next_for([], is_new=False) is None
    assert line.next_for([], is_new=True) == call("a", is_alone=True, ends=1)


class EndedError(Exception): ...


class UnavailableError(EndedError): ...


class LostError(Exception): ...


@dataclass(eq=False)
class Reference:
    value: Any = None
    error: Exception | None = None
    is_there: bool = False


@dataclass(eq=False)
class Actor:
    """Asked one after the other; ``had``: all that it was ever given."""

    cluster: Cluster
    todo: list[tuple[Reference, tuple[WorkItem, ...]]] = field(default_factory=list)
    had: list[tuple[WorkItem, ...]] = field(default_factory=list)
    is_over: bool = False

    @property
    def begin(self) -> Any:
        return SimpleNamespace(remote=lambda _precision: Reference(Begun("about", "fp32"), is_there=True))

    @property
    def ask(self) -> Any:
        return SimpleNamespace(remote=self._asked)

    def _asked(self, items: tuple[WorkItem, ...]) -> Reference:
        assert not self.is_over
        reference = Reference()
        self.todo.append((reference, items))
        self.had.append(items)
        return reference

    def over(self, error: Exception) -> None:
        self.is_over = True
        for reference, _ in self.todo:
            reference.error, reference.is_there = error, True


class Cluster:
    """Ray of two cores: a worker ends at the poison, and as chance wants it; the answer before may be lost with it."""

    exceptions = SimpleNamespace(
        RayActorError=EndedError,
        ActorUnavailableError=UnavailableError,
        OutOfMemoryError=MemoryError,
        NodeDiedError=LostError,
    )

    def __init__(self, random: Random, *, kills: int, losses: int = 0, poison: str = POISON) -> None:
        self.random, self.kills, self.losses, self.poison = random, kills, losses, poison
        self.actors: list[Actor] = []
        self.alone_ends: dict[str, list[int]] = {}

    def put(self, value: Any) -> Any:
        return value

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def remote(self, _worker: Any) -> Any:
        return SimpleNamespace(options=lambda **_given: SimpleNamespace(remote=lambda _recipe: self._actor()))

    def _actor(self) -> Actor:
        assert sum(not actor.is_over for actor in self.actors) < 2  # there is no room for more
        self.actors.append(Actor(self))
        return self.actors[-1]

    def kill(self, actor: Actor) -> None:
        actor.over(EndedError())

    def get(self, reference: Reference) -> Any:
        if reference.error:
            raise reference.error
        return reference.value

    def wait(
        self, references: Sequence[Reference], *, num_returns: int, timeout: float
    ) -> tuple[list[Reference], list[Reference]]:
        assert timeout >= 0
        there = [reference for reference in references if reference.is_there]
        if not there:
            self._step()
            there = [reference for reference in references if reference.is_there]
        return there[:num_returns], []

    def _step(self) -> None:
        busy = [actor for actor in self.actors if actor.todo and not actor.is_over]
        actor = self.random.choice(busy)
        reference, items = actor.todo[0]
        names = [item.name for item in items]
        if self.poison in names or (self.kills and self.random.random() < 0.3):
            self.kills -= self.poison not in names
            if len(actor.todo) == 1 and len(items) == 1:
                self.alone_ends.setdefault(names[0], []).append(len(actor.had))
            actor.over(self.random.choice([EndedError(), MemoryError()]))
        elif self.losses:
            self.losses -= 1
            actor.over(
                self.random.choice(
                    [UnavailableError(), LostError(), EndedError("The actor died because its node has died.")]
                )
            )
        elif len(actor.todo) > 1 and self.poison in [item.name for item in actor.todo[1][1]]:
            actor.over(EndedError())  # it had answered; the answer was lost with the end that followed
        else:
            actor.todo.pop(0)
            reference.value, reference.is_there = [{"key": item.key} for item in items], True


def _rows(cluster: Cluster, count: int) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["images", "--out", "out", "--ray", "local"])
    items = [WorkItem(f"{n:03}.png", Path(f"{n:03}.png")) for n in range(count)]
    rows: list[dict[str, Any]] = []
    with RayPool(cluster, Recipe(args, items, None), most=None) as pool:
        pool.begin()
        pool.ask(items, lambda row: rows.append(dict(row)))
    return rows


@given(seed=st.integers(0, 2**32), kills=st.integers(0, 40), count=st.integers(18, 40))
@settings(max_examples=60, deadline=None)
def test_each_image_has_one_row_and_only_proof_leaves_one_out(seed: int, kills: int, count: int) -> None:
    cluster = Cluster(Random(seed), kills=kills)
    rows = _rows(cluster, count)
    assert sorted(row["key"] for row in rows) == [f"{n:03}.png" for n in range(count)]
    left_out = {row["key"] for row in rows if "error" in row}
    assert POISON in left_out
    for name in left_out:
        calls_of_worker = cluster.alone_ends[name]
        assert len(calls_of_worker) >= MOST_ENDS
        assert calls_of_worker[1 - MOST_ENDS :] == [1] * (MOST_ENDS - 1)  # new workers
    for name in left_out - {POISON}:
        assert kills >= len(cluster.alone_ends[name])


def test_machines_that_go_are_no_proof_and_end_a_batch_that_they_never_finish() -> None:
    rows = _rows(Cluster(Random(3), kills=0, losses=MOST_LOSSES - 1, poison=""), 1)
    assert rows == [{"key": "000.png"}]
    with pytest.raises(UserError, match="machines of the cluster went"):
        _rows(Cluster(Random(3), kills=0, losses=10 * MOST_LOSSES, poison=""), 1)
