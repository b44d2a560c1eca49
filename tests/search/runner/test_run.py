import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from precisionflow.results.locks import exclusive
from precisionflow.search.journal import TrialCard
from precisionflow.search.runner.run import run_studies, run_study
from precisionflow.search.study import parse_study
from precisionflow.search.trial import trial_command
from tests.command_line import TINY
from tests.hostile import write_modules
from tests.search.studies import content, listed, study


@pytest.fixture(autouse=True)
def _no_mlflow(monkeypatch):
    """MLflow's part has its own test; here it would cost seconds a search."""
    monkeypatch.setattr("precisionflow.search.conclude.track_search", lambda *_, **__: True)


def cards(out):
    found = [TrialCard.model_validate_json(path.read_text()) for path in out.glob("trials/*/trial.json")]
    return sorted(found, key=lambda card: card.number)


def started(folder):
    return [line.split() for line in (folder / "started").read_text().splitlines()]


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def eventually(holds):
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_search_leaves_its_results(tmp_path):
    out, screen = tmp_path / "out", io.StringIO()
    best = run_study(study(tmp_path), out=out, screen=screen)
    table = pq.read_table(out / "trials.parquet").to_pylist()
    assert [row["trial"] for row in table] == [f"parabola-{n}" for n in range(4)]
    assert {row["state"] for row in table} == {"succeeded"}
    expected = [(json.loads(row["parameters"])["x"] - 3) ** 2 + 1 / 5 for row in table]
    assert [row["value"] for row in table] == pytest.approx(expected)
    assert json.loads(table[0]["metrics"]) == {"loss": table[0]["value"], "step": 4.0}
    assert best.value == min(expected)
    assert best.parameters == json.loads(table[expected.index(best.value)]["parameters"])
    assert json.loads((out / "best.json").read_text())["parameters"]["x"] == best.parameters["x"]
    assert (out / "report" / "search.html").exists()
    lines = screen.getvalue().splitlines()
    assert lines[0] == "precisionflow: search parabola: random, 4 trials, 2 at once"
    assert len(lines) == 5


def test_again_nothing_is_run(tmp_path):
    first = run_study(study(tmp_path), out=tmp_path / "out", screen=io.StringIO())
    assert run_study(study(tmp_path), out=tmp_path / "out", screen=io.StringIO()) == first
    assert len(started(tmp_path)) == 4


def test_more_trials_go_on_as_if_asked_at_once(tmp_path):
    at_once, later = (
        {"algorithm": "tpe", "settings": {"n_startup_trials": "2"}, "parallel": 1} for _ in range(2)
    )
    run_study(study(tmp_path, **at_once, trials=7), out=tmp_path / "whole", screen=io.StringIO())
    for trials in (3, 7):
        run_study(study(tmp_path, **later, trials=trials), out=tmp_path / "parts", screen=io.StringIO())
    assert [c.assignments for c in cards(tmp_path / "whole")] == [
        c.assignments for c in cards(tmp_path / "parts")
    ]
    few = run_study(study(tmp_path, **later, trials=3), out=tmp_path / "parts", screen=io.StringIO())
    assert few.trials == pq.read_table(tmp_path / "parts" / "trials.parquet").num_rows == 3
    assert few.value == min(card.value for card in cards(tmp_path / "parts")[:3])
    assert few.value > min(card.value for card in cards(tmp_path / "parts"))


def test_medianstop_stops_a_trial_and_keeps_what_it_reached(tmp_path):
    stopping = {
        "algorithmName": "medianstop",
        "algorithmSettings": [
            {"name": "min_trials_required", "value": "2"},
            {"name": "start_step", "value": "2"},
        ],
    }
    grid = study(
        tmp_path,
        algorithm="grid",
        parallel=1,
        parameters=listed([3, 4, 3.5, 9]),
        earlyStopping=stopping,
        reports=40,
        pause=0.02,
    )
    best = run_study(grid, out=tmp_path / "out", screen=io.StringIO())
    found = cards(tmp_path / "out")
    assert [card.state for card in found] == ["succeeded", "succeeded", "succeeded", "stopped"]
    assert found[2].threshold == pytest.approx((0.75 + 1.75) / 2)
    assert found[3].threshold == pytest.approx((0.75 + 1.75 + 1.0) / 3)
    assert found[3].values["loss"] == [37.0, 36.5]
    assert found[3].value == 36.5
    assert best.parameters == {"x": 3}


