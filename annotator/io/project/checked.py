"""The images of a project with their objects, one after the other, as the checks want them."""

from __future__ import annotations

from collections.abc import Iterator

from annotator.domain.checks.objects import CheckedObject
from annotator.domain.checks.project import CheckedImage
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation
from annotator.io.project.queries import ProjectQueries
from annotator.io.project.soundness import sound_mask


def checked_images(store: ProjectQueries, progress: Progress | None = None) -> Iterator[CheckedImage]:
    """Every image with its objects.

    Args:
        progress: told (images done, images in all); what it raises ends the walk.

    Raises:
        ProjectError: the file cannot be read.
    """
    images = store.images()
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
        yield CheckedImage(image, objects, unusable)
    if progress is not None:
        progress(len(images), len(images))


def _checked(row: Annotation) -> CheckedObject:
    return CheckedObject(row.id, row.category_id, sound_mask(row), row.rle, row.score, row.is_crowd)
