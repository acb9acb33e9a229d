from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import stoker
from engine.catalogue import catalogue
from stoker.commands.curve import curve
from stoker.commands.main import main
from stoker.commands.table import duration, printable
from stoker.commands.view import LiveView, PlainView, State, picture
from stoker.commands.watch import follow
from stoker.jobs import WEIGHTS_FORMATS
from stoker.types import Event, Job

from .conftest import Reply, Request, Scripted

CREATED = "2026-11-23T10:00:00Z"
PROGRESS = {"epoch": 1, "epochs": 2, "step": 10, "steps": 20, "examples_per_second": 1234.5, "eta_seconds": 61.0}
RUNNING = {
    "id": "job_1",
    "name": "digits",
    "status": "running",
    "created_at": CREATED,
    "progress": PROGRESS,
    "metrics": {},
}
ENDED = RUNNING | {
    "status": "succeeded", "is_terminal": True, "started_at": CREATED, "finished_at": "2026-11-23T10:01:05Z",
    "metrics": {"latest": {"loss": 0.25}, "best": None, "test": {"last": {"loss": 0.3, "accuracy": 0.97}}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def environment(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_URL", server.url)
    monkeypatch.setenv("STOKER_API_KEY", "sk_test")


def stream(*events: tuple[str, dict[str, Any], str, str]) -> Reply:
    body = "".join(
        f"id: {number}\nevent: {kind}\ndata: "
        + json.dumps({"id": str(number), "type": kind, "level": level, "message": text, "data": data})
        + "\n\n"
        for number, (kind, data, level, text) in enumerate(events, 1)
    )
    return Reply(body=body.encode(), headers={"Content-Type": "text/event-stream"})


EVENTS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("status", {"status": "running"}, "info", "running on worker-1"),
    ("metrics", {"level": "step", "epoch": 1, "step": 5, "values": {"loss": 1.5}}, "info", ""),
    ("metrics", {"level": "step", "epoch": 1, "step": 9, "values": {"loss": 0.5}}, "info", ""),
    ("log", {}, "warning", "a \x1b[31mred\x1b[0m name"),
    ("metrics", {"level": "epoch", "epoch": 1, "step": 10, "values": {"loss": 0.5, "val_accuracy": 0.9}}, "info", ""),
    ("done", {}, "info", ""),
)


def test_train_uploads_creates_and_watches(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    (tmp_path / "job.json").write_text('{"training": {"epochs": 2}}')

    def answer(request: Request) -> Reply:
        route = (request.method, request.path.partition("?")[0])
        if route == ("POST", "/v1/datasets"):
            return Reply(202, {"id": "ds_1", "status": "processing"})
        if route == ("GET", "/v1/datasets/ds_1"):
            return Reply(document={"id": "ds_1", "status": "ready", "warnings": [{"detail": "1 row left out"}]})
        if route == ("POST", "/v1/jobs"):
            assert request.json == {"training": {"epochs": 2}, "dataset": "ds_1"}
            return Reply(201, RUNNING)
        if route[1] == "/v1/jobs/job_1/events":
            return stream(*EVENTS)
        return Reply(document=ENDED)

    server.replies = [answer]
    assert main(["train", str(tmp_path / "job.json"), "--data", str(tmp_path / "data.csv"), "--watch"]) == 0
    out, err = capsys.readouterr()
    assert err == "warning: 1 row left out\n"
    assert out.splitlines() == [
        "job_1",
        "running on worker-1",
        "warning: a \N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}[0m name",
        "epoch 1/2  loss 0.5  val_accuracy 0.9",
        "job_1 succeeded in 1 min 05 s",
        "  test, last weights: loss 0.3  accuracy 0.97",
    ]


def test_a_refused_job_prints_its_pointers(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.json").write_text("{}")
    fault = {"pointer": "/model", "detail": "is required"}
    server.replies = [Reply(422, {"title": "Unprocessable", "code": "invalid", "errors": [fault]})]
    assert main(["train", str(tmp_path / "job.json")]) == 1
    assert capsys.readouterr().err == "stoker: Unprocessable (HTTP 422, invalid)\n  /model: is required\n"


@pytest.mark.parametrize(("text", "message"), [("{", "line 1"), ("[]", "expected a JSON object")])
def test_a_job_file_that_is_not_an_object_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "job.json").write_text(text)
    assert main(["train", str(tmp_path / "job.json")]) == 1
    error = capsys.readouterr().err
    assert "job.json" in error and message in error


def test_jobs_is_a_table_with_whole_ids(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [Reply(document={"data": [ENDED, RUNNING | {"id": "job_" + "a" * 32}], "has_more": False})]
    assert main(["jobs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATUS", "EPOCH", "LOSS", "CREATED"]
    assert re.match(r"job_1 +digits  succeeded  1/2 +0.25  ", lines[1]) and "job_" + "a" * 32 in lines[2]


def test_job_shows_facts_or_everything(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [Reply(document=ENDED)]
    assert main(["job", "job_1"]) == 0
    shown = capsys.readouterr().out
    assert (
        "status     succeeded" in shown
        and "took       1 min 05 s" in shown
        and "test last  loss 0.3  accuracy 0.97" in shown
    )
    assert main(["job", "job_1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ENDED


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume"])
def test_verbs(server: Scripted, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    server.replies = [Reply(document=RUNNING)]
    assert main([verb, "job_1"]) == 0
    assert server.requests[0].path == f"/v1/jobs/job_1/{verb}"
    assert capsys.readouterr().out.startswith("job_1 running")


def test_a_verb_out_of_place_says_so(server: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [Reply(409, {"title": "Conflict", "detail": "job_1 is succeeded", "code": "illegal_transition"})]
    assert main(["cancel", "job_1"]) == 1
    assert "job_1 is succeeded (HTTP 409, illegal_transition)" in capsys.readouterr().err


def test_weights_take_their_format_from_the_name(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies = [Reply(body=b"bytes")]
    assert main(["weights", "job_1", "-o", str(tmp_path / "w.npz"), "--checkpoint", "last"]) == 0
    assert server.requests[0].path == "/v1/jobs/job_1/weights?format=npz&checkpoint=last"
    assert (tmp_path / "w.npz").read_bytes() == b"bytes" and "(5 bytes)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["w.onnxx", "w.pt", "w.bin"])
def test_weights_in_an_unknown_format_are_refused(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["weights", "job_1", "-o", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert "ends with .safetensors or .npz or .keras or .h5 or .onnx" in error and error.endswith("or h5 or onnx\n")
    assert not server.requests and not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "job_1", "-o", str(tmp_path / "absent" / "w.npz")]) == 1
    assert capsys.readouterr().err == f"stoker: {tmp_path / 'absent'}: there is no such folder\n"


def test_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    for words, group in ((["datasets", "upload"], "formats"), (["weights"], "weights_formats")):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        shown = capsys.readouterr().out
        assert all(re.search(rf"\b{name}\b", shown) for name in catalogue()[group])
    assert set(WEIGHTS_FORMATS) == set(catalogue()["weights_formats"])


def test_datasets(server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready = {"id": "ds_1", "name": "d", "status": "ready", "format": "csv", "examples": 1797, "created_at": CREATED}
    server.replies = [Reply(document={"data": [ready], "has_more": False})]
    assert main(["datasets"]) == 0 and main(["datasets", "list"]) == 0
    assert capsys.readouterr().out.count("1,797") == 2
    server.replies = [Reply(document=ready)]
    assert main(["datasets", "get", "ds_1"]) == 0
    assert json.loads(capsys.readouterr().out) == ready
    server.replies = [Reply(document={"columns": {"age": {"count": 9, "missing": 1, "mean": 30.5}}})]
    assert main(["datasets", "profile", "ds_1"]) == 0
    assert "30.5" in capsys.readouterr().out
    (tmp_path / "f.csv").write_text("a\n1\n")
    server.replies = [Reply(202, ready | {"status": "processing"})]
    assert main(["datasets", "upload", str(tmp_path / "f.csv"), "--no-wait", "--options", '{"delimiter": ";"}']) == 0
    assert capsys.readouterr().out == "ds_1\n"
    server.replies = [Reply(204)]
    assert main(["datasets", "delete", "ds_1"]) == 0


def test_the_live_view_shows_bar_metrics_and_curve() -> None:
    state = State(Job.from_json(RUNNING))
    for kind, data, _, _ in EVENTS:
        state.take(Event(type=kind, data=data))
    console = Console(record=True, width=100, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file, LiveView(console):
        console.print(picture(state, 100))
        text = console.export_text()
    for expected in (
        "digits  running",
        "epoch 1/2  step 10/20",
        "1,234 examples/s",
        "1 min 01 s left",
        "val_accuracy 0.9",
        "█",
    ):
        assert expected in text


def test_interrupting_a_watch_says_that_the_job_goes_on(
    server: Scripted, client: stoker.Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: PlainView, state: State) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PlainView, "draw", interrupt)
    server.replies = [lambda r: stream(*EVENTS[:1]) if "events" in r.path else Reply(document=RUNNING)]
    assert follow(client, "job_1", view=PlainView()) == 130
    assert "job_1 goes on" in capsys.readouterr().err


def test_curves() -> None:
    assert curve([0, 1, 2, 3, 4, 5, 6, 7], 8) == ["▁▂▃▄▅▆▇█"]
    assert curve([5.0], 8) == ["▁"] and curve([], 8, 2) == ["", ""]
    assert curve([0.0, math.nan, 1.0], 3) == ["▁ █"]
    assert [len(line) for line in curve(list(range(1000)), 40, 3)] == [40, 40, 40]


def test_words_for_times_and_names() -> None:
    assert [duration(s) for s in (0.4, 59, 61, 7260)] == ["0 s", "59 s", "1 min 01 s", "2 h 01 min"]
    assert printable("a\x1b]0;x\x07\n") == "a\ufffd]0;x\ufffd\ufffd"
