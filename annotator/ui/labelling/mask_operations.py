"""Operations on masks in the window: tried out on the canvas first, then applied in one step that can be undone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import QObject

from annotator.domain.counting import counted
from annotator.domain.difference import differing_frames
from annotator.domain.drafts.state import RefineState
from annotator.domain.mask import Mask
from annotator.domain.object_edits import by_hand, masks_edit
from annotator.domain.operations import AMOUNTS, Operation, OperationKind, simplified, union
from annotator.domain.project import Annotation, Change
from annotator.ui.canvas.latest import Latest
from annotator.ui.canvas.mask_level import prepare_level
from annotator.ui.labelling.views import Views
from annotator.ui.look.numbers import grouped
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow

_TITLES = {
    OperationKind.FILL_HOLES: "Fill holes",
    OperationKind.KEEP_LARGEST: "Keep the largest part",
    OperationKind.DROP_ISLANDS: "Drop islands under",
    OperationKind.SMOOTH: "Smooth by",
    OperationKind.GROW: "Grow by",
    OperationKind.SHRINK: "Shrink by",
    OperationKind.SIMPLIFY: "Simplify by",
    OperationKind.INVERT: "Invert inside its box",
    OperationKind.SUBTRACT: "Subtract neighbours",
}
_FIRST_AMOUNTS = {
    OperationKind.DROP_ISLANDS: 100,
    OperationKind.SMOOTH: 2,
    OperationKind.GROW: 2,
    OperationKind.SHRINK: 2,
    OperationKind.SIMPLIFY: 2,
}
_GROWTH = 1.25
NOTHING_TO_CHANGE = "Click an object, or select some, to change their masks."


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """What an operation makes of one mask: ``row`` None for the current object, else with the run lengths."""

    row: Annotation | None
    before: Mask
    after: Mask
    operation: Operation
    rle: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """What is tried out, and on what.

    Attributes:
        current: the mask of the current object; None: ``selected`` are changed.
        shown: what is seen in place of ``current`` meanwhile.
        results: None while they are computed.
        effect: what they come to, in words.
    """

    operation: Operation
    current: Mask | None = None
    selected: tuple[tuple[Annotation, Mask], ...] = ()
    shown: Mask | None = None
    results: tuple[_Result, ...] | None = None
    effect: str = ""


def _tried(trial: _Trial, scale: float) -> _Trial:
    """With the results, to be seen at so many device pixels to an image pixel. For another thread: a large mask takes a
    moment."""
    targets = [(None, trial.current)] if trial.current is not None else list(trial.selected)
    results = tuple(_result(trial.operation, row, mask) for row, mask in targets)
    if trial.current is not None:  # what the GUI thread will ask for is known then
        for seen in (trial.shown, trial.current):
            if seen is not None:
                differing_frames(seen, results[0].after)
        prepare_level(results[0].after, scale)
    return replace(trial, results=results, effect=_effect(results))


def _result(operation: Operation, row: Annotation | None, mask: Mask) -> _Result:
    if operation.kind is OperationKind.SIMPLIFY:  # what is kept is the outline itself
        operation = Operation(OperationKind.OUTLINE, rings=simplified(mask, operation.amount))
    after = operation.applied(mask)
    return _Result(row, mask, after, operation, b"" if row is None else after.rle())


def _effect(results: tuple[_Result, ...]) -> str:
    before, after = sum(one.before.area for one in results), sum(one.after.area for one in results)
    if all(one.operation.kind is OperationKind.OUTLINE for one in results):
        corners = sum(len(ring) for one in results for ring in one.operation.rings)
        worst = min(one.before.iou(one.after) for one in results)
        return f"{counted(corners, 'corner')}, IoU {worst:.3f}"
    return f"{grouped(after)} px² ({(after - before) / max(1, before):+.1%})"


class MaskOperations(QObject):
    """Serves the actions of the menu "Mask" that change masks one by one."""

    def __init__(self, window: MainWindow, session: ProjectSession, refine: RefineController, *, views: Views) -> None:
        super().__init__(window)
        self._window, self._session, self._refine, self._views = window, session, refine, views
        self._bar = window.area.operation
        self._trial: _Trial | None = None
        self._is_wanted = False
        """Applied before the results were there."""
        self._amounts = dict(_FIRST_AMOUNTS)
        self._work = Latest(self)
        self._bar.applied.connect(self.apply)
        self._bar.dropped.connect(self.drop)
        self._bar.amount_changed.connect(self._on_amount)
        refine.state_changed.connect(self._on_refine)
        session.changed.connect(self._on_change)
        session.image_changed.connect(lambda _image: self.drop())

    @property
    def is_open(self) -> bool:
        """Whether something is tried out."""
        return self._trial is not None

    def start(self, kind: str) -> None:
        """Try an operation out; asked for once more with an amount, it is made stronger."""
        wanted = OperationKind(kind)
        if self._trial is not None and self._trial.operation.kind is wanted:
            self.turn(+1)
            return
        self.drop()
        self._window.canvas.finish_gesture()
        trial = self._target(wanted)
        if trial is None:
            self._window.notices.tell(NOTHING_TO_CHANGE, about=Subject.SELECTION)
            return
        amount, limits = trial.operation.amount, AMOUNTS.get(wanted, (0, 0))
        key_of = self._window.key_of
        self._bar.open_for(
            _TITLES[wanted],
            amount=amount,
            limits=limits,
            unit="px²" if wanted is OperationKind.DROP_ISLANDS else "px",
            apply_key=key_of("accept"),
            drop_key=key_of("cancel"),
        )
        self._try(trial)
        self._views.update_actions()

    def turn(self, steps: int) -> bool:
        """So many steps stronger, or weaker; False when nothing is tried out."""
        if self._trial is None:
            return False
        amount = self._bar.amount.value()
        for _ in range(abs(steps)):
            grown = round(amount * _GROWTH) if steps > 0 else round(amount / _GROWTH)
            amount = max(amount + 1, grown) if steps > 0 else min(amount - 1, grown)
        self._bar.amount.setValue(amount)
        return True

    def apply(self) -> bool:
        """Keep what is tried out, also when it is still computed; False when there is nothing."""
        trial = self._trial
        if trial is None:
            return False
        if trial.results is None:
            self._is_wanted = True
            return True
        if trial.current is not None:  # what is shown stays: it is the current mask from now on
            (result,) = trial.results
            self._refine.operate(result.operation, known=(result.before, result.after))
            self.drop()
        else:
            self.drop()
            self._store(trial)
        return True

    def drop(self) -> bool:
        """Show the masks as they are; False when nothing was tried out."""
        if self._trial is None:
            return False
        self._trial, self._is_wanted = None, False
        self._work.forget()
        self._bar.hide()
        self._views.show_instead(None)
        self._views.objects.try_out({})
        self._views.update_actions()
        self._window.canvas.setFocus()
        return True

    def shut_down(self) -> None:
        self._work.shut_down()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _target(self, kind: OperationKind) -> _Trial | None:
        """The current object, else what is selected."""
        state, amount = self._refine.state, self._amounts.get(kind, 0)
        current = state.mask if state.is_active and not state.is_accept_pending else None
        ids = frozenset() if current is not None else self._window.objects.selected_ids() - self._session.locked
        if current is None and not (ids and not state.is_active):
            return None
        changing = ids | {state.origin_id or 0}
        other = None
        if kind is OperationKind.SUBTRACT:
            neighbours = tuple(mask for row, mask in self._views.objects.masks() if row.id not in changing)
            width, height = self._window.canvas.image_size
            other = union(neighbours, width=width, height=height)
        selected = tuple((row, mask) for row, mask in self._views.objects.masks() if row.id in ids)
        return _Trial(Operation(kind, amount, other), current, selected) if current is not None or selected else None

    def _on_amount(self, amount: int) -> None:
        trial = self._trial
        if trial is not None:
            self._amounts[trial.operation.kind] = amount
            shown = trial.results[0].after if trial.results and trial.current is not None else trial.shown
            operation = replace(trial.operation, amount=amount)
            self._try(replace(trial, operation=operation, shown=shown, results=None))

    def _try(self, trial: _Trial) -> None:
        self._trial = trial
        canvas = self._window.canvas
        scale = canvas.zoom * canvas.devicePixelRatioF()
        self._work.start(lambda: _tried(trial, scale), self._on_tried)

    def _on_tried(self, trial: _Trial) -> None:
        self._trial = trial
        results = trial.results or ()
        if trial.current is not None:
            self._views.show_instead(results[0].after)
        else:
            self._views.objects.try_out({one.row.id: one.after for one in results if one.row is not None})
        self._bar.show_effect(trial.effect)
        if self._is_wanted:
            self.apply()

    def _on_change(self, change: Change) -> None:
        if change.name != "image facts":  # what reading the image has shown changes no mask
            self.drop()

    def _on_refine(self, state: RefineState) -> None:
        trial = self._trial
        if trial is not None and (state.mask is not trial.current if trial.current is not None else state.is_active):
            self.drop()

    def _store(self, trial: _Trial) -> None:
        results = trial.results or ()
        changed = [
            (one.row, by_hand(one.row, one.after, rle=one.rle, outline=one.operation.rings))
            for one in results
            if one.row is not None and not one.after.is_empty and not one.after.same_pixels(one.before)
        ]
        gone = sum(one.after.is_empty for one in results)
        if gone:
            stays = "An object would vanish and stayed" if gone == 1 else f"{gone} objects would vanish and stayed"
            self._session.reported.emit(f"{stays} as before.")
        if changed:
            self._session.attempt(lambda: self._session.apply(masks_edit(trial.operation.kind.value, changed)))
        elif not gone:
            self._session.reported.emit("The masks are like that already.")
