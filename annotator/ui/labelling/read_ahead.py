"""Slices are read before somebody comes to them, so that a held key, the wheel or playing finds each of them there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import QObject

from annotator.domain.media import is_video_path
from annotator.domain.project import ImageRecord
from annotator.domain.read_ahead import in_reading_order
from annotator.io.project.image_folder import is_inside
from annotator.io.settings import Settings
from annotator.ui.labelling.feedback import EngineFeedback
from annotator.ui.labelling.passing import PassingSlices
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.asides import EngineAsides
from annotator.ui.threads.loading import AHEAD_AT_ONCE, ImageLoader, Picture, kept_bytes

NEXT = (1, 2, 3, -1)
"""Steps on from where the person is, by the filter and beyond the series' ends: these come first."""
SPARE = 4
"""Of so many pictures the memory is left to those that are shown and read."""
VIDEO_AHEAD, VIDEO_BEHIND = 48, 16
"""Frames of a video are decoded in order: going back far means beginning anew, and each takes longer than a slice."""


class ReadAhead(QObject):
    """Part of the workbench.

    While the person goes through a series, slices are read the way that they go; at rest those on both sides, one at a
    time, and only when the engine has nothing to do for what is shown. What is asked for goes first: it has threads of
    its own. All of it ends when the series is left.
    """

    def __init__(
        self,
        session: ProjectSession,
        asides: EngineAsides,
        settings: Settings,
        *,
        loader: ImageLoader,
        feedback: EngineFeedback,
        passing: PassingSlices,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._asides, self._settings = session, asides, settings
        self._loader, self._feedback = loader, feedback
        self._at: tuple[ImageRecord, Picture] | None = None
        """Where the person is in a series."""
        self._way, self._is_playing = 1, False
        self._waiting: Iterator[ImageRecord] = iter(())
        self._at_once = 0
        self._checks_windows = False
        loader.preloaded.connect(self._on_preloaded)
        loader.ahead_ended.connect(self._go_on)
        passing.stayed.connect(lambda _image_id: self.rest())
        feedback.freed.connect(self.rest)

    def follow(self, image: ImageRecord, picture: Picture, *, way: int) -> None:
        """A slice is shown.

        Args:
            way: +1 or -1: where the person goes.
        """
        self._at, self._way = (image, picture), 1 if self._is_playing else way
        self._begin(self._order(image, picture, way=self._way), at_once=AHEAD_AT_ONCE)

    def play(self, is_on: bool) -> None:
        """The series plays from now on, or not any more: after its last slice comes the first."""
        self._is_playing = is_on

    def rest(self) -> None:
        """The person stays at the slice for a moment."""
        if self._at is None or self._is_playing:
            return
        image, picture = self._at
        if self._feedback.is_engaged:
            self._begin(self._next_ones(), at_once=AHEAD_AT_ONCE)
        else:
            self._begin(self._order(image, picture, way=0), at_once=1, checks_windows=True)

    def look_round(self) -> None:
        """What is shown is encoded: there is time for what comes next."""
        self._encode_next()
        if self._at is None:
            self._begin([one for step in (+1, -1) if (one := self._neighbour(step))], at_once=AHEAD_AT_ONCE)
        else:
            self.rest()

    def take_greys(self, picture: Picture) -> None:
        """The slice is shown through another window, and so may the others be."""
        if self._at is not None:
            self._at = self._at[0], picture
            self.rest()

    def leave(self) -> None:
        """The series is left: nothing more of it is read."""
        self._at, self._waiting = None, iter(())
        self._loader.keep_near(())

    # --- in which order -----------------------------------------------------------------------------------------------

    def _next_ones(self) -> list[ImageRecord]:
        found = (self._neighbour(step * self._way) for step in NEXT)
        return [one for one in found if one is not None]

    def _neighbour(self, step: int) -> ImageRecord | None:
        return self._session.neighbour(step)

    def _order(self, image: ImageRecord, picture: Picture, *, way: int) -> list[ImageRecord]:
        slices = self._session.slices.slices_of(image)
        if image.position >= len(slices) or slices[image.position].id != image.id:
            return []  # the project is being left
        room = max(len(NEXT), kept_bytes() // max(1, picture.nbytes) - SPARE)
        behind = None
        if is_video_path(image.path):
            room, behind, way = min(room, VIDEO_AHEAD + VIDEO_BEHIND), VIDEO_BEHIND, way or self._way
        order = in_reading_order(
            image.position, len(slices), way=way, most=room, most_behind=behind, wraps=self._is_playing
        )
        first = self._next_ones()
        ids = {one.id for one in first}
        found = [*first, *(one for at in order if (one := slices[at]).id not in ids)]
        self._loader.keep_near((image.id, *(one.id for one in found)))
        return found

    # --- reading ------------------------------------------------------------------------------------------------------

    def _begin(self, order: Sequence[ImageRecord], *, at_once: int, checks_windows: bool = False) -> None:
        """Read these in this order, and nothing of what was wanted before."""
        is_video = self._at is not None and is_video_path(self._at[0].path)
        self._at_once = 1 if is_video else at_once  # its frames are decoded one after the other
        self._checks_windows = checks_windows
        self._waiting = iter(order)
        self._go_on()

    def _go_on(self) -> None:
        loader = self._loader
        while loader.ahead < self._at_once:
            image = next(self._waiting, None)
            if image is None:
                return
            is_there = loader.cached(image.id) if self._checks_windows else loader.holds(image.id)
            if not is_there and is_inside(image.path) and self._session.asks_for is None:
                loader.preload(image.id, self._session.image_path(image), frame=image.frame)

    def _on_preloaded(self, picture: Picture) -> None:
        following = self._neighbour(+1)
        if following is not None and following.id == picture.image_id:
            self._encode(picture)

    def _encode_next(self) -> None:
        following = self._neighbour(+1)
        picture = None if following is None else self._loader.cached(following.id)
        if picture is not None:
            self._encode(picture)

    def _encode(self, picture: Picture) -> None:
        if self._settings.get("prefetch"):
            self._asides.prefetch(picture.loaded.image_key, picture.loaded.rgb)
