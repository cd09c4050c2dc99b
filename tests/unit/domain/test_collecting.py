"""When garbage is collected: not while a style sheet is changed or a large project is read, and rows are not walked."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.domain import collecting
from annotator.domain.collecting import bulk_loading, no_collection
from annotator.io.project import opened as opening
from annotator.io.project.opened import open_project


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    assert gc.isenabled()


def test_one_that_is_through_does_not_end_the_rest_of_another() -> None:
    entered, may_leave = threading.Event(), threading.Event()

    def work() -> None:
        with no_collection():
            entered.set()
            may_leave.wait(10)

    with no_collection():
        thread = threading.Thread(target=work)
        thread.start()
        entered.wait(10)
        assert not gc.isenabled()
    assert not gc.isenabled(), "the thread is still inside"
    may_leave.set()
    thread.join()
    assert gc.isenabled()


def test_who_has_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_error_ends_the_rest() -> None:
    with pytest.raises(KeyError), bulk_loading():
        raise KeyError


@pytest.mark.parametrize(("count", "is_kept"), [(3, False), (collecting.MANY, True)])
def test_many_rows_are_not_walked_through(count: int, is_kept: bool) -> None:
    before = gc.get_freeze_count()
    with bulk_loading() as made:
        rows = [[number] for number in range(count)]
        made.append(count)
    assert (gc.get_freeze_count() - before >= len(rows)) == is_kept


def test_a_project_is_read_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enabled, in_order = list[bool](), opening.in_order

    def seen(images: object) -> object:
        enabled.append(gc.isenabled())
        return in_order(images)  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "in_order", seen)
    monkeypatch.setattr(collecting, "MANY", 0)
    before = gc.get_freeze_count()
    open_project(tmp_path).store.close()
    assert enabled == [False]
    assert gc.get_freeze_count() > before
