"""Bad configurations: one line with the dotted key, what was given, what is allowed, the nearest spelling."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from precisionflow.ablation.design import expand
from precisionflow.config import ConfigError, load, parse, shipped

REGRESSION, LANGUAGE = "quickstart-regression", "quickstart-language"

BAD_SETTINGS = {
    # unknown keys
    "training.stepz=3": "training.stepz: unknown key (given 3); allowed: accumulate, * did you mean 'steps'?",
    "trainin.steps=3": "trainin: unknown key (given a mapping); allowed: ablation, * did you mean 'training'?",
    "steps=3": "steps: unknown key (given 3); allowed: * did you mean 'training.steps'?",
    "engine.ranks=2": "engine.ranks: unknown key (given 2); allowed: * it is a key of kind 'deepspeed'",
    "objective={kind: crps, beta: 1}": "objective.beta: unknown key (given 1); * it is a key of kind 'gaussian_nll', "
    "'student_t' or 'laplace'",
    "model.posterior.folds=2": "model.posterior.folds: unknown key (given 2); * it is a key of kind 'ensemble'",
    "model={kind: tagi_v, dropout: 0.1}": "model.dropout: unknown key (given 0.1); * of kind 'transformer' or 'mlp'",
    "cpu=3": "cpu: unknown key (given 3); * did you mean 'cluster.train.cpu', 'cluster.evaluate.cpu' or "
    "'cluster.other.cpu'?",
    "task.source.file=x": "task.source.file: unknown key (given 'x'); allowed: kind, name, split",
    # wrong types
    "training.steps=abc": "training.steps: given 'abc'; should be a valid integer*",
    "training.steps=1.5": "training.steps: given 1.5; should be a valid integer*",
    "training.steps=true": "training.steps: given True; should be a number",
    "training.learning_rate=[1]": "training.learning_rate: given [1]; should be a valid number",
    "training=5": "training: given 5; should be a mapping with keys such as accumulate, *",
    "model=": "model: given None; should be a mapping with keys such as *",
    "seeds=3": "seeds: given 3; should be a list, such as [0, 1]",
    "seeds=[a]": "seeds.0: given 'a'; should be a valid integer*",
    "question=3": "question: given 3; should be text; quote it",
    "seeds=[1:20]": "seeds.0: given '1:20'; should be a valid integer*",
    "seeds=[0b11]": "seeds.0: given '0b11'; should be a valid integer*",
    "training.steps=1_000": "training.steps: given '1_000'; should be a number, without _ between its digits",
    "training.learning_rate=1_0.5": "training.learning_rate: given '1_0.5'; should be a number, without _ *",
    "model.layer_norm=yes": "model.layer_norm: given 'yes'; should be true or false",
    "model.layer_norm=1": "model.layer_norm: given 1; should be true or false",
    "ablation.axes.noise.x=3": "ablation.axes.noise.x: given 3; should be a mapping",
    # out of range
    "training.steps=0": "training.steps: given 0; should be greater than or equal to 1",
    "training.learning_rate=-1": "training.learning_rate: given -1; should be greater than 0",
    "training.learning_rate=.inf": "training.learning_rate: given inf; should be a finite number",
    "training.learning_rate=.nan": "training.learning_rate: given nan; should be *",
    "task.validation_fraction=1": "task.validation_fraction: given 1; should be less than 1",
    "evaluation.levels=[0.5, 95]": "evaluation.levels.1: given 95; should be less than 1",
    "evaluation.levels=[]": "evaluation.levels: given []; should have at least 1",
    "seeds=[-1]": "seeds.0: given -1; should be greater than or equal to 0",
    "seeds=[4294967296]": "seeds.0: given 4294967296; should be less than 4294967296",
    "seeds=[]": "seeds: given []; should have at least 1",
    "seeds=[1, 0, 1]": "seeds: names 1 twice; name it once",
    "name=My Run": "name: given 'My Run'; should be lower-case letters, digits and - between them",
    "name=": "name: given None; should be text; quote it",
    "ablation.axes.a b={x: {}}": "ablation.axes.a b: given 'a b'; should be letters, digits and *",
    # unions
    "model.kind=transfomer": "model.kind: unknown value 'transfomer'; allowed: transformer, mlp, fusion, tagi_v, "
    "generative, agent, slots, clusters, *, predictions; did you mean 'transformer'?",
    "learning.kind=sgd": "learning.kind: unknown value 'sgd'; allowed: backprop, predictive_coding",
    "task.source.name=diabets": "task.source.name: unknown value 'diabets'; allowed: diabetes, linnerud; "
    "did you mean 'diabetes'?",
    "training.schedule=cos": "training.schedule: unknown value 'cos'; allowed: constant, cosine, one_cycle, *; "
    "did you mean 'cosine'?",
    # parts that do not fit together
    "model={kind: transformer}": "model.kind: transformer needs rows that are sequences, and those of *",
    "objective.kind=cross_entropy": "objective.kind: 'cross_entropy' does not fit task.kind 'regression'; "
    "allowed: gaussian_nll, natural, faithful, student_t, laplace, mixture, crps, homoscedastic, running_variance",
    "task.kind=next_token": "model.kind: 'mlp' does not fit task.kind 'next_token'; allowed: transformer",
    "model.posterior.kind=mc_dropout": "model.posterior.kind mc_dropout needs model.dropout above 0; *",
    "model.kind=tagi_v": "model.kind: tagi_v needs engine.kind batched; change one of them",
    "model.posterior={kind: ensemble, members: 4, folds: 2}": "model.posterior.folds: engine.kind torch gives every "
    "member the same rows; leave it out or use engine.kind batched",
    "model.posterior={kind: ensemble, members: 5, folds: 3}": "model.posterior.members 5 is not a multiple of *",
    "training.accumulate=5": "training.batch_size 64: a share of it, 64 rows, is not a multiple of "
    "training.accumulate 5; *",
    "objective.beta=2": "objective.beta: given 2; should be less than or equal to 1",
    "training.most_steps=400": "training.most_steps bounds training.epochs, which is not given; give it",
    "training={epochs: 2, most_steps: 5}": "training.most_steps 5 is below training.steps *; change one of them",
    "training={epochs: 2, largest_batch: 5}": "training.largest_batch 5 is below training.batch_size *; change *",
    "training.warmup_steps=400": "training.warmup_steps 400 leaves no step of training.steps 400; *",
    "ablation.metrics=[nll, nnl]": "ablation.metrics: task.kind 'regression' has no metric 'nnl'; allowed: nll, *"
    "did you mean 'nll'?",
    "ablation.metrics=[coverage_99]": "ablation.metrics: task.kind 'regression' has no metric 'coverage_99'; *",
    "ablation.metrics=[nll, nll]": "ablation.metrics: names nll twice; name it once",
    "ablation.axes.noise={}": "ablation.axes.noise: has no level; give it at least one",
    "ablation.axes.noise.x={seeds: [1]}": "ablation.axes.noise.x: 'seeds' cannot differ between variants; allowed: *",
    "ablation.axes.noise.x={modell.kind: y}": "*'modell.kind' cannot differ between variants; * did you mean 'model'?",
    "ablation.design=zip": "ablation.design: given 'zip'; should be a mapping with keys such as kind, *",
    "ablation.design={kind: sip}": "ablation.design.kind: unknown value 'sip'; allowed: product, zip, *",
    "ablation.design={of: [{kind: sip}]}": "ablation.design.of.0.kind: unknown value 'sip'; allowed: product, *",
    "ablation.design={of: [3]}": "ablation.design.of.0.kind: missing; allowed: product, zip, *",
    "ablation.design={of: [{kind: zip, off: []}]}": "ablation.design.of.0.off: unknown key *; did you mean 'of'?",
    "ablation.design={kind: random_subset}": "ablation.design.size: missing; give it a value",
    "ablation.design={kind: random_subset, size: 0}": "ablation.design.size: given 0; should be greater *",
    "ablation.design={kind: chain, of: [{kind: zip}]}": "ablation.design.of: given [{'kind': 'zip'}]; should have at "
    "least 2",
    "task.source.split={kind: k_fold, group: g}": "task.source.split.group names a column of a file, *",
    "ablation.axes.x.y={objective.kind: homoscedastic}": "ablation.axes.x: sets 'objective.kind', and so does "
    "ablation.axes.noise; keep one of them",
    "ablation.axes.x.y={objective: {kind: homoscedastic}}": "ablation.axes.x: sets 'objective.kind', and so does "
    "ablation.axes.noise; keep one of them",
    "ablation.datasets.x={task.kind: regression}": "ablation.datasets.x: 'task.kind' cannot differ *",
    "task.source={kind: uci_folder, path: /}": "task.source.path: given '/'; should end in the name of a file *",
    "task.source={kind: uci_folder}": "task.source.path: missing; give it a value",
    # malformed settings
    "training": "--set 'training': should be dotted.key=value, for instance training.steps=100",
    "=3": "--set '=3': should be dotted.key=value, *",
    "a..b=3": "--set 'a..b=3': should be dotted.key=value, *",
    "training.steps=[1": "--set 'training.steps=[1': the value is not valid YAML; quote it",
    "training.steps=!!int x": "--set 'training.steps=!!int x': the value is not valid YAML; quote it",
    "name.x=3": "name.x: name is 'quickstart-regression', not a part with keys",
}

BAD_LANGUAGE_SETTINGS = {
    "splits=[0, 1]": "splits: given [0, 1]; its data are cut once; *",
    "model.width=63": "model.width 63 is not a multiple of model.heads 4; change one of them",
    "engine.ranks=5": "training.batch_size 24 is not a multiple of its 5 shares, one of each rank (engine.ranks 5); *",
    "engine.zero_stage=4": "engine.zero_stage: unknown value 4; allowed: 0, 1, 2, 3",
    "model.attention.prior.kind=full": "model.attention.prior.kind: 'full' lets a token see the later ones *",
    "model.attention.potential.initial_precision=2": "model.attention.potential.initial_precision: unknown key "
    "(given 2); allowed: kind; it is a key of kind 'gaussian_isotropic', *",
    "task.test_fraction=0.96": "task.validation_fraction + task.test_fraction is 1.01; keep it below 1, *",
    "ablation.metrics=[crps]": "ablation.metrics: task.kind 'next_token' has no metric 'crps'; allowed: nll, *",
}


def message(function: Any, *arguments: Any) -> str:
    """The one line of a ConfigError."""
    with pytest.raises(ConfigError) as caught:
        function(*arguments)
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


def fits(line: str, wanted: str) -> bool:
    """Whether the line consists of the pieces between the stars of `wanted`, in order."""
    pieces = wanted.split("*")
    place = 0
    for piece in pieces:
        place = line.find(piece, place)
        if place < 0:
            return False
        place += len(piece)
    return line.startswith(pieces[0]) and line.endswith(pieces[-1])


@pytest.mark.parametrize(
    ("name", "setting", "wanted"),
    [(REGRESSION, *case) for case in BAD_SETTINGS.items()]
    + [(LANGUAGE, *case) for case in BAD_LANGUAGE_SETTINGS.items()],
)
def test_bad_setting(name: str, setting: str, wanted: str) -> None:
    line = message(load, name, [setting])
    assert fits(line, wanted), line


BAD_FILES = {
    "broken": (b"name: [1\n", "{}: not valid YAML: line 2, column 1: *"),
    "tab": (b"a:\n\t- 1\n", "{}: not valid YAML: line 2, column 1: *"),
    "tag": (b"name: !!python/object:os.system x\n", "{}: not valid YAML: line 1, column 7: *"),
    "twice": (b"name: a\nname: b\n", "{}: not valid YAML: line 2, column 1: key 'name' stands twice"),
    "twice inside": (b"a: {b: 1, b: 2}\n", "{}: not valid YAML: line 1, column 11: key 'b' stands twice"),
    "control character": (b"name: \x00\n", "{}: not valid YAML: *"),
    "list": (b"- 1\n", "{}: is a list; it should be a mapping with the keys name, *"),
    "empty": (b"", "{}: is empty; it should be a mapping with the keys name, *"),
    "latin": (
        b"question: gr\xf6\xdfer\n",
        "{}: cannot be read (not UTF-8 text); give a YAML file or a name *",
    ),
    "no kind": (
        shipped()[REGRESSION].replace("model: {kind: mlp, ", "model: {").encode(),
        "model.kind: missing; allowed: transformer, mlp, fusion, tagi_v, generative, agent, slots, clusters, *, "
        "predictions",
    ),
    "unfinished": (
        b"name: a\n",
        "task: missing; give a mapping with a kind, one of: regression, next_token, *",
    ),
    "JSON with a key twice": (
        b'{"name": "a", "seeds": [0], "name": "b"}',
        "{}: not valid YAML: key 'name' stands *",
    ),
    "equal keys": (b"true: 1\nTrue: 2\n", "{}: not valid YAML: line 2, column 1: key 'True' stands twice"),
    "cut JSON": (b'{"name": ', "{}: not valid YAML: line *, column *"),
    "deep JSON": (b'{"a":' * 20000, "{}: not valid YAML: nested too deeply"),
    "deep": (b"a: " + b"[" * 5000 + b"]" * 5000, "a: unknown key (given [[[*"),
    "number for a key": (shipped()[REGRESSION].encode() + b"1: 2\n", "1: given 1; should be text; quote it"),
    "itself": (shipped()[REGRESSION].encode() + b"own: &a [*a]\n", "own: unknown key (given [[[*"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(case: str, tmp_path: Path) -> None:
    text, wanted = BAD_FILES[case]
    file = tmp_path / "own.yaml"
    file.write_bytes(text)
    line = message(load, str(file))
    assert fits(line, wanted.format(file)), line


def test_missing_file_and_folder(tmp_path: Path) -> None:
    file = tmp_path / "no.yaml"
    assert message(load, str(file)).startswith(f"{file}: cannot be read (No such file or directory); give")
    assert message(load, f"{tmp_path}/").startswith(f"{tmp_path}/: cannot be read (Is a directory); give")
    assert "null byte" in message(load, "no\0.yaml")


def test_unknown_name() -> None:
    line = message(load, "quickstart-regresion")
    assert line == (
        f"unknown experiment 'quickstart-regresion'; allowed: {', '.join(shipped())}, "
        "or a YAML file; did you mean 'quickstart-regression'?"
    )
    assert "did you mean" not in message(load, "x")
    assert message(load, "quickstart-l").endswith("did you mean 'quickstart-language'?")


def test_a_long_value_is_shortened() -> None:
    line = message(load, REGRESSION, [f"training.steps={'x' * 1000}"])
    assert len(line) < 200
    nested = {"own": [[list(range(1000))] * 1000] * 1000}
    assert len(message(parse, yaml.safe_dump(nested | {"name": "a"}))) < 400


def test_a_laplace_approximation_needs_a_gaussian() -> None:
    settings = ["model.posterior.kind=laplace_approximation", "objective.kind=crps"]
    assert message(load, REGRESSION, settings) == (
        "model.posterior.kind: laplace_approximation does not fit objective.kind 'crps'; allowed: gaussian_nll, natural"
    )


def test_an_overlay_of_an_axis_is_reported_with_its_place() -> None:
    experiment = load(REGRESSION, ["ablation.axes.noise.wild={model.hiden: x}"])
    line = message(expand, experiment)
    assert line == (
        "ablation noise=wild: model.hiden: unknown key (given 'x'); allowed: activation, dropout, hidden, "
        "inputs, kind, layer_norm, posterior, separate_heads; did you mean 'hidden'?"
    )


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (["model.posterior.kind=laplace_approximation"], "model.posterior.kind laplace_approximation"),
        (["model={kind: tagi_v}", "engine.kind=batched"], "model.kind tagi_v"),
    ],
)
def test_what_counts_every_row_alike_refuses_weights(settings, where) -> None:
    source = "task.source={kind: table_file, path: a.csv, target: y, weights: w}"
    with pytest.raises(ConfigError, match=f"task.source.weights: {where} counts every row alike; leave"):
        load("quickstart-regression", [source, "ablation.axes={}", "ablation.margins={}", *settings])
