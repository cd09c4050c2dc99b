"""Attributes: what a value is, where it stands, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.attributes import (
    Attribute,
    AttributeForm,
    AttributeTarget,
    from_json,
    missing,
    of_object,
    problem_of,
    to_json,
    with_value,
)
from annotator.domain.object_edits import layer_edit
from annotator.domain.project import Annotation, ImageRecord

TEXT, NUMBER, ONE, MANY, YES_NO = AttributeForm
CHOICES = {"choices": ["heads", "tails"]}


def attribute(form: AttributeForm, **extra: Any) -> Attribute:
    return Attribute(1, "side", form=form, extra={**CHOICES, **extra})


def coin(number: int = 1, *, category_id: int = 1, layer: int = 0, **extra: Any) -> Annotation:
    return Annotation(number, 1, category_id, 0, 0, 1, 1, 1, b"04", 2, 2, extra=extra, layer=layer)


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (TEXT, "worn", 3),
        (NUMBER, 3.5, True),
        (NUMBER, 3, float("nan")),
        (ONE, "heads", "edge"),
        (MANY, ["tails"], ["edge"]),
        (YES_NO, False, 0),
    ],
)
def test_a_value_is_one_of_its_kind(form: AttributeForm, good: object, bad: object) -> None:
    one = attribute(form)
    said = with_value(coin(), one, good)
    assert said.extra == {"attributes": {"side": good}}
    assert one.value_of(said.extra) == good
    assert with_value(said, one, None).extra == {}
    with pytest.raises(ValueError, match="no value"):
        with_value(coin(), one, bad)
    assert one.value_of({"attributes": {"side": bad}}) is None, "what somebody else has written does no harm"


def test_other_values_and_fields_stay() -> None:
    image = ImageRecord(1, "a.png", extra={"attributes": {"other": 1}, "license": 2})
    said = with_value(image, attribute(TEXT), "worn")
    assert said.extra == {"attributes": {"other": 1, "side": "worn"}, "license": 2}


def test_a_default_holds_where_nothing_was_said_and_a_needed_one_is_missing_without_both() -> None:
    own, everywhere = attribute(ONE, required=True, **{"class": 2}), attribute(ONE, required=True, default="tails")
    assert missing(coin(category_id=2), [own, everywhere]) == (own,)
    assert missing(coin(category_id=1), [own, everywhere]) == ()
    assert everywhere.value_of(coin().extra) == "tails"
    assert of_object([own, everywhere], 1) == (everywhere,)


@pytest.mark.parametrize(
    ("name", "form", "choices", "why"),
    [
        ("", TEXT, (), "has a name"),
        ("score", TEXT, (), "something else"),
        ("Side", TEXT, (), "already"),
        ("grade", ONE, ("a", "a"), "two choices"),
        ("x" * 81, TEXT, (), "letters"),
    ],
)
def test_what_cannot_be_defined_is_said(name: str, form: AttributeForm, choices: tuple[str, ...], why: str) -> None:
    assert why in problem_of(name, form, choices, ["side"])
    assert problem_of("grade", ONE, ("a", "b"), ["side"]) == ""


@given(st.sampled_from(AttributeForm), st.sampled_from(AttributeTarget), st.booleans(), st.integers(0, 3))
def test_a_definition_comes_back_from_a_file(
    form: AttributeForm, target: AttributeTarget, is_required: bool, category_id: int
) -> None:
    extra: dict[str, Any] = {**CHOICES} if form in (ONE, MANY) else {}
    extra |= {"required": True} if is_required else {}
    extra |= {"class": category_id} if category_id else {}
    one = Attribute(7, "side", target, form, extra)
    assert from_json(to_json(one), 7) == one


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=4))
def test_odd_definitions_are_none(value: object) -> None:
    assert from_json(value, 1) is None
    found = from_json({"name": "a", "of": "object", "type": "text", "default": value, "class": value}, 1)
    assert found is not None
    assert found.default is None or found.default == value


def test_objects_go_to_the_front_and_back_in_their_order() -> None:
    rows = [coin(1), coin(2, layer=3), coin(3, layer=-2)]
    front = layer_edit([rows[0], rows[2]], rows, is_front=True)
    assert front is not None
    assert [change.after.layer for change in front.changes if isinstance(change.after, Annotation)] == [6, 4]
    back = layer_edit([rows[1]], rows, is_front=False)
    assert back is not None
    assert [change.after.layer for change in back.changes if isinstance(change.after, Annotation)] == [-3]
    assert layer_edit([rows[1]], rows, is_front=True) is None, "it is there already"
    assert layer_edit(rows, rows, is_front=True) is None
