"""Checks in the window: run beside it, gone through, repaired, waived with a note, written to a report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

from PySide6.QtCore import QObject, QRectF
from PySide6.QtWidgets import QFileDialog

from annotator.domain.brevity import brief
from annotator.domain.checks.finding import Finding, Repair
from annotator.domain.checks.listing import CheckList
from annotator.domain.checks.project import check_project
from annotator.domain.checks.repair import repair_edit
from annotator.domain.errors import UserError
from annotator.domain.ports.jobs import WorkCancelled
from annotator.domain.project import Change, Edit, ImageRecord
from annotator.io.check_report import SUFFIXES, report_row, write_report
from annotator.io.project.checked import checked_images
from annotator.io.project.place import now_text
from annotator.io.project.store import ProjectStore
from annotator.io.project.waivers import Waiver, remove_waiver, write_waiver
from annotator.io.settings import Settings
from annotator.jobs.job import Job
from annotator.ui.labelling.check_follow import follow, rows_of
from annotator.ui.labelling.check_repairs import GroupRepair
from annotator.ui.labelling.panel_controls import ControlParts
from annotator.ui.notices import Subject
from annotator.ui.panels.checks import CheckPanel
from annotator.ui.threads.background import BackgroundWork, Errand

SETTING = "check_images"
_TOPIC = f"{Subject.IMAGE}/check"
_IN_HAND = "The current object is not accepted yet: Enter accepts it, Esc drops it."
_NOT_RUN = "Nothing was checked yet."


class Checks(QObject):
    """One per window. A run reads the project file on a thread of its own; later changes are followed in the list."""

    def __init__(self, parts: ControlParts) -> None:
        super().__init__(parts.window)
        self._window, self._session = window, session = parts.window, parts.session
        self._refine, self._bench, settings = parts.refine, parts.bench, parts.settings
        self._panel, self._notices = cast(CheckPanel, window.panels["checks"]), window.notices
        self._work: BackgroundWork | None = None
        self._works: list[BackgroundWork] = []
        self._meanwhile: list[Change] = []
        """What was changed while it is checked."""
        self._wanted: Finding | None = None
        self._repairs, self._reports = Errand(self), Errand(self)
        self._group_repair = GroupRepair(window.jobs, self)
        self._group_repair.made.connect(self._on_group)
        self._group_repair.failed.connect(self._on_error)
        panel = self._panel
        panel.images_box.setChecked(bool(settings.get(SETTING)))
        panel.images_box.toggled.connect(partial(_remember, settings, self._on_error))
        panel.run_wanted.connect(self.run)
        panel.stop_wanted.connect(self.stop)
        panel.shown.connect(self.show)
        panel.repair_wanted.connect(self.repair)
        panel.waive_wanted.connect(self._waive)
        panel.export_wanted.connect(self.export)
        session.opened.connect(self._begin_project)
        session.changed.connect(self._on_change)
        session.image_changed.connect(self._on_image)
        self._bench.picture_shown.connect(self._on_picture)

    # --- a run --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Check everything, as a job; the panel shows what is found."""
        self._window.show_panel("checks", True)
        store = self._session.store
        if store is None or self._work is not None:
            return
        path, reads_images, self._meanwhile = store.path, self._panel.reads_images, []
        job = Job(f"Check {path.name}", unit="image", on_show=lambda: self._window.show_panel("checks", True))
        work = self._work = BackgroundWork(lambda job: _check(path, job, reads_images), self, job=job)
        self._works.append(work)
        self._window.jobs.add(job, work)
        work.progressed.connect(lambda done, total: self._on_progress(work, done, total))
        work.succeeded.connect(lambda found: self._on_found(work, found))
        work.failed.connect(lambda error: self._on_failed(work, error))
        work.finished.connect(lambda: self._end(work))
        work.start()
        self._panel.show_run(True)

    def stop(self) -> None:
        """End the run; what an earlier one has found stays."""
        if self._work is not None:
            self._work.cancel()

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._repairs.shut_down()
        self._reports.shut_down()
        self._group_repair.shut_down()
        for work in tuple(self._works):
            work.cancel()
            self._end(work)

    # --- what was found -----------------------------------------------------------------------------------------------

    def go(self, step: int) -> None:
        """Show the next open finding (+1), or the one before (-1)."""
        if self._refine.state.is_active:
            self._notices.tell(_IN_HAND, about=Subject.WORK)
            return
        finding = self._panel.go(step)
        if finding is not None:
            self.show(finding)
        elif not self._panel.model.list.groups:
            key = self._window.key_of("check_run")
            self._tell(f"{_NOT_RUN} {key} does." if key else _NOT_RUN)
        else:
            self._tell("That was the last open finding." if step > 0 else "That was the first open finding.")

    def show(self, finding: Finding) -> None:
        """Go to its image, select its objects and bring them before the eye."""
        if self._refine.state.is_active:
            self._notices.tell(_IN_HAND, about=Subject.WORK)
        elif not finding.image_id:
            self._window.show_panel("classes", True)
            self._tell(f"{finding.text}: rename one in the Classes panel, or merge them there.")
        elif finding.image_id not in self._session.row_of:
            self._tell("Its image is not in the project any more.")
        elif self._bench.picture is not None and self._bench.picture.image_id == finding.image_id:
            self._show(finding)
        else:
            self._wanted = finding
            self._session.go_to(finding.image_id)

    def repair(self, is_merge: bool = False) -> None:
        """Do what is offered for the current finding, or for all that are open below the current line of a check, as
        one step that can be undone.

        Args:
            is_merge: make one object of the two of the finding instead.
        """
        finding, store, group = self._panel.current, self._session.store, self._panel.current_group
        reason = self._refusal(group[0] if group else finding, is_one=not group)
        if not reason and is_merge and (finding is None or finding.spec.other is not Repair.MERGE):
            reason = "There is nothing to merge here."
        if not reason and group and store is not None:
            self._group_repair.start(store.path, group, self._session.locked)
        elif reason or finding is None:
            self._tell(reason)
        else:
            self._mend(finding, Repair.MERGE if is_merge else None)

    def _mend(self, finding: Finding, repair: Repair | None) -> None:
        """By the repair that is offered first, or by another one."""
        store = self._session.store
        try:
            rows = {row.id: row for row in rows_of(self._session, finding)}
        except UserError as error:
            self._on_error(error)
            return
        self._repairs.start(
            lambda: repair_edit(finding, rows, repair=repair),
            lambda edit: self._apply(finding, edit) if self._session.store is store else None,
            self._on_error,
        )

    def waive(self) -> None:
        """Ask for a note with which the current finding stays; of a waived one take that back."""
        if self._panel.current is None:
            self._tell("Choose a finding in the Checks panel first.")
        elif not self._session.is_writable:
            self._tell("This project is read-only.")
        else:
            self._window.show_panel("checks", True)
            self._panel.begin_note()

    def export(self) -> None:
        """Write the findings that still hold as JSON or CSV."""
        store = self._session.store
        if store is None:
            return
        kinds = ";;".join(f"{suffix[1:].upper()} (*{suffix})" for suffix in SUFFIXES)
        suggestion = str(store.path.with_name(f"{store.path.stem}-checks.csv"))
        name, _ = QFileDialog.getSaveFileName(self._window, "Export the findings", suggestion, kinds)
        if not name:
            return
        model, path, target = self._panel.model, Path(name), store.path
        found, notes, stale = model.list, dict(model.notes), frozenset(model.stale)

        def write() -> None:
            kept = (one for group in found.groups for one in group.findings if one.mark not in stale)
            rows = [report_row(one, found.names.get(one.image_id, ""), notes.get(one.mark, "")) for one in kept]
            write_report(path, rows, target)

        self._reports.start(
            write, lambda _: self._notices.tell(f"Written: {brief(path.name)}.", about=Subject.PROJECT), self._on_error
        )

    # --- inside: a run ------------------------------------------------------------------------------------------------

    def _on_progress(self, work: BackgroundWork, done: int, total: int) -> None:
        if work is self._work:
            self._panel.show_run(True, done, total)

    def _on_found(self, work: BackgroundWork, found: CheckList) -> None:
        if work is not self._work:
            return  # of a project that was left meanwhile
        self._work = None
        self._panel.show_run(False)
        self._panel.show_list(found)
        for change in self._meanwhile:
            self._on_change(change)
        self._notices.tell(f"Checked: {found.lines()[0]}.", about=Subject.PROJECT)

    def _on_failed(self, work: BackgroundWork, error: Exception) -> None:
        if work is not self._work:
            return
        self._work = None
        self._panel.show_run(False)
        if not isinstance(error, WorkCancelled):
            self._on_error(error)

    def _end(self, work: BackgroundWork) -> None:
        if work in self._works:
            self._works.remove(work)
            work.wait()
            work.deleteLater()

    def _begin_project(self) -> None:
        """Another project, or none."""
        self.stop()
        self._work = self._wanted = None
        self._panel.show_run(False)
        self._panel.show_list(None)
        self._panel.set_allowed(has_project=self._session.store is not None, can_change=self._session.is_writable)

    # --- inside: what was found ---------------------------------------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        if self._work is not None:
            self._meanwhile.append(change)
        follow(self._panel.model, self._session, change)
        # That an image was looked at for the first time changes nothing that is checked.
        self._panel.show_changes(is_other=change.name != "image facts")

    def _on_image(self, image: ImageRecord | None) -> None:
        if self._wanted is not None and (image is None or image.id != self._wanted.image_id):
            self._wanted = None  # the person went elsewhere

    def _on_picture(self, image_id: int) -> None:
        if self._wanted is not None and self._wanted.image_id == image_id:
            self._show(self._wanted)

    def _show(self, finding: Finding) -> None:
        self._wanted = None
        rows = [row for row in self._session.annotations if row.id in finding.object_ids]
        place = QRectF()
        for row in rows:
            place = place.united(QRectF(row.x, row.y, row.w, row.h))
        self._window.canvas.show_place(place)
        self._window.objects.select_ids(frozenset(row.id for row in rows))
        ways = [f"{finding.spec.title}: {finding.text}."]
        repair, waive = self._window.key_of("check_repair"), self._window.key_of("check_waive")
        if finding.spec.repair is not Repair.NONE and repair and self._panel.model.is_open(finding):
            ways.append(f"{repair}: {finding.spec.repair.value}.")
        merge = self._window.key_of("check_merge")
        if finding.spec.other is Repair.MERGE and merge and self._panel.model.is_open(finding):
            ways.append(f"{merge}: merge.")
        if waive and self._panel.model.is_open(finding):
            ways.append(f"{waive}: waive.")
        self._notices.tell(" ".join(ways), about=_TOPIC, stays=True)

    def _on_group(self, path: Path, edit: Edit | None) -> None:
        """All findings of a check can be repaired by this."""
        store = self._session.store
        if store is None or store.path != path:
            return
        if self._refine.state.is_active:
            self._notices.tell(_IN_HAND, about=Subject.WORK)
        elif edit is None:
            self._tell("There is nothing that can be repaired.")
        else:
            name = edit.name
            self._session.large.write(
                edit, lambda: self._notices.tell(f"Repaired: {brief(name)}.", about=Subject.CHANGE)
            )

    def _refusal(self, finding: Finding | None, *, is_one: bool = True) -> str:
        """Why there is no repair now; empty when there is."""
        if finding is None:
            return "Choose a finding in the Checks panel first."
        if not self._session.is_writable:
            return "This project is read-only."
        if self._refine.state.is_active:
            return _IN_HAND
        if finding.mark in self._panel.model.stale:
            return "Its objects were changed since: check again."
        if finding.spec.repair is Repair.NONE:
            return "There is no repair for that; change the objects by hand, or waive it."
        if is_one and finding.object_ids[0] in self._session.locked:
            return "This object is locked: unlock it first."
        return ""

    def _apply(self, finding: Finding, edit: Edit | None) -> None:
        if edit is None:
            self._tell("That would leave nothing of the object, or change nothing.")
            return
        image = self._session.image
        if image is None or image.id != finding.image_id:
            self._session.go_to(finding.image_id)  # nothing changes unseen
        if self._session.attempt(lambda: self._session.apply(edit)):
            self._notices.withdraw(_TOPIC)
            self._notices.tell(f"Repaired: {brief(edit.name)}.", about=Subject.CHANGE)

    def _waive(self, finding: Finding, note: str) -> None:
        """Keep why a finding stays, or take it back."""
        store = self._session.store
        if store is None or store.is_read_only:
            return
        row = Waiver(finding.mark, note, store.author, now_text())
        change = partial(write_waiver, waiver=row) if note else partial(remove_waiver, mark=finding.mark)

        def work() -> None:
            store.write_beside(change)
            self._panel.set_waived(finding, note)

        self._session.attempt(work, f"waiver {finding.mark}")

    def _on_error(self, error: Exception) -> None:
        if isinstance(error, UserError):
            self._notices.warn(str(error), about=Subject.PROJECT)
        elif isinstance(error, ValueError):  # what a repair says of damaged runs
            self._tell(f"This object cannot be repaired: {error}.")
        else:
            raise error

    def _tell(self, text: str) -> None:
        self._notices.tell(text, about=Subject.SELECTION)


def _remember(settings: Settings, on_error: Callable[[Exception], None], reads_images: bool) -> None:
    try:
        settings.set(SETTING, reads_images)
    except UserError as error:
        on_error(error)


def _check(path: Path, job: Job, reads_images: bool) -> CheckList:
    """Everything that is found in a project file, and what of it was waived."""
    with ProjectStore.open(path, read_only=True) as store:
        names = {image.id: image.path for image in store.images()}
        notes = {mark: waiver.note for mark, waiver in store.waivers.all().items()}
        entries = checked_images(store, job.progress, reads_images=reads_images)
        found = tuple(check_project(entries, store.categories()))
    marks = {one.mark for one in found}
    return CheckList.of(found, names, {mark: note for mark, note in notes.items() if mark in marks})
