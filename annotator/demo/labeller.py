"""A person at the window: finds an object with clicks, candidates and boxes, and keeps it. Every answer is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from annotator.demo.checks import Target, check_stored, correction, misfit
from annotator.demo.hands import PLAIN, RIGHT, SHIFT, Hands, require
from annotator.domain.answering.clicks import depth
from annotator.domain.drafts.state import RefineState
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Status
from annotator.ui.program import Program

Key = Qt.Key

MOST_CORRECTIONS = 4
"""A person clicks again when a box was not enough, and gives up at some point."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the demo's table."""

    annotation: Annotation
    image: str
    class_name: str
    how: str
    decode_ms: float


class Labeller:
    """Knows what has been accepted so far; ``accepted`` and ``rows`` follow the project."""

    def __init__(self, program: Program, hands: Hands, project: Path) -> None:
        self._window, self._hands, self._project = program.window, hands, project
        self._program = program
        self.accepted: dict[int, Annotation] = {}
        self.rows: dict[int, Row] = {}
        self.statuses: dict[str, Status] = {}

    @property
    def state(self) -> RefineState:
        return self._program.refine.state

    @property
    def mask(self) -> Mask:
        """The mask on the screen."""
        found = self.state.mask
        require(found is not None, "there is no mask on the screen")
        return found if found is not None else Mask.empty(1, 1)

    # --- images and classes -----------------------------------------------------------------------------------------

    def wait_for_image(self, name: str) -> None:
        """Until this image is shown."""

        def is_shown() -> bool:
            record, picture = self._program.session.image, self._program.bench.picture
            return record is not None and picture is not None and picture.image_id == record.id and record.path == name

        self._hands.until(is_shown, f"{name} is shown")

    def go_to(self, name: str) -> None:
        """Press D until this image is shown."""
        for _ in self._program.session.images:
            record = self._program.session.image
            if record is not None and record.path == name:
                break
            self._hands.key(Key.Key_D)
        self.wait_for_image(name)

    def pick_class(self, name: str) -> None:
        """By its number key; a class that does not exist yet is made by typing its name."""
        session = self._program.session
        if session.category is not None and session.category.name == name:
            return
        known = next((c for c in session.categories.values() if c.name == name), None)
        if known is not None and known.key:
            self._hands.key(Key(Key.Key_0 + known.key))
        else:
            self._hands.key(Key.Key_C)
            finder = self._window.area.finder
            self._hands.until(finder.field.hasFocus, "the class search is open")
            self._hands.type_text(name)
            self._hands.key(Key.Key_Return)
            self._hands.until(self._window.canvas.hasFocus, "the keyboard is back at the image")
        category = session.category
        require(category is not None and category.name == name, f"the class in use is {category}, not {name!r}")

    # --- prompts ----------------------------------------------------------------------------------------------------

    def click(self, x: float, y: float, *, is_positive: bool = True) -> Mask:
        """Click, wait for the mask, and see that the click is what the model was asked."""
        before = len(self.state.prompts.points)
        if is_positive:
            hit = self._hands.click(x, y)
        else:
            hit = self._hands.click(x, y, button=RIGHT)
        points = self.state.prompts.points
        require(len(points) == before + 1, f"a click at {x:.0f}, {y:.0f} gave {len(points) - before} prompts")
        newest = points[-1]
        require(newest.is_positive is is_positive, "the click has the wrong sign")
        is_near = abs(newest.x - hit.x()) < 1 and abs(newest.y - hit.y()) < 1
        require(is_near, f"a click at {hit.x():.1f}, {hit.y():.1f} arrived at {newest.x:.1f}, {newest.y:.1f}")
        self.wait_for_answer()
        return self.mask

    def drag_box(self, box_xyxy: tuple[float, float, float, float]) -> Mask:
        """Drag a box with the box tool, wait for the mask, go back to the click tool."""
        self._hands.key(Key.Key_B)
        self._hands.drag(box_xyxy)
        self._hands.key(Key.Key_Q)
        box = self.state.prompts.box
        require(box is not None, "dragging a box gave no box")
        zoom = self._window.canvas.zoom
        if box is not None:
            error = max(abs(a - b) for a, b in zip(box.as_xyxy(), box_xyxy, strict=True))
            require(error * zoom <= 2, f"the box {box_xyxy} arrived as {box.as_xyxy()}")
        self.wait_for_answer()
        return self.mask

    def wait_for_answer(self) -> None:
        """Until the mask on the screen answers the newest prompts."""
        refine = self._program.refine

        def is_answered() -> bool:
            now = refine.state
            return now.candidates is not None and not now.is_waiting and not now.is_stale

        self._hands.until(is_answered, "a mask answers the prompts")

    def next_candidate(self, *, is_back: bool = False) -> Mask:
        """Tab (or Shift+Tab): the candidate beside the one in use is shown."""
        candidates, before = self.state.candidates, self.state.candidate_index
        count = len(candidates.items) if candidates is not None else 0
        require(count > 1, f"there are {count} candidates to switch between")
        self._hands.key(Key.Key_Backtab if is_back else Key.Key_Tab, SHIFT if is_back else PLAIN)
        now = self.state.candidate_index
        require(now == (before + (-1 if is_back else 1)) % count, f"Tab went from candidate {before} to {now}")
        if candidates is not None:
            require(self.mask is candidates.items[now].mask, "the candidate in use is not the one on the screen")
        return self.mask

    # --- objects ----------------------------------------------------------------------------------------------------

    def find(self, target: Target) -> str:
        """Get a plausible mask: a click, the other candidates, a box, more clicks. Returns what was done, in words."""
        self.pick_class(target.class_name)
        bare = self._window.canvas.viewport().grab().toImage()
        mask = self.click(*target.click)
        self.require_painted(mask, bare)
        candidates = self.state.candidates
        others = len(candidates.items) - 1 if candidates is not None else 0
        for turn in range(others + 1):
            if turn:
                mask = self.next_candidate()
            if not misfit(mask, target):
                return "click" + turn * ", Tab"
        return f"click, {self.find_in_box(target)}"

    def find_in_box(self, target: Target) -> str:
        """Get a plausible mask from a box and, where that is not enough, more clicks. Returns what was done."""
        mask = self.drag_box(target.box_xyxy)
        for clicks in range(MOST_CORRECTIONS):
            if not misfit(mask, target):
                return "box" + clicks * ", click"
            click = correction(mask, target, self.state.prompts)
            mask = self.click(click.x, click.y, is_positive=click.is_positive)
        problem = misfit(mask, target)
        require(not problem, f"{target.class_name} in {target.image}, boxed and clicked: {problem}")
        return "box" + MOST_CORRECTIONS * ", click"

    def require_painted(self, mask: Mask, bare: QImage) -> None:
        """The mask is not only known but painted: the picture changed in the middle of it."""
        x, y = deepest(mask)
        canvas = self._window.canvas
        at = canvas.image_to_view(x, y).toPoint()
        if not canvas.viewport().rect().contains(at):
            return
        before = bare.pixelColor(at * bare.devicePixelRatio())
        require(self._hands.colour_at(x, y) != before, "the mask is not painted")

    def accept(self, target: Target, how: str) -> Annotation:
        """Enter; the object that is stored is the mask on the screen, and the project file on the disk has it."""
        session = self._program.session
        shown, now = self.mask, self.state
        prompts = len(now.prompts.points) + (now.prompts.box is not None)
        before = {annotation.id for annotation in session.annotations}
        self._hands.key(Key.Key_Return)
        self._hands.until(lambda: len(session.annotations) == len(before) + 1, "the object is accepted")
        annotation = next(a for a in session.annotations if a.id not in before)
        category = session.categories.get(annotation.category_id)
        record = session.image
        require(annotation.mask().same_pixels(shown), "what was accepted is not the mask that was shown")
        require(category is not None and category.name == target.class_name, f"it was accepted as {category}")
        require(record is not None and record.path == target.image, f"it was accepted on {record}")
        require(annotation.clicks >= prompts, f"{prompts} prompts were counted as {annotation.clicks}")
        require(annotation.seconds > 0, "no time was counted for the object")
        require(not self.state.is_active, "accepting did not finish the current object")
        self.accepted[annotation.id] = annotation
        self.statuses.setdefault(target.image, Status.IN_PROGRESS)
        self.rows[annotation.id] = Row(annotation, target.image, target.class_name, how, now.decode_ms)
        self.check_disk()
        return annotation

    def check_disk(self) -> None:
        """The project file holds what was accepted, no more and no less."""
        check_stored(self._project, self.accepted, self.statuses)


def deepest(mask: Mask) -> tuple[float, float]:
    """The middle of the pixel that is farthest from the mask's edge (x, y)."""
    depths = depth(mask.bits)
    row, column = np.unravel_index(int(np.argmax(depths)), depths.shape)
    return mask.x + float(column) + 0.5, mask.y + float(row) + 0.5
