from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import tomlkit

import annotator
from annotator.domain.errors import UserError
from annotator.io.settings import SETTINGS, Settings, settings_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_table_is_sound() -> None:
    assert len({setting.key for setting in SETTINGS}) == len(SETTINGS)
    for setting in SETTINGS:
        assert setting.description.endswith(".") or setting.description.endswith(").")
        assert not setting.choices or setting.default in setting.choices


def test_every_setting_is_read() -> None:
    package = Path(annotator.__file__).parent
    others = [path for path in package.rglob("*.py") if path != package / "io" / "settings.py"]
    texts = "".join(path.read_text("utf-8") for path in others)
    own = (package / "io" / "settings.py").read_text("utf-8")
    unread = [s.key for s in SETTINGS if f'"{s.key}"' not in texts and f'get("{s.key}")' not in own]
    assert not unread, "a setting that nothing asks for does nothing"


def test_defaults_without_a_file_and_no_file_without_a_change(home: Path) -> None:
    settings = Settings.load()
    assert settings.path == home / "settings.toml" == settings_path()
    assert settings.get("theme") == "dark"
    assert settings.get("cache_ram_mib") == 1024
    assert settings.warnings == ()
    assert not settings.set("theme", "dark")
    assert not home.exists()
    with pytest.raises(KeyError):
        settings.get("nonsense")


def test_a_folder_is_remembered_with_one_look_into_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Settings.load().set("theme", "light")
    settings, parses, parse = Settings.load(), list[int](), tomlkit.parse
    monkeypatch.setattr(tomlkit, "parse", lambda text: parses.append(1) or parse(text))
    settings.remember_folder("/a")
    assert len(parses) == 1
    assert Settings.load().get("recent_folders") == ["/a"]


def test_only_differences_are_kept(home: Path) -> None:
    settings = Settings.load()
    assert settings.set("theme", "light")
    assert settings.set("mask_opacity", 1)
    settings.remember_folder("/a")
    settings.remember_folder("/b")
    settings.remember_folder("/a")
    text = (home / "settings.toml").read_text()
    assert "theme" in text
    assert "prefetch" not in text
    again = Settings.load()
    assert again.get("theme") == "light"
    assert again.get("mask_opacity") == 1.0
    assert isinstance(again.get("mask_opacity"), float)
    assert again.get("recent_folders") == ["/a", "/b"]
    assert again.get("last_folder") == "/a"
    again.get("recent_folders").append("x")
    assert again.get("recent_folders") == ["/a", "/b"]
    assert again.reset("theme")
    assert "theme" not in (home / "settings.toml").read_text()


def test_unknown_keys_and_comments_stay(home: Path) -> None:
    home.mkdir()
    (home / "settings.toml").write_text('# mine\nfuture = "x"\ntheme = "dark" # dark!\n\n[plugin]\na = 1\n')
    settings = Settings.load()
    assert settings.warnings == ()
    settings.set("prefetch", False)
    text = (home / "settings.toml").read_text()
    for part in ("# mine", 'future = "x"', "# dark!", "[plugin]", "prefetch = false"):
        assert part in text
    assert Settings.load().get("prefetch") is False


def test_bad_values_are_named_and_the_default_used(home: Path) -> None:
    home.mkdir()
    lines = ['theme = "pink"', "mask_opacity = 7", "prefetch = 1", "cache_ram_mib = 1.5", "recent_folders = [1]"]
    lines += ["model = 3", "outline_width_px = true"]
    (home / "settings.toml").write_text("\n".join(lines))
    settings = Settings.load()
    assert len(settings.warnings) == 7
    assert "dark, light, system" in settings.warnings[0]
    for setting in SETTINGS:
        assert settings.get(setting.key) == setting.default


@pytest.mark.parametrize("content", [b"theme = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_damaged_file_is_put_aside_not_lost(home: Path, content: bytes) -> None:
    home.mkdir()
    (home / "settings.toml").write_bytes(content)
    settings = Settings.load()
    assert "damaged" in settings.warnings[0]
    assert settings.get("theme") == "dark"
    settings.set("theme", "light")
    assert (home / "settings.toml.damaged").read_bytes() == content
    assert Settings.load().get("theme") == "light"


def test_values_that_do_not_fit(home: Path) -> None:
    settings = Settings.load()
    for key, value in (("theme", "pink"), ("mask_opacity", float("nan")), ("prefetch", "yes"), ("cache_ram_mib", -1)):
        with pytest.raises(UserError, match=key):
            settings.set(key, value)
    assert not home.exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "file"))
    settings = Settings.load()
    with pytest.raises(UserError, match="cannot be saved"):
        settings.set("theme", "light")
    assert settings.get("theme") == "light"


def test_two_windows_keep_each_others_changes(home: Path) -> None:
    first, second = Settings.load(), Settings.load()
    first.set("model", "nano")
    first.remember_folder("/a")
    second.set("theme", "light")
    second.remember_folder("/b")
    first.reset("model")
    kept = Settings.load()
    assert (kept.get("model"), kept.get("theme")) == ("", "light")
    assert kept.get("recent_folders") == ["/b", "/a"]
    assert first.get("theme") == "dark", "nothing changes under a window that is open"


def test_what_could_not_be_saved_is_saved_with_the_next_change(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load()

    def full(path: Path, data: bytes, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("annotator.io.settings.write_atomic", full)
        with pytest.raises(UserError, match="No space"):
            settings.set("theme", "light")
    settings.set("prefetch", False)
    kept = Settings.load()
    assert (kept.get("theme"), kept.get("prefetch")) == ("light", False)


def test_what_was_saved_at_once_stands_in_one_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load()
    own = {"theme": "light", "prefetch": False, "timeline": False, "cross_hair": True, "author": "A", "model": "nano"}
    with monkeypatch.context() as patch:
        patch.setattr(
            "annotator.io.settings.write_atomic", lambda *_words, **_options: (_ for _ in ()).throw(OSError())
        )
        for key, value in own.items():
            with pytest.raises(UserError):
                settings.set(key, value)
    settings.set("play_speed", 2.0)
    written = list(tomllib.loads(settings.path.read_text("utf-8")))
    assert written == sorted([*own, "play_speed"])


def test_the_folder_that_was_opened_last_of_all_windows_is_the_last(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    first, second = Settings.load(path), Settings.load(path)
    first.remember_folder("/a")
    second.remember_folder("/b")
    first.remember_folder("/a")
    again = Settings.load(path)
    assert again.get("last_folder") == "/a"
    assert again.get("recent_folders") == ["/a", "/b"]
