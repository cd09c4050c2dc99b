"""What the project file knows to be in progress, and what is in progress beside the line of drafts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from annotator.domain.drafts.draft import Draft, OpenImage
from annotator.domain.drafts.kept import Data, draft_json, kept_json, with_accepted
from annotator.domain.drafts.line import Line

Writes = Mapping[int, Data | None]
"""What is in progress by image id, as the project file is to have it."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Of the image that is open, and of those where accepts wait; of all others only the file knows.

    Attributes:
        told: by image id, what the file has.
        left: by image id, what is in progress beside the line, on images that were left.
    """

    told: Writes = field(default_factory=lambda: MappingProxyType({}))
    left: Mapping[int, Data] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, line: Line, image_id: int) -> Data | None:
        """All that is in progress on an image."""
        return kept_json(line, image_id, left=self.left.get(image_id))

    def news(self, line: Line, opened: OpenImage | None) -> tuple[Keeping, Writes]:
        """What has to be written about this line, and the keeping once it is."""
        here = {draft.image.record.id for draft in line} | (set() if opened is None else {opened.record.id})
        now = {image_id: self.of(line, image_id) for image_id in here | set(self.told)}
        writes = {image_id: data for image_id, data in now.items() if data != self.told.get(image_id)}
        return replace(self, told=_only({**self.told, **writes}, here), left=_only(self.left, here)), writes

    def after_leaving(self, line: Line, opened: OpenImage | None) -> Keeping:
        """The image that is open is left; the last draft of the line stays in progress there."""
        last = line[-1] if line else None
        work = draft_json(last) if last is not None and last.ticket is None else None
        left = self.left if opened is None or work is None else {**self.left, opened.record.id: work}
        here = {draft.image.record.id for draft in line if draft.ticket is not None}
        return replace(self, told=_only(self.told, here), left=_only(left, here))

    def with_later(self, draft: Draft) -> Keeping:
        """An accepted object that cannot be stored while its image is not open: it is kept as it is."""
        image_id = draft.image.record.id
        return replace(self, left={**self.left, image_id: with_accepted(self.left.get(image_id), draft)})

    def with_told(self, image_id: int, data: Data | None) -> Keeping:
        return replace(self, told={**self.told, image_id: data})

    def restored(self, image_id: int, data: Data) -> Keeping:
        """What the file has of the image that is open is in the line again."""
        return replace(self.with_told(image_id, data), left=_without(self.left, image_id))

    def without(self, image_id: int) -> Keeping:
        """Nothing is in progress on an image, and the file knows."""
        return Keeping(_without(self.told, image_id), _without(self.left, image_id))


_T = TypeVar("_T")


def _only(rows: Mapping[int, _T], image_ids: set[int]) -> Mapping[int, _T]:
    return MappingProxyType({image_id: value for image_id, value in rows.items() if image_id in image_ids})


def _without(rows: Mapping[int, _T], image_id: int) -> Mapping[int, _T]:
    return MappingProxyType({key: value for key, value in rows.items() if key != image_id})
