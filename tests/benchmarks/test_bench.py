"""The benchmark's course with processes that only pretend to train."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import bench, kernels
from benchmarks.results import OURS, PEAK
from benchmarks.turns import Contender, Failed, Process
from benchmarks.workloads import WORKLOADS

MODULE = "tests.benchmarks.pretender"
PLAIN, DROPPED = "tab32", "cnn32"
Run = Callable[..., str]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "work.txt"


@pytest.fixture
def run(tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`make bench` with these contenders; the results that it wrote."""

    def contender(label: str, **options: object) -> Contender:
        options |= {"notes": notes}
        return Contender(label, MODULE, ",".join(f"{key}={value}" for key, value in options.items()))

    def measure(*only: str, ours: str = "2.5", **peers: dict[str, object]) -> str:
        monkeypatch.setattr(bench, "ENGINE", contender(OURS, loss=ours, ms=2))
        monkeypatch.setattr(bench, "MACHINE", contender(PEAK, loss=0, ms=1))
        monkeypatch.setattr(bench, "PEERS", tuple(contender(label, **{"loss": ours, **each})
                                                  for label, each in peers.items()))
        monkeypatch.setattr(bench, "peer_versions", lambda interpreter: "peer 1.0")
        monkeypatch.setattr(bench, "WARM_UP_SECONDS", 0.01)
        output = tmp_path / "results.md"
        bench.main(["--peers", sys.executable, "--only", *only, "--rounds", "2", "--seconds", "0.02",
                    "--output", str(output)])
        return output.read_text()

    return measure


def work(notes: Path, what: str) -> list[tuple[int, float, float, str]]:
    lines = [line.split() for line in notes.read_text().splitlines()]
    return [(int(pid), float(begin), float(end), dropout) for pid, done, begin, end, dropout in lines if done == what]


def test_the_fastest_peer_is_compared_and_nobody_works_beside_another(run, notes, capsys):
    written = run(PLAIN, slow={"ms": 6}, fast={"ms": 4})
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"{PLAIN}  ours 2.") and "  best peer 4." in line and " ms (fast)  ratio " in line
    assert 1.5 < float(line.rpartition(" ")[2]) < 2.5
    assert f"`{line}`" in written and "peer 1.0" in written and "| slow |" in written
    spans = sorted((begin, end) for _, begin, end, _ in work(notes, "run"))
    assert len({pid for pid, *_ in work(notes, "run")}) == 4  # ours, the peak, two peers
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


def test_losses_that_disagree_stop_before_anything_is_timed(run, notes):
    with pytest.raises(SystemExit, match=r"tab32: .* do not agree: the loss of step 1 is 2.500000 here and 2.600000"):
        run(PLAIN, other={"loss": 2.6})
    with pytest.raises(SystemExit, match="the loss of step 2 is"):
        run(PLAIN, other={"after": 2.6})
    assert not work(notes, "run")


def test_with_dropout_losses_are_compared_without_it_first(run, notes):
    assert "not timed" not in run(DROPPED, other={"ms": 1})
    without = [begin for _, begin, _, dropout in work(notes, "losses") if dropout == "False"]
    timed = work(notes, "run")
    assert len(without) == 4  # two calls of two processes
    assert max(without) < min(begin for _, begin, _, _ in timed)
    assert {dropout for *_, dropout in timed} == {"True"}


def test_a_peer_that_cannot_run_is_named_and_left_out(run):
    written = run(PLAIN, broken={"fail": "now"}, good={})
    assert "- not timed: broken: cannot be imported" in written
    assert "| good |" in written and "| broken |" not in written


def test_without_any_peer_it_says_so(run, capsys):
    run(PLAIN, broken={"fail": "now"})
    assert capsys.readouterr().out.splitlines()[0].endswith("  no peer ran")


def test_a_hopelessly_slow_peer_is_not_waited_for(run):
    written = run(PLAIN, hopeless={"ms": 200}, good={"ms": 1})
    assert "- not timed: hopeless: " in written and "in the warm-up, left out" in written


def test_a_workload_whose_layers_are_missing_is_marked_and_comes_by_itself(run, monkeypatch, capsys, notes):
    monkeypatch.setattr(bench, "missing", lambda workload: ["Dense"])
    written = run(PLAIN, other={})
    assert capsys.readouterr().out == "tab32  missing: the engine has no Dense yet\n"
    assert "## tab32\n\n`tab32  missing: the engine has no Dense yet`\n" in written
    assert not notes.exists()
    monkeypatch.undo()


def test_only_what_was_asked_for_is_replaced(run, tmp_path, capsys):
    (tmp_path / "results.md").write_text("# Old\n\n## mlp128\n\nas it was\n\n## tab32\n\nold\n")
    written = run(PLAIN, other={})
    assert "## mlp128\n\nas it was\n" in written and "old" not in written
    assert written.index("## mlp128") < written.index("## tab32")
    with pytest.raises(SystemExit):
        run("no-such-workload")
    assert "invalid choice" in capsys.readouterr().err


def test_tables_of_kernels_and_first_steps(run, monkeypatch, capsys):
    monkeypatch.setattr(kernels, "CASES", tuple(kernels.matmul(8, 16, 32))[:1])
    monkeypatch.setattr(bench, "WORKLOADS", {PLAIN: WORKLOADS[PLAIN]})
    written = run("kernels", "compile")
    assert "| matmul | 8 x 16 x 32, forward | " in written
    assert written.index("## kernels") < written.index("## compile") < written.index("| tab32 | 0.0")
    printed = capsys.readouterr().out
    assert printed.startswith("op ") and "\nmatmul" in printed and "\nworkload" in printed


def test_a_process_that_ends_in_its_turn_is_named(tmp_path):
    contender = Contender("peer", MODULE, f"loss=1,fail=later,notes={tmp_path / 'work.txt'}")
    with Process(contender, Path(sys.executable), tmp_path, 1) as process, pytest.raises(Failed, match="peer: broke"):
        process.ask(seconds=0.01)


def test_every_workload_has_a_name_of_its_own_and_known_layers():
    assert list(WORKLOADS) == [workload.name for workload in WORKLOADS.values()]
    assert {"lstm64", "gru64", "bilstm64", "tr32", "tr32-nodrop"} <= set(WORKLOADS)
    assert WORKLOADS["bilstm64"].layer_types == ["Bidirectional", "Dense", "LSTM"]
    assert not any(workload.without_dropout().has_dropout for workload in WORKLOADS.values())
