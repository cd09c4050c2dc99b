"""The images of a project with their objects, one after the other, as the checks want them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from annotator.domain.checks.objects import CheckedObject
from annotator.domain.checks.project import CheckedImage
from annotator.domain.errors import UserError
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, ImageRecord
from annotator.io.project.queries import ProjectQueries
from annotator.io.project.soundness import sound_mask
from annotator.io.project.windows import AsShown


def checked_images(
    store: ProjectQueries, progress: Progress | None = None, *, reads_images: bool = False
) -> Iterator[CheckedImage]:
    """Every image with its objects.

    Args:
        progress: called with (images done, images in all); what it raises ends the walk.
        reads_images: whether those with objects can be looked at, as the window shows them.

    Raises:
        ProjectError: the file cannot be read.
    """
    images, as_shown = store.images(), AsShown()
    for done, image in enumerate(images):
        if progress is not None:
            progress(done, len(images))
        damage_before = len(store.damage)
        rows = store.annotations(image.id)
        unusable = [(damage.id, damage.reason) for damage in list(store.damage.values())[damage_before:]]
        objects = []
        for row in rows:
            try:
                objects.append(_checked(row))
            except ValueError as error:
                unusable.append((row.id, str(error)))
        yield CheckedImage(
            image, objects, unusable, pixels=partial(_pixels, store, image, as_shown) if reads_images else None
        )
    if progress is not None:
        progress(len(images), len(images))


def _pixels(store: ProjectQueries, image: ImageRecord, as_shown: AsShown) -> RgbArray | None:
    """None: it cannot be read, or is no part of the project's folder; other checks say the rest."""
    try:
        return as_shown.load(store.image_path(image), frame=image.frame).rgb
    except UserError:
        return None


def _checked(row: Annotation) -> CheckedObject:
    return CheckedObject(row.id, row.category_id, sound_mask(row), row.rle, row.score, row.is_crowd)
