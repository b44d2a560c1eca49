import pytest

from precisionflow.search.algorithms.hyperband import Hyperband, brackets
from precisionflow.search.algorithms.samplers import suggester
from tests.search.studies import algorithm, parameter


def test_brackets():
    assert brackets(9, 3) == [[9, 3, 1], [5, 2], [3]]
    assert brackets(1, 3) == [[1]]


@pytest.mark.parametrize(("better", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_hyperband_promotes_the_best_of_a_finished_rung(better, sign):
    draws = iter({"rate": str(n), "epochs": "?"} for n in range(100))
    band = Hyperband(lambda: next(draws), most=9, eta=3, resource_name="epochs", better=better)
    first = [band.ask() for _ in range(9)]
    assert {a["epochs"] for a in first} == {"1"}
    assert band.ask() is None
    for number, value in enumerate([5.0, 4.0, None, 9.0, 1.0, 8.0, 7.0, 3.0, 6.0]):
        assert band.ask() is None
        band.tell(number, None if value is None else sign * value)
    second = [band.ask() for _ in range(3)]
    assert second == [{"rate": n, "epochs": "3"} for n in ("4", "7", "1")]
    assert band.ask() is None
    for number, value in zip((9, 10, 11), (2.0, 0.5, None), strict=True):
        band.tell(number, None if value is None else sign * value)
    assert band.ask() == {"rate": "7", "epochs": "9"}
    band.tell(12, 0.1)
    assert [band.ask()["epochs"] for _ in range(5)] == ["3"] * 5


def test_hyperband_ends():
    mix = parameter("mix", "double", min="0.1", max="0.9")
    epochs = parameter("epochs", "int", min="1", max="4")
    hyperband = algorithm("hyperband", r_l="4", eta="2", resource_name="epochs")
    band = suggester(hyperband, (mix, epochs), better="maximize", seed=0)
    resources = []
    while assignments := band.ask():
        band.tell(len(resources), float(assignments["mix"]))
        resources.append(int(assignments["epochs"]))
    assert resources == [1, 1, 1, 1, 2, 2, 4, 2, 2, 2, 4, 4, 4, 4, 4]


def test_eta_is_3_where_none_is_given():
    """brackets(9, 3) = [[9, 3, 1], [5, 2], [3]]."""
    epochs = parameter("epochs", "int", min="1", max="9")
    hyperband = algorithm("hyperband", r_l="9", resource_name="epochs")
    band = suggester(hyperband, (epochs,), better="minimize", seed=0)
    resources = []
    while assignments := band.ask():
        band.tell(len(resources), 0.0)
        resources.append(int(assignments["epochs"]))
    assert resources == [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] * 2 + [9] * 3
