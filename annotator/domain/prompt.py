"""Prompts and the immutable session of one current object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from annotator.domain.brush import Correction, correction_from_json
from annotator.domain.cues.cue import Cue, PlacedCue, clamped
from annotator.domain.cues.rows import placed_from_json, placed_to_json
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.point_prompt import PointPrompt as PointPrompt


@dataclass(frozen=True, slots=True)
class Prompts:
    """All that the person said about one object.

    Attributes:
        points: clicks in the order they were made.
        box: at most one box, edges in image pixels.
        base_mask: an existing object that is being refined, given to the model as a dense prompt.
        strokes: painted, erased and otherwise corrected by hand over the model's answer, in this order; the model does
            not see them.
        settled: by which ``base_mask`` was made, where that is known. They are in that mask already: the model hears
            the clicks again, and nothing is painted again.
        cues: prompts of other kinds, in the order of the clicks that they stand for. Those are among ``points``; what
            they were made of is for the person alone.
    """

    points: tuple[PointPrompt, ...] = ()
    box: Box | None = None
    base_mask: Mask | None = None
    strokes: tuple[Correction, ...] = ()
    settled: Prompts | None = None
    cues: tuple[PlacedCue, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.points and self.box is None and self.base_mask is None and not self.strokes

    @property
    def asked(self) -> Prompts:
        """What of them is for the model."""
        if not self.strokes and not self.cues and self.settled is None:
            return self
        return replace(self, points=self._all_points, strokes=(), settled=None, cues=())

    @property
    def shown(self) -> Prompts:
        """With the clicks and the box that were settled before."""
        if self.settled is None:
            return self
        later = (placed.after(self.settled_count) for placed in self.cues)
        cues, box = (*self.settled.cues, *later), self.box or self.settled.box
        return replace(self, points=self._all_points, box=box, settled=None, cues=cues)

    @property
    def settled_count(self) -> int:
        """How many of the clicks that are shown were settled before."""
        return 0 if self.settled is None else len(self.settled.points)

    @property
    def whole(self) -> Prompts:
        """All that was ever said about the object: what was settled before, then these."""
        if self.settled is None:
            return self
        count = len(self.settled.points)
        later = tuple(replace(stroke, after=stroke.after + count) for stroke in self.strokes)
        return replace(self.shown, strokes=(*self.settled.strokes, *later))

    @property
    def _all_points(self) -> tuple[PointPrompt, ...]:
        return self.points if self.settled is None else (*self.settled.points, *self.points)

    @property
    def is_ambiguous(self) -> bool:
        """One positive click alone can mean a part, the whole or a group: three candidates are wanted."""
        return self.box is None and self.base_mask is None and len(self.points) == 1 and self.points[0].is_positive

    def extends(self, other: Prompts) -> bool:
        """Whether these prompts continue ``other``: only then may its logits be reused."""
        return (
            not other.is_empty
            and len(self.points) > len(other.points)
            and self.points[: len(other.points)] == other.points
            and self.box == other.box
            and self.base_mask is other.base_mask
        )

    def with_point(self, point: PointPrompt) -> Prompts:
        """With one more click; strokes that decide against it go, or the click would change nothing there."""
        against = []
        for stroke in reversed([s for s in self.strokes if s.covers(point.x, point.y)]):
            if stroke.is_positive == point.is_positive:
                break
            against.append(stroke)
        kept = tuple(stroke for stroke in self.strokes if not any(stroke is other for other in against))
        return replace(self, points=(*self.points, point), strokes=kept)

    def with_cue(self, cue: Cue, clicks: tuple[PointPrompt, ...] = ()) -> Prompts:
        """With a prompt of another kind; ``clicks``: by which it is asked, where that was settled before."""
        prompts, clicks = self, clicks or cue.clicks()
        for click in clicks:
            prompts = prompts.with_point(click)
        return replace(prompts, cues=(*self.cues, PlacedCue(cue, len(self.points), len(clicks))))

    def without_last(self) -> Prompts:
        """Without the newest click, stroke or cue, else without the box; itself when there is nothing to remove."""
        if self.strokes and self.strokes[-1].after >= len(self.points):
            return replace(self, strokes=self.strokes[:-1])
        if self.cues and self.cues[-1].end == len(self.points):
            return replace(self, points=self.points[: self.cues[-1].first], cues=self.cues[:-1])
        if self.points:
            return replace(self, points=self.points[:-1])
        return self if self.box is None else replace(self, box=None)

    def with_stroke(self, stroke: Correction) -> Prompts:
        return replace(self, strokes=(*self.strokes, replace(stroke, after=len(self.points))))

    def with_box(self, box: Box) -> Prompts:
        return replace(self, box=box)

    def to_json(self) -> dict[str, Any]:
        """Plain data for the project file: ``points`` [[x, y, 1|0], ...], ``box`` [x0, y0, x1, y1] or null, and
        ``strokes`` (:meth:`Stroke.to_json`) and ``cues`` (:func:`placed_to_json`) when there are any."""
        data: dict[str, Any] = {
            "points": [[p.x, p.y, int(p.is_positive)] for p in self.points],
            "box": list(self.box.as_xyxy()) if self.box else None,
            "from_mask": self.base_mask is not None,
        }
        if self.strokes:
            data["strokes"] = [stroke.to_json() for stroke in self.strokes]
        if self.cues:
            data["cues"] = [placed_to_json(placed) for placed in self.cues]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Prompts:
        """Points, box, strokes and cues of :meth:`to_json`; the base mask lives in the object itself.

        Raises:
            ValueError, TypeError, AttributeError, OverflowError: the data are damaged.
        """
        points = tuple(PointPrompt(float(x), float(y), bool(sign)) for x, y, sign in data.get("points") or ())
        box = data.get("box")
        strokes = tuple(correction_from_json(stroke) for stroke in data.get("strokes") or ())
        cues = placed_from_json(data.get("cues") or [], len(points))
        return cls(points, Box.from_corners(*(float(v) for v in box)) if box else None, strokes=strokes, cues=cues)


@dataclass(frozen=True, slots=True)
class PromptSession:
    """The steps of one current object, with a cursor: every click, box, stroke, cue and removal is one step.

    ``steps[0]`` is always the start (empty, or an existing object's mask). Steps after the cursor can be redone.
    """

    steps: tuple[Prompts, ...] = (Prompts(),)
    cursor: int = 0
    start: Prompts | None = None
    """What the next click or box goes on from, where that is not the step at the cursor."""

    @classmethod
    def refining(cls, mask: Mask, made_by: dict[str, Any] | None = None) -> PromptSession:
        """A session that starts from an existing object's mask.

        Args:
            made_by: data of :meth:`Prompts.to_json`; damaged ones, as of a stranger's project, are left out.
        """
        return cls((Prompts(base_mask=mask, settled=_settled(made_by or {}, mask)),))

    @property
    def prompts(self) -> Prompts:
        return self.steps[self.cursor]

    @property
    def is_active(self) -> bool:
        return not self.prompts.is_empty

    @property
    def can_undo(self) -> bool:
        return self.cursor > 0

    @property
    def can_redo(self) -> bool:
        return self.cursor + 1 < len(self.steps)

    def add_point(self, point: PointPrompt) -> PromptSession:
        return self._push((self.start or self.prompts).with_point(point))

    def add_cue(self, cue: Cue, clicks: tuple[PointPrompt, ...] = ()) -> PromptSession:
        """One step, however many clicks it is asked by."""
        return self._push((self.start or self.prompts).with_cue(cue, clicks))

    def set_box(self, box: Box) -> PromptSession:
        return self._push((self.start or self.prompts).with_box(box))

    def paint(self, stroke: Correction) -> PromptSession:
        return self._push(self.prompts.with_stroke(stroke))

    def remove_last(self) -> PromptSession:
        """As :meth:`Prompts.without_last`; itself when there is nothing to remove."""
        fewer = self.prompts.without_last()
        return self if fewer is self.prompts else self._push(fewer)

    def settled_in(self, mask: Mask) -> PromptSession:
        """The prompts at the cursor have led to this mask, and what follows corrects it; no step by itself."""
        return replace(self, start=Prompts(base_mask=mask, settled=replace(self.prompts.whole, base_mask=None)))

    def undo(self) -> PromptSession:
        return replace(self, cursor=self.cursor - 1) if self.can_undo else self

    def redo(self) -> PromptSession:
        return replace(self, cursor=self.cursor + 1) if self.can_redo else self

    def _push(self, prompts: Prompts) -> PromptSession:
        kept = self.steps[: self.cursor + 1]
        return PromptSession((*kept, prompts), len(kept))


def _settled(data: dict[str, Any], mask: Mask) -> Prompts | None:
    """The prompts of an object, None when there are none that can be read."""
    try:
        prompts = Prompts.from_json(data)
        width, height = mask.width, mask.height
        points = clamped(prompts.points, width, height)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
    box = None if prompts.box is None else prompts.box.clipped(width, height)
    prompts = replace(prompts, points=points, box=box if box is not None and box.area > 0 else None)
    return None if prompts.is_empty else prompts
