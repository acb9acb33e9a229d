from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stokerd.directory import DataDirectory, DirectoryHeld
from stokerd.processes import identify
from stokerd.up import up


def test_a_directory_is_held_once(tmp_path):
    held = DataDirectory(tmp_path / "data")
    with held, pytest.raises(DirectoryHeld, match="another running"), DataDirectory(tmp_path / "data"):
        pass
    with DataDirectory(tmp_path / "data"):
        pass


def test_the_lock_dies_with_its_process_and_is_not_inherited(tmp_path):
    hold = (
        "import os, subprocess, sys, time; from pathlib import Path; from stokerd.directory import DataDirectory\n"
        "with DataDirectory(Path(sys.argv[1])):\n"
        "    child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "data")], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(DirectoryHeld), DataDirectory(tmp_path / "data"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with DataDirectory(tmp_path / "data"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()


def test_recorded_processes_are_ended_and_others_left_alone(tmp_path):
    mine, other = (subprocess.Popen(["sleep", "60"], process_group=0) for _ in range(2))
    with DataDirectory(tmp_path / "data") as directory:
        identity = identify(mine.pid)
        assert identity is not None
        directory.record([("api", identity), ("relay", type(identity)(other.pid, "long ago"))])
    with DataDirectory(tmp_path / "data") as directory:
        assert directory.end_orphans() == ["api"]
    assert mine.wait(5) == -signal.SIGTERM
    assert other.poll() is None
    other.kill()
    other.wait()


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "[[1]]", '[["api", "x", 2]]'])
def test_a_damaged_record_is_no_reason_not_to_start(tmp_path: Path, content: str):
    with DataDirectory(tmp_path / "data") as directory:
        directory.write(tmp_path / "data" / "children.json", content)
        assert directory.end_orphans() == []


def test_written_files_are_their_owners_alone(tmp_path):
    with DataDirectory(tmp_path / "data") as directory:
        directory.write(directory.key_file, "sk_secret\n")
        assert stat.S_IMODE(directory.key_file.stat().st_mode) == 0o600
        assert [file.name for file in directory.path.iterdir() if file.name.startswith(".")] == []


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    with DataDirectory(tmp_path / "data") as directory:
        directory.write(directory.key_file, "sk_first")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
        try:
            with pytest.raises(OSError, match="large"):
                directory.write(directory.key_file, "sk_second")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        assert directory.key_file.read_text() == "sk_first"
        assert [file.name for file in directory.path.iterdir() if file.name.startswith(".")] == []


def test_a_data_directory_that_cannot_be_made_is_a_line_not_a_traceback(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert up(tmp_path / "file" / "data", "127.0.0.1", 0, 1) == 1
    assert capsys.readouterr().err.startswith("stokerd: [Errno 20] Not a directory")
