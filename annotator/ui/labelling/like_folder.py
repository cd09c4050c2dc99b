"""All like this in the whole folder: a job that fills images with proposals before the person comes to them.

It asks the engine last of all, image by image, the next one from where the person is. What is found in an image is
written with the note that the image is done: after a kill, or another start, the search goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QThreadPool, Signal

from annotator.domain.counting import counted
from annotator.domain.errors import ProjectError, UserError
from annotator.domain.likeness.choosing import next_image
from annotator.domain.ports.likeness import Examples, LikeQuestion, LikeRequest
from annotator.domain.ports.requests import AHEAD_EPOCH, LOAD_EPOCH, EngineFailure, EverythingResult
from annotator.domain.project import Annotation, ImageRecord
from annotator.domain.proposals.gather import Finder, FoundObject, Gathering, covered_by_objects
from annotator.domain.proposals.table import KeptProposal, ProposalTable
from annotator.domain.windowing import spread_of
from annotator.io.images.reader import LoadedImage
from annotator.io.images.reading import load_image
from annotator.io.images.windowed import through_stored
from annotator.io.project.proposals import kept_rows
from annotator.io.project.searches import KEY, FolderSearch, forget_done, search_of, write_found
from annotator.jobs.job import Job
from annotator.ui.labelling.find_like import FindLike, title_of
from annotator.ui.labelling.proposal_marks import ProposalMarks
from annotator.ui.labelling.proposals import Proposals
from annotator.ui.notices import Notices
from annotator.ui.project.session import ProjectSession
from annotator.ui.threads.jobs import JobBoard
from annotator.ui.threads.loading import ImageLoader, PoolJob
from annotator.ui.threads.worker import EngineClient

TOPIC = "search of the folder"


@dataclass(slots=True, eq=False)
class _Run:
    """The search that goes on. ``image`` is the one that is read or asked now; ``found`` counts proposals."""

    search: FolderSearch
    question: LikeQuestion
    job: Job
    left: set[int]
    total: int
    image: ImageRecord | None = None
    found: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What is to be written of an image."""

    added: tuple[KeptProposal, ...]
    gone: tuple[int, ...]
    open_count: int


