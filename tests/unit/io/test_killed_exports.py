"""What a killed export had begun is removed by the next one; what still runs, or runs elsewhere, stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.polygons import export_polygons
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, image_folder

_KILLED = """
import os, sys
from pathlib import Path
from annotator.files.atomic import atomic_file
with atomic_file(Path(sys.argv[1])) as (stream, _):
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_the_next_export_clears_up(tmp_path: Path) -> None:
    with ProjectStore.open_folder(image_folder(tmp_path)) as store:
        accept(store, 1, disc(20, 20, 9))
        out = tmp_path / "out"
        (out / "sub").mkdir(parents=True)
        root = Path(__file__).resolve().parents[3]
        for target in (tmp_path / "a.json", out / "sub" / "1.png.json"):
            ended = subprocess.run([sys.executable, "-c", _KILLED, str(target)], cwd=root, check=False)
            assert ended.returncode == -9
        (left,) = tmp_path.glob(".a.json.*.part")
        running = left.with_name(left.name.rsplit("-", 1)[0] + f"-{os.getppid()}.part")
        elsewhere = left.with_name(".a.json.000000-99999999.part")
        for kept in (running, elsewhere):
            kept.touch()
        export_coco(store, tmp_path / "b.json")
        assert left.exists(), "it is another file's"
        export_coco(store, tmp_path / "a.json")
        assert sorted(tmp_path.glob(".*.part")) == sorted([running, elsewhere])
        assert not left.exists()
        assert elsewhere.exists()
        assert len(list(out.rglob(".*.part"))) == 1
        export_polygons(store, out)
        assert list(out.rglob(".*.part")) == []
