"""What the keys of the labelling loop do."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QPoint
from PySide6.QtGui import QKeySequence, QShortcut

from annotator.domain.brevity import brief
from annotator.io.project.identity import FileState
from annotator.ui.canvas.tools.specs import FIRST_TOOL, tool_spec
from annotator.ui.labelling.attribute_control import AttributeControl
from annotator.ui.labelling.clipboard import ObjectClipboard
from annotator.ui.labelling.finishing import Finishing
from annotator.ui.labelling.mask_operations import MaskOperations
from annotator.ui.labelling.naming import Naming
from annotator.ui.labelling.next_click import NextClick
from annotator.ui.labelling.object_edits import ObjectEdits
from annotator.ui.labelling.object_marks import ObjectMarks
from annotator.ui.labelling.painting import Painting
from annotator.ui.labelling.proposal_keys import ProposalKeys
from annotator.ui.labelling.refine_bar import RefineBar
from annotator.ui.labelling.second_look import SecondLook
from annotator.ui.labelling.slice_control import SliceControl
from annotator.ui.labelling.steps import Steps
from annotator.ui.labelling.views import Views
from annotator.ui.notices import Subject
from annotator.ui.project.damage import DamageNotices
from annotator.ui.project.session import ProjectSession
from annotator.ui.project.watch import ProjectWatch
from annotator.ui.refine.controller import RefineController
from annotator.ui.refine.patience import Patience
from annotator.ui.shell.main_window import MainWindow


class LoopCommands(QObject):
    """Commands that need more than one part: prompts and document, selection and classes."""

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        refine: RefineController,
        *,
        views: Views,
        patience: Patience,
        proposals: ProposalKeys,
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._refine, self._views = window, session, refine, views
        self._proposals = proposals
        self.stop_run: Callable[[], bool] = lambda: False
        """Ends what is being carried through a series; False when nothing is."""
        self._notices = notices = window.notices
        self.watch = ProjectWatch(session, notices, parent=window)
        self.damage = DamageNotices(session, notices, parent=self)
        self.next_click = NextClick(window.canvas, refine, notices, parent=self)
        self.next_click.heat_changed.connect(window.area.doubt.show_state)
        self.steps = Steps(
            session, refine, step_back=window.canvas.open_gesture.step_back, undo_drop=proposals.proposals.undo_drop
        )
        proposals.tool_wanted.connect(self.set_tool)
        self.second_look = SecondLook(window.objects, session)
        self.masks = MaskOperations(window, session, refine, views=views)
        self.edits = ObjectEdits(window, session, refine, views=views)
        self.marks = ObjectMarks(window, session, views=views)
        self.attributes = AttributeControl(window, session, refine)
        self.clipboard = ObjectClipboard(window, session, refine, views=views)
        self.refine_bar = RefineBar(window, session, refine, accept=self.accept, leave=self.cancel)
        self.naming = Naming(window, session, picture=lambda: proposals.proposals.seeing.picture)
        self.naming.changed.connect(views.update_actions)
        self.slices = SliceControl(window, session)
        self.painting = Painting(window.canvas, session, refine, notices)
        self.finishing = Finishing(
            session,
            refine,
            notices,
            views=views,
            patience=patience,
            painting=self.painting,
            bar=window.area.question,
            key_of=window.key_of,
            ask_of_image=self.attributes.ask_of_image,
            parent=self,
        )
        for digit in range(1, 10):
            shortcut = QShortcut(QKeySequence(str(digit)), window)
            shortcut.activated.connect(lambda d=digit: self.pick_by_key(d))

    def accept(self) -> None:
        """Close the shape that is drawn press by press, or place the proposed click, if one is shown; else keep the
        object, with a stroke that is still being drawn."""
        if self._window.canvas.open_gesture.close() or self.masks.apply() or self.naming.take():
            return
        self.painting.finish()
        ways = (self.finishing.unaccepted.accept, self.next_click.place, self._proposals.take)
        if not any(way() for way in ways):
            self._refine.accept()

    def remove_last(self) -> None:
        """Take the newest click or stroke away, or the newest corner of a shape that is being drawn; or drop the
        current proposal."""
        ways = (self._window.canvas.open_gesture.step_back, self.finishing.unaccepted.drop, self._proposals.drop)
        if not any(way() for way in ways):
            self._refine.remove_last()

    def cycle(self, step: int) -> None:
        """Another candidate, or another proposal."""
        if not self._proposals.go(step):
            self._refine.cycle(step)

    def cancel(self) -> None:
        """The half-made drag, what is tried out, a question, a proposed click, the current object, a search, or the
        selection."""
        stay, drop = self.finishing.unaccepted.stay, self.next_click.drop
        first = (self._window.canvas.cancel_gesture, self.masks.drop, self.naming.leave, stay, drop)
        then = (self._refine.cancel, self._proposals.escape, self.attributes.skip, self.stop_run)
        if not any(way() for way in (*first, *then)):
            self._window.objects.select_ids(frozenset())

    def delete_selected(self) -> None:
        if self.finishing.can_see():
            self.delete(self._window.objects.selected_ids())

    def select_all(self) -> None:
        if self.finishing.can_see():
            self._window.objects.view.selectAll()

    def delete(self, ids: frozenset[int]) -> None:
        self._put_down(ids)
        self._session.delete(ids)

    def reclass(self, ids: frozenset[int], category_id: int) -> None:
        self._session.reclass(ids, category_id)

    def tell_saved(self) -> None:
        """Answer the habit of saving: accepted objects are on the disk already, but for those that wait."""
        if self._session.store is None:
            return
        if not self._session.is_writable:
            text, about = "This project is read-only: nothing in it was changed.", Subject.PROJECT
        elif (state := self.watch.check()) is not FileState.OURS:
            name = self._session.store.path.name
            foreign = f"Not saved in {brief(name)}: another program has put something else there."
            text, about = foreign if state.is_foreign else "Not saved: the project file is gone.", Subject.FILE
        elif self._refine.can_leave():
            text, about = f"Everything accepted is saved in {brief(self._session.store.path.name)}.", Subject.CHANGE
        else:
            text = "Saved, but for an accepted object whose mask is still to come; it is kept then."
            about = Subject.CHANGE
        self._notices.tell(text, about=about)

    def pick_by_key(self, digit: int) -> None:
        """A number key: the class of the selected objects, else of the next object."""
        category = self._session.classes.by_key(digit)
        if category is None:
            if self._session.store is not None:
                self._notices.tell(f"No class has the key {digit}.", about=Subject.CLASSES)
            return
        self.pick_class(category.id)

    def pick_class(self, category_id: int) -> None:
        """Give the selected objects this class; without any, the next object gets it."""
        selected = self._window.objects.selected_ids()
        if selected and not self._refine.state.is_active:
            self.reclass(selected, category_id)
        else:
            self._session.classes.pick(category_id)

    def use_new_class(self, name: str) -> None:
        """Add a class and use it as if it had been chosen."""
        category_id = self._session.classes.add(name)
        if category_id:
            self.pick_class(category_id)

    def find_class(self) -> None:
        if self._session.store is not None:
            categories = list(self._session.categories.values())
            self._window.area.finder.open_for(categories, can_add=self._session.is_writable)

    def add_class(self) -> None:
        """A new class with a stand-in name, which is edited at once."""
        category_id = self._session.classes.add()
        if category_id:
            self._window.classes.edit_name(category_id)

    def refine_object(self, annotation_id: int) -> None:
        """Take an accepted object up again, with its mask as the first prompt."""
        found = next((a for a in self._session.annotations if a.id == annotation_id), None)
        if found is None or not self._session.is_writable:
            return
        if self.damage.is_known(found):
            self._notices.tell("This object is damaged: there is no mask to go on from.", about=Subject.SELECTION)
            return
        if annotation_id in self._session.locked:
            self._notices.tell("This object is locked: unlock it first.", about=Subject.SELECTION)
            return
        state = self._refine.state
        if state.is_active and not state.is_accept_pending:
            self._notices.tell(
                "The current object is not accepted yet: Enter accepts it, Esc drops it.", about=Subject.WORK
            )
            return
        if not tool_spec(self._window.canvas.tool).changes:
            self.set_tool(FIRST_TOOL)
        self._window.objects.select_ids(frozenset())
        self._refine.refine_annotation(found)
        self._window.canvas.setFocus()

    def refine_selected(self) -> None:
        """Take the one selected object up again, or without a selection the one under the pointer."""
        selected = self._window.objects.selected_ids()
        under = 0 if selected else self._window.canvas.hovered_object
        if under:
            self.refine_object(under)
        elif len(selected) == 1:
            self.refine_object(next(iter(selected)))
        elif selected:
            self._notices.tell("Select one object to refine it.", about=Subject.SELECTION)
        else:
            self._notices.tell("Point at an object, or select one, to refine it.", about=Subject.SELECTION)

    def select_clicked(self, annotation_id: int, is_additive: bool) -> None:
        """A click on an object (0: beside all) in the select tool."""
        selected = self._window.objects.selected_ids()
        clicked = frozenset({annotation_id} if annotation_id else ())
        self._window.objects.select_ids(selected ^ clicked if is_additive else clicked)

    def show_menu(self, annotation_id: int, place: QPoint) -> None:
        """The menu of an object (0: of the selected ones) on the canvas; it acts on the selection if that has it."""
        objects = self._window.objects
        if annotation_id and annotation_id not in objects.selected_ids():
            objects.select_ids(frozenset({annotation_id}))
        menu = objects.make_menu(objects.selected_ids(), self._window.canvas)
        if menu is not None:
            menu.popup(place)

    def turn_size(self, steps: int) -> None:
        """So many steps more, or less, of what is tried out, of the score of proposals, else of the brush."""
        if not self.masks.turn(steps) and not self._proposals.change_score(steps):
            self.painting.resize(steps)

    def set_tool(self, tool_id: str) -> None:
        self._window.actions_by_id[f"tool_{tool_id}"].setChecked(True)
        self._window.canvas.set_tool(tool_id)
        self._views.update_actions()
        self._notices.withdraw(Subject.TOOL)

    def set_removing(self, is_removing: bool) -> None:
        self._window.canvas.set_negative(is_removing)
        self._views.refresh_chip()

    def _put_down(self, ids: frozenset[int]) -> None:
        """An object that is being refined cannot be deleted under the person's hands."""
        origin = self._refine.state.origin_id
        if origin is not None and origin in ids:
            self._refine.cancel()