def test_the_goal_ends_a_search(tmp_path):
    objective = {"type": "minimize", "objectiveMetricName": "loss", "goal": 0.3}
    grid = study(tmp_path, algorithm="grid", parallel=1, parameters=listed([9, 3, 4, 5]), objective=objective)
    for _ in range(2):
        run_study(grid, out=tmp_path / "out", screen=io.StringIO())
        assert [place for place, _ in started(tmp_path)] == ["9.0", "3.0"]


def test_the_latest_report_counts_where_the_study_says_so(tmp_path):
    objective = {
        "type": "maximize",
        "objectiveMetricName": "loss",
        "metricStrategies": [{"name": "loss", "value": "latest"}],
    }
    best = run_study(
        study(tmp_path, objective=objective, trials=1), out=tmp_path / "out", screen=io.StringIO()
    )
    assert best.value == cards(tmp_path / "out")[0].values["loss"][-1]
    assert best.value < cards(tmp_path / "out")[0].values["loss"][0]


def test_too_many_failures_end_a_search_and_are_tried_again(tmp_path):
    grid = study(
        tmp_path, algorithm="grid", parallel=1, parameters=listed([3, 901, 902, 5]), maxFailedTrialCount=2
    )
    with pytest.raises(
        ValueError,
        match=r"maxFailedTrialCount allows \(2\), the last with exit code 1: diverged; see \S*2/log.txt,",
    ):
        run_study(grid, out=tmp_path / "out", screen=io.StringIO())
    assert [card.state for card in cards(tmp_path / "out")] == ["succeeded", "failed", "failed"]
    with pytest.raises(ValueError, match="maxFailedTrialCount"):
        run_study(grid, out=tmp_path / "out", screen=io.StringIO())
    assert [place for place, _ in started(tmp_path)] == ["3.0", "901.0", "902.0", "901.0", "902.0"]


def test_a_failed_trial_is_a_result_where_failures_are_allowed(tmp_path):
    grid = study(tmp_path, algorithm="grid", parameters=listed([3, 901, 5]), trials=3)
    best = run_study(grid, out=tmp_path / "out", screen=io.StringIO())
    rows = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()
    assert [row["state"] for row in rows] == ["succeeded", "failed", "succeeded"]
    assert rows[1]["cause"] == "exit code 1: diverged"
    assert (best.trial, best.trials) == ("parabola-0", 3)


def test_a_trial_that_measures_nothing_has_failed(tmp_path):
    with pytest.raises(ValueError, match="study parabola: none of 2 trials measured loss"):
        run_study(study(tmp_path, reports=0, trials=2), out=tmp_path / "out", screen=io.StringIO())
    assert cards(tmp_path / "out")[0].cause == "printed no line loss=VALUE with a finite number"


@pytest.mark.parametrize("printed", ["1e400", "-1e999", "inf", "nan", ""])
def test_a_trial_without_a_finite_value_has_failed(tmp_path, printed):
    tree = content(tmp_path, algorithm="grid", parallel=1, trials=2)
    container(tree)["command"] = [
        sys.executable,
        "-ISc",
        f"import sys; x = sys.argv[1]; print('loss=' + ({printed!r} if x == '7' else x))",
        "${trialParameters.place}",
    ]
    tree["spec"]["parameters"] = listed([7, 8])
    best = run_study(parse_study(tree), out=tmp_path / "out", screen=io.StringIO())
    assert (best.trial, best.value) == ("parabola-1", 8.0)
    assert [card.state for card in cards(tmp_path / "out")] == ["failed", "succeeded"]
    row = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()[0]
    assert row["cause"] == "printed no line loss=VALUE with a finite number"


