"""Which slices are one stack, and in which order: by their place in space alone."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.slices import SliceFacts, Stack, Vector, ordered_frames, stacks_of

X, Y = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def made(
    places: list[float], *, row: Vector = X, column: Vector = Y, shear: float = 0.0, series: str = "a", **kinds: object
) -> list[SliceFacts]:
    """Slices along the normal; their names say nothing of their order."""
    normal = (
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    )
    words = tuple(str(value) for value in kinds.values())
    return [
        SliceFacts(
            f"{series}{(number * 7919) % 997:03d}{''.join(words)}",
            series,
            row,
            column,
            tuple(n * place + c * shear * place for n, c in zip(normal, column, strict=True)),  # type: ignore[arg-type]
            words,
        )
        for number, place in enumerate(places)
    ]


def only(facts: list[SliceFacts]) -> Stack:
    (stack,) = stacks_of(facts)
    return stack


@given(
    st.permutations(range(12)),
    st.floats(0.2, 9.0),
    st.floats(-math.pi, math.pi),
    st.floats(-math.pi / 2, math.pi / 2),
)
def test_any_order_of_files_gives_the_order_in_space(order: list[int], step: float, yaw: float, pitch: float) -> None:
    row = (math.cos(yaw), math.sin(yaw), 0.0)
    column = (-math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch))
    facts = made([number * step - 100 for number in range(12)], row=row, column=column)
    stack = only([facts[number] for number in order])
    assert list(stack.slices) == facts
    assert math.isclose(stack.step_mm, step, rel_tol=1e-6)
    assert math.isclose(stack.offsets_mm[-1], 11 * step, abs_tol=1e-3)
    assert (stack.gaps, stack.is_tilted, stack.notes) == ((), False, ())


def test_missing_slices_are_a_gap() -> None:
    stack = only(made([0, 2.5, 5, 12.5, 15, 17.5, 22.5]))
    assert stack.step_mm == 2.5
    assert stack.gaps == ((2, 2), (5, 1))
    assert stack.notes == ("3 slices missing",)


def test_a_slice_that_is_there_twice_is_a_series_of_its_own() -> None:
    whole = made([0, 2, 4, 6, 8])
    again = [SliceFacts("copy-a", "a", X, Y, whole[1].position), SliceFacts("copy-b", "a", X, Y, whole[2].position)]
    first, second = stacks_of([*again, *whole])
    assert [one.position[2] for one in first.slices] == [0, 2, 4, 6, 8]
    assert first.notes == ("2 slices there twice, in a series of their own",)
    assert [one.position[2] for one in second.slices] == [2, 4]
    assert second.identity != first.identity
    (single,) = stacks_of([again[0], *whole])
    assert len(single.slices) == 5


def test_a_tilted_gantry_is_said() -> None:
    stack = only(made([0, 3, 6, 9], shear=math.tan(math.radians(15))))
    assert stack.is_tilted
    assert stack.notes == ("tilted",)
    assert stack.step_mm == 3


def test_echoes_and_times_in_one_series_are_stacks_of_their_own() -> None:
    facts = [*made([0, 2, 4], time="1", echo="1"), *made([0, 2, 4], time="1", echo="2")]
    found = stacks_of(facts)
    assert [len(stack.slices) for stack in found] == [3, 3]
    assert all(len({one.kinds for one in stack.slices}) == 1 for stack in found)
    assert found[0].identity != found[1].identity
    assert [stack.notes for stack in found] == [(), ()]


def test_another_plane_or_series_is_another_stack() -> None:
    scout = made([0], row=Y, column=(0.0, 0.0, 1.0))
    assert len(only([*made([0, 1, 2]), *scout]).slices) == 3
    assert len(stacks_of([*made([0, 1, 2]), *made([0, 1, 2], series="b")])) == 2
    assert stacks_of(made([4.0])) == []
    assert stacks_of([]) == []


def test_a_stack_keeps_its_identity_when_slices_come_later() -> None:
    facts = made([0, 1, 2, 3])
    assert only(facts[:2]).identity == only(facts).identity


def test_frames_of_one_file_are_ordered_unless_two_are_at_one_place() -> None:
    assert ordered_frames([(0, 0, 4.0), (0, 0, 0.0), (0, 0, 2.0)], X, Y) == [1, 2, 0]
    assert ordered_frames([(0, 0, 0.0), (0, 0, 0.0), (0, 0, 2.0)], X, Y) is None
    assert ordered_frames([(0, 0, 0.0)], X, Y) is None
