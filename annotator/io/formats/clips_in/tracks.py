"""Numbers of tracks that come in: a file's own where they are free here."""

from __future__ import annotations

from annotator.io.project.store import ProjectStore

_MOST = 2**53


class TrackNumbers:
    """By (video, number in it). A number of the file is kept unless another video, or a track on images of no frame of
    this one, has it."""

    def __init__(self, store: ProjectStore) -> None:
        self._store = store
        self._found: dict[tuple[object, int], int] = {}
        self._taken: set[int] = set()
        self._here: dict[int, set[int]] = {}
        for one in store.all_annotations():
            if one.track_id:
                self._here.setdefault(one.track_id, set()).add(one.image_id)

    def of(self, video: object, number: int, image_ids: set[int]) -> int:
        """The track that an object has, whose video lies on these images."""
        key = (video, number)
        if key not in self._found:
            is_free = self._here.get(number, set()) <= image_ids and number not in self._taken
            if not (is_free and 0 < number <= _MOST):
                number = self._new()
            self._taken.add(number)
            self._found[key] = number
        return self._found[key]

    def new(self, video: object, number: int) -> int:
        """A number of its own for something that the file has no number for but its place."""
        key = (video, number)
        if key not in self._found:
            self._found[key] = self._new()
            self._taken.add(self._found[key])
        return self._found[key]

    def _new(self) -> int:
        while (number := self._store.new_id("track")) in self._taken or number in self._here:
            pass
        return number
