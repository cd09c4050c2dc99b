"""Models whose hashes the registry does not know, most of them folders as model hubs have them.

What was brought here is noted beside it with the SHA-256 of every file. So a file that changes later is noticed, though
nobody can say whether it was genuine in the first place; where the row of a model has a hash, that decides.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.ports.jobs import Progress
from annotator.engine.specs import ModelEntry, ModelPart
from annotator.files.atomic import put_in_place, write_atomic

NOTE_NAME = "origin.json"
_CHUNK_BYTES = 1 << 20
_NOTE_BYTES = 1 << 20
_MOST_PARTS = 64
WEIGHTS_NAMES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class NotedFile:
    """A file as it was when it was brought here: its hash, and the size and time by which a change is noticed soon."""

    sha256: str
    bytes: int
    mtime_ns: int


def note_path(place: Path) -> Path:
    """Where it is noted what came: in the folder of a model, or beside its file."""
    return place / NOTE_NAME if place.is_dir() else place.with_name(f"{place.name}.{NOTE_NAME}")


def noted(place: Path) -> Mapping[str, NotedFile]:
    """What came, by name; nothing where that is not noted, or the note is damaged."""
    try:
        path = note_path(place)
        rows = json.loads(path.read_text("utf-8")) if path.stat().st_size <= _NOTE_BYTES else {}
        return {str(name): NotedFile(str(row[0]), int(row[1]), int(row[2])) for name, row in rows["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return {}


def write_note(place: Path, names: list[str]) -> None:
    """Note the files of a model as they are now.

    Raises:
        OSError: they cannot be read, or the note cannot be written.
    """
    rows = {}
    for name in sorted(names):
        path = _file_of(place, name)
        facts = path.stat()
        rows[name] = [_sha256_of(path), facts.st_size, facts.st_mtime_ns]
    write_atomic(note_path(place), json.dumps({"files": rows}, indent=1).encode())


def problem_of(entry: ModelEntry, place: Path, *, is_thorough: bool = False) -> str:
    """What is wrong with a model that is here; empty when nothing is.

    Args:
        is_thorough: whether every byte is hashed; else size and time are compared with the note.
    """
    note = noted(place)
    wanted = [part.name for part in entry.parts] or [place.name]
    for name in [*wanted, *(other for other in note if other not in wanted)]:
        path, known = _file_of(place, name), note.get(name)
        if not path.is_file():
            return f"{brief(name)} is missing"
        if known is None:
            return f"{brief(name)} was put there by hand: import the model"
        facts = path.stat()
        is_touched = (facts.st_size, facts.st_mtime_ns) != (known.bytes, known.mtime_ns)
        if (is_touched or is_thorough) and _sha256_of(path) != known.sha256:
            return f"{brief(name)} is not as it was when it came"
        official = next((part.sha256 for part in entry.parts if part.name == name), "")
        if official and official != known.sha256:
            return f"{brief(name)} is not the official one (SHA-256 differs)"
    return ""


def is_official(entry: ModelEntry) -> bool:
    """Whether the registry knows the hash of every file of a model."""
    return bool(entry.sha256) or (bool(entry.parts) and all(part.sha256 for part in entry.parts))


def digest_of(place: Path) -> str:
    """What stands for the weights of a model that is here: of a file its SHA-256, of a folder one over all files.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        if place.is_file():
            known = noted(place).get(place.name)
            return known.sha256 if known is not None and known.bytes == place.stat().st_size else _sha256_of(place)
        note = noted(place)
        names = sorted(note) or sorted(path.name for path in place.iterdir() if path.is_file())
        lines = [f"{name} {note[name].sha256 if name in note else _sha256_of(place / name)}" for name in names]
    except OSError as error:
        raise ModelError(f"{brief(place)} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def size_of(place: Path) -> int:
    """Bytes on the disk of a file, or of all files in a folder."""
    if place.is_file():
        return place.stat().st_size
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


# --- bringing --------------------------------------------------------------------------------------------------------


def take(source: Path, entry: ModelEntry, target: Path, *, progress: Progress | None = None) -> None:
    """Copy a model's folder, a zip of it, or its file to where it belongs. What was there is replaced when all is well.

    Raises:
        ModelError: files of the model are missing, or the archive is not to be trusted, or something cannot be written.
    """
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with _opened(source, entry) as files:
            _check_parts(source, entry, set(files))
            total, done = sum(size for size, _ in files.values()), 0
            for name, (_, opened) in files.items():
                with opened() as stream, (partial / name).open("wb") as copy:
                    while chunk := stream.read(_CHUNK_BYTES):
                        copy.write(chunk)
                        done += len(chunk)
                        if progress is not None:
                            progress(done, total)
        _settle(partial, entry, target, list(files))
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(
            f"{brief(source.name)} cannot be imported: {reason}.", "Check the file and the space left."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def bring(entry: ModelEntry, target: Path, *, progress: Progress | None = None) -> None:
    """Fetch the files of a model, each going on where it stopped.

    Raises:
        requests.RequestException, OSError: see :func:`annotator.engine.transfer.transfer`.
        ModelError: a file is not the official one.
    """
    from annotator.engine.transfer import transfer

    partial = target.with_name(f"{target.name}.part")
    partial.mkdir(parents=True, exist_ok=True)
    before = 0
    for part in entry.parts or (ModelPart(target.name, entry.sha256),):
        path = partial / part.name
        if not path.is_file():
            url = f"{entry.url}/{part.name}" if entry.parts else entry.url
            piece = partial / f"{part.name}.piece"
            transfer(url, piece, _shifted(progress, before, entry.bytes))
            if part.sha256 and _sha256_of(piece) != part.sha256:
                piece.unlink()
                raise ModelError(
                    f"{brief(part.name)} of {brief(entry.name)} is not the official one (SHA-256 differs).",
                    "Try again.",
                )
            put_in_place(piece, path)
        before += path.stat().st_size
    names = [part.name for part in entry.parts] or [target.name]
    _settle(partial, entry, target, names)
    shutil.rmtree(partial, ignore_errors=True)


def remove(place: Path) -> int:
    """Take a model off this computer; says how many bytes that freed.

    Raises:
        ModelError: it cannot be removed.
    """
    freed = size_of(place)
    try:
        note_path(place).unlink(missing_ok=True)
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
    except OSError as error:
        raise ModelError(f"{brief(place)} cannot be removed: {error.strerror}.", "Check its permissions.") from error
    return freed


def _settle(partial: Path, entry: ModelEntry, target: Path, names: list[str]) -> None:
    """All files are there: they take the place of what was."""
    if not entry.parts:
        put_in_place(partial / names[0], target)
        write_note(target, [target.name])
        return
    for part in entry.parts:
        if part.sha256 and _sha256_of(partial / part.name) != part.sha256:
            raise ModelError(
                f"{brief(part.name)} is not the official one of {brief(entry.name)} (SHA-256 differs).",
                "Copy it again.",
            )
    write_note(partial, names)
    if target.exists():
        shutil.rmtree(target)
    put_in_place(partial, target, is_durable=False)


def _shifted(progress: Progress | None, before: int, expected: int) -> Progress | None:
    if progress is None:
        return None

    def tell(done: int, total: int) -> None:
        progress(before + done, max(expected, before + total))

    return tell


@contextmanager
def _opened(source: Path, entry: ModelEntry) -> Iterator[dict[str, tuple[int, Any]]]:
    """The files to copy by the name that they get: their size, and what opens them."""
    if not entry.parts:
        yield {Path(entry.file).name: (source.stat().st_size, lambda: source.open("rb"))}
    elif source.is_dir():
        wanted = {path.name: path for path in sorted(source.iterdir()) if path.is_file() and _is_wanted(path.name)}
        yield {name: (path.stat().st_size, _opener(path)) for name, path in wanted.items()}
    else:
        with zipfile.ZipFile(source) as archive:
            yield dict(_members(archive, source))


def _opener(path: Path) -> Any:
    return lambda: path.open("rb")


def _members(archive: zipfile.ZipFile, source: Path) -> Iterator[tuple[str, tuple[int, Any]]]:
    """What is wanted out of a zip: plain files of one folder, and no more bytes than it can hold."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    claimed = sum(info.file_size for info in infos)
    if len(infos) > _MOST_PARTS or claimed > 20 * source.stat().st_size + _CHUNK_BYTES:
        raise ModelError(f"{brief(source.name)} claims more than it can hold.", "Unpack it, and import the folder.")
    tops = [PurePosixPath(info.filename).parent for info in infos if PurePosixPath(info.filename).name == "config.json"]
    top = min(tops, key=lambda one: len(one.parts), default=PurePosixPath())
    for info in infos:
        path = PurePosixPath(info.filename)
        is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename or is_link:
            raise ModelError(
                f"{brief(source.name)} holds a file that would land elsewhere.", "Do not use this archive."
            )
        if path.parent == top and _is_wanted(path.name):
            yield path.name, (info.file_size, lambda info=info: archive.open(info))


def _is_wanted(name: str) -> bool:
    """Of a hub's folder: descriptions, words and weights; no code, no other formats of the same weights."""
    return name.endswith((".json", ".txt", ".model", ".safetensors")) and name != NOTE_NAME


def _check_parts(source: Path, entry: ModelEntry, names: set[str]) -> None:
    missing = [part.name for part in entry.parts if part.name not in names]
    if missing:
        raise ModelError(
            f"{brief(source.name)} lacks {', '.join(missing)} of {brief(entry.name)}.",
            f"Download the whole folder from {entry.page}.",
        )


def _file_of(place: Path, name: str) -> Path:
    return place / name if place.is_dir() else place


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- room -------------------------------------------------------------------------------------------------------------


def weights_bytes(place: Path) -> int:
    """What the weights of a model take in memory in single precision: more than on the disk where they lie in half.

    Asked of the heads of the files alone, so that nothing is loaded.
    """
    if place.is_dir():
        files = [path for path in place.iterdir() if path.suffix == ".safetensors"]
    else:
        files = [place]
    return sum(_values_bytes(path) if path.suffix == ".safetensors" else path.stat().st_size for path in files)


def _values_bytes(path: Path) -> int:
    """Four bytes for each number that a safetensors file says it holds; a head that cannot be read counts nothing."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(path.stat().st_size, 100 << 20):
            return path.stat().st_size
        try:
            head = json.loads(file.read(length))
            shapes = [row["shape"] for name, row in head.items() if name != "__metadata__"]
            return 4 * sum(_product(shape) for shape in shapes)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return path.stat().st_size


def _product(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= int(size)
    return count


def check_room(name: str, place: Path) -> None:
    """Before a model is loaded: its weights alone have to fit into the memory that is free.

    Raises:
        ModelError: they do not; with both figures.
    """
    need, free = weights_bytes(place), budget.free_bytes()
    if need > free:
        raise ModelError(
            f"{brief(name)} needs {budget.in_words(need)} of memory for its weights alone, "
            f"{budget.in_words(free)} are free.",
            "Close other programs, or choose a smaller model.",
        )
