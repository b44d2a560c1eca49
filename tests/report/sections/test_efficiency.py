"""Effects by cost: divided by what was added, where something was."""

import math
from collections.abc import Mapping

import pytest
from scipy import stats

from precisionflow.ablation.design import expand
from precisionflow.records.cards import ModelCard
from precisionflow.report.material import Group
from precisionflow.report.sections.efficiency import _table, per_unit, seconds_added
from tests.synthetic import regression

HOMO, HETERO = expand(regression())


def card(seed: int, *, parameters: int = 1000, steps: int = 100, each: float = 0.01) -> ModelCard:
    return ModelCard(
        experiment=HOMO.experiment,
        experiment_hash="h",
        code_version="c",
        seed=seed,
        source_sha256="0",
        split=0,
        parameters=parameters,
        steps=steps,
        planned_steps=steps,
        batch_size=8,
        validation_loss=1.0,
        seconds_per_step=each,
    )


def table(before: list[ModelCard], after: list[ModelCard], *changes: tuple[str, str], **of: float):
    """The only row of a contrast with effect -0.5 [-0.7, -0.3]."""
    row = {"effect": -0.5, "low": -0.7, "high": -0.3} | of
    names = {"variant": HETERO.name, "baseline_variant": HOMO.name}
    levels = {"level": HETERO.name, "baseline": HOMO.name, "metric": "nll", "axis": "noise"}

    class Measured(Group):
        @property
        def cards(self) -> Mapping[str, list[ModelCard]]:
            return {HOMO.name: before, HETERO.name: after}

    group = Measured(
        regression(*changes), "diabetes", (HOMO, HETERO), (), (row | names | levels,), {}, {}, anchor="x"
    )
    return _table(group)


def test_variants_without_parameters_are_alike_in_them() -> None:
    """As agents are, which learn nothing."""
    before = [card(s, parameters=0) for s in range(3)]
    made = table(before, [card(s, parameters=0) for s in range(3)])
    assert made is not None
    assert made.rows[0][3].text == "0 → 0"
    assert "parameters" in made.rows[0][-1].text
    more = table(before, [card(s, parameters=5) for s in range(3)])
    assert more is not None
    assert "parameters" not in more.rows[0][-1].text


def test_an_effect_is_divided_by_the_parameters_and_seconds_that_are_added() -> None:
    before, after = [card(s) for s in range(3)], [card(s, parameters=3000, steps=300) for s in range(3)]
    made = table(before, after)
    assert made is not None
    (row,) = made.rows
    assert row[0].text == "heteroscedastic vs homoscedastic"
    assert [entry.text for entry in row[3:]] == [
        "1\u202f000 → 3\u202f000",
        "−0.25 [−0.35, −0.15]",
        "1.00 → 3.00",
        "−0.25 [−0.35, −0.15]",
        "—",
    ]


def test_nothing_is_divided_by_what_is_not_added() -> None:
    """Parameters are as many; of the seconds it is not shown that they are more."""
    before = [card(s, each=0.01) for s in range(3)]
    after = [card(s, each=each) for s, each in enumerate((0.009, 0.012, 0.011))]
    made = table(before, after)
    assert made is not None
    (row,) = made.rows
    assert (row[4].text, row[4].note) == ("—", "none added")
    assert (row[6].text, row[6].note) == ("—", "no difference shown")


TUNED = "  tuned: {axes: [noise], trials: 2, parameters: {training.learning_rate: {low: 0.001, high: 0.1}}}\n"
MATCHED = "  matched: [parameters, seconds, tuning]\n"


@pytest.mark.parametrize(
    ("parameters", "each", "settings", "said", "lacking"),
    [
        (1010, 1.02, MATCHED + TUNED, "parameters, seconds, tuning", ""),
        (1011, 1.02, MATCHED + TUNED, "seconds, tuning", "not in parameters"),
        (1000, 1.06, MATCHED, "parameters", "not in seconds, tuning"),
        (1000, 0.9, "", "parameters", ""),
        (1000, 1.0, "", "parameters, seconds", ""),
    ],
)
def test_controls_are_matched_in_what_the_intervals_show(
    parameters: int, each: float, settings: str, said: str, lacking: str
) -> None:
    before = [card(s, each=0.01) for s in range(3)]
    after = [card(s, parameters=parameters, each=0.01 * (each + 0.001 * s)) for s in range(3)]
    made = table(before, after, ("ablation:\n", f"ablation:\n{settings}"))
    assert made is not None
    assert (made.rows[0][7].text, made.rows[0][7].note) == (said, lacking)


def test_seconds_of_one_pair_are_not_shown_to_be_alike() -> None:
    made = table([card(0)], [card(0)])
    assert made is not None
    assert made.rows[0][7].text == "parameters"


def test_a_refused_contrast_has_no_row() -> None:
    assert table([card(0)], [card(0)], effect=math.nan) is None


def test_what_is_saved_turns_the_sign_and_the_ends() -> None:
    assert per_unit({"effect": -0.5, "low": -0.7, "high": -0.3}, -2.0) == "+0.25 [0.15, 0.35]"


def test_seconds_are_paired_over_seeds() -> None:
    before = [card(s, each=0.01 * (1 + s)) for s in range(4)]
    after = [card(s, each=0.01 * (1 + s) + 0.001 * (1 + s % 2)) for s in (3, 2, 1, 0, 9)]
    found = seconds_added(before, after, confidence=0.95)
    differences = [0.1, 0.2, 0.1, 0.2]
    low, high = stats.t.interval(0.95, 3, loc=0.15, scale=stats.sem(differences))
    assert (found.mean, found.low, found.high, found.n) == (
        pytest.approx(0.15),
        pytest.approx(low),
        pytest.approx(high),
        4,
    )
