"""The model registry and the weight files: where they are, whether they are genuine, how they come here."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.ports.jobs import Progress
from annotator.engine import bundles
from annotator.engine.registry import ModelEntry, families, model_type_of
from annotator.files.atomic import atomic_file, atomic_path, put_in_place
from annotator.files.places import checkpoints_dir


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """An entry and what lies on this disk.

    Attributes:
        path: the file, or the folder; None when it is absent, or when none is needed.
        is_verified: it is the official one.
        is_as_it_came: nobody knows the hash of the official one, but it is what was downloaded or imported.
    """

    entry: ModelEntry
    path: Path | None
    is_verified: bool
    note: str
    is_as_it_came: bool = False

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def is_present(self) -> bool:
        return self.path is not None or not self.entry.file

    @property
    def is_usable(self) -> bool:
        """Whether it may be loaded."""
        return self.is_present and (self.is_verified or self.is_as_it_came)


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
    for folder in (shipped_dir(),) if entry.is_shipped else (user_dir(), shipped_dir()):
        path = folder / entry.file
        if path.is_dir() if entry.parts else path.is_file():
            return path
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


def status_of(entry: ModelEntry, *, is_thorough: bool = False) -> ModelStatus:
    """Present? Genuine? Hashing a large file takes a second: not for the GUI thread.

    Args:
        is_thorough: whether every byte is looked at, also where it is noted what came.
    """
    if not entry.file:
        return ModelStatus(entry, None, True, "needs no weights")
    path = find_file(entry)
    if path is None:
        return ModelStatus(entry, None, False, "not on this computer")
    if entry.is_shipped:
        return ModelStatus(entry, path, True, "ships with the program")
    if not entry.sha256:
        return _status_by_note(entry, path, is_thorough=is_thorough)
    try:
        digest = sha256_of(path)
    except OSError as error:
        return ModelStatus(entry, path, False, f"the file cannot be read ({error.strerror})")
    if digest == entry.sha256:
        return ModelStatus(entry, path, True, "verified")
    return ModelStatus(entry, path, False, "the file is damaged or not the official one (SHA-256 differs)")


def _status_by_note(entry: ModelEntry, path: Path, *, is_thorough: bool) -> ModelStatus:
    try:
        problem = bundles.problem_of(entry, path, is_thorough=is_thorough)
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror})"
    if problem:
        return ModelStatus(entry, path, False, problem)
    if bundles.is_official(entry):
        return ModelStatus(entry, path, True, "verified")
    return ModelStatus(entry, path, False, "as it came (no official hash is known)", is_as_it_came=True)


def list_models(*, is_thorough: bool = False) -> list[ModelStatus]:
    """Every registry model with its state, best first."""
    entries = sorted(registry().values(), key=lambda e: -e.rank)
    return [status_of(entry, is_thorough=is_thorough) for entry in entries]


def list_segmenters() -> list[ModelStatus]:
    """Those of :func:`list_models` that answer clicks."""
    known = families()
    return [status for status in list_models() if status.entry.kind not in known or known[status.entry.kind].loader]


def card_text(name: str) -> str:
    """The model card, Markdown: what the model is, its data, licence and figures.

    Raises:
        ModelError: no such model, or the program holds no card of it.
    """
    entry = registry().get(name)
    if entry is None:
        raise ModelError(f"There is no model {brief(name)!r}.", f"Known: {', '.join(registry())}.")
    path = (shipped_dir() / entry.file).with_suffix(".md")
    if not path.is_file():
        advice = f"Its file comes from {entry.url}; licence: {entry.licence}." if entry.url else ""
        raise ModelError(f"There is no card of {brief(name)} here.", advice)
    return path.read_text(encoding="utf-8")


def default_model() -> ModelStatus:
    """The best verified model present.

    Raises:
        ModelError: there is none at all.
    """
    known = families()
    for status in list_segmenters():
        can_load = status.entry.kind in known and not known[status.entry.kind].missing
        if status.is_present and status.is_verified and status.entry.rank >= 0 and can_load:
            return status
    raise ModelError("No model is installed.", "Run: annotator models download sam2.1-tiny")


def import_file(source: Path, *, name: str = "", progress: Progress | None = None) -> ModelStatus:
    """Copy a model into the user's checkpoints: a weights file, a model hub's folder, or a zip of one.

    Args:
        name: of the model, where what it holds does not say which one it is.

    Raises:
        ModelError: it is missing, unreadable or unknown, or not what it is named.
    """
    entry = _named(name) if name else _recognised(source)
    target = user_dir() / entry.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.sha256:
            with atomic_path(target) as partial:
                shutil.copyfile(source, partial)
    except OSError as error:
        raise ModelError(
            f"{brief(target)} cannot be written: {error.strerror}.", "Free some space and try again."
        ) from error
    if not entry.sha256:
        bundles.take(source, entry, target, progress=progress)
    elif progress is not None:
        progress(target.stat().st_size, target.stat().st_size)
    return status_of(entry)


def _named(name: str) -> ModelEntry:
    entry = registry().get(name)
    if entry is None or not entry.file or entry.is_shipped:
        known = ", ".join(one.name for one in registry().values() if one.file and not one.is_shipped)
        raise ModelError(f"There is no model {brief(name)!r} to import.", f"Known: {known}.")
    return entry


def _recognised(source: Path) -> ModelEntry:
    """The row that a file or folder is of: by its hash, its name, or what it says of itself.

    Raises:
        ModelError: it cannot be read, or it is none of the known ones.
    """
    entries = [entry for entry in registry().values() if entry.file and not entry.is_shipped]
    if source.is_dir() or source.suffix.lower() == ".zip":
        path_words = {word.lower() for part in source.absolute().parts for word in (part, *part.split("--"))}
        path_words.add(source.stem.lower())
        named = [e for e in entries if e.parts and {e.name, e.page.rsplit("/", 1)[-1].lower()} & path_words]
        if not named and source.is_dir():
            model_type, known = model_type_of(source), families()
            kinds = {kind for kind, family in known.items() if model_type and model_type in family.model_types}
            named = [entry for entry in entries if entry.parts and entry.kind in kinds]
        if len({entry.file for entry in named}) != 1:
            names = ", ".join(e.name for e in named or entries if e.parts) or "none"
            raise ModelError(
                f"{brief(source.name)} does not say which model it is.", f"Name it (--as NAME); known: {names}."
            )
        return named[0]
    try:
        digest = sha256_of(source)
    except OSError as error:
        raise ModelError(f"{brief(source)} cannot be read: {error.strerror}.", "Check the path.") from error
    entry = next((e for e in entries if e.sha256 == digest), None)
    if entry is None:
        entry = next((e for e in entries if not e.sha256 and not e.parts and e.file == source.name), None)
    if entry is None:
        raise ModelError(
            f"{brief(source.name)} is none of the known models (SHA-256 {digest[:12]}…).",
            "Copy it again, or use it directly with --model PATH --config NAME.",
        )
    return entry


def download(name: str, *, progress: Progress | None = None) -> ModelStatus:
    """Fetch a model, going on with a part of an earlier try; kept only when its SHA-256 is right.

    Raises:
        ModelError: unknown name, no network, refused, disk full, or a wrong file.
    """
    entry = registry().get(name)
    if entry is not None and entry.is_gated:
        raise ModelError(
            f"{brief(name)} is only given to people who have accepted its licence.",
            f"Accept it at {entry.page}, download the folder there, then: annotator models import FOLDER --as "
            f"{brief(name)}",
        )
    if entry is None or not entry.url:
        text = f"There is no model {name!r}" if entry is None else f"{name} ships with the program: there is nothing"
        downloads = ", ".join(known.name for known in registry().values() if known.url)
        raise ModelError(f"{text} to download.", f"What can be downloaded: {downloads}.")
    return fetch(entry, user_dir(), progress=progress)


def remove(name: str) -> int:
    """Take a model that was downloaded or imported off this computer; says how many bytes that freed.

    Raises:
        ModelError: there is none, it ships with the program, or it cannot be removed.
    """
    entry = registry().get(name)
    place = None if entry is None else user_dir() / entry.file
    if entry is None or not entry.file or place is None or not place.exists():
        here = ", ".join(one.name for one in registry().values() if one.file and (user_dir() / one.file).exists())
        raise ModelError(
            f"{brief(name)} is not among the models that were brought here.", f"Those are: {here or 'none'}."
        )
    return bundles.remove(place)


def fetch(entry: ModelEntry, folder: Path, *, progress: Progress | None = None) -> ModelStatus:
    """:func:`download` into a folder, through pooch, which checks the hash before the file gets its name."""
    import pooch
    import requests

    from annotator.engine.transfer import transfer

    def bring(url: str, output_file: str, _pooch: object) -> None:
        part = folder / (entry.file + ".part")
        transfer(url, part, progress)
        put_in_place(part, Path(output_file))

    pooch.get_logger().setLevel("WARNING")  # it would print addresses and paths
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not entry.sha256:
            bundles.bring(entry, folder / entry.file, progress=progress)
            return _status_by_note(entry, folder / entry.file, is_thorough=False)
        pooch.retrieve(entry.url, known_hash=f"sha256:{entry.sha256}", fname=entry.file, path=folder, downloader=bring)
    except requests.RequestException as error:
        raise ModelError(
            f"{brief(entry.name)} could not be downloaded: {_reason(error, entry.url)}.",
            "Check the connection and try again (it goes on where it stopped), or copy the file and run: "
            "annotator models import FILE",
        ) from error
    except ValueError as error:  # pooch: the hash differs; it has removed the file
        raise ModelError(f"What was downloaded is not {brief(entry.name)} (SHA-256 differs).", "Try again.") from error
    except OSError as error:
        raise ModelError(
            f"{brief(entry.file)} cannot be written: {error.strerror}.", "Free some space and try again."
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
