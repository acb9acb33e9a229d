from __future__ import annotations

import subprocess
import sys

import pytest

from stokerd.main import main
from store.settings import Settings


def test_the_command_needs_neither_compiler_nor_framework():
    heavy = ["llvmlite", "numpy", "sqlalchemy", "celery", "fastapi", "uvicorn", "alembic"]
    code = (
        "import sys; import stokerd.main, stokerd.up; stokerd.main.parser()\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["worker.relay", "worker.app", "worker.ingest", "stokerd.api"])
def test_only_the_training_worker_loads_the_compiler(name):
    code = f"import sys; sys.modules['llvmlite'] = None; import {name}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["up", "--port", "70000"],
        ["up", "--port", "1e3"],
        ["up", "--workers", "0"],
        ["up", "--workers", "²"],
        ["worker"],
        ["worker", "--queue", "other"],
        ["keys"],
        ["keys", "revoke"],
    ],
)
def test_a_wrong_command_line_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert "usage: stokerd" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["STOKER_LEASE_SECONDS", "STOKER_KERNEL_CACHE_BYTES", "STOKER_KERNEL_LANES"])
def test_a_wrong_setting_is_named(monkeypatch, capsys, variable):
    monkeypatch.setenv(variable, "soon")
    assert main(["migrate"]) == 2
    assert variable in capsys.readouterr().err


def test_keys_are_shown_once_and_can_be_revoked(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STOKER_DATA_DIR", str(tmp_path))
    assert main(["migrate"]) == 0
    assert main(["migrate"]) == 0
    assert Settings.from_environment().data_dir == tmp_path
    assert main(["keys", "create", "--name", "laptop", "--project", "vision"]) == 0
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("sk_")
    assert main(["keys", "list"]) == 0
    line = capsys.readouterr().out.strip()
    assert secret not in line
    assert line.split()[2:] == ["vision", "laptop", "active"]
    assert main(["keys", "revoke", line.split()[0]]) == 0
    assert main(["keys", "list"]) == 0
    assert "revoked" in capsys.readouterr().out
    assert main(["keys", "revoke", "key_none"]) == 1
    assert "stokerd: no API key" in capsys.readouterr().err
