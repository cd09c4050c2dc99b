"""Image after image: what is shown, who hears of it, what survives. Joins session, object, canvas and loader."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal

from annotator.domain.brevity import brief
from annotator.domain.cues.cue import Cue
from annotator.domain.drafts.state import RefineState
from annotator.domain.errors import ProjectError, ProjectFolderError, UserError
from annotator.domain.geometry import Box
from annotator.domain.project import Annotation, Category, Change, Edit, ImageRecord
from annotator.domain.prompt import PointPrompt
from annotator.io.project.drafts import Kept
from annotator.io.settings import Settings
from annotator.ui.canvas.tools.specs import LOOKING_TOOL, tool_spec
from annotator.ui.labelling.feedback import EngineFeedback
from annotator.ui.labelling.kept_drafts import KeptDrafts
from annotator.ui.labelling.loop import LoopCommands
from annotator.ui.labelling.passing import PassingSlices
from annotator.ui.labelling.read_ahead import ReadAhead
from annotator.ui.labelling.resting_pointer import RestingPointer
from annotator.ui.labelling.views import Views
from annotator.ui.look.numbers import grouped
from annotator.ui.notices import Subject
from annotator.ui.project.refusals import Refusals
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.loading import ImageLoader, Picture


class SessionSink:
    """Where the current object is accepted to: the session."""

    def __init__(self, session: ProjectSession) -> None:
        self._session = session
        self.adjusted: Callable[[Edit], Edit] = lambda edit: edit
        """What becomes of an accept where objects do not overlap."""

    def new_annotation_id(self) -> int:
        store = self._session.store
        if store is None:
            raise UserError("No project is open.", "Open a folder first.")
        return store.new_id("annotation")

    def apply(self, edit: Edit, *, kept: Kept | None = None) -> Change:
        """As :meth:`ProjectSession.apply`, with what the project says about objects that overlap."""
        return self._session.apply(self.adjusted(edit), kept=kept)


class Workbench(QObject):
    """One per window."""

    folder_refused = Signal()
    """An image was to be shown, of a folder to which the person has not agreed."""
    picture_shown = Signal(object)
    """The id of the image that the canvas shows now, with its objects."""
    picture_gone = Signal()
    """The canvas shows nothing any more. From slice to slice it keeps the last one until the next is there."""
    picture_redone = Signal(object)
    """The same image is shown in other greys."""

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        refine: RefineController,
        *,
        loader: ImageLoader,
        views: Views,
        commands: LoopCommands,
        feedback: EngineFeedback,
        settings: Settings,
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._refine = window, session, refine
        self._loader, self._views, self._settings = loader, views, settings
        self._commands, self._feedback, self._notices = commands, feedback, window.notices
        self._epoch = 0
        self.picture: Picture | None = None
        """What the canvas shows; None while the next image is read."""
        self._series_id = 0
        """Whose slice is on the canvas; 0: none."""
        self.passing = PassingSlices(self)
        self._position, self._is_backward = 0, False
        """Of the wanted image in its series, and whether the person goes through it from the end."""
        self.before_prompt: Callable[[], None] = lambda: None
        """Called before a click or box counts."""
        self._ahead = ReadAhead(
            session, refine.asides, settings, loader=loader, feedback=feedback, passing=self.passing, parent=self
        )
        commands.slices.played.connect(self._ahead.play)
        self._drafts = KeptDrafts(session, refine, parent=self)
        self._refusals = Refusals(session, refine, self._notices, parent=self)
        self._is_left = False
        """Whether nothing of an image is on the canvas, so that nothing has to be cleared for the next one."""
        self._tool_before: str | None = None
        """What a read-only project took out of the hand."""
        self._wire_session()
        self._wire_panels()
        self._wire_canvas()

    # --- wiring -----------------------------------------------------------------------------------------------------

    def _wire_session(self) -> None:
        session, loader = self._session, self._loader
        session.opened.connect(self._begin_project)
        session.image_changed.connect(self._on_image_wanted)
        session.changed.connect(self._on_change)
        session.class_changed.connect(self._refine.set_category)
        session.class_picked.connect(self._refine.pick_category)
        session.reported.connect(self._tell)
        session.warned.connect(lambda text: self._notices.warn(text, about=Subject.IMAGE, is_error=False))
        loader.loaded.connect(self._on_picture)
        loader.failed.connect(self._on_unreadable)
        self._feedback.image_encoded.connect(self._ahead.look_round)

    def _wire_panels(self) -> None:
        window, commands, classes = self._window, self._commands, self._session.classes
        window.film.picked.connect(self._go_to)
        self.picture_shown.connect(commands.slices.on_picture)
        window.objects.refine_wanted.connect(commands.refine_object)
        window.objects.delete_wanted.connect(commands.delete)
        window.objects.reclass_wanted.connect(commands.reclass)
        window.classes.picked.connect(classes.pick)
        window.classes.add_wanted.connect(commands.add_class)
        window.classes.rename_wanted.connect(lambda cid, name: classes.change(cid, name=name))
        window.classes.colour_wanted.connect(lambda cid, colour: classes.change(cid, colour=colour))
        window.classes.delete_wanted.connect(classes.delete)
        window.classes.merge_wanted.connect(classes.merge)
        window.classes.move_wanted.connect(classes.move)
        window.classes.key_wanted.connect(classes.set_key)
        window.classes.details_wanted.connect(classes.describe)
        window.classes.delete_unused_wanted.connect(classes.delete_unused)
        self._session.merge_offered.connect(self._offer_merge)
        window.area.chip.clicked.connect(commands.find_class)
        window.area.finder.picked.connect(commands.pick_class)
        window.area.finder.new_wanted.connect(commands.use_new_class)
        window.area.finder.closed.connect(window.canvas.setFocus)

    def _wire_canvas(self) -> None:
        canvas, refine, status = self._window.canvas, self._refine, self._window.status
        canvas.pointed.connect(self._on_pointed)
        canvas.boxed.connect(self._on_boxed)
        canvas.cued.connect(self._on_pointed)
        canvas.object_clicked.connect(self._commands.select_clicked)
        canvas.objects_ringed.connect(self._commands.marks.select_many)
        canvas.menu_wanted.connect(self._commands.show_menu)
        canvas.object_activated.connect(self._commands.refine_object)
        canvas.operated.connect(lambda operation: self._refine.operate(operation))
        canvas.cut_drawn.connect(self._commands.edits.cut)
        canvas.accept_clicked.connect(self._commands.accept)
        canvas.zoom_changed.connect(status.set_zoom)
        canvas.cursor_moved.connect(RestingPointer(self._refine.asides, self).move)
        canvas.cursor_moved.connect(lambda x, y, inside: status.set_place(*((x, y) if inside else (None, None))))
        refine.state_changed.connect(self._on_refine)
        refine.accepted.connect(self._on_accepted)
        refine.storing.connect(self._views.objects.expect)
        refine.message.connect(lambda text: self._notices.tell(text, about=Subject.CLICK))
        refine.busy_changed.connect(self._feedback.on_deciding)
        self._window.area.candidates.chosen.connect(refine.choose)

    # --- image after image ------------------------------------------------------------------------------------------

    def _go_to(self, image_id: int) -> None:
        self._session.go_to(image_id)
        self._window.canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_image_wanted(self, record: ImageRecord | None) -> None:
        if record is not None and self.picture is not None and self.picture.image_id == record.id:
            return
        self._epoch += 1
        self._views.has_failed = False
        # From slice to slice the canvas keeps the last one until the next is read: it would flicker.
        is_beside = record is not None and 0 != record.series_id == self._series_id
        if is_beside and record is not None:
            self._is_backward = record.position < self._position
        self._position = 0 if record is None else record.position
        is_at_hand = is_beside and record is not None and self._loader.cached(record.id) is not None
        self._leave_picture(keeps_canvas=is_beside, is_at_hand=is_at_hand)
        self._feedback.set_busy("image", is_busy=record is not None)
        self._notices.withdraw(Subject.IMAGE)
        if record is not None:
            self._window.film.set_current(record.id)
            try:
                path = self._session.image_path(record)
            except ProjectFolderError:
                self._leave_picture(keeps_canvas=is_beside)
                self._views.has_failed = True
                self._feedback.set_busy("image", is_busy=False)
                self.folder_refused.emit()
            except ProjectError as error:  # a stranger's project names a file outside of the folder
                self._leave_picture(keeps_canvas=is_beside)
                self._on_unreadable(self._epoch, record.id, str(error))
            else:
                self._loader.request(self._epoch, record.id, path, frame=record.frame, keeps_ahead=is_beside)

    def try_again(self) -> None:
        """Read the current image again when it could not be shown."""
        if self._session.image is not None and self._views.has_failed:
            self._on_image_wanted(self._session.image)

    def _begin_project(self) -> None:
        """Nothing of the project before it is offered any more."""
        self._leave_picture()

    def _leave_picture(self, *, keeps_canvas: bool = False, is_at_hand: bool = False) -> None:
        """Clear the canvas. The draft is kept: coming back brings it back.

        Args:
            keeps_canvas: another slice of the series comes.
            is_at_hand: in this very event, so that nothing needs to change twice.
        """
        self._refusals.leave_image()
        self._window.canvas.open_gesture.finish()
        self.picture = None
        was_left, self._is_left = self._is_left, not (keeps_canvas or is_at_hand)
        if not keeps_canvas:
            self.passing.leave()
            self._ahead.leave()
            if not was_left:
                self._clear_canvas()
        if not is_at_hand:
            if not was_left:
                self._refine.close_image()
            self._views.show_picture(False, is_passing=keeps_canvas)
            self._feedback.show_image("", is_slice=keeps_canvas)
        self._notices.withdraw(Subject.IMAGE)

    def _clear_canvas(self) -> None:
        self._window.canvas.set_image(None)
        self._series_id = 0
        self.picture_gone.emit()

    def leave_project(self) -> None:
        """Another project takes the place of this one: its drafts stay in its file."""
        self._refine.reset()

    def _on_picture(self, epoch: int, picture: Picture) -> None:
        record = self._session.image
        if epoch != self._epoch or record is None:
            return
        self.picture, loaded = picture, picture.loaded
        self._is_left = False
        self._feedback.set_busy("image", is_busy=False)
        self._session.facts.take(
            record.id, sha256=loaded.sha256, width=loaded.width, height=loaded.height, extra=loaded.extra
        )
        is_slice, self._series_id = 0 != record.series_id == self._series_id, record.series_id
        self._feedback.show_image(loaded.image_key, is_slice=is_slice)
        self._window.canvas.spacing_mm = (self._session.image or record).spacing_mm
        self._window.canvas.set_image(picture.prepared, keeps_view=is_slice)
        self._views.show_picture(True, is_passing=is_slice)
        self._notices.withdraw(Subject.READING)
        if self._session.is_writable:
            self._refine.set_category(self._session.category)
            self._refine.open_image(self._session.image or record, loaded.rgb, loaded.image_key, loaded.sight)
            if told := self._drafts.bring_back(record, size_wh=(loaded.width, loaded.height)):
                self._notices.tell(told, about=Subject.PROMPTS)
        self._fit_tool()
        if loaded.note:
            self._notices.tell(f"{brief(record.name)}: {loaded.note}", about=Subject.IMAGE)
        if self._window.focusWidget() is None or self._window.focusWidget() is self._window.area.empty.open_button:
            self._window.canvas.setFocus(Qt.FocusReason.OtherFocusReason)
        self.picture_shown.emit(record.id)
        if record.series_id:  # at once: who goes through a stack does not wait for the model
            self._ahead.follow(record, picture, way=-1 if self._is_backward else +1)
        self.passing.show(record.id, is_slice=is_slice)

    def show_anew(self, picture: Picture) -> None:
        """The image on the screen in other greys. The model sees them too; what was clicked is answered again."""
        if self.picture is None or picture.image_id != self.picture.image_id:
            return
        self.picture, loaded = picture, picture.loaded
        self._window.canvas.preview.set_pixels(picture.prepared)
        self._feedback.show_image(loaded.image_key)
        if self._session.is_writable:
            self._refine.show_anew(loaded.rgb, loaded.image_key, loaded.sight)
        self._ahead.take_greys(picture)
        self.picture_redone.emit(picture.image_id)

    def _fit_tool(self) -> None:
        """In a read-only project there is only something to look at; the next one gives the tool back."""
        tool = self._window.canvas.tool
        if not self._session.is_writable:
            if not tool_spec(tool).changes:
                return
            self._tool_before = self._tool_before or tool
            self._commands.set_tool(LOOKING_TOOL)
        elif self._tool_before is not None:
            self._commands.set_tool(self._tool_before)
            self._tool_before = None

    def _on_unreadable(self, epoch: int, _image_id: int, message: str) -> None:
        if epoch == self._epoch:
            self._clear_canvas()
            self._views.has_failed = True
            self._feedback.set_busy("image", is_busy=False)
            action = ("Next image", lambda: self._session.step(+1))
            self._notices.withdraw(Subject.READING)
            self._notices.warn(message, about=Subject.IMAGE, action=action)

    def _on_change(self, change: Change) -> None:
        if self._refine.state.category_id not in (None, *self._session.categories):
            self._refine.pick_category(self._session.category)  # the one that was chosen was deleted
        record = self._session.image
        if record is not None and record.id in change.image_ids and self.picture is not None:
            self._refine.update_image(record)

    # --- the current object -----------------------------------------------------------------------------------------

    def _on_pointed(self, said: PointPrompt | Cue) -> None:
        if self._session.is_writable:
            self.before_prompt()
            self._refine.add_point(said)

    def _on_boxed(self, box: Box) -> None:
        if self._session.is_writable:
            self.before_prompt()
            self._refine.set_box(box)

    def _on_refine(self, state: RefineState) -> None:
        self._views.on_refine(state)
        self._feedback.show_refine(state)

    def _on_accepted(self, annotation: Annotation, _change: Change) -> None:
        self._window.area.hint.is_wanted = False
        self._views.refresh_hint()
        category = self._session.categories.get(annotation.category_id)
        name = category.name if category else "object"
        self._tell(f"Accepted: {brief(name)}, {grouped(annotation.area)} px².")

    def _tell(self, text: str) -> None:
        """What is said while an image is there is about that image, and goes with the next change or image."""
        self._notices.tell(text, about=Subject.PROJECT if self._session.image is None else Subject.CHANGE)

    def _offer_merge(self, source: Category, target: Category) -> None:
        """A class was to get the name of another one."""
        classes = self._session.classes
        count = classes.object_count(source.id)
        objects = "its object moves there and" if count == 1 else f"its {grouped(count)} objects move there and"
        what = (
            f"{objects} “{brief(source.name)}” goes" if count else f"“{brief(source.name)}”, which has no objects, goes"
        )
        self._notices.offer(
            f"There is a class “{brief(target.name)}” already. When they are merged, {what}.",
            about=Subject.CLASSES,
            action=("Merge", lambda: classes.merge(source.id, target.id)),
        )
