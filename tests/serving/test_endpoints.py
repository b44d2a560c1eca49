"""Endpoints of trained models: the same answers as the other doors, one request's rows whatever stands beside them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import trained as tiny

from precisionflow.evaluation.tasks.planning import AgentPredictor
from precisionflow.inference.planning.worlds.t_maze import CUE, LEFT, RIGHT
from precisionflow.records.columns import BooleanInput, InputColumn, NumberInput
from precisionflow.results.layout import cell_folder
from precisionflow.serving import ServedModel, load_predictor, predict_with_uncertainty
from precisionflow.serving.endpoints.assembled import endpoints_of, named
from precisionflow.serving.endpoints.endpoint import Answered, Endpoint, field_error
from precisionflow.serving.endpoints.numbers import Numbers
from precisionflow.serving.endpoints.predict import PredictRows
from tests.planning_experiment import planning
from tests.trained import Trained


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("endpoints") / "results"
    return tiny.trained(tiny.TABLE, folder, seeds=[0], splits=[0], training={"steps": 5, "validate_every": 5})


@pytest.fixture(scope="module")
def model(table: Trained) -> ServedModel:
    return load_predictor(cell_folder(table.model, 0, 0), data=table.data)


def asked(endpoint: Endpoint, *columns: dict[str, Sequence[Any]], **params: Any) -> Answered:
    return endpoint.answer([endpoint.read(each).value for each in columns], params)


def refused(endpoint: Endpoint, columns: dict[str, Sequence[Any]]) -> str:
    """What a client is told, which begins with the field."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - every kind of it is told
        asked(endpoint, columns)
    found = field_error(caught.value, otherwise="columns")
    assert str(found).startswith(f"{found.field}: ")
    return str(found)


def test_rows_are_predicted_as_everywhere(model: ServedModel) -> None:
    endpoint = endpoints_of(model)["predict"]
    example = endpoint.example()
    assert example is not None
    one = {name: [cells[0], cells[0] + 0.01] for name, cells in example.items()}
    other = {name: [cells[0] - 0.02] for name, cells in example.items()}
    found = asked(endpoint, one, other, level=0.9).columns
    frame = pd.concat([pd.DataFrame(one), pd.DataFrame(other)])
    expected = predict_with_uncertainty(model, frame, levels=(0.9,))
    np.testing.assert_allclose(found["mean"], expected["mean"])
    np.testing.assert_allclose(found["lower"], expected["lower_90"])
    assert list(found) == list(endpoint.contract.outputs)
    alone = asked(endpoint, other, level=0.9).columns
    np.testing.assert_allclose(alone["upper"], found["upper"][2:], rtol=1e-5)


def test_numbers_are_read_at_once_as_cell_by_cell(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = endpoints_of(model)["predict"]
    assert isinstance(endpoint, PredictRows)
    names, random = list(endpoint.contract.inputs), np.random.default_rng(0)
    cells = random.normal(size=(len(names), 7)) * 10.0 ** random.integers(-300, 15, size=(len(names), 1))
    columns: dict[str, list[Any]] = dict(zip(names, cells.tolist(), strict=True))
    columns[names[1]] = [0, -3, 2**53 - 1, 1.5, -0.0, 7, 1]
    reading = endpoint._numbers
    assert reading
    at_once = reading.features_in({"unread": ["a"], **dict(reversed(columns.items()))})
    monkeypatch.setattr(Numbers, "features_in", lambda *_: None)
    np.testing.assert_array_equal(at_once, endpoint.read(columns).value)


@pytest.mark.parametrize("cell", [True, None, "1", float("nan"), float("inf"), 2**53, 10**400, [1.0]])
def test_what_is_no_plain_number_is_looked_at_closely(model: ServedModel, cell: Any) -> None:
    endpoint = endpoints_of(model)["predict"]
    assert isinstance(endpoint, PredictRows)
    assert (reading := endpoint._numbers)
    example = dict(endpoint.example() or {})
    assert reading.features_in(example) is not None
    name = list(example)[2]
    for changed in ({name: [cell]}, {name: []}, {name: [1.0, 2.0]}):
        assert reading.features_in(example | changed) is None
    del example[name]
    assert reading.features_in(example) is None


@pytest.mark.parametrize("column", [NumberInput(name="b", fill=1.0, indicator=True), BooleanInput(name="b")])
def test_columns_that_are_not_one_number_each_are_read_by_themselves(column: InputColumn) -> None:
    assert Numbers.of([NumberInput(name="a"), column], ["a", "b"]) is None
    found = Numbers.of([NumberInput(name="a"), NumberInput(name="truth"), NumberInput(name="c")], ["a", "c"])
    assert found
    np.testing.assert_array_equal(found.features_in({"c": [3, 4], "a": [1, 2]}), [[1, 1, 3], [2, 1, 4]])


def test_a_cell_that_is_no_number_is_told_with_its_row(model: ServedModel) -> None:
    endpoint = endpoints_of(model)["predict"]
    example = dict(endpoint.example() or {})
    good = example["bmi"][0]
    two = {name: [*cells, *cells] for name, cells in example.items()}
    for cells, told in (
        (["a", "b"], r"^columns\.bmi\[0\]: holds words, such as 'a'"),
        ([good, "b"], r"^columns\.bmi\[1\]: 'b' is no number"),
        ([good, None], r"^columns\.bmi\[1\]: an empty cell"),
        ([good, ""], r"^columns\.bmi\[1\]: an empty cell"),
        ([good, 10**400], r"^columns\.bmi\[1\]: 1000.* is no finite number"),
        ([good, float("nan")], r"^columns\.bmi\[1\]: nan is no finite number"),
        ([good, 1e300], r"^columns\.bmi\[1\]: given 1e\+300, beyond the range of float32"),
        ([True, False], r"^columns\.bmi: holds bool; should hold one number"),
    ):
        assert re.match(told, refused(endpoint, two | {"bmi": cells}))
    with pytest.raises(ValueError, match="the model was not evaluated with it"):
        endpoint.check({"recalibrated": "magic"})
    with pytest.raises(ValueError, match=r"^--endpoint plan: m has predict; name one of these"):
        named(endpoints_of(model), ["plan"], name="m")


@pytest.fixture(scope="module", params=["sophisticated", "message_passing"])
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Endpoint]:
    from precisionflow.data.prepare import prepare
    from precisionflow.training.train import train

    folder = tmp_path_factory.mktemp("agent")
    experiment = planning(model={"precision": 64.0, "policies": request.param}, training={"steps": 1})
    prepare([experiment], out=folder / "data")
    train(experiment, data=folder / "data", out=folder / "model")
    return endpoints_of(load_predictor(cell_folder(folder / "model", 0, 0), data=folder / "data"))


