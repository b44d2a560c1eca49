"""Submission and its sisters without a cluster: mistakes are told before one is asked, one that is away in one line."""

from pathlib import Path

import pytest

from tests.command_line import Line

BUILT = f'{{"core": "core@sha256:{"0" * 64}", "train": "train:0.1.0-0123456789ab"}}'
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: away
contexts: [{name: away, context: {cluster: away, user: me, namespace: runs}}]
clusters: [{name: away, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {token: secret}}]
"""


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig of a cluster where nobody answers."""
    from kubernetes.config import kube_config

    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "images.json").write_text(BUILT)
    (tmp_path / "moving.json").write_text('{"core": "core:1", "train": "train:1"}')
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))


MISTAKES = {
    "submit quickstart-regresion": "unknown experiment 'quickstart-regresion'; allowed: ",
    "submit quickstart-regression --set cluster.train.cpu=many": "cluster.train.cpu: given 'many'; should be a Kub",
    "submit quickstart-regression --cron": "Option '--cron' requires an argument.",
    "submit quickstart-regression --cron @daily --wait": "--cron and --wait: a recurring run never ends; leave out",
    "submit quickstart-regression --cron 5": "--cron '5': should have 6 fields, the first seconds: ",
    "submit quickstart-regression --images none.json": "none.json: does not exist; ",
    "submit quickstart-regression --images moving.json": "image core 'core:1': its name does not say what it holds, ",
}


@pytest.mark.parametrize("words", MISTAKES)
@pytest.mark.usefixtures("away")
def test_a_mistake_is_told_before_the_cluster_is_asked(words: str, line: Line) -> None:
    assert line.fails(*words.split()).startswith(MISTAKES[words])


@pytest.mark.parametrize(
    "words", ["submit quickstart-regression", "status x", "logs x", "fetch x", "cancel x"]
)
@pytest.mark.usefixtures("away")
def test_a_cluster_that_does_not_answer_is_one_line(words: str, line: Line, tmp_path: Path) -> None:
    before = [path.name for path in tmp_path.iterdir()]
    code, out, err = line(*words.split())
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert "no answer (" in err
    assert "Connection refused" in err
    assert err.endswith("`precisionflow doctor` says what is wrong\n")
    assert "secret" not in err
    assert [path.name for path in tmp_path.iterdir()] == before
    code, _, err = line(*words.split(), "--context", "other")
    assert (code, err.count("\n")) == (3, 1)
    assert "other" in err
