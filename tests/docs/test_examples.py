"""The examples do what they say, on the run's own server."""

from __future__ import annotations

from pathlib import Path

import demo
import pictures
import pytest
import tabular
from local_server import LocalServer

import stoker


@pytest.mark.timeout(180)
def test_digits_are_learnt_and_the_downloaded_weights_agree(
    service: LocalServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures.write_digits(tmp_path / "digits.zip")
    with stoker.Client(service.url, data_dir=service.data_dir) as client:
        code = demo.run(client, demo.DIGITS, tmp_path / "digits.zip", tmp_path / "w.safetensors", 0.97)
    assert code == 0, capsys.readouterr()


@pytest.mark.timeout(120)
def test_a_messy_table_is_learnt(service: LocalServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "patients.csv"
    assert tabular.write_table(file) == 569
    rows = file.read_text().splitlines()
    assert sum(",," in row or row.startswith(",") for row in rows) > 100 and ",fine," in rows[1]
    with stoker.Client(service.url, data_dir=service.data_dir) as client:
        code = tabular.run(client, file)
    assert code == 0, capsys.readouterr()