def test_an_agent_says_what_it_believes(agent: dict[str, Endpoint]) -> None:
    """The maze: at first both contexts alike; a cue of validity 0.95 tells them apart, elsewhere it is a fair coin."""
    history = {"observations": ["0 0", "0 0; 1 0"], "actions": ["", str(CUE)]}
    found = asked(agent["perception"], history)
    first, second = (np.array(row) for row in found.columns["posterior"])
    assert (first > 0).sum() == 2
    np.testing.assert_allclose(first[first > 0], 0.5)
    np.testing.assert_allclose(np.sort(second)[-2:], [0.05, 0.95])
    np.testing.assert_allclose(found.columns["free_energy"], [np.log(2), 2 * np.log(2)])
    assert found.iterations == [1, 2]


def test_an_agent_says_what_it_would_do(agent: dict[str, Endpoint]) -> None:
    cued = {"observations": ["0 0; 1 0"], "actions": [str(CUE)]}
    planned = asked(agent["planning"], cued)
    assert planned.converged == [True]
    (policies,), (chances,), (energies,) = (
        planned.columns[name] for name in agent["planning"].contract.outputs
    )
    assert sum(chances) == pytest.approx(1, abs=1e-6)
    assert chances == sorted(chances, reverse=True)
    assert energies == sorted(energies)
    acted = asked(agent["action"], cued).columns
    assert acted["action"].tolist() == [RIGHT] == [int(policies[0].split()[0])]
    predicted = asked(agent["predict"], cued).columns
    assert acted["probability"][0] == pytest.approx(predicted[f"p_{RIGHT}"][0])
    assert RIGHT != LEFT


def test_equal_beliefs_are_planned_once_and_all_policies_are_kept_of_none(
    agent: dict[str, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million policies of each of ten thousand rows would not fit into memory."""
    asked_for: list[float] = []
    plan = AgentPredictor.planned
    monkeypatch.setattr(AgentPredictor, "planned", lambda of, belief: asked_for.append(1) or plan(of, belief))
    rows = {"observations": ["0 0; 1 0", "0 0; 0 0", "0 0; 1 0"], "actions": [str(CUE)] * 3}
    for name in ("planning", "action"):
        asked_for.clear()
        found = asked(agent[name], rows).columns
        assert len(asked_for) == 2
        assert found.iloc[0].tolist() == found.iloc[2].tolist() != found.iloc[1].tolist()


def test_histories_of_too_many_times_are_refused(agent: dict[str, Endpoint]) -> None:
    long = {"observations": ["; ".join(["0 0"] * 25_000)] * 2 + ["0 0"], "actions": [""] * 3}
    for endpoint in agent.values():
        told = "columns.observations: histories: have 50,001 times in all; 50,000 are the most, ask in parts"
        assert refused(endpoint, long) == told


def test_a_history_that_is_none_is_told_with_its_row(agent: dict[str, Endpoint]) -> None:
    for endpoint in agent.values():
        for observed, done, told in (
            ("0 0", "1", "observations[1]: history: 1 observations and 1 actions; give one observation more"),
            ("0 x", "", "observations[1]: history '0 x': holds what is no whole number"),
            ("0 9", "", "observations[1]: observation of modality 1: given 9; give whole numbers from 0 to"),
            ("0 0; 0 0", "9", "actions[1]: history: action: given 9; give whole numbers from 0 to"),
            ("0 0; 0 0", "x", "actions[1]: history 'x': holds what is no whole number"),
        ):
            found = refused(endpoint, {"observations": ["0 0", observed], "actions": ["", done]})
            assert found.startswith(f"columns.{told}")
        one = {"observations": ["0 0; 1 0"], "actions": [1]}
        assert refused(endpoint, one) == "columns.actions[0]: given 1; give a text"
    for name in ("perception", "planning", "action"):
        assert all(asked(agent[name], agent[name].example() or {}).converged)
