"""Work of which the second part is done beside the first part of the next piece."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from annotator.engine.behind import one_behind

PATIENCE_S = 30


def test_answers_come_in_order_and_none_is_no_answer() -> None:
    pieces: list[Callable[[], int | None]] = [lambda at=at: None if at % 3 == 0 else at for at in range(20)]  # type: ignore[misc]
    assert list(one_behind(iter(pieces))) == [at for at in range(20) if at % 3]
    assert list(one_behind(iter([]))) == []


def test_a_piece_is_done_while_the_next_one_is_made() -> None:
    """The first can only end when the second is being made, and that waits until the first has begun."""
    begun, made = threading.Event(), threading.Event()

    def first() -> str:
        begun.set()
        assert made.wait(PATIENCE_S)
        return "first"

    def pieces() -> Iterator[Callable[[], str]]:
        yield first
        assert begun.wait(PATIENCE_S)
        made.set()
        yield lambda: "second"

    assert list(one_behind(pieces())) == ["first", "second"]


def test_never_more_than_two_pieces_are_there() -> None:
    there, most, lock = 0, 0, threading.Lock()

    def done() -> int:
        nonlocal there
        with lock:
            there -= 1
        return 1

    def pieces() -> Iterator[Callable[[], int]]:
        nonlocal there, most
        for _ in range(50):
            with lock:
                there += 1
                most = max(most, there)
            yield done

    assert sum(one_behind(pieces())) == 50
    assert most <= 2


def test_what_waits_is_told_before_anything_else_is_made() -> None:
    made = []

    def pieces() -> Iterator[Callable[[], str] | None]:
        yield lambda: "one"
        yield None
        made.append("after the pause")
        yield lambda: "two"

    answers = one_behind(pieces())
    assert next(answers) == "one"
    assert made == []
    assert list(answers) == ["two"]


@pytest.mark.parametrize("more", [0, 3])
def test_what_a_piece_raises_comes_where_its_answer_is_due(more: int) -> None:
    def fails() -> int:
        raise MemoryError("no room")

    answers = one_behind(iter([lambda: 1, fails, *[lambda: 2] * more]))
    assert next(answers) == 1
    with pytest.raises(MemoryError, match="no room"):
        next(answers)
    assert list(answers) == []


def test_what_raises_while_pieces_are_made_ends_it() -> None:
    def pieces() -> Iterator[Callable[[], int]]:
        yield lambda: 1
        raise RuntimeError("the model is gone")

    with pytest.raises(RuntimeError, match="gone"):
        list(one_behind(pieces()))
    assert not [one for one in threading.enumerate() if one.name.startswith("behind")]


def test_whoever_asks_for_no_more_leaves_no_work_and_no_thread() -> None:
    ended, made = [], []

    def pieces() -> Iterator[Callable[[], int]]:
        for at in range(9):
            made.append(at)
            yield lambda at=at: ended.append(at) or at  # type: ignore[func-returns-value,misc]

    answers = one_behind(pieces())
    assert next(answers) == 0
    answers.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name.startswith("behind")]
    assert made == ended == [0, 1]
