"""Which images of a project can be read: each file is read as it would be shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.ports.jobs import Progress
from annotator.io.images.reading import load_image
from annotator.io.project.image_folder import is_inside
from annotator.io.project.store import ProjectStore

_MOST_PIXELS = 1 << 40
"""None is refused for its size: that is a setting's, and the limit of memory holds all the same."""


@dataclass(frozen=True, slots=True)
class Readable:
    """``count`` images were looked at; ``problems`` are lines, one for each that cannot be read."""

    count: int
    problems: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        if not self.problems:
            return [f"{counted(self.count, 'image')} read; nothing is wrong with any."]
        return [f"{len(self.problems)} of {counted(self.count, 'image')} cannot be read.", *self.problems]


def read_all_images(project: Path, progress: Progress) -> Readable:
    """Read every image of a project, which may be open elsewhere.

    Args:
        progress: called with (images done, in all); what it raises ends the work.

    Raises:
        ProjectError: the project cannot be read, or its folder is not agreed to.
    """
    with ProjectStore.open(project, read_only=True) as store:
        images, root = store.images(), store.readable_root
    problems = []
    for done, image in enumerate(images):
        progress(done, len(images))
        if not is_inside(image.path):
            problems.append(f"{brief(image.path)}: lies outside of the project's folder.")
            continue
        try:
            load_image(
                root.joinpath(*PurePosixPath(image.path).parts),
                frame=image.frame,
                max_pixels=_MOST_PIXELS,
                may_be_overview=True,
            )
        except ImageError as error:
            problems.append(f"{image.path}: {error}")
    progress(len(images), len(images))
    return Readable(len(images), tuple(problems))
