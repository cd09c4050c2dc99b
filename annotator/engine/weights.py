"""The model registry and the weight files: where they are, whether they are genuine, how they come here."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from annotator.domain.errors import ModelError
from annotator.domain.ports.jobs import Progress
from annotator.engine.registry import ModelEntry, families
from annotator.files.atomic import atomic_file, atomic_path, put_in_place
from annotator.files.places import checkpoints_dir


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """An entry and what lies on this disk. ``path`` is None when the file is absent, or when none is needed."""

    entry: ModelEntry
    path: Path | None
    is_verified: bool
    note: str

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def is_present(self) -> bool:
        return self.path is not None or not self.entry.file


def shipped_dir() -> Path:
    """The ``checkpoints`` folder of this installation (wheel or checkout)."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_data" / "checkpoints", package.parent / "checkpoints"):
        if (folder / "registry.toml").is_file():
            return folder
    raise ModelError("The model registry is missing from this installation.", "Install the program again.")


def user_dir() -> Path:
    """Where downloads and imports go: ``ANNOTATOR_CHECKPOINTS``, else the user's data folder."""
    return checkpoints_dir()


def registry() -> dict[str, ModelEntry]:
    """All known models by name: those of ``checkpoints/registry.toml``, and what families bring along."""
    data = tomllib.loads((shipped_dir() / "registry.toml").read_text(encoding="utf-8"))
    brought = {entry.name: entry for family in families().values() for entry in family.models}
    return brought | {name: ModelEntry(name=name, **fields) for name, fields in data.items()}


def find_file(entry: ModelEntry) -> Path | None:
    """The model's file, in the user's folder or the shipped one; without a SHA-256 only the latter can be trusted."""
    for folder in (user_dir(), shipped_dir()) if entry.sha256 else (shipped_dir(),):
        if (folder / entry.file).is_file():
            return folder / entry.file
    return None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_weights(path: Path, data: bytes) -> None:
    """Replace a file of weights as a whole; everybody may read it.

    Raises:
        OSError: it cannot be written; the old file is untouched.
    """
    with atomic_file(path) as (stream, partial):
        stream.write(data)
        partial.chmod(0o644)  # whatever the umask: weights are shared


def status_of(entry: ModelEntry) -> ModelStatus:
    """Present? Genuine? Hashing a large file takes a second: not for the GUI thread."""
    if not entry.file:
        return ModelStatus(entry, None, True, "needs no weights")
    path = find_file(entry)
    if path is None:
        return ModelStatus(entry, None, False, "not on this computer")
    if not entry.sha256:
        return ModelStatus(entry, path, True, "ships with the program")
    try:
        digest = sha256_of(path)
    except OSError as error:
        return ModelStatus(entry, path, False, f"the file cannot be read ({error.strerror})")
    if digest == entry.sha256:
        return ModelStatus(entry, path, True, "verified")
    return ModelStatus(entry, path, False, "the file is damaged or not the official one (SHA-256 differs)")


def list_models() -> list[ModelStatus]:
    """Every registry model with its state, best first."""
    return [status_of(entry) for entry in sorted(registry().values(), key=lambda e: -e.rank)]


def card_text(name: str) -> str:
    """The model card, Markdown: what the model is, its data, licence and figures.

    Raises:
        ModelError: no such model, or the program holds no card of it.
    """
    entry = registry().get(name)
    if entry is None:
        raise ModelError(f"There is no model {name!r}.", f"Known: {', '.join(registry())}.")
    path = (shipped_dir() / entry.file).with_suffix(".md")
    if not path.is_file():
        advice = f"Its file comes from {entry.url}; licence: {entry.licence}." if entry.url else ""
        raise ModelError(f"There is no card of {name} here.", advice)
    return path.read_text(encoding="utf-8")


