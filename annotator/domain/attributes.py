"""Attributes: what is said of objects and images beside their class. Definitions are rows of the project; values stand
with the object or image, where COCO has them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from annotator.domain.brevity import brief

if TYPE_CHECKING:
    from annotator.domain.project import Annotation, ImageRecord

VALUES_KEY = "attributes"
"""Where ``extra`` of an object or image has its values, by the attribute's name."""
_OF_OBJECTS = ("origin", "layer", "score", "clicks", "seconds", "model", "model_sha256", "adapter", "track_id")
_OF_IMAGES = ("status", "frame", "source", "series", "position", "spacing_mm", "Modality")
_MORE = ("review", "note", "author", "created_at", "SOPInstanceUID", "SeriesInstanceUID")
RESERVED = frozenset((*_OF_OBJECTS, *_OF_IMAGES, *_MORE))
"""Names that exports use for what the program knows itself."""
LONGEST_NAME, LONGEST_TEXT, MOST_CHOICES = 80, 2000, 200
Value = str | float | int | bool | list[str]


class AttributeForm(StrEnum):
    """What a value is. The words stand in project files and exports."""

    TEXT = "text"
    NUMBER = "number"
    ONE = "one of"
    MANY = "many of"
    YES_NO = "yes or no"


class AttributeTarget(StrEnum):
    """What it is said of."""

    OBJECT = "object"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Attribute:
    """The definition of an attribute.

    Attributes:
        name: unique among those of its target, and none of :data:`RESERVED`.
        extra: plain JSON data: ``choices`` (list of texts), ``default``, ``required`` (bool), ``class`` (id of the only
            class whose objects have it).
    """

    id: int
    name: str
    target: AttributeTarget = AttributeTarget.OBJECT
    form: AttributeForm = AttributeForm.TEXT
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def choices(self) -> tuple[str, ...]:
        """Of "one of" and "many of"."""
        found = self.extra.get("choices")
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()

    @property
    def default(self) -> Value | None:
        """What holds where nothing was said; None for nothing."""
        return self.fitted(self.extra.get("default"))

    @property
    def is_required(self) -> bool:
        return self.extra.get("required") is True

    @property
    def category_id(self) -> int:
        """The only class whose objects have it; 0: all have."""
        found = self.extra.get("class")
        return found if isinstance(found, int) and not isinstance(found, bool) else 0

    def fitted(self, value: object) -> Value | None:
        """The value, if it is one of this attribute; else None."""
        match self.form:
            case AttributeForm.TEXT:
                return value[:LONGEST_TEXT] if isinstance(value, str) and value else None
            case AttributeForm.NUMBER:
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                return value if is_number and math.isfinite(value) else None  # type: ignore[arg-type, return-value]
            case AttributeForm.YES_NO:
                return value if isinstance(value, bool) else None
            case AttributeForm.ONE:
                return value if isinstance(value, str) and value in self.choices else None
        if not isinstance(value, list):
            return None
        return [one for one in self.choices if one in value] or None

    def value_of(self, extra: dict[str, Any]) -> Value | None:
        """What is said in the ``extra`` of an object or image, else the default; None for neither."""
        found = self.said_in(extra)
        return self.default if found is None else found

    def said_in(self, extra: dict[str, Any]) -> Value | None:
        """What is said in the ``extra`` of an object or image, without the default."""
        values = extra.get(VALUES_KEY)
        return self.fitted(values.get(self.name)) if isinstance(values, dict) else None


_Said = TypeVar("_Said", bound="Annotation | ImageRecord")


def with_value(row: _Said, attribute: Attribute, value: object) -> _Said:
    """The object or image with this value; None takes it away.

    Raises:
        ValueError: no value of this attribute.
    """
    fitted = attribute.fitted(value)
    if fitted is None and value not in (None, "", []):
        raise ValueError(f"{value!r} is no value of {attribute.name}")
    known = row.extra.get(VALUES_KEY)
    values = {key: v for key, v in (known.items() if isinstance(known, dict) else ()) if key != attribute.name}
    if fitted is not None:
        values[attribute.name] = fitted
    extra = {key: v for key, v in row.extra.items() if key != VALUES_KEY}
    return replace(row, extra={**extra, VALUES_KEY: values} if values else extra)


def renamed(row: _Said, before: str, after: str) -> _Said:
    """The object or image with what was said under one name under another; the same one where nothing was said."""
    known = row.extra.get(VALUES_KEY)
    if not isinstance(known, dict) or before not in known:
        return row
    values = {after if key == before else key: value for key, value in known.items() if key != after}
    return replace(row, extra={**row.extra, VALUES_KEY: values})


def of_object(attributes: Iterable[Attribute], category_id: int) -> tuple[Attribute, ...]:
    """The attributes that objects of a class have."""
    found = (one for one in attributes if one.target is AttributeTarget.OBJECT)
    return tuple(one for one in found if one.category_id in (0, category_id))


def of_image(attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    return tuple(one for one in attributes if one.target is AttributeTarget.IMAGE)


def with_defaults(annotation: Annotation, attributes: Iterable[Attribute]) -> Annotation:
    """A new object with the defaults of its class, so that exports have them."""
    for one in of_object(attributes, annotation.category_id):
        if one.said_in(annotation.extra) is None and one.default is not None:
            annotation = with_value(annotation, one, one.default)
    return annotation


def missing(annotation: Annotation, attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """Required attributes of an object of which nothing is said."""
    own = of_object(attributes, annotation.category_id)
    return tuple(one for one in own if one.is_required and one.value_of(annotation.extra) is None)


def missing_of_image(image: ImageRecord, attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """Required attributes of an image of which nothing is said."""
    return tuple(one for one in of_image(attributes) if one.is_required and one.value_of(image.extra) is None)


def problem_of(name: str, form: AttributeForm, choices: Sequence[str], others: Iterable[str]) -> str:
    """Why a definition cannot be used, as a sentence; empty when it can."""
    if not name.strip():
        return "An attribute has a name."
    if len(name) > LONGEST_NAME:
        return f"The name has more than {LONGEST_NAME} letters."
    if name in RESERVED:
        return f"Exports use the name “{brief(name)}” for something else."
    if name.casefold() in {other.casefold() for other in others}:
        return f"There is an attribute “{brief(name)}” already."
    if form in (AttributeForm.ONE, AttributeForm.MANY):
        if len(set(choices)) < 2:
            return "Write two choices or more, separated by commas."
        if len(choices) > MOST_CHOICES:
            return f"There are more than {MOST_CHOICES} choices."
    return ""


def to_json(attribute: Attribute) -> dict[str, Any]:
    """As exports have it; ``class`` is the id of a category."""
    return {"name": attribute.name, "of": attribute.target.value, "type": attribute.form.value, **attribute.extra}


def from_json(data: object, attribute_id: int) -> Attribute | None:
    """A definition out of a file; None when it is none that can be used."""
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        return None
    try:
        target, form = AttributeTarget(str(data.get("of"))), AttributeForm(str(data.get("type")))
    except ValueError:
        return None
    extra = {key: data[key] for key in ("choices", "default", "required", "class") if key in data}
    made = Attribute(attribute_id, data["name"].strip(), target, form, extra)
    if problem_of(made.name, form, made.choices, ()):
        return None
    kept = {"choices": list(made.choices), "default": made.default, "required": made.is_required}
    extra = {key: value for key, value in kept.items() if value not in (None, [], False)}
    if made.category_id:
        extra["class"] = made.category_id
    return replace(made, extra=extra)