def test_any_error_of_a_trials_thread_fails_that_trial_alone(tmp_path, monkeypatch):
    def command(template, assignments, **words):
        if assignments["x"] == "4":
            raise RuntimeError("no\nluck")
        return trial_command(template, assignments, **words)

    monkeypatch.setattr("precisionflow.search.runner.loop.trial_command", command)
    grid = study(tmp_path, algorithm="grid", parameters=listed([3, 4, 5]), trials=3)
    best = run_study(grid, out=tmp_path / "out", screen=io.StringIO())
    assert [card.state for card in cards(tmp_path / "out")] == ["succeeded", "failed", "succeeded"]
    assert cards(tmp_path / "out")[1].cause == "RuntimeError: no luck"
    assert best.parameters == {"x": 3}


def test_a_command_with_an_apostrophe_is_a_command(tmp_path):
    tree = content(tmp_path, trials=1)
    container(tree)["command"].append("it's")
    assert run_study(parse_study(tree), out=tmp_path / "out", screen=io.StringIO()).settings == ()


def test_a_huge_grid_is_walked_one_trial_at_a_time(tmp_path):
    fine = {"min": "0", "max": "1", "step": "1e-9"}
    axes = [{"name": name, "parameterType": "double", "feasibleSpace": fine} for name in "yx"]
    grid = study(tmp_path, algorithm="grid", trials=3, parallel=1, reports=1, parameters=axes)
    run_study(grid, out=tmp_path / "out", screen=io.StringIO())
    asked = [card.assignments for card in cards(tmp_path / "out")]
    assert asked == [{"y": "0.0", "x": x} for x in ("0.0", "1e-09", "2e-09")]


def container(tree):
    return tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]


SEARCH = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts deaf to it
from pathlib import Path
from precisionflow.search import conclude
from precisionflow.search.runner.run import run_study
from precisionflow.search.study import parse_study
conclude.track_search = lambda search, *, results, store: True
run_study(parse_study(json.loads(sys.argv[1])), out=Path(sys.argv[2]))
"""


def test_a_killed_search_leaves_no_trial_and_loses_none(tmp_path):
    tree = study(
        tmp_path, algorithm="grid", parallel=2, parameters=listed(range(5)), trials=5, reports=10, pause=0.1
    )
    out = tmp_path / "out"
    search = subprocess.Popen(
        [sys.executable, "-c", SEARCH, json.dumps(tree.content), str(out)], stdout=subprocess.DEVNULL
    )
    eventually(
        lambda: sum(card.state == "succeeded" for card in cards(out)) >= 2 and len(started(tmp_path)) >= 3
    )
    search.kill()
    search.wait()
    eventually(lambda: not any(alive(pid) for _, pid in started(tmp_path)))
    kept = {card.number: card for card in cards(out) if card.state == "succeeded"}
    assert 2 <= len(kept) < 5
    run_study(tree, out=out, screen=io.StringIO())
    again = cards(out)
    assert [card.assignments["x"] for card in again] == [str(x) for x in range(5)]
    assert {card.number: card for card in again if card.number in kept} == kept


def test_ctrl_c_ends_the_trials(tmp_path):
    tree = study(tmp_path, reports=1000, pause=0.1)
    command = [sys.executable, "-c", SEARCH, json.dumps(tree.content), str(tmp_path / "out")]
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: (tmp_path / "started").exists() and len(started(tmp_path)) == 2)
    search.send_signal(signal.SIGINT)
    search.wait(60)
    assert not any(alive(pid) for _, pid in started(tmp_path))
    assert {card.state for card in cards(tmp_path / "out")} == {"begun"}


MEETING = """
import os, sys, time
from pathlib import Path
x, mine, other = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
mine.touch()
end = time.monotonic() + 60
while not other.exists():
    if time.monotonic() > end:
        sys.exit("alone")
    time.sleep(0.02)