def default_model() -> ModelStatus:
    """The best verified model present.

    Raises:
        ModelError: there is none at all.
    """
    for status in list_models():
        if status.is_present and status.is_verified and status.entry.rank >= 0:
            return status
    raise ModelError("No model is installed.", "Run: annotator models download sam2.1-tiny")


def import_file(source: Path, *, progress: Progress | None = None) -> ModelStatus:
    """Copy a weights file into the user's checkpoints when its SHA-256 is a registry model's.

    Raises:
        ModelError: the file is missing, unreadable or unknown.
    """
    try:
        digest = sha256_of(source)
    except OSError as error:
        raise ModelError(f"{source} cannot be read: {error.strerror}.", "Check the path.") from error
    entry = next((e for e in registry().values() if e.sha256 == digest), None)
    if entry is None:
        raise ModelError(
            f"{source.name} is none of the known models (SHA-256 {digest[:12]}…).",
            "Copy it again, or use it directly with --model PATH --config NAME.",
        )
    target = user_dir() / entry.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            shutil.copyfile(source, partial)
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error.strerror}.", "Free some space and try again.") from error
    if progress is not None:
        progress(target.stat().st_size, target.stat().st_size)
    return status_of(entry)


def download(name: str, *, progress: Progress | None = None) -> ModelStatus:
    """Fetch a model, going on with a part of an earlier try; kept only when its SHA-256 is right.

    Raises:
        ModelError: unknown name, no network, refused, disk full, or a wrong file.
    """
    entry = registry().get(name)
    if entry is None or not entry.url:
        text = f"There is no model {name!r}" if entry is None else f"{name} ships with the program: there is nothing"
        downloads = ", ".join(known.name for known in registry().values() if known.url)
        raise ModelError(f"{text} to download.", f"What can be downloaded: {downloads}.")
    return fetch(entry, user_dir(), progress=progress)


def fetch(entry: ModelEntry, folder: Path, *, progress: Progress | None = None) -> ModelStatus:
    """:func:`download` into a folder, through pooch, which checks the hash before the file gets its name."""
    import pooch
    import requests

    from annotator.engine.transfer import transfer

    def bring(url: str, output_file: str, _pooch: object) -> None:
        part = folder / (entry.file + ".part")
        transfer(url, part, progress)
        put_in_place(part, Path(output_file))

    try:
        folder.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(entry.url, known_hash=f"sha256:{entry.sha256}", fname=entry.file, path=folder, downloader=bring)
    except requests.RequestException as error:
        raise ModelError(
            f"{entry.name} could not be downloaded: {_reason(error, entry.url)}.",
            "Check the connection and try again (it goes on where it stopped), or copy the file and run: "
            "annotator models import FILE",
        ) from error
    except ValueError as error:  # pooch: the hash differs; it has removed the file
        raise ModelError(f"What was downloaded is not {entry.name} (SHA-256 differs).", "Try again.") from error
    except OSError as error:
        raise ModelError(
            f"{entry.file} cannot be written: {error.strerror}.", "Free some space and try again."
        ) from error
    return ModelStatus(entry, folder / entry.file, True, "verified")


def _reason(error: Exception, url: str) -> str:
    """Why a transfer failed, for a person; the library's own text is that of its innards."""
    from requests import exceptions

    host = urlsplit(url).hostname or url
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"{host} answered {error.response.status_code} {error.response.reason or ''}".rstrip()
    if isinstance(error, exceptions.InvalidURL):
        return str(error)
    if isinstance(error, exceptions.SSLError):
        return f"{host} could not prove who it is (its certificate is not trusted here)"
    if isinstance(error, exceptions.ProxyError):
        return f"the proxy between here and {host} cannot be reached"
    if isinstance(error, exceptions.ReadTimeout | exceptions.ChunkedEncodingError):
        return f"the connection to {host} broke off"
    if isinstance(error, exceptions.ConnectionError | exceptions.Timeout):
        return f"{host} cannot be reached from this computer"
    return f"{host} sent something that cannot be used ({type(error).__name__})"
