"""`stokerd warm` compiles what jobs need, once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine import usual
from engine.codegen import objects
from engine.definition import parse_model
from stokerd.main import main

TABLE = {"inputs": {"x": {"shape": [5]}}, "layers": [{"type": "Dense", "units": 3, "activation": "elu"}]}
PICTURES = {"model": {"inputs": {"x": {"shape": [6, 6, 1]}}, "layers": [{"type": "Flatten"},
                                                                        {"type": "Dense", "units": 1}]},
            "data": {"dataset": "ds_of_some_server", "augmentation": [{"type": "RandomFlip"}]},
            "training": {"batch_size": 4, "epochs": 50, "loss": {"type": "BinaryCrossentropy", "from_logits": True},
                         "callbacks": [{"type": "EarlyStopping", "monitor": "val_loss"}]}}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOKER_KERNEL_CACHE", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(objects, "_loaded", {})
    for kernel in objects.declared:
        monkeypatch.setattr(kernel, "_known", {})


def written(folder: Path, *documents: object) -> list[str]:
    files = [folder / f"{number}.json" for number in range(len(documents))]
    for file, document in zip(files, documents, strict=True):
        file.write_text(json.dumps(document))
    return [str(file) for file in files]


def test_what_was_compiled_is_not_compiled_again(cache, tmp_path, monkeypatch, capsys):
    files = written(tmp_path, TABLE, PICTURES)
    forget(monkeypatch)
    assert main(["warm", *files]) == 0
    shown = capsys.readouterr().out
    assert str(cache) in shown
    counts = [int(count) for count in re.findall(r"(\d+) compiled", shown)]
    assert len(counts) == 3
    assert all(counts)
    forget(monkeypatch)
    assert main(["warm", *files]) == 0
    assert re.findall(r"(\d+) compiled", capsys.readouterr().out) == ["0", "0", "0"]


def test_models_that_are_usual_are_models():
    assert all(parse_model(job["model"]).to_json() for job in usual.jobs().values())


@pytest.mark.parametrize(("content", "told"), [
    ("[", "expected a model's or a job's JSON"),
    ("[]", "expected a JSON object, received list"),
    ('{"layers": [{"type": "Dence", "units": 1}]}', "/layers/0/type"),
])
def test_a_file_at_fault_is_named(cache, tmp_path, capsys, content, told):
    file = tmp_path / "model.json"
    file.write_text(content)
    assert main(["warm", str(file)]) == 2
    assert told in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_named(cache, capsys):
    cache.write_text("a file where the folder should be")
    assert main(["warm"]) == 1
    assert str(cache) in capsys.readouterr().out
