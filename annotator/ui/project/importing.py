"""Objects from files into the open project: the import, its report beside the work, masks for what came as boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QPushButton

from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.ports.engine import ModelInfo
from annotator.domain.ports.formats import Report
from annotator.domain.ports.jobs import Progress
from annotator.domain.ports.requests import DecodeResult
from annotator.domain.prompt import Prompts
from annotator.domain.tally import Tally
from annotator.io.formats.coco.box_masks import BoxAnswer, store_box_masks
from annotator.io.formats.coco.import_ import ImportReport
from annotator.io.formats.coco.objects import BoxWithoutMask
from annotator.io.formats.registry import import_format_of, importer
from annotator.io.images.reading import load_image
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import Job
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.project.switch import ProjectSwitch
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.background import Errand
from annotator.ui.threads.questions import EngineQuestions
from annotator.ui.threads.worker import EngineClient


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the model said to the boxes, and what it could not be asked."""

    answers: tuple[BoxAnswer, ...]
    lost: tuple[str, ...]

    def lines(self) -> list[str]:
        return [f"{counted(len(self.answers), 'mask')} made", *(f"left out: {line}" for line in self.lost)]


class FileImport(QObject):
    """Serves *File, Import*.

    Args:
        reopen: opens a project file in the window.
        max_pixels: larger images are not read.
    """

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        client: EngineClient,
        notices: Notices,
        *,
        switch: ProjectSwitch,
        reopen: Callable[[Path], None],
        max_pixels: Callable[[], int],
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._client, self._notices = window, session, client, notices
        self._switch, self._reopen, self._max_pixels = switch, reopen, max_pixels
        self._errand = Errand(self)

    def start(self, path: Path) -> None:
        """Import on a thread of its own, which is the project's one writer meanwhile."""
        store = self._session.store
        if store is None:
            return
        self._switch.cancel()
        project, author = store.path, store.author
        self._switch.close_then(
            lambda: self._run(path, project, author), then="The import begins", way_out="Import without it"
        )

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._errand.shut_down()

    def _run(self, path: Path, project: Path, author: str) -> None:
        dialog = WorkDialog("Import", self._window, board=self._window.jobs)
        dialog.pane.hide()
        dialog.start_button.setText("Try again")  # shown after a failure or a stop
        dialog.start_button.hide()

        def work(job: Job) -> object:
            with ProjectStore.open(project, author=author) as writer:
                return importer(import_format_of(path))(writer, path, progress=job.progress)

        def on_closed(_code: int) -> None:
            if self._session.store is None and not self._switch.is_opening:
                self._reopen(project)

        def start() -> None:
            dialog.start(work, job=Job(f"Import {path.name}", unit="entry"))

        dialog.start_button.clicked.connect(start)
        dialog.done_with.connect(lambda report: self._show_report(dialog, report, project))
        dialog.finished.connect(on_closed)
        dialog.open()
        start()

    def _show_report(self, dialog: WorkDialog, report: Report, project: Path) -> None:
        """The project is in view again, and can be worked on, while its report is read."""
        if isinstance(report, ImportReport) and report.boxes and self._client.can_answer:
            count = len(report.boxes)
            button = QPushButton(f"Ask the model for {counted(count, 'mask')}")
            button.setObjectName("ask_model")
            button.clicked.connect(lambda: self._ask(dialog, report, project))
            dialog.add_button(button)
        dialog.go_on_beside()
        self._reopen(project)

    # --- masks of boxes -----------------------------------------------------------------------------------------------

    def _ask(self, report_dialog: WorkDialog, report: ImportReport, project: Path) -> None:
        store = self._session.store
        if store is None or store.path != project or store.is_read_only:
            self._notices.warn("Open the project of this import again first.", about=Subject.CHANGE, is_error=False)
            return
        report_dialog.close()
        dialog = WorkDialog("Masks of boxes", self._window, board=self._window.jobs)
        dialog.pane.hide()
        dialog.start_button.setText("Try again")
        dialog.start_button.hide()
        questions = EngineQuestions(self._client, dialog)
        root, max_pixels = store.readable_root, self._max_pixels()

        def work(job: Job) -> object:
            return _answers(questions, self._client, report.boxes, root, max_pixels=max_pixels, progress=job.progress)

        def on_done(asked: _Asked) -> None:
            if asked.answers:
                self._store(asked, report, project)

        def start() -> None:
            dialog.start(work, job=Job("Masks of boxes", unit="box"))

        dialog.start_button.clicked.connect(start)
        dialog.done_with.connect(on_done)
        dialog.open()
        start()

    def _store(self, asked: _Asked, report: ImportReport, project: Path) -> None:
        """Written beside the GUI thread, as the project's one writer, in one step."""
        author = self._session.author

        def write() -> int:
            with ProjectStore.open(project, author=author) as writer:
                return store_box_masks(writer, asked.answers, report.classes)

        def on_written(count: int) -> None:
            self._reopen(project)
            told = f"Accepted: {counted(count, 'mask')}; one undo takes all of it back."
            self._notices.tell(told, about=Subject.CHANGE)

        def on_error(error: Exception) -> None:
            self._reopen(project)
            self._notices.warn(str(error), about=Subject.CHANGE)

        self._switch.close_then(
            lambda: self._errand.start(write, on_written, on_error),
            then="The masks are stored",
            way_out="Store them without it",
        )


def _answers(
    questions: EngineQuestions,
    client: EngineClient,
    boxes: Sequence[BoxWithoutMask],
    root: Path,
    *,
    max_pixels: int,
    progress: Progress,
) -> _Asked:
    """Image by image: each is read and encoded once."""
    tally = Tally()
    answers: list[BoxAnswer] = []
    done, total = 0, len(boxes)
    for image, group in groupby(sorted(boxes, key=lambda box: box.image.id), key=lambda box: box.image):
        wanted = list(group)
        try:
            loaded = load_image(root.joinpath(*image.path.split("/")), frame=image.frame, max_pixels=max_pixels)
        except ImageError as error:
            for _ in wanted:
                tally.add(
                    f"{image.name}:",
                    error.message.removesuffix("."),
                    kind="unreadable",
                    many="the image cannot be read",
                )
            done += len(wanted)
            continue
        for box in wanted:
            prompts = Prompts(box=box.box)
            progress(done, total)
            look = partial(progress, done, total)
            found = questions.ask(loaded.rgb, loaded.image_key, prompts, look=look)
            done += 1
            if not isinstance(found, DecodeResult):
                tally.add(f"{image.name}:", found.message.removesuffix("."), kind="engine")
            elif found.candidates.chosen.mask.is_empty:
                tally.add(image.name, "has a box in which the model finds nothing", kind="nothing")
            elif (loaded.width, loaded.height) != (image.width, image.height):
                tally.add(image.name, "has another size than before", kind="size")
            else:
                answers.append(BoxAnswer(box, found.candidates.chosen.mask, _fields(found, client.info)))
    progress(total, total)
    return _Asked(tuple(answers), tally.lines())


def _fields(found: DecodeResult, model: ModelInfo | None) -> dict[str, object]:
    chosen = found.candidates.chosen
    fields: dict[str, object] = {
        "origin": "click",
        "prompts": found.prompts.to_json(),
        "clicks": 1,
        "score": min(1.0, max(0.0, chosen.predicted_iou)),
        "adapter": found.adapter,
    }
    if model is not None:
        fields.update(model=model.name, model_sha256=model.sha256)
    return fields