class LikeFolder(QObject):
    """One per window, and one search at a time."""

    _arrived = Signal(object, object, object)  # (what to do with it, result, error)

    def __init__(
        self,
        session: ProjectSession,
        client: EngineClient,
        loader: ImageLoader,
        *,
        find: FindLike,
        proposals: Proposals,
        marks: ProposalMarks,
        notices: Notices,
        board: JobBoard,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._client, self._loader, self._board = session, client, loader, board
        self._find, self._proposals, self._marks, self._notices = find, proposals, marks, notices
        self._run: _Run | None = None
        self._generation = 0
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._arrived.connect(self._on_arrived)
        session.opened.connect(self._on_opened)
        client.everything.connect(self._on_step)
        client.failed.connect(self._on_failed)

    def start(self) -> None:
        """Look in all images that are not finished for what is like the selected objects, or those accepted last."""
        if self._run is not None:
            self._tell("The folder is being searched already; the list of jobs stops it.")
            return
        ask = self._find.ask_of_now(self.start)
        info = self._client.info
        if ask is None or info is None:
            return
        search = FolderSearch(ask.ids, ask.category_id, info.sha256)
        self._beside(forget_done)
        self._session.remember(KEY, search.text() if ask.ids else "")
        self._begin(search, ask.question, frozenset())
        self._tell("The folder is being searched; marks in the film strip show what was found.")

    def go_on(self) -> None:
        """With the search that was under way when the program ended."""
        store = self._session.store
        search = None if store is None else search_of(store.meta_get(KEY))
        if store is None or search is None or self._run is not None:
            return
        rows = [row for one in search.examples if (row := _annotation(self._session, one)) is not None]
        done = store.searches.done()
        plan = [
            (self._session.images[self._session.row_of[image_id]], [r for r in rows if r.image_id == image_id])
            for image_id in dict.fromkeys(row.image_id for row in rows)
            if image_id in self._session.row_of
        ]
        if not plan:
            self._tell("The examples of that search are not there any more.")
            self._forget()
            return
        reads = [(self._reader(image), masks) for image, masks in plan]
        self._start_work(partial(_question_of, reads), lambda question: self._begin(search, question, done))

    def shut_down(self) -> None:
        """Wait for what still runs; the search goes on with the next start."""
        self._run = None
        self._generation += 1
        self._client.drop_ahead()
        self._pool.clear()
        self._pool.waitForDone(5000)

    # --- image after image --------------------------------------------------------------------------------------------

    def _begin(self, search: FolderSearch, question: LikeQuestion, done: frozenset[int]) -> None:
        wanted = {one.id for one in self._session.images if not one.is_finished}
        job = Job(f"{title_of(len(search.examples) or 1)} in the folder", unit="image", on_cancel=self._cancel)
        self._run = _Run(search, question, job, wanted - done, len(wanted | done))
        self._board.add(job)
        job.begin()
        self._next()

    def _next(self) -> None:
        """Read the image that the person comes to first."""
        run, image = self._run, self._session.image
        if run is None:
            return
        run.job.show_progress(run.total - len(run.left), run.total)
        order = [one.id for one in self._session.images]
        chosen = next_image(order, 0 if image is None else image.id, run.left)
        if chosen is None and image is not None and image.id in run.left:
            chosen = image.id
        if chosen is None:
            self._finish()
            return
        run.image = record = self._session.images[self._session.row_of[chosen]]
        run.job.note(record.name)
        try:
            read = self._reader(record)
        except ProjectError as error:
            self._skip(str(error))
            return
        self._start_work(read, self._ask)

    def _ask(self, loaded: LoadedImage) -> None:
        run, store = self._run, self._session.store
        if run is None or run.image is None or store is None:
            return
        self._generation += 1
        known = tuple(store.annotations(run.image.id))
        self._client.submit_like(
            LikeRequest(AHEAD_EPOCH, self._generation, loaded.image_key, loaded.rgb, run.question, known, is_ahead=True)
        )

    def _on_step(self, result: EverythingResult) -> None:
        run = self._run
        is_ours = (result.epoch, result.generation) == (AHEAD_EPOCH, self._generation)
        if run is None or run.image is None or not is_ours or not result.step.is_last:
            return
        found, image, info = result.step.proposals or (), run.image, self._client.info
        by = ("", "") if info is None else (info.name, info.sha256)
        finder = Finder("like", *by, result.adapter, run.search.examples)
        current = self._proposals.seeing.picture
        store = self._session.store
        if store is None:
            return
        if current is not None and current.image_id == image.id:
            self._proposals.take_in(found, finder)
            self._beside(partial(write_found, image_id=image.id, added=(), gone=()))
            self._count(image, len(found))
            return
        rows, annotations = store.proposals.rows(image.id), tuple(store.annotations(image.id))
        self._start_work(partial(_rows_of, rows, annotations, found, finder), self._write)

    def _write(self, rows: _Rows) -> None:
        run = self._run
        if run is None or run.image is None:
            return
        current = self._proposals.seeing.picture
        if current is not None and current.image_id == run.image.id:
            self._next()  # the person has come to it meanwhile: it is asked again, later
            return
        self._beside(partial(write_found, image_id=run.image.id, added=rows.added, gone=rows.gone))
        self._marks.set_count(run.image.id, rows.open_count)
        self._count(run.image, len(rows.added))

    def _count(self, image: ImageRecord, found: int) -> None:
        if self._run is not None:
            self._run.found += found
            self._run.left.discard(image.id)
            self._next()

    def _skip(self, why: str) -> None:
        """This image cannot be searched; the others are. Without a search it was about going on with one."""
        run = self._run
        if run is None:
            self._notices.warn(why, about=TOPIC)
        elif run.image is not None:
            run.job.log(f"{run.image.name}: {why}")
            run.failed += 1
            run.left.discard(run.image.id)
            self._next()

    def _on_failed(self, failure: EngineFailure) -> None:
        run = self._run
        if run is None:
            return
        if (failure.epoch, failure.generation) == (AHEAD_EPOCH, self._generation):
            self._skip(failure.message)
        elif failure.epoch == LOAD_EPOCH and not self._client.can_answer:
            self._run = None
            run.job.fail(failure.message)

    # --- its end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        self._forget()
        run.job.succeed(None)
        left_out = f", {counted(run.failed, 'image')} left out" if run.failed else ""
        self._tell(f"The folder was searched: {counted(run.found, 'proposal')}{left_out}.")

    def _cancel(self) -> None:
        """The person ends it: what was found stays, and it goes on from there when that is wanted."""
        run, self._run = self._run, None
        if run is not None:
            self._client.drop_ahead()
            run.job.stopped()
            if not self._offer_rest("stopped"):
                self._tell("Stopped; what was found stays.")

    def _forget(self) -> None:
        self._session.remember(KEY, "")
        self._beside(forget_done)
        self._notices.withdraw(TOPIC)

    def _on_opened(self) -> None:
        """Another project, or none: a search of the one before goes on when that is opened again."""
        run, self._run = self._run, None
        if run is not None:
            self._client.drop_ahead()
            run.job.stopped()
        self._notices.withdraw(TOPIC)
        self._offer_rest("interrupted")

    def _offer_rest(self, ended: str) -> bool:
        """Offer to go on with a search that has not come to its end; False when there is none."""
        store = self._session.store
        search = None if store is None or store.is_read_only else search_of(store.meta_get(KEY))
        if store is None or search is None:
            return False
        done, total = len(store.searches.done()), len(self._session.images)
        what = title_of(len(search.examples)).removeprefix("Find ")
        text = f"The search for {what} was {ended}: {done} of {counted(total, 'image')} are done."
        self._notices.offer(text, about=TOPIC, action=("Go on", self.go_on), on_close=self._forget)
        return True

    # --- beside the GUI thread ----------------------------------------------------------------------------------------

    def _reader(self, image: ImageRecord) -> Callable[[], LoadedImage]:
        """Reads an image as it is shown.

        Raises:
            ProjectError: it lies outside of the folder.
        """
        path, frame = self._session.image_path(image), image.frame
        max_pixels, window_of = self._loader.max_pixels, self._loader.window_of

        def read() -> LoadedImage:
            loaded = load_image(path, frame=frame, max_pixels=max_pixels, is_native=True)
            return through_stored(loaded, window_of(loaded), spread_of(loaded.source))

        return read

    def _start_work(self, work: Callable[[], Any], then: Callable[[Any], object]) -> None:
        store, run = self._session.store, self._run

        def use(result: Any, error: Exception | None) -> None:
            if error is not None and not isinstance(error, UserError):
                raise error
            if self._session.store is not store or self._run is not run:
                return  # of a search that has ended meanwhile
            if error is not None:
                self._skip(str(error))
            else:
                then(result)

        self._pool.start(PoolJob(work, lambda result, error: self._arrived.emit(use, result, error)))

    def _on_arrived(self, use: Callable[[Any, Any], object], result: object, error: object) -> None:
        use(result, error)

    def _beside(self, write: Callable[[Any], object]) -> None:
        store = self._session.store
        if store is not None and not store.is_read_only:
            self._session.attempt(lambda: store.write_beside(write))

    def _tell(self, text: str) -> None:
        self._notices.tell(text, about=TOPIC)


def _annotation(session: ProjectSession, annotation_id: int) -> Annotation | None:
    try:
        return None if session.store is None else session.store.annotation(annotation_id)
    except KeyError:
        return None


def _question_of(reads: Sequence[tuple[Callable[[], LoadedImage], Sequence[Annotation]]]) -> LikeQuestion:
    """Read the images of the examples.

    Raises:
        UserError: none can be read any more.
    """
    from annotator.domain.ports.likeness import masks_of

    examples = []
    for read, rows in reads:
        image = read()
        masks = [mask for mask in masks_of(rows) if (mask.width, mask.height) == (image.width, image.height)]
        examples.append(Examples(image.rgb, image.image_key, tuple(masks)))
    return LikeQuestion(tuple(examples))


def _rows_of(
    rows: Sequence[tuple[Any, ...]], annotations: Sequence[Annotation], found: Sequence[FoundObject], finder: Finder
) -> _Rows:
    """What is written of an image that nobody looks at now."""
    if not found and not rows:
        return _Rows((), (), 0)
    size = (found[0].mask.width, found[0].mask.height) if found else (rows[0][2], rows[0][3])
    kept = kept_rows(rows, width=size[0], height=size[1])
    before = {item.id for item in kept.items}
    table = Gathering(ProposalTable(kept.items), kept.dropped, finder).add(found)
    gone = frozenset[int]().union(*covered_by_objects(table, annotations).values())
    added = tuple(item for item in table.items if item.id not in before and item.id not in gone)
    open_count = sum(item.id not in gone and item.id not in kept.dropped for item in table.items)
    return _Rows(added, tuple(one for one in before if one not in table), open_count)
