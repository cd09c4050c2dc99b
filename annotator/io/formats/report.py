"""What an export says about itself, and which images and objects go out: the same for every format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, Category, ImageRecord, Review, Status
from annotator.domain.tally import Tally
from annotator.io.images.content import mark_of, now_of
from annotator.io.images.reading import read_size
from annotator.io.project.image_folder import is_inside
from annotator.io.project.queries import ProjectQueries
from annotator.io.project.soundness import mask_problem

_SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of reading an export back.

    Attributes:
        objects: objects compared, of which ``crowd`` are crowds and ``rle`` are run lengths.
        worst_iou, worst_name: of the object that fits worst (1.0 and "" when there are none).
        below: (object name, IoU) of polygons under the bound, worst first.
        problems: everything that must not be: an export with one is not put into place.
    """

    objects: int
    crowd: int = 0
    rle: int = 0
    worst_iou: float = 1.0
    worst_name: str = ""
    below: tuple[tuple[str, float], ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What stays in the project.

    Attributes:
        bare: images without objects that were not marked done or empty.
        unfinished: images with objects that were not, when only finished ones are wanted; objects: theirs.
    """

    bare: int = 0
    unfinished: int = 0
    objects: int = 0

    def plus(self, objects: int) -> LeftOut:
        """One image more, with so many objects."""
        if objects:
            return replace(self, unfinished=self.unfinished + 1, objects=self.objects + objects)
        return replace(self, bare=self.bare + 1)

    def lines(self) -> list[str]:
        """For the command line and the window: a line for each kind."""
        out = []
        if self.unfinished:
            out.append(
                f"left out: {counted(self.objects, 'object')} on {counted(self.unfinished, 'image')} not marked done"
            )
        if self.bare:
            out.append(f"left out: {counted(self.bare, 'image')} without objects, not marked done or empty")
        return out


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written.

    Attributes:
        path: the file, or the folder of many.
        images, objects, categories: how many.
        warnings: one line each.
        check: the self-check.
    """

    path: Path
    images: int
    objects: int
    categories: int
    left_out: LeftOut
    warnings: tuple[str, ...]
    check: CheckReport

    def lines(self) -> list[str]:
        """For the command line and the window."""
        check = self.check
        images, objects = counted(self.images, "image"), counted(self.objects, "object")
        out = [f"wrote {self.path}: {images}, {objects}, {counted(self.categories, 'class', 'classes')}"]
        out.extend(self.left_out.lines())
        out.extend(f"warning: {line}" for line in shortened(self.warnings))
        worst = f", worst IoU {check.worst_iou:.4f} ({check.worst_name})" if check.objects else ""
        out.append(
            f"self-check: {counted(check.objects, 'object')} read back and compared ({check.crowd} crowd){worst}"
        )
        return out


@dataclass(frozen=True, slots=True)
class Selection:
    """Images that go out, with known sizes, in the order of ids; ``counts`` are objects by image id."""

    images: tuple[ImageRecord, ...]
    counts: dict[int, int]
    left_out: LeftOut
    warnings: tuple[str, ...]


def shortened(lines: tuple[str, ...]) -> list[str]:
    """At most twenty lines, the last one counting the rest."""
    if len(lines) <= _SHOWN_LINES:
        return list(lines)
    return [*lines[: _SHOWN_LINES - 1], f"... and {len(lines) - _SHOWN_LINES + 1} more"]


def select_images(
    store: ProjectQueries, *, include_unfinished: bool, all_images: bool, progress: Progress | None = None
) -> Selection:
    """Images with objects and images marked done or empty. Files that are missing or have changed are in its warnings.

    Args:
        include_unfinished: also images with objects that are still in progress.
        all_images: every image, also those nobody looked at.
        progress: called with (images looked at, images in all): their files are read to see whether they have changed.

    Raises:
        ProjectFolderError: the person has not agreed to the folder where they are.
    """
    _ = store.readable_root
    counts = store.annotation_counts()
    wanted: list[ImageRecord] = []
    left_out = LeftOut()
    for image in store.images():
        finished = image.status in (Status.DONE, Status.EMPTY)
        if not (all_images or finished or (include_unfinished and counts.get(image.id, 0))):
            left_out = left_out.plus(counts.get(image.id, 0))
            continue
        wanted.append(image)
    chosen: list[ImageRecord] = []
    tally = Tally()
    for done, image in enumerate(wanted, start=1):
        if not is_inside(image.path):
            text = "is left out: that path leaves the image folder"
            tally.add(repr(image.path), text, noun="image", kind="outside")
            continue
        _look_at_file(store, image, tally)
        sized = _with_size(store, image)
        if sized is None:
            text = "is left out: its file cannot be read, so its size is unknown"
            tally.add(image.name, text, noun="image", kind="no size")
        else:
            chosen.append(sized)
        if progress is not None:
            progress(done, len(wanted))
    return Selection(tuple(chosen), counts, left_out, tally.lines())


def _look_at_file(store: ProjectQueries, image: ImageRecord, tally: Tally) -> None:
    """Say when an image's file is not what its objects were made on."""
    path = store.image_path(image)
    try:
        if not path.is_file():
            tally.add(image.name, "is not in its place (see annotator relink)", noun="image", kind="missing")
            return
        width, height = read_size(path, frame=image.frame)
        if image.width > 0 and (width, height) != (image.width, image.height):
            now = f"has changed: it is {width} x {height} pixels now, and was {image.width} x {image.height}"
            many = "has changed: it has another size than was labelled"
            tally.add(image.name, now, noun="image", kind="size", many=many)
        elif (mark := mark_of(image.sha256, image.extra)) and now_of(path, mark) != mark:
            tally.add(image.name, "has changed: its content is another one than was labelled", noun="image")
    except (ImageError, OSError) as error:
        reason = error.message if isinstance(error, ImageError) else str(error.strerror)
        tally.add(image.name, f"cannot be read any more ({reason})", noun="image", kind="unreadable")


def writable_objects(
    store: ProjectQueries, selection: Selection, names: dict[int, Category], warnings: list[str]
) -> Iterator[tuple[ImageRecord, Annotation]]:
    """Objects of the selected images in the order of their ids; those that cannot be written go into ``warnings``."""
    images = {image.id: image for image in selection.images}
    tally = Tally()
    for annotation in store.all_annotations():
        image = images.get(annotation.image_id)
        if image is None:
            continue
        problem = _object_problem(annotation, image, names)
        if problem:
            tally.add(object_name(annotation, image, names), f"is left out{problem}", noun="object")
        else:
            yield image, annotation
    for damage in store.damage.values():
        tally.add(damage.name, damage.what, noun="row", kind=damage.what)
    warnings.extend(tally.lines())


def _object_problem(annotation: Annotation, image: ImageRecord, names: dict[int, Category]) -> str:
    if (annotation.image_width, annotation.image_height) != (image.width, image.height):
        made_at = f"{annotation.image_width} x {annotation.image_height}"
        return f": made at {made_at}, the image is {image.width} x {image.height}"
    if annotation.area <= 0:
        return ": it has no pixels"
    if annotation.category_id not in names:
        return ": its class is not in the project"
    problem = mask_problem(annotation)
    return f", it is damaged: {problem}" if problem else ""


def object_name(annotation: Annotation, image: ImageRecord, categories: dict[int, Category]) -> str:
    """For messages: object 12 (coin) in sub/a.png."""
    category = categories.get(annotation.category_id)
    return f"object {annotation.id} ({brief(category.name) if category else '?'}) in {brief(image.name)}"


def frame_fields(image: ImageRecord) -> dict[str, Any]:
    """Where a frame is from: the file and the number in it (from 0), and of a series, which and where. Nothing for an
    image that is a file of its own."""
    found: dict[str, Any] = {}
    if image.frame or image.series_id:
        found |= {"source": image.path, "frame": image.frame}
    if image.series_id:
        found |= {"series": image.series_id, "position": image.position}
    return found


def provenance(annotation: Annotation) -> dict[str, Any]:
    """How an object came to be, as COCO ``attributes``: only what is known. Imported objects have nothing to add."""
    found: dict[str, Any] = {}
    if annotation.origin and annotation.origin != "import":
        found["origin"] = annotation.origin
    if annotation.clicks:
        found["clicks"] = annotation.clicks
    if annotation.seconds:
        found["seconds"] = annotation.seconds
    for key in ("model", "model_sha256", "adapter", "track_id", "note", "layer"):
        if getattr(annotation, key):
            found[key] = getattr(annotation, key)
    if annotation.score is not None:
        found["score"] = annotation.score
    if annotation.review is not Review.OPEN:
        found["review"] = annotation.review.value
    return found


def attributes_of(annotation: Annotation) -> dict[str, Any] | None:
    """Imported attributes and the provenance; None when there is nothing to write."""
    imported = annotation.extra.get("attributes")
    known = provenance(annotation)
    if isinstance(imported, dict):
        return {**imported, **known}
    return known or None


def _with_size(store: ProjectQueries, image: ImageRecord) -> ImageRecord | None:
    if image.width > 0 and image.height > 0:
        return image
    try:
        width, height = read_size(store.image_path(image), frame=image.frame)
    except ImageError:
        objects = store.annotations(image.id)
        if not objects:
            return None
        width, height = objects[0].image_width, objects[0].image_height
    return replace(image, width=width, height=height)
