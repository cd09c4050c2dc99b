"""The prompt adapters on this computer. All of it reads files: call it beside the GUI thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.adapter import AdapterInfo
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError, UserError
from annotator.domain.ports.engine import Adaptable, AdapterInUse, AdapterSetter, NamesAdapters, Segmenter

if TYPE_CHECKING:
    from annotator.engine.sam2.adapted_decoder import Adapter

_KEPT_LOADED = 9


@dataclass(frozen=True, slots=True)
class AdapterEntry:
    """An adapter's file.

    Attributes:
        is_own: whether it can be removed or rolled back; those that came with the program cannot.
        has_previous: whether there is a version to roll back to.
    """

    path: Path
    info: AdapterInfo
    n_bytes: int
    is_own: bool
    has_previous: bool

    @property
    def name(self) -> str:
        return self.path.stem


class AdapterShelf:
    """Installed adapters, then those that came with the program.

    Args:
        folder: where adapters are installed; None for the person's own folder.
        shipped: those of the program; None for its own folder.
    """

    def __init__(self, folder: Path | None = None, shipped: Path | None = None) -> None:
        self._folder, self._shipped = folder, shipped
        # Read by the engine thread alone.
        self._loaded: dict[tuple[str, int, str], tuple[Adapter, AdapterInUse]] = {}

    def entries(self) -> list[AdapterEntry]:
        """All of them, by name; their order is that of the keys."""
        from annotator.engine import weights
        from annotator.engine.sam2.adapter_files import PREVIOUS, list_adapters

        own = self._own_folder()
        shipped = self._shipped if self._shipped is not None else weights.shipped_dir() / "adapters"
        return [
            AdapterEntry(
                path,
                info,
                path.stat().st_size,
                is_own=path.parent == own,
                has_previous=path.with_name(path.name + PREVIOUS).exists(),
            )
            for path, info in list_adapters((own, shipped))
        ]

    def setter(self, entry: AdapterEntry | None) -> AdapterSetter:
        """What puts an adapter into the engine, on its thread; None: no adapter. A second time it is in memory."""

        def put(segmenter: Segmenter) -> AdapterInUse | None:
            if not isinstance(segmenter, Adaptable):
                if entry is None:
                    return None
                raise ModelError("This model takes no adapters.", "Choose another in the Model menu.")
            if entry is None:
                segmenter.set_adapter(None)
                return None
            if isinstance(segmenter, NamesAdapters):
                named = AdapterInUse(entry.name, _sha256_of(entry))
                segmenter.set_adapter(named)
                return named
            adapter, in_use = self._load(entry, segmenter)
            segmenter.set_adapter(adapter)
            return in_use

        return put

    def bring_in(self, path: Path, *, card: Path | None = None) -> str:
        """Install a file under the name of its card; the version that was there can be rolled back to.

        Args:
            card: where the card lies, if not beside the file.

        Raises:
            ModelError: it is no adapter, or it cannot be written.
        """
        from annotator.engine.sam2.adapter_files import install, read_adapter_info

        name = read_adapter_info(path).name
        text = card.read_text(encoding="utf-8") if card is not None and card.is_file() else None
        install(path, name, self._own_folder(), card=text)
        return name

    def checked_name(self, name: str) -> str:
        """The name, if an adapter can be called that.

        Raises:
            ModelError: it cannot.
        """
        from annotator.engine.sam2.adapter_files import installed_path

        installed_path(name, self._own_folder())
        return name

    def export(self, entry: AdapterEntry, target: Path) -> None:
        """Copy an adapter's file and its card."""
        from annotator.engine.sam2.adapter_files import export

        export(entry.path, target)

    def roll_back(self, entry: AdapterEntry) -> None:
        """The version before takes the place of this one, and this one its; again: forward."""
        from annotator.engine.sam2.adapter_files import roll_back

        roll_back(entry.name, self._own_folder())

    def remove(self, entry: AdapterEntry) -> None:
        """Delete an installed adapter, with its card and the version before."""
        from annotator.engine.sam2.adapter_files import remove

        if not entry.is_own:
            raise UserError(f"{brief(entry.name)} came with the program.", "It can be left unused.")
        remove(entry.name, self._own_folder())

    # --- inside -------------------------------------------------------------------------------------------------------

    def _own_folder(self) -> Path:
        from annotator.engine.sam2.adapter_files import adapters_dir

        return self._folder if self._folder is not None else adapters_dir()

    def _load(self, entry: AdapterEntry, segmenter: Any) -> tuple[Adapter, AdapterInUse]:
        from annotator.engine import weights
        from annotator.engine.sam2.adapter_files import load_adapter

        try:
            stamp = entry.path.stat().st_mtime_ns
        except OSError as error:
            raise ModelError(f"The adapter {brief(entry.name)} is gone.", "Open the adapters panel anew.") from error
        key = (str(entry.path), stamp, segmenter.info.sha256)
        if key not in self._loaded:
            adapter = load_adapter(entry.path, base=segmenter.info, device=segmenter.device)
            while len(self._loaded) >= _KEPT_LOADED:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[key] = (adapter, AdapterInUse(entry.name, weights.sha256_of(entry.path)))
        return self._loaded[key]


def _sha256_of(entry: AdapterEntry) -> str:
    """Raises:
    ModelError: the file is gone.
    """
    from annotator.engine import weights

    try:
        return weights.sha256_of(entry.path)
    except OSError as error:
        raise ModelError(f"The adapter {brief(entry.name)} is gone.", "Open the adapters panel anew.") from error