print("loss=" + os.environ["OMP_NUM_THREADS"])
"""


def named(name, tree, command=None):
    """A study of this name; its trials run `command`."""
    tree["metadata"]["name"] = name
    if command:
        container(tree)["command"] = command
    return parse_study(tree)


def test_studies_side_by_side_overlap_and_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr("precisionflow.search.runner.run.core_count", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    folders = [tmp_path / name for name in "ab"]
    studies = [
        named(
            mine.name,
            content(tmp_path, trials=1),
            [sys.executable, "-ISc", MEETING, "${trialParameters.place}", str(mine), str(other)],
        )
        for mine, other in zip(folders, reversed(folders), strict=True)
    ]
    outs = [tmp_path / f"out-{name}" for name in "ab"]
    bests = run_studies(studies, outs=outs, at_once=5, screen=io.StringIO(), store=tmp_path)
    assert [(best.study, best.value) for best in bests] == [("a", 7 // (2 * 2)), ("b", 7 // (2 * 2))]


def test_studies_side_by_side_find_what_each_finds_alone(tmp_path):
    """The first is the slowest, and one waits for a place."""
    tpe = {"algorithm": "tpe", "settings": {"n_startup_trials": "2"}, "parallel": 1, "trials": 5}
    studies = [
        named(name, content(tmp_path, **tpe, reports=reports, pause=pause))
        for name, reports, pause in (("a", 5, 0.05), ("b", 2, 0.0), ("c", 3, 0.0))
    ]
    alone = [run_study(one, out=tmp_path / f"alone-{one.name}", screen=io.StringIO()) for one in studies]
    outs = [tmp_path / f"beside-{one.name}" for one in studies]
    assert run_studies(studies, outs=outs, at_once=2, screen=io.StringIO(), store=tmp_path) == alone
    for one, out in zip(studies, outs, strict=True):
        kept = {"seconds": 0.0}
        assert [card.model_copy(update=kept) for card in cards(out)] == [
            card.model_copy(update=kept) for card in cards(tmp_path / f"alone-{one.name}")
        ]


def test_a_study_that_fails_ends_the_others_with_its_line(tmp_path):
    failing = content(tmp_path, algorithm="grid", trials=1, parameters=listed([901]), maxFailedTrialCount=1)
    lasting = content(tmp_path, trials=1, reports=10_000, pause=0.1)
    studies, outs = [named("long", lasting), named("bad", failing)], [tmp_path / "long", tmp_path / "bad"]
    with pytest.raises(ValueError, match=r"^study bad: trials failed as often .* exit code 1: diverged"):
        run_studies(studies, outs=outs, at_once=2, screen=io.StringIO(), store=tmp_path)
    assert not any(alive(pid) for _, pid in started(tmp_path))
    assert [card.state for out in outs for card in cards(out)] == ["begun", "failed"]


SEARCHES = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts deaf to it
from pathlib import Path
from precisionflow.search.runner.run import run_studies
from precisionflow.search.study import parse_study
studies, out = [parse_study(tree) for tree in json.loads(sys.argv[1])], Path(sys.argv[2])
run_studies(studies, outs=[out / one.name for one in studies], at_once=2, screen=sys.stdout, store=out)
"""
PARENT = """
import subprocess, sys
with subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(600)"]) as child:
    with open(sys.argv[2] + "/started", "a") as file:
        file.write(f"{sys.argv[1]} {child.pid}\\n")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_studies_at_once_and_they_go_on(tmp_path, number):
    """Each trial has a child, which outlives it where only the trial's process is killed."""
    command = [sys.executable, "-ISc", PARENT, "${trialParameters.place}", str(tmp_path)]
    trees = [named(name, content(tmp_path, trials=2), command).content for name in ("a", "b", "c")]
    out = tmp_path / "out"
    for name in ("a", "b", "c"):
        (out / name).mkdir(parents=True)
    search = subprocess.Popen(
        [sys.executable, "-c", SEARCHES, json.dumps(trees), str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: (tmp_path / "started").exists() and len(started(tmp_path)) == 4)
    search.send_signal(number)
    search.wait(60)
    assert not any(alive(pid) for _, pid in started(tmp_path))
    begun = {name: cards(out / name) for name in ("a", "b", "c")}
    assert {name: [card.state for card in of] for name, of in begun.items()} == {
        "a": ["begun"] * 2,
        "b": ["begun"] * 2,
        "c": [],
    }
    again = [named(name, content(tmp_path, trials=2), command) for name in ("a", "b", "c")]
    assert [one.content for one in again] == trees
    assert not list(out.glob("*/.lock"))


def test_a_folder_belongs_to_one_search(tmp_path):
    out = tmp_path / "out"
    run_study(study(tmp_path, trials=1), out=out, screen=io.StringIO())
    with pytest.raises(
        ValueError, match=r"holds another search \(with seed 0, not 5\); choose another --out"
    ):
        run_study(study(tmp_path, trials=1), out=out, seed=5, screen=io.StringIO())
    with pytest.raises(ValueError, match=r"holds another search \(parabola with another spec\)"):
        run_study(study(tmp_path, trials=1, reports=3), out=out, screen=io.StringIO())
    with exclusive(out), pytest.raises(ValueError, match="another run is writing here"):
        run_study(study(tmp_path, trials=1), out=out, screen=io.StringIO())
    with pytest.raises(ValueError, match="holds files that no search wrote"):
        run_study(study(tmp_path), out=tmp_path, screen=io.StringIO())


def test_a_search_goes_on_with_the_seed_that_it_was_begun_with(tmp_path):
    first = run_study(study(tmp_path, trials=1), out=tmp_path / "out", seed=5, screen=io.StringIO())
    assert first == run_study(study(tmp_path, trials=1), out=tmp_path / "out", screen=io.StringIO())
    assert len(started(tmp_path)) == 1


def test_a_refused_study_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="algorithm pbt does not run on this machine"):
        run_study(study(tmp_path, algorithm="pbt"), out=tmp_path / "out", screen=io.StringIO())
    with pytest.raises(ValueError, match="tpe never ends by itself; give spec"):
        run_study(study(tmp_path, algorithm="tpe", maxTrialCount=None), out=tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_hyperband_runs_its_brackets(tmp_path):
    tree = content(
        tmp_path,
        algorithm="hyperband",
        settings={"r_l": "4", "eta": "2", "resource_name": "steps"},
        trials=None,
        parallel=4,
        reports=1,
    )
    spec = tree["spec"]
    spec["parameters"] += [
        {"name": "steps", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "4"}}
    ]
    run_study(parse_study(tree), out=tmp_path / "out", screen=io.StringIO())
    assert [card.assignments["steps"] for card in cards(tmp_path / "out")] == list("111122422244444")[:15]


