"""How the objects and images of a project look, kept in a file of the cache: made again at any time, never exported.

One SQLite file for each project, named by the project file's place. A row is used as long as what it was made from is
the same: the object's runs, the image's bytes, and the way in which the numbers are made.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError, ProjectError
from annotator.domain.likeness.describe import LENGTH, SPACE, Vectors, describe, spread
from annotator.domain.likeness.near_copies import image_hash
from annotator.domain.likeness.neighbours import Neighbours
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, ImageRecord
from annotator.files.places import cache_dir
from annotator.files.private import make_private_folder
from annotator.io.images.reader import LoadedImage
from annotator.io.project.queries import ProjectQueries

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact(k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image(image_id INTEGER PRIMARY KEY, digest TEXT NOT NULL, hash INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS look(annotation_id INTEGER PRIMARY KEY, digest TEXT NOT NULL, numbers BLOB NOT NULL);
"""
LoadImage = Callable[[ImageRecord], LoadedImage]


@dataclass(frozen=True, slots=True)
class LookUpdate:
    """What an update did: objects looked at, objects that were known, and images that cannot be read, with why."""

    made: int = 0
    known: int = 0
    failed: tuple[str, ...] = ()


def looks_file(project: Path) -> Path:
    """Where the looks of a project's objects are kept; the file need not be there."""
    name = hashlib.sha256(os.path.abspath(project).encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return cache_dir() / "looks" / f"{name}.db"


def forget_looks(project: Path) -> bool:
    """Delete them; whether there were any."""
    file = looks_file(project)
    was_there = file.exists()
    for ending in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    return was_there


def forget_lost() -> int:
    """Delete the looks of projects that are not there any more; how many these were."""
    count = 0
    for file in (cache_dir() / "looks").glob("*.db"):
        with suppress(sqlite3.Error, OSError):
            with closing(sqlite3.connect(file)) as connection:
                row = connection.execute("SELECT v FROM fact WHERE k = 'project'").fetchone()
            if row is not None and not os.path.exists(row[0]):
                count += forget_looks(Path(row[0]))
    return count


def update_looks(store: ProjectQueries, project: Path, load: LoadImage, progress: Progress) -> LookUpdate:
    """Look at every object that is new or has changed, image by image; what was done before a stop is kept.

    Args:
        load: an image as it is shown.
        progress: called with (images done, in all).

    Raises:
        ProjectError: the project cannot be read, or the file of the cache cannot be written.
    """
    made = known = 0
    failed: list[str] = []
    images = store.images()
    with _opened(project) as connection:
        old = dict(connection.execute("SELECT annotation_id, digest FROM look").fetchall())
        pictures = dict(connection.execute("SELECT image_id, digest FROM image").fetchall())
        there: set[int] = set()
        for done, image in enumerate(images):
            progress(done, len(images))
            rows = [row for row in store.annotations(image.id) if row.area > 0]
            there.update(row.id for row in rows)
            stale = [row for row in rows if old.get(row.id) != _digest(row, image)]
            known += len(rows) - len(stale)
            if not stale and pictures.get(image.id) == (image.sha256 or "?"):
                continue
            try:
                loaded = load(image)
            except ImageError as error:
                failed.append(f"{image.path}: {error}")
                continue
            with connection:
                made += _look_at(connection, image, loaded, stale)
        with connection:
            gone = [(one,) for one in old.keys() - there]
            connection.executemany("DELETE FROM look WHERE annotation_id = ?", gone)
            left = pictures.keys() - {image.id for image in images}
            connection.executemany("DELETE FROM image WHERE image_id = ?", [(one,) for one in left])
    progress(len(images), len(images))
    return LookUpdate(made, known, tuple(failed))


def read_neighbours(store: ProjectQueries, project: Path) -> Neighbours:
    """The objects that were looked at and are as they were then.

    Raises:
        ProjectError: the project or the file of the cache cannot be read.
    """
    with _opened(project) as connection:
        rows = connection.execute("SELECT annotation_id, digest, numbers FROM look").fetchall()
    known = {row[0]: row for row in rows}
    images = {image.id: image for image in store.images()}
    used: list[tuple[int, int, int, bytes]] = []
    for one in store.all_annotations():
        row = known.get(one.id)
        if row is not None and one.image_id in images and row[1] == _digest(one, images[one.image_id]):
            used.append((one.id, one.image_id, one.category_id, row[2]))
    numbers = np.frombuffer(b"".join(row[3] for row in used), np.float16).reshape(-1, LENGTH).astype(np.float32)
    columns = [np.array([row[at] for row in used], np.int64) for at in range(3)]
    return Neighbours(columns[0], columns[1], columns[2], spread(numbers))


def read_hashes(project: Path) -> dict[int, int]:
    """Hash by image id, of the images that were looked at.

    Raises:
        ProjectError: the file of the cache cannot be read.
    """
    with _opened(project) as connection:
        return dict(connection.execute("SELECT image_id, hash FROM image").fetchall())


def _look_at(connection: sqlite3.Connection, image: ImageRecord, loaded: LoadedImage, stale: list[Annotation]) -> int:
    rows: list[tuple[int, str, bytes]] = []
    for one in stale:
        numbers = _numbers(one, loaded)
        if numbers is not None:
            rows.append((one.id, _digest(one, image), numbers.astype(np.float16).tobytes()))
    connection.executemany("INSERT OR REPLACE INTO look(annotation_id, digest, numbers) VALUES (?, ?, ?)", rows)
    picture = (image.id, image.sha256 or "?", image_hash(loaded.rgb))
    connection.execute("INSERT OR REPLACE INTO image(image_id, digest, hash) VALUES (?, ?, ?)", picture)
    return len(rows)


def _numbers(one: Annotation, loaded: LoadedImage) -> Vectors | None:
    """None for an object that is damaged, or of another size than the image."""
    try:
        mask = one.mask()
    except ValueError:
        return None
    if mask.is_empty or (mask.width, mask.height) != (loaded.width, loaded.height):
        return None
    return describe(loaded.rgb, mask)


def _digest(one: Annotation, image: ImageRecord) -> str:
    mark = hashlib.sha256(one.rle)
    mark.update(f"|{image.sha256}|{image.frame}|{SPACE}".encode())
    return mark.hexdigest()[:32]


@contextmanager
def _opened(project: Path) -> Iterator[sqlite3.Connection]:
    """Raises:
    ProjectError: it cannot be read or written.
    """
    file = looks_file(project)
    try:
        make_private_folder(file.parent)
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(_SCHEMA)
            with connection:
                about = ("project", os.path.abspath(project))
                connection.execute("INSERT OR REPLACE INTO fact(k, v) VALUES (?, ?)", about)
            yield connection
    except (sqlite3.Error, OSError) as error:
        text = f"What the objects look like cannot be kept in {brief(file)} ({error})."
        raise ProjectError(text, "Delete that file: it is made anew.") from error
