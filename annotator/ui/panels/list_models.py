"""Qt list models over the project's frozen values: objects of the image and classes, and the roles of all lists."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QStringListModel, Qt, Signal

from annotator.domain.brevity import brief, brief_message
from annotator.domain.class_marks import numbers_of
from annotator.domain.counting import counted, noun_for
from annotator.domain.objects_in_order import places_among
from annotator.domain.project import Annotation, Category
from annotator.ui.look.numbers import area_text, grouped

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_ROLE = Qt.ItemDataRole
ROW_ROLE = int(_ROLE.UserRole)
"""The domain value of a row."""
CATEGORY_ROLE = ROW_ROLE + 1
COUNT_ROLE = ROW_ROLE + 2
IS_CURRENT_ROLE = ROW_ROLE + 3
DETAIL_ROLE = ROW_ROLE + 5
"""Of an object: its area and the model's guess of its quality."""
NUMBER_ROLE = ROW_ROLE + 4
"""Of a class, in its chip."""
SLICES_ROLE = ROW_ROLE + 6
"""How many slices a series has; 0 for an image."""
MARKS_ROLE = ROW_ROLE + 7
"""Of an object: (it is hidden, it is locked)."""
DRAFTS_ROLE = ROW_ROLE + 4
"""How many drafts an image has."""
PROPOSALS_ROLE = ROW_ROLE + 8
"""How many proposals wait in an image."""


class ObjectModel(QStringListModel):
    """Accepted objects of the image that is shown, in the order they were accepted.

    The texts are never asked for: this model of Qt's counts its rows itself, and a view asks for the count once per row
    whenever it lays them out, which is a frame's time in Python with thousands.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Annotation, ...] = ()
        self._categories: Mapping[int, Category] = {}
        self._spacing_mm: tuple[float, float] | None = None
        self._tracks: dict[int, str] = {}
        self._refined_id = 0
        self._hidden: frozenset[int] = frozenset()
        self._locked: frozenset[int] = frozenset()
        self._flags: Qt.ItemFlag | None = None

    def set_marks(self, *, hidden: frozenset[int], locked: frozenset[int]) -> None:
        """Which objects are hidden, and which are locked."""
        if (hidden, locked) != (self._hidden, self._locked) and self._rows:
            self._hidden, self._locked = hidden, locked
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))
        self._hidden, self._locked = hidden, locked

    def set_tracks(self, tracks: Mapping[int, str]) -> None:
        """How large objects are through all of their slices, by the number of their track."""
        new = dict(tracks)
        if new != self._tracks and self._rows:
            self._tracks = new
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))
        self._tracks = new

    def set_refined(self, annotation_id: int) -> None:
        """The object that is being refined, 0 for none; its row is marked."""
        before, self._refined_id = self._refined_id, annotation_id
        for row in (self.row_of(before), self.row_of(annotation_id)):
            if row >= 0:
                self.dataChanged.emit(self.index(row), self.index(row))

    @property
    def rows(self) -> tuple[Annotation, ...]:
        return self._rows

    def set_rows(
        self,
        rows: Sequence[Annotation],
        categories: Mapping[int, Category],
        spacing_mm: tuple[float, float] | None = None,
    ) -> None:
        """Show these rows, by id, ascending. Appending one (the usual accept) keeps the selection and the place.

        Args:
            spacing_mm: size (x, y) of the image's pixels, where it is known.
        """
        new, before = tuple(rows), self._rows
        are_same_classes = (dict(categories), spacing_mm) == (self._categories, self._spacing_mm)
        self._categories, self._spacing_mm = dict(categories), spacing_mm
        count = len(before)
        self._rows = new
        # The very same ones before it: found without a look into thousands.
        is_one_more = len(new) == count + 1 and (new[:-1] == before or _ids(new[:-1]) == _ids(before))
        if is_one_more:
            self.insertRows(count, 1)
        elif _ids(new) != _ids(before):
            self.setStringList([""] * len(new))
            return
        if count and not (are_same_classes and all(map(operator.is_, before, new))):
            self.dataChanged.emit(self.index(0), self.index(count - 1))

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return super().flags(index)
        if self._flags is None:  # the same for every row, and asked for thousands of them
            self._flags = super().flags(index) & ~Qt.ItemFlag.ItemIsEditable
        return self._flags

    def row_of(self, annotation_id: int) -> int:
        """The row of an object, or -1."""
        return next(iter(self.places_of((annotation_id,))), -1)

    def places_of(self, ids: Collection[int]) -> list[int]:
        """The rows of objects, those that are there, from the first to the last."""
        return places_among(self._rows, ids)

    def data(self, index: Index, role: int = _ROLE.DisplayRole) -> object:
        row = self._rows[index.row()]
        category = self._categories.get(row.category_id)
        if role == ROW_ROLE:
            return row
        if role == CATEGORY_ROLE:
            return category
        if role == IS_CURRENT_ROLE:
            return row.id == self._refined_id
        if role == MARKS_ROLE:
            return row.id in self._hidden, row.id in self._locked
        name = brief(category.name) if category else "no class"
        if role == DETAIL_ROLE:
            score = "" if row.score is None else f"  ·  {row.score:.2f}"
            millimetres = "" if self._spacing_mm is None else f"  ·  {area_text(row.area, self._spacing_mm)}"
            if size := self._tracks.get(row.track_id):  # the row is too narrow for pixels besides
                return f"{size}{millimetres}{score}{_said(row, '  ·  ')}"
            return f"{area_text(row.area)}{millimetres}{score}{_said(row, '  ·  ')}"
        if role in (_ROLE.DisplayRole, _ROLE.AccessibleTextRole):
            millimetres = "" if self._spacing_mm is None else f", {area_text(row.area, self._spacing_mm)}"
            area = f"{grouped(row.area)} {noun_for(row.area, 'pixel')}{millimetres}"
            whole = f", in all {size}" if (size := self._tracks.get(row.track_id)) else ""
            return f"{index.row() + 1} {name}, {area}{whole}{_said(row, ', ')}"
        if role == _ROLE.ToolTipRole:
            score = "" if row.score is None else f", predicted IoU {row.score:.2f}"
            made = f"{counted(row.clicks, 'prompt')}, {row.seconds:.0f} s" if row.clicks else row.origin
            millimetres = "" if self._spacing_mm is None else f", {area_text(row.area, self._spacing_mm)}"
            size = f"{row.w} × {row.h} px, {grouped(row.area)} px²{millimetres}{score}"
            said = "\n".join(text for text in (self._in_all(row), row.review.value, brief_message(row.note)) if text)
            return f"{name} · object {row.id}\n{size}\n{made} {_made_by(row)}".strip() + (f"\n{said}" if said else "")
        return None

    def _in_all(self, row: Annotation) -> str:
        size = self._tracks.get(row.track_id)
        return f"track {row.track_id}: {size}" if size else ""


def stretches(places: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of rows that follow each other; ``places`` ascend."""
    begins = [at for at in range(len(places)) if at == 0 or places[at] != places[at - 1] + 1]
    ends = [*begins[1:], len(places)]
    return [(places[begin], places[end - 1]) for begin, end in zip(begins, ends, strict=True)] if places else []


