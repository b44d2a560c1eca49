"""Who starts ranks, what they refuse, and what is said when one of them ends."""

import signal
import subprocess
import sys

import pytest
import torch
from torch import distributed as dist
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from precisionflow.config import overlay, resolve
from precisionflow.training import launch
from precisionflow.training.ranks import VARIABLES, Ranks
from precisionflow.training.train import train


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch):
    """Sets the environment of one rank of several."""

    def join(count: int, index: int = 0) -> None:
        of_rank = {"RANK": index, "LOCAL_RANK": index, "WORLD_SIZE": count}
        for name, value in (of_rank | {"MASTER_ADDR": "localhost", "MASTER_PORT": 1}).items():
            monkeypatch.setenv(name, str(value))

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return join


def test_only_deepspeed_has_ranks_to_start(text_tree):
    assert launch.rank_count(resolve(text_tree)) is None
    for count in (1, 4):
        engine = {"engine": {"kind": "deepspeed", "ranks": count}}
        assert launch.rank_count(resolve(overlay(text_tree, engine))) == count


def test_a_rank_is_known_by_its_environment(ranks):
    assert not launch.launched()
    assert Ranks.of_process(torch.device("cpu")) == Ranks(0, 1, torch.device("cpu"))
    ranks(3, 2)
    assert launch.launched()
    assert Ranks.of_process(torch.device("cpu")) == Ranks(2, 3, torch.device("cpu"))


@pytest.mark.parametrize(
    "left", [["RANK"], ["RANK", "WORLD_SIZE"], [v for v in VARIABLES if v != "MASTER_PORT"]]
)
def test_rank_variables_that_were_left_in_a_shell_make_no_rank(left, ranks, monkeypatch):
    ranks(4, 3)
    for name in VARIABLES:
        if name not in left:
            monkeypatch.delenv(name)
    assert not launch.launched()
    assert Ranks.of_process(torch.device("cpu")) == Ranks(0, 1, torch.device("cpu"))


def test_a_rank_that_is_no_number_is_told(ranks, monkeypatch):
    ranks(4, 3)
    monkeypatch.setenv("WORLD_SIZE", "four")
    with pytest.raises(
        ValueError, match=r"^WORLD_SIZE: given 'four'; should be a whole number; unset RANK, "
    ):
        Ranks.of_process(torch.device("cpu"))


def test_a_rank_that_is_done_says_all_and_skips_the_end_of_the_interpreter():
    program = (
        "import atexit, os; from precisionflow.results.lifetime import leave; "
        "atexit.register(os.abort); print('done'); leave()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n")


@pytest.mark.parametrize(
    ("engine", "started", "message"),
    [
        (
            {"kind": "torch"},
            2,
            r"^engine.kind torch is one process, but 2 ranks were started; use engine.kind deep",
        ),
        (
            {"kind": "deepspeed", "ranks": 4},
            2,
            r"^engine.ranks is 4, but 2 ranks were started; make them equal$",
        ),
        (
            {"kind": "deepspeed", "ranks": 2},
            None,
            r"^engine.ranks is 2, but 1 ranks were started; make them equal$",
        ),
        (
            {"kind": "deepspeed", "ranks": 1},
            None,
            r"^engine.kind deepspeed needs torchrun around this process; say ",
        ),
    ],
)
def test_other_ranks_than_the_engines_are_refused(
    engine, started, message, ranks, text_tree, text_data, tmp_path
):
    if started:
        ranks(started)
    with pytest.raises(ValueError, match=message):
        train(resolve(overlay(text_tree, {"engine": engine})), data=text_data, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([2], "rank 0 ended with exit code 2, its message is above"),
        ([1, -9], "rank 1 was killed by SIGKILL"),
        ([-15, -9, 2], "rank 1 was killed by SIGKILL"),
        ([-11], "rank 0 was killed by SIGSEGV"),
    ],
)
def test_the_rank_that_ended_first_is_named(codes, said, tmp_path):
    absent = str(tmp_path / "none")
    failures = {rank: ProcessFailure(rank, 100 + rank, code, absent) for rank, code in enumerate(codes)}
    stopped = launch._stopped(ChildFailedError("train", failures))
    assert str(stopped) == f"training stopped: {said}; run again to go on from the last checkpoint"
    assert isinstance(stopped, launch.LostRankError) == ("killed" in said)


def test_a_lost_rank_is_told_from_our_own_errors():
    gloo = RuntimeError(
        "[third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer"
    )
    two, alone = Ranks(0, 2), Ranks()
    assert two.lost(gloo)
    assert two.lost(dist.DistBackendError("NCCL communicator was aborted"))
    assert not two.lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not alone.lost(gloo)


@pytest.mark.parametrize(
    ("action", "acted_upon"),
    [(signal.SIG_IGN, "SIGTERM,SIGINT,SIGQUIT"), (signal.SIG_DFL, "SIGTERM,SIGINT,SIGHUP,SIGQUIT")],
)
def test_ranks_outlive_a_terminal_where_their_launcher_does(
    action, acted_upon, text_tree, monkeypatch, tmp_path
):
    """torchrun ends its ranks at a SIGHUP that this process would ignore."""
    given = []
    monkeypatch.setattr(run, "run", given.append)
    engine = {"engine": {"kind": "deepspeed", "ranks": 2}}
    before = signal.signal(signal.SIGHUP, action)
    try:
        launch.launch(resolve(overlay(text_tree, engine)), data=tmp_path, out=tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert given[0].signals_to_handle == acted_upon
