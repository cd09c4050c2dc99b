"""The demo's steps, in the order of a person's first quarter of an hour with the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QComboBox, QDialog

from annotator.demo.checks import (
    INSIDE_SHARE,
    Target,
    check_coco_file,
    check_polygon_folder,
    check_stored,
    mask_inside,
    share_inside,
)
from annotator.demo.hands import CTRL, SHIFT, Hands, StepFailed, require
from annotator.demo.labeller import Labeller, deepest
from annotator.demo.shapes import draw_shapes
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.project import Status
from annotator.io.formats.coco.check import check_coco
from annotator.io.formats.report import ExportReport
from annotator.io.project.store import ProjectStore
from annotator.ui.dialogs.export import ExportDialog
from annotator.ui.dialogs.settings import SettingsDialog
from annotator.ui.program import Program

Key = Qt.Key

ASTRONAUT = Target("astronaut.png", "astronaut", (130, 330), (20, 12, 365, 511))
HELMET = Target("astronaut.png", "object", (420, 420), (280, 340, 511, 511))
CELL = Target("cell.png", "cell", (428, 374), (362, 308, 494, 440))
EYES = (
    Target("chelsea.png", "eye", (160, 113), (133, 85, 205, 145)),
    Target("chelsea.png", "eye", (325, 140), (295, 110, 345, 165)),
)
SAUCER = Target("coffee.png", "saucer", (130, 290), (78, 20, 478, 385))
COFFEE_BOX, CUP_BOX = Box(200, 98, 370, 195), Box(174, 19, 409, 206)
SPOON = Target("coffee.png", "object", (365, 290), (322, 235, 405, 327))
COINS = tuple(
    Target("coins.png", "coin", click, box)
    for click, box in (
        ((334.5, 43.5), (305, 16, 365, 72)),
        ((347.5, 187.0), (315, 156, 380, 218)),
        ((212.5, 193.0), (189, 170, 237, 217)),
        ((172.5, 261.5), (144, 236, 201, 288)),
        ((45.5, 260.0), (18, 233, 75, 288)),
        ((155.5, 51.0), (132, 28, 179, 74)),
        ((101.5, 196.0), (80, 175, 124, 217)),
        ((300.5, 263.5), (276, 239, 326, 289)),
        ((270.5, 119.0), (245, 95, 296, 145)),
    )
)
BRAIN = Target("ct-head.dcm", "brain", (250, 340), (140, 230, 375, 395))
EMPTY_IMAGE = "brick.png"

README_PICTURE = "window.png"
"""The picture for the README, which is a copy of it."""

MOST_NEGATIVE_CLICKS = 5
"""A person clicks again when the first click did not take enough away."""

ENOUGH_LEFT = 0.5
"""The share of what was wrong that a person lets pass; the demo counts on less (any pixel), for a weak model's sake."""

FIRST_LOAD_S = 120.0
"""For the model: importing torch from a cold disk takes its time."""