def _ids(rows: Sequence[Annotation]) -> list[int]:
    return [row.id for row in rows]


def _made_by(row: Annotation) -> str:
    """The model and how its file begins: versions of one model have one name."""
    return f"{row.model} {row.model_sha256[:8]}".strip()


def _said(row: Annotation, between: str) -> str:
    """What a second look said, each word after ``between``."""
    words = (row.review.value, "note" if row.note else "")
    return "".join(f"{between}{word}" for word in words if word)


class ClassModel(QAbstractListModel):
    """The project's classes, with how many objects each has. Editing a row asks for a rename."""

    rename_wanted = Signal(object, str)

    def __init__(self, parent: object = None) -> None:
        super().__init__(parent)  # type: ignore[arg-type]
        self._rows: tuple[Category, ...] = ()
        self._counts: Mapping[int, int] = {}
        self._current = 0
        self._numbers: Mapping[int, int] = {}
        self.is_editable = True

    @property
    def rows(self) -> tuple[Category, ...]:
        return self._rows

    def set_rows(self, rows: Sequence[Category], counts: Mapping[int, int], current: int) -> None:
        new = tuple(rows)
        same = [r.id for r in new] == [r.id for r in self._rows]
        if not same:
            self.beginResetModel()
        self._rows, self._counts, self._current = new, counts, current
        self._numbers = numbers_of(new)
        if not same:
            self.endResetModel()
        elif new:
            self.dataChanged.emit(self.index(0), self.index(len(new) - 1))

    @property
    def current(self) -> int:
        """Id of the class in use; 0: none."""
        return self._current

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def count(self, category_id: int) -> int:
        return self._counts.get(category_id, 0)

    def data(self, index: Index, role: int = _ROLE.DisplayRole) -> object:
        row = self._rows[index.row()]
        if role == ROW_ROLE:
            return row
        if role == COUNT_ROLE:
            return self.count(row.id)
        if role == IS_CURRENT_ROLE:
            return row.id == self._current
        if role == NUMBER_ROLE:
            return self._numbers[row.id]
        if role in (_ROLE.DisplayRole, _ROLE.EditRole):
            return row.name
        if role == _ROLE.AccessibleTextRole:
            key = f", key {row.key}" if row.key else ""
            count = self.count(row.id)
            return f"class {brief(row.name)}{key}, {grouped(count)} {noun_for(count, 'object')}"
        if role == _ROLE.ToolTipRole:
            key = f"Key {row.key}. " if row.key else ""
            said = [
                brief_message(str(row.extra[name])) for name in ("supercategory", "description") if row.extra.get(name)
            ]
            return "\n".join([brief(row.name), *said, f"{key}Click to use it; double click to rename."])
        return None

    def setData(self, index: Index, value: object, role: int = _ROLE.EditRole) -> bool:
        name = str(value).strip()
        row = self._rows[index.row()]
        if role != _ROLE.EditRole or not name or name == row.name:
            return False
        self.rename_wanted.emit(row.id, name)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        editable = Qt.ItemFlag.ItemIsEditable if self.is_editable else Qt.ItemFlag.NoItemFlags
        return super().flags(index) | editable
