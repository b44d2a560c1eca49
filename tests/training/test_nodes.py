"""Ranks on several nodes: the variables by which Kubeflow's Trainer and Open MPI say who is who."""

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from runs import History, finish, history
from test_kill import PATIENCE, command, written

from precisionflow.config import overlay, resolve
from precisionflow.training import launch
from precisionflow.training.ranks import VARIABLES
from tests.hostile import write_modules

CHANGES: dict[str, Any] = {
    "training.steps": 6,
    "training.validate_every": 2,
    "engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 2, "nodes": 2, "device": "cpu"},
}


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def torchrun_of_a_node(node: int, port: str) -> dict[str, str]:
    """What the Trainer's torch plugin puts into a pod."""
    rendezvous = {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}
    return rendezvous | {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": str(node)}


@pytest.fixture(scope="module")
def expected(text_tree, text_data, tmp_path_factory) -> History:
    """The losses of one process without ranks."""
    out = tmp_path_factory.mktemp("whole")
    plain = CHANGES | {"engine": {"kind": "torch", "device": "cpu"}}
    finish(resolve(overlay(text_tree, plain)), text_data, out)
    return history(out)


def test_two_nodes_train_as_one_process_does_whatever_scripts_lie_in_their_folder(
    expected: History,
    text_tree: dict[str, Any],
    text_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    file, port, nodes = written(text_tree, CHANGES, tmp_path), free_port(), []
    (scripts := tmp_path / "scripts").mkdir()
    write_modules(scripts)
    for node in range(2):
        with monkeypatch.context() as environment:
            for name, value in torchrun_of_a_node(node, port).items():
                environment.setenv(name, value)
            train = command(file, text_data, tmp_path / "out")
            nodes.append(
                subprocess.Popen(
                    train, cwd=scripts, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
    outputs = [node.communicate(timeout=PATIENCE)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert ["step 6/6" in output for output in outputs] == [True, False]
    trained = history(tmp_path / "out")
    assert [row[:2] for row in trained] == [row[:2] for row in expected]
    assert [row[2] for row in trained] == pytest.approx([row[2] for row in expected], rel=1e-5)


def test_a_rank_of_mpirun_is_no_launcher(monkeypatch):
    for name in (*VARIABLES, "OMPI_COMM_WORLD_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert not launch.launched()
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    assert launch.launched()


def test_a_rank_of_mpirun_has_the_variables_that_torch_reads(monkeypatch):
    """From what mpirun puts into a rank's environment; tests/live trains by it."""
    given = {
        f"OMPI_COMM_WORLD_{name}": n for name, n in {"RANK": "3", "SIZE": "4", "LOCAL_RANK": "1"}.items()
    }
    where = {"MASTER_ADDR": "node-0", "MASTER_PORT": "29500"}
    monkeypatch.setattr(os, "environ", environment := given | where | {"RANK": "0"})
    launch.join_mpi()
    assert environment == given | where | {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}
    environment["RANK"] = "0"
    launch.join_mpi()
    assert environment["RANK"] == "0", "of a torchrun inside"
    monkeypatch.setattr(os, "environ", given | {"RANK": "0"})
    with pytest.raises(
        ValueError, match=r"^mpirun gave this rank no MASTER_ADDR, MASTER_PORT; start it with"
    ):
        launch.join_mpi()
