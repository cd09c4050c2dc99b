"""kill -9 at any moment: what was accepted is there, the lock is free, and the object in work is remembered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from annotator.io.project.connect import connect_writer
from annotator.io.project.schema import relaxed
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import image_folder

_WORKER = """
import sys
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc
store = ProjectStore.open_folder(sys.argv[1])
for number in range(1, 100000):
    store.save_drafts({2: {"points": [[number, 1, 1]]}, 3: {"points": [[number, 1, 1]]}})
    accept(store, 1 + 2 * (number % 2), disc(10 + number % 40, 20, 5))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""

_ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("accepts", [1, 7, 60])
def test_sigkill_loses_nothing(tmp_path: Path, accepts: int) -> None:
    folder = image_folder(tmp_path)
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(folder)],
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        text=True,
    )
    assert worker.stdout is not None
    printed = 0
    while printed < accepts:
        line = worker.stdout.readline()
        assert line, "the worker ended by itself"
        printed = int(line)
    with ProjectStore.open_folder(folder) as beside:
        assert beside.is_read_only
        assert str(worker.pid) in beside.read_only_reason
    os.kill(worker.pid, signal.SIGKILL)
    rest = worker.stdout.read()
    worker.wait()
    worker.stdout.close()
    printed = max([printed, *(int(line) for line in rest.split("\n")[:-1])])
    with ProjectStore.open_folder(folder) as again:
        assert not again.is_read_only
        found = list(again.all_annotations())
        assert printed <= len(found) <= printed + 1
        assert [a.id for a in found] == list(range(1, len(found) + 1))
        assert all(a.mask().area == a.area > 0 for a in found)
        assert again.undo_name == "accept object"
        drafts = [again.draft(image_id) for image_id in (2, 3)]
        assert drafts[0] == drafts[1] is not None
        assert drafts[0]["points"][0][0] in (printed, printed + 1)
        again.undo()
        assert len(list(again.all_annotations())) == len(found) - 1


_MAKER = """
import os, signal, sys
from annotator.io.project import place as store_place
from annotator.io.project.store import ProjectStore
store_place._write_first_rows = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
ProjectStore.open_folder(sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_kill_while_a_project_is_made_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    folder = image_folder(tmp_path)
    env = {**os.environ, "PYTHONPATH": str(_ROOT)}
    killed = subprocess.run([sys.executable, "-c", _MAKER, str(folder)], cwd=_ROOT, env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "set.annot").exists()
    with ProjectStore.open_folder(folder) as made:
        assert not made.is_read_only
        assert len(made.images()) == 3
    assert [path.name for path in folder.iterdir() if "annot" in path.name] == ["set.annot"]


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    """What no kill of the program shows: a power cut comes after the commit. What may be lost then waits for less."""
    connection, is_wal = connect_writer(tmp_path / "a.annot", create=True)
    with closing(connection):

        def level() -> int:
            return int(connection.execute("PRAGMA synchronous").fetchone()[0])

        assert (is_wal, level()) == (True, 2)
        with relaxed(connection, is_wal=is_wal):
            assert level() == 1
        assert level() == 2
