"""What is attacked: a project with objects, history and drafts, and everything that a person does with it."""

from __future__ import annotations

import random
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from annotator.domain.ports.formats import FormatSpec
from annotator.domain.project import (
    Annotation,
    Edit,
    RowChange,
    Status,
    accept_edit,
    delete_edit,
    merge_edit,
    reclass_edit,
    status_edit,
)
from annotator.io.formats.registry import export_formats, exporter
from annotator.io.images.reading import load_image, load_thumbnail
from annotator.io.project.history import last_good
from annotator.io.project.opened import open_project
from annotator.io.project.plain_copy import make_plain_copy
from annotator.io.project.soundness import mask_problem
from annotator.io.project.store import ProjectStore
from tests.attack.guard import Guard
from tests.unit.io.builders import accept, annotation, disc, image_folder

_LIVING: dict[Path, Path] = {}


def victim(home: Path, work: Path) -> Path:
    """A fresh copy of the project's folder; the project is ``set.annot`` in it."""
    model = _LIVING.get(home)
    if model is None:
        model = _LIVING[home] = _make(home / "model")
    folder = work / "set"
    shutil.copytree(model, folder)
    return folder


def _make(root: Path) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    folder = image_folder(root)
    with ProjectStore.open_folder(folder, author="attack") as store:
        store.apply(store.category_edit("cell"))
        for number in range(5):
            fields = {"category_id": 1 + number % 2, "score": 0.9, "extra": {"note": "n"}, "origin": "click"}
            accept(store, 1 + number % 2, disc(8 + 10 * number, 12 + 5 * number, 5 + number), **fields)
        for image_id in (1, 2, 3):
            store.record_image_facts(image_id, sha256="0" * 64, width=64, height=48, extra={"spacing_mm": [1, 1]})
        store.save_drafts(
            {1: {"points": [[20.0, 20.0, 1]], "accepted": [{"points": [[5.0, 5.0, 1]], "accepted_as": 1}]}}
        )
        store.apply(delete_edit(tuple(store.annotations(2)[:1])))
        store.undo()
    return folder


def make_outside(work: Path) -> Path:
    """What no file may lead to."""
    outside = work / "outside"
    (outside / "labels").mkdir(parents=True)
    shutil.copy(Path(__file__), outside / "secret.txt")
    shutil.copy(Path(__file__), outside / "labels" / "secret.txt")
    from PIL import Image

    Image.new("RGB", (64, 48)).save(outside / "secret.png")
    return outside


def use(guard: Guard, place: Path, dice: random.Random, *, out: Path) -> None:
    """Open a folder or project, and do all that can be done with it; then it must open again."""
    opened = guard.step("open", lambda: open_project(place))
    if opened is None:
        project = place if place.is_file() else place / "set.annot"
        if project.is_file():
            guard.step("plain copy", lambda: make_plain_copy(project))
        return
    store = opened.store
    try:
        _read(guard, store)
        for _ in range(dice.randint(2, 8)):
            _change(guard, store, dice)
        if dice.random() < 0.5:
            export_all(guard, store, out, dice)
        if dice.random() < 0.3:
            guard.step("backup", lambda: store.backup(out / "backup.annot"))
    finally:
        guard.step("close", store.close)
    again = guard.step("open again", lambda: ProjectStore.open(store.path, read_only=True))
    if again is None:
        guard.find("what could be opened and used cannot be opened again")
    else:
        guard.step("read again", lambda: list(again.all_annotations()))
        again.close()


def read_mask(row: Annotation) -> object:
    """What is wrong with it, or the mask."""
    return mask_problem(row) or row.mask()


def _read(guard: Guard, store: ProjectStore) -> None:
    images = guard.step("images", store.images) or []
    guard.step("classes", store.categories)
    for what in (
        "annotation_counts",
        "category_counts",
        "status_counts",
        "draft_counts",
        "edit_mark",
        "reviewed_objects",
    ):
        guard.step(what, getattr(store, what))
    guard.step("series", store.slices.series)
    for image in images[:6]:
        guard.step("proposals", partial(store.proposals.rows, image.id))
        rows = guard.step("objects", partial(store.annotations, image.id)) or []
        for row in rows[:20]:
            guard.step("mask", partial(read_mask, row))
        guard.step("draft", partial(store.draft, image.id))
        path = guard.step("image path", partial(store.image_path, image))
        if path is not None:
            guard.step("thumbnail", partial(load_thumbnail, path))
            _load(guard, store, image.id, path)
    for kind, row_id in list(store.damage)[:5]:
        if kind == "annotation":
            good = guard.step("history", partial(last_good, store._connection, row_id))
            if good is not None and not store.is_read_only:
                guard.step("restore", partial(store.restore, good))


def _load(guard: Guard, store: ProjectStore, image_id: int, path: Path) -> None:
    loaded = guard.step("image", lambda: load_image(path))
    if loaded is not None:
        facts: dict[str, Any] = {
            "sha256": loaded.sha256,
            "width": loaded.width,
            "height": loaded.height,
            "extra": loaded.extra,
        }
        guard.step("facts", lambda: store.record_image_facts(image_id, **facts))


def _change(guard: Guard, store: ProjectStore, dice: random.Random) -> None:
    if store.is_read_only:
        return
    images, classes = guard.step("images", store.images) or [], guard.step("classes", store.categories) or []
    if not images:
        return
    image = dice.choice(images)
    rows: list[Annotation] = guard.step("objects", lambda: store.annotations(image.id)) or []
    kind = dice.randrange(9)
    if kind <= 1 and classes:
        mask = disc(dice.uniform(5, 60), dice.uniform(5, 40), dice.uniform(2, 12))

        def add() -> None:
            made = annotation(store, image.id, mask, category_id=dice.choice(classes).id)
            store.apply(accept_edit(made, image), kept={image.id: None})

        guard.step("accept", add)
    elif kind == 2:
        guard.step("undo", store.undo)
    elif kind == 3:
        guard.step("redo", store.redo)
    elif kind == 4 and rows:
        guard.step("delete", lambda: store.apply(delete_edit((dice.choice(rows),))))
    elif kind == 5 and rows and classes:
        guard.step("reclass", lambda: store.apply(reclass_edit((dice.choice(rows),), dice.choice(classes).id)))
    elif kind == 6:
        guard.step("status", lambda: store.apply(status_edit(image, dice.choice(list(Status)))))
    elif kind == 7 and len(classes) > 1:
        one, other = dice.sample(classes, 2)
        guard.step(
            "merge", lambda: store.apply(merge_edit(one, other, tuple(store.all_annotations(category_id=one.id))))
        )
    elif classes:
        one = dice.choice(classes)
        guard.step(
            "rename",
            lambda: store.apply(Edit("rename class", (RowChange(one, one.__class__(one.id, "x", one.colour)),))),
        )


def _export(spec: FormatSpec, store: ProjectStore, target: Path, wish: dict[str, Any]) -> object:
    return exporter(spec)(store, target, **wish)


def export_all(guard: Guard, store: ProjectStore, out: Path, dice: random.Random) -> None:
    out.mkdir(exist_ok=True)
    for spec in export_formats():
        options: dict[str, Any] = {option.name: option.default for option in spec.options}
        target = out / spec.suggested_name("set")
        wish = {"include_unfinished": True, "all_images": dice.random() < 0.5, "progress": None, **options}
        guard.step(f"export {spec.id}", partial(_export, spec, store, target, wish))