class Story:
    """One run of the demo in a window that has its folder open.

    Args:
        project: the project file; pictures and exports go beside it.
        say: takes one line of detail for the person.
    """

    def __init__(self, program: Program, hands: Hands, project: Path, say: Callable[[str], None]) -> None:
        self._window, self._hands, self._project, self._say = program.window, hands, project, say
        self._program = program
        self.labeller = Labeller(program, hands, project)
        self.worst_iou = 0.0
        """Of the objects in the COCO file with the stored masks."""

    def steps(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        """Title and work of every step."""

        def shapes() -> str:
            return draw_shapes(self._hands, self.labeller, self._program)

        return (
            ("open the folder", self.see_folder),
            ("load the model", self.load_model),
            ("click an object, switch candidates with Tab, accept", self.astronaut),
            ("drag a box, accept", self.helmet),
            ("mark an image empty with X", self.empty_image),
            ("one click, one object", self.cell),
            ("two eyes", self.eyes),
            ("refine with a negative click, undo and redo it", self.saucer),
            ("a second object inside the first", self.spoon),
            ("nine coins in a row", self.coins),
            ("an object with every hand tool, an attribute, undo", lambda: self._say(shapes())),
            ("undo and redo an accept", self.undo_accept),
            ("a CT slice through its stored window, done and next", self.ct_slice),
            ("go back through the images", self.look_back),
            ("read the project file again", self.labeller.check_disk),
            ("export COCO in the window", self.export_coco),
            ("export polygons in the window", self.export_polygons),
            ("self-check: pycocotools against the project", self.self_check),
            ("keys, settings and the light theme", self.looks),
        )

    def shot(self, name: str) -> None:
        """Keep a picture of the window."""
        self._hands.screenshot(self._project.parent / f"{name}.png")

    # --- opening ----------------------------------------------------------------------------------------------------

    def see_folder(self) -> None:
        session = self._program.session
        self._hands.until(lambda: session.image is not None, "the folder is open")
        names = [image.path for image in session.images]
        wanted = {t.image for t in (ASTRONAUT, CELL, *EYES, SAUCER, *COINS, BRAIN)} | {EMPTY_IMAGE}
        require(wanted <= set(names), f"the sample images {sorted(wanted - set(names))} are missing")
        require(self._project.is_file(), f"there is no project file {self._project.name}")
        self._window.canvas.setFocus()
        self.labeller.wait_for_image(names[0])
        self._say(f"{len(names)} images, project {self._project.name}")

    def load_model(self) -> None:
        client = self._program.client
        self._hands.until(lambda: client.info is not None, "the model is loaded", limit_s=FIRST_LOAD_S)
        status = self._window.status.engine.text()
        if client.info is not None:
            require(client.info.name in status, f"the status bar says {status!r}")
        self._say(status)

    # --- labelling --------------------------------------------------------------------------------------------------

    def astronaut(self) -> None:
        labeller = self.labeller
        labeller.go_to(ASTRONAUT.image)
        labeller.pick_class(ASTRONAUT.class_name)
        first = labeller.click(*ASTRONAUT.click)
        self.shot("1-candidates")
        candidates = labeller.state.candidates
        count = len(candidates.items) if candidates is not None else 0
        require(count > 1, f"a first click gave {count} candidates")
        masks = [labeller.next_candidate() for _ in range(count - 1)]
        require(any(not m.same_pixels(first) for m in masks), "all candidates are the same mask")
        require(labeller.next_candidate().same_pixels(first), "Tab did not come round to the first candidate")
        labeller.next_candidate(is_back=True)
        self._hands.key(Key.Key_Escape)
        require(not labeller.state.is_active, "Esc did not drop the current object")
        labeller.accept(ASTRONAUT, labeller.find(ASTRONAUT))

    def helmet(self) -> None:
        self.labeller.pick_class(HELMET.class_name)
        how = self.labeller.find_in_box(HELMET)
        self.shot("2-box")
        self.labeller.accept(HELMET, how)

    def empty_image(self) -> None:
        labeller, session = self.labeller, self._program.session
        labeller.go_to(EMPTY_IMAGE)
        self._hands.key(Key.Key_X)
        record = session.image
        require(record is not None and record.status is Status.EMPTY, f"{EMPTY_IMAGE} is {record}")
        labeller.statuses[EMPTY_IMAGE] = Status.EMPTY
        labeller.check_disk()
        self.shot("3-empty")

    def cell(self) -> None:
        self.labeller.go_to(CELL.image)
        self.labeller.accept(CELL, self.labeller.find(CELL))

    def eyes(self) -> None:
        self.labeller.go_to(EYES[0].image)
        for eye in EYES:
            self.labeller.accept(eye, self.labeller.find(eye))

    def saucer(self) -> None:
        """A box takes in cup and coffee as well; right clicks on the coffee take it out again."""
        labeller = self.labeller
        labeller.go_to(SAUCER.image)
        labeller.pick_class(SAUCER.class_name)
        before = labeller.drag_box(SAUCER.box_xyxy)
        place = next((box for box in (COFFEE_BOX, CUP_BOX) if not mask_inside(before, box).is_empty), None)
        if place is None:
            raise StepFailed("the box around saucer and cup gave a mask without the cup")
        clicks = self._take_out(before, place)
        after = labeller.mask
        for _ in range(clicks):
            self._hands.key(Key.Key_Z, CTRL)
        labeller.wait_for_answer()
        require(not labeller.state.prompts.points, "undo left the negative click")
        require(labeller.mask.same_pixels(before), "undo did not bring the mask before back")
        for _ in range(clicks):
            self._hands.key(Key.Key_Z, CTRL | SHIFT)
        labeller.wait_for_answer()
        require(len(labeller.state.prompts.points) == clicks, "redo did not bring the negative click back")
        require(labeller.mask.same_pixels(after), "redo did not bring the refined mask back")
        self.shot("4-refined")
        areas = [mask_inside(mask, place).area for mask in (before, after)]
        self._say(f"{areas[0]:,} px² of coffee in the mask before, {areas[1]:,} px² after")
        labeller.accept(SAUCER, f"box{clicks * ', click'}, undo, redo")

    def _take_out(self, before: Mask, place: Box) -> int:
        """Right click on what is wrong until it is out, left click when the saucer went too; returns the clicks."""
        labeller = self.labeller
        (x, y), clicks = deepest(mask_inside(before, place)), 1
        after = labeller.click(x, y, is_positive=False)
        had = mask_inside(before, place).area
        while clicks < MOST_NEGATIVE_CLICKS and mask_inside(after, place).area > ENOUGH_LEFT * had:
            (x, y), clicks = deepest(mask_inside(after, place)), clicks + 1
            after = labeller.click(x, y, is_positive=False)
        require(not after.contains(x, y), f"after {clicks} negative clicks the last is still inside the mask")
        require(mask_inside(after, place).area < had, "the negative clicks took nothing out of the mask")
        if not after.contains(*SAUCER.click):
            after, clicks = labeller.click(*SAUCER.click), clicks + 1
        require(after.contains(*SAUCER.click), "the negative click took the saucer away as well")
        share = share_inside(after, Box(*SAUCER.box_xyxy))
        require(share >= INSIDE_SHARE, f"only {share:.0%} of the mask is where the saucer is")
        return clicks

    def spoon(self) -> None:
        self.labeller.accept(SPOON, self.labeller.find(SPOON))

    def coins(self) -> None:
        self.labeller.go_to(COINS[0].image)
        for coin in COINS[:-1]:
            self.labeller.accept(coin, self.labeller.find(coin))
        how = self.labeller.find(COINS[-1])
        self.shot("5-coins")
        self._hands.screenshot(self._project.parent / README_PICTURE, is_small=True)
        self.labeller.accept(COINS[-1], how)

    def undo_accept(self) -> None:
        """The last coin goes and comes back, on the screen and in the file."""
        labeller, session = self.labeller, self._program.session
        newest = session.annotations[-1]
        row = labeller.accepted.pop(newest.id)
        self._hands.key(Key.Key_Z, CTRL)
        require(newest.id not in {a.id for a in session.annotations}, "undo did not take the object away")
        labeller.check_disk()
        self._hands.key(Key.Key_Z, CTRL | SHIFT)
        require(newest in session.annotations, "redo did not bring the same object back")
        labeller.accepted[newest.id] = row
        labeller.check_disk()

    def ct_slice(self) -> None:
        labeller, session = self.labeller, self._program.session
        labeller.go_to(BRAIN.image)
        picture = self._program.bench.picture
        note = picture.loaded.note if picture is not None else ""
        require(note.startswith("window "), f"the slice is not shown through its stored window ({note!r})")
        labeller.accept(BRAIN, labeller.find(BRAIN))
        self.shot("6-ct")
        self._hands.key(Key.Key_Return, CTRL)
        self._hands.until(lambda: session.image is not None and session.image.path != BRAIN.image, "the next image")
        labeller.statuses[BRAIN.image] = Status.DONE
        labeller.check_disk()
        self._say(note)

    def look_back(self) -> None:
        """A goes back; every object is still there."""
        session = self._program.session
        for _ in session.images:
            if session.image is not None and session.image.path == COINS[0].image:
                break
            self._hands.key(Key.Key_A)
        self.labeller.wait_for_image(COINS[0].image)
        shown = {annotation.id for annotation in session.annotations}
        wanted = {i for i, row in self.labeller.rows.items() if row.image == COINS[0].image}
        require(shown == wanted, f"going back to {COINS[0].image} shows objects {sorted(shown)}, not {sorted(wanted)}")
        self.shot("7-all")

    # --- files out --------------------------------------------------------------------------------------------------

    def export_coco(self) -> None:
        report = self._export("coco", "8-export")
        worst = check_coco_file(report.path, self.labeller.accepted, empty_images=frozenset((EMPTY_IMAGE,)))
        self.worst_iou = worst
        self._say(f"{report.path.name}: {report.objects} objects, worst IoU read by pycocotools {worst:.4f}")

    def export_polygons(self) -> None:
        report = self._export("polygons", "")
        check_polygon_folder(report.path, self.labeller.accepted)
        self._say(f"{report.path.name}: {report.images} files, every ring's area is its mask's to the pixel")

    def _export(self, kind: str, shot: str) -> ExportReport:
        """Ctrl+E, a format, Export: the dialog of the menu."""
        self._hands.key(Key.Key_E, CTRL)
        self._hands.until(lambda: isinstance(QApplication.activeModalWidget(), ExportDialog), "the export dialog")
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, ExportDialog):
            raise StepFailed("the export dialog closed itself")
        self._choose(dialog.format, dialog.format.findData(kind))
        reports: list[ExportReport] = []
        dialog.done_with.connect(reports.append)
        self._hands.press(dialog.start_button)
        self._hands.until(lambda: not dialog.is_running and dialog.report.isVisible(), "the export has ended")
        text = dialog.report.toPlainText()
        require(len(reports) == 1, f"the export said: {text}")
        report, wanted = reports[0], len(self.labeller.accepted)
        require(report.check.is_ok and report.check.objects == wanted, f"the self-check said: {text}")
        require(report.objects == wanted and not report.warnings, f"the export said: {text}")
        if shot:
            self.shot(shot)
        self._hands.press(dialog.close_button)
        self._hands.until(lambda: QApplication.activeModalWidget() is None, "the dialog is closed")
        return report

    def _choose(self, box: QComboBox, row: int) -> None:
        box.setFocus()
        for _ in range(box.count()):
            if box.currentIndex() != row:
                self._hands.key(Key.Key_Down if box.currentIndex() < row else Key.Key_Up)
        require(box.currentIndex() == row, f"the arrow keys cannot choose row {row} of a list")

    def self_check(self) -> None:
        """The program's own check of the COCO file, against the project as another program sees it."""
        file = self._project.parent / f"{self._project.stem}-coco.json"
        with ProjectStore.open(self._project, read_only=True) as store:
            report = check_coco(file, store, expected_ids=set(self.labeller.accepted))
        require(report.is_ok, f"the self-check found: {'; '.join(report.problems)}")
        require(not report.below, f"the polygons of {report.below} do not cover their masks")
        self._say(f"{report.objects} objects compared, {report.rle} as run lengths, worst IoU {report.worst_iou:.4f}")

    # --- looks ------------------------------------------------------------------------------------------------------

    def looks(self) -> None:
        self._hands.key(Key.Key_Question, SHIFT)
        self._close_dialog(self._wait_dialog("the sheet of keys"), "9-keys")
        self._hands.key(Key.Key_Comma, CTRL)
        dialog = self._wait_dialog("the settings")
        theme = dialog.editors["theme"] if isinstance(dialog, SettingsDialog) else None
        if not isinstance(theme, QComboBox):
            raise StepFailed("the settings have no theme")
        self._choose(theme, theme.findText("light"))
        self._close_dialog(dialog, "10-settings")
        name = self._program.theme.tokens.name
        require(name == "light", f"the window is {name}, not light")
        self.shot("11-light")

    def _wait_dialog(self, what: str) -> QDialog:
        self._hands.until(lambda: isinstance(QApplication.activeModalWidget(), QDialog), f"{what} is open")
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QDialog):
            raise StepFailed(f"{what} closed itself")
        return dialog

    def _close_dialog(self, dialog: QDialog, shot: str) -> None:
        self.shot(shot)
        self._hands.key(Key.Key_Escape)
        self._hands.until(lambda: QApplication.activeModalWidget() is None, "the dialog is closed")

    def after_closing(self) -> None:
        """The window is gone; the file alone has to tell everything."""
        check_stored(self._project, self.labeller.accepted, self.labeller.statuses)
        with ProjectStore.open(self._project) as store:
            require(not store.is_read_only, f"the window left the project locked ({store.read_only_reason})")
            require(not store.draft_counts(), "a draft was left in the project file")