def test_a_command_of_the_users_own_has_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("def loss(x):\n    return float(x) ** 2\n")
    program = "import mine, sys; print('loss=%s' % mine.loss(sys.argv[1]))"
    tree = content(tmp_path, algorithm="grid", trials=1)
    container(tree)["command"] = [sys.executable, "-Sc", program, "${trialParameters.place}"]
    tree["spec"]["parameters"] = listed([3])
    assert run_study(parse_study(tree), out=tmp_path / "out", screen=io.StringIO()).value == 9.0


def test_trials_train_an_experiment_whatever_scripts_lie_in_the_current_folder(tmp_path, monkeypatch):
    (scripts := tmp_path / "scripts").mkdir()
    monkeypatch.chdir(write_modules(scripts))
    experiment = tmp_path / "tiny.yaml"
    experiment.write_text(TINY)
    tree = content(tmp_path, algorithm="grid", parallel=1, trials=2)
    words = [
        "precisionflow",
        "trial",
        str(experiment),
        "--set",
        "training.learning_rate=${trialParameters.place}",
    ]
    container(tree)["command"] = words
    tree["spec"]["parameters"] = listed([0.001, 0.01])
    tree["spec"]["objective"] = {"type": "minimize", "objectiveMetricName": "validation_loss"}
    best = run_study(parse_study(tree), out=tmp_path / "out", screen=io.StringIO())
    assert best.settings in (("training.learning_rate=0.001",), ("training.learning_rate=0.01",))
    assert [card.state for card in cards(tmp_path / "out")] == ["succeeded", "succeeded"]
    assert yaml.safe_load((tmp_path / "out" / "study.json").read_text())["seed"] == 0
