"""kill -9 of ``annotator batch`` with the real model: what was finished is kept, and the end is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from annotator.cli import main
from tests.e2e.pictures import write_pictures

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = sorted((ROOT / "checkpoints").glob("nano-*.safetensors"))
PATIENCE_S = 120
FINISHED = 2

pytestmark = [
    pytest.mark.skipif(not EMBEDDED, reason="the embedded model is not in this checkout"),
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there"),
]

DRIVER = f"""
import sys
from annotator.cli import main
from annotator.commands.batch.journal import Journal

real, count = Journal.add, []

def add(self, row):
    count.append(row)
    if len(count) > {FINISHED}:
        self._writer.seek(0, 2)
        self._writer.write(b'{{"key": "half a li')
        print("in the middle", flush=True)
        sys.stdin.read()
    real(self, row)

Journal.add = add
main(sys.argv[1:])
"""
"""The program itself, which stands still in the middle of writing an image until it is killed."""


def batch_and_kill(command: list[str], errors: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *command],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n", errors.read_text(errors="replace")
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    finally:
        watchdog.cancel()
        process.kill()
        process.wait(30)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def test_a_killed_batch_goes_on_and_ends_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ANNOTATOR_CHECKPOINTS")  # the bundled ones
    pictures = tmp_path / "pictures"
    write_pictures(pictures)
    with Image.open(pictures / "a.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(pictures / "d.png")
    command = ["batch", str(pictures), "--points-per-side", "4", "--crop-n-layers", "0", "--device", "cpu", "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    killed = tmp_path / "killed"
    batch_and_kill([*command, str(killed)], tmp_path / "stderr.txt")
    assert sorted(file.name for file in killed.iterdir()) == ["journal.jsonl"]
    lines = (killed / "journal.jsonl").read_bytes().splitlines()
    assert len(lines) == 1 + FINISHED + 1
    assert lines[-1] == b'{"key": "half a li'
    capsys.readouterr()
    assert main([*command, str(killed)]) == 0
    assert f"done before: {FINISHED} images" in capsys.readouterr().err.replace("\u202f", " ")
    keys = [json.loads(line)["key"] for line in (killed / "journal.jsonl").read_bytes().splitlines()[1:]]
    assert sorted(keys) == ["a.png", "b.png", "c.png", "d.png"]  # each once
    assert (killed / "objects.json").read_bytes() == (tmp_path / "whole/objects.json").read_bytes()
    assert len(json.loads((killed / "objects.json").read_bytes())["annotations"]) >= 4
