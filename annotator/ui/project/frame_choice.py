"""Which frames of a video are images: offered for a long one, chosen in a dialog, and changed at any time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Qt

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.frame_pick import FramePick
from annotator.domain.media import Series, is_video_path
from annotator.domain.project import ImageRecord
from annotator.io.images.reading import survey_files
from annotator.io.project.picking import OpeningWish, worked_on
from annotator.io.project.store import ProjectStore
from annotator.ui.dialogs.frame_pick import FramePickDialog, VideoFrames
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.background import Errand

TOPIC = f"{Subject.PROJECT}/frames"
OFFERED = "frames_offered"
"""Of the project: identities of videos whose frames somebody was asked about, as JSON."""
MANY_FRAMES = 300
"""Few people label all of so many."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A video of a project."""

    project: Path
    root: Path
    series: Series
    path: str
    images: tuple[ImageRecord, ...]


class FrameChoice(QObject):
    """Part of the file actions.

    Args:
        reopen: opens a project file with what is wished of its videos.
    """

    def __init__(
        self,
        session: ProjectSession,
        notices: Notices,
        *,
        reopen: Callable[[Path, OpeningWish], None],
        window: MainWindow,
    ) -> None:
        super().__init__(window)
        self._session, self._notices, self._reopen, self._window = session, notices, reopen, window
        self._errand = Errand(self)
        self.dialog: FramePickDialog | None = None
        session.opened.connect(self._on_opened)
        session.outdated.connect(self._on_outdated)

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._errand.shut_down()

    def choose(self) -> None:
        """Ask which frames of the current image's video are wanted."""
        image = self._session.image
        series = self._session.slices.series_of(image)
        if image is not None and series is not None:
            self._ask(series, image)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _ask(self, series: Series, image: ImageRecord) -> None:
        store = self._session.store
        if store is None or store.is_read_only:
            return
        slices = tuple(self._session.slices.slices_of(image))
        asked = _Asked(store.path, store.readable_root, series, image.path, slices)
        self._errand.start(lambda: _looked_into(asked), lambda video: self._open(asked, video), self._on_error)

    def _open(self, asked: _Asked, video: VideoFrames) -> None:
        store = self._session.store
        if store is None or store.path != asked.project:
            return
        if not video.times_ms:
            self._notices.tell(f"{brief(asked.path)} cannot be read as a video any more.", about=Subject.IMAGE)
            return
        dialog = self.dialog = FramePickDialog(video, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.destroyed.connect(self._forget_dialog)
        dialog.chosen.connect(lambda pick: self._take(asked, pick))
        dialog.open()

    def _forget_dialog(self) -> None:
        self.dialog = None

    def _take(self, asked: _Asked, pick: FramePick) -> None:
        self._settle(asked.series)
        if pick != asked.series.pick:
            self._reopen(asked.project, OpeningWish(pick=pick, videos=frozenset({asked.path})))

    def _on_error(self, error: Exception) -> None:
        self._notices.warn(str(error), about=Subject.PROJECT)

    def _on_outdated(self) -> None:
        """A step back or forward over such a choice."""
        if self._session.store is not None:
            self._reopen(self._session.store.path, OpeningWish())

    # --- the offer ----------------------------------------------------------------------------------------------------

    def _on_opened(self) -> None:
        self._notices.withdraw(TOPIC)
        session = self._session
        store = session.store
        if store is None or not session.is_writable or session.asks_for is not None:
            return
        settled = _identities(store.meta_get(OFFERED))
        for series in session.slices.series.values():
            is_new = series.is_counted and series.pick.takes_all and series.identity not in settled
            is_open = is_new and is_video_path(series.name)
            frames = session.slices.count(series) if is_open else 0
            if frames >= MANY_FRAMES:
                self._offer(series, frames)
                return

    def _offer(self, series: Series, frames: int) -> None:
        self._notices.offer(
            f"{brief(series.name)} has {counted(frames, 'frame')}. Every n-th one, or a part of it, may be enough.",
            about=TOPIC,
            action=("Choose frames…", lambda: self._ask_first(series)),
            on_close=lambda: self._settle(series),
            not_now="All frames",
        )

    def _ask_first(self, series: Series) -> None:
        image = self._session.slices.first(series)
        if image is not None:
            self._ask(series, image)

    def _settle(self, series: Series) -> None:
        """It is not offered again."""
        store = self._session.store
        if store is not None:
            known = _identities(store.meta_get(OFFERED)) | {series.identity}
            self._session.remember(OFFERED, json.dumps(sorted(known)))


def _looked_into(asked: _Asked) -> VideoFrames:
    survey = survey_files(asked.root, [asked.path]).get(asked.path)
    with ProjectStore.open(asked.project, read_only=True) as reader:
        busy = worked_on(reader)
    worked = frozenset(image.frame for image in asked.images if image.id in busy)
    return VideoFrames(asked.path, survey.times_ms if survey else (), asked.series.pick, worked)


def _identities(text: str | None) -> set[str]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return set()
    return {one for one in found if isinstance(one, str)} if isinstance(found, list) else set()
