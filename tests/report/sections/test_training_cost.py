"""Training cost: what a variant took, what the ratios to its twin say."""

import pytest

from precisionflow.ablation.design import expand
from precisionflow.records.cards import ModelCard
from precisionflow.report.sections.training_cost import cost_table, milliseconds, twin_table
from tests.synthetic import language, regression


def card(*, loss: float, seconds: float, steps: int = 10) -> ModelCard:
    return ModelCard(
        experiment=language(),
        experiment_hash="0",
        code_version="0",
        seed=0,
        source_sha256="0",
        split=0,
        parameters=1_234_567,
        steps=steps,
        planned_steps=40,
        batch_size=8,
        validation_loss=loss,
        seconds_per_step=seconds,
    )


def twin_cards(loss: float, seconds: float, *, twin_loss: float = 2.0) -> dict[str, list[ModelCard]]:
    cards = {}
    for variant in expand(language()):
        settles = variant.levels["learning"] == "predictive_coding"
        cards[variant.name] = [
            card(loss=loss if settles else twin_loss, seconds=seconds if settles else 0.02)
        ] * 3
    return cards


@pytest.mark.parametrize(
    ("loss", "seconds", "texts"),
    [
        (2.04, 0.06, ["1.0200", "holds", "3.00", "holds"]),
        (2.05, 0.02, ["1.0250", "does not hold", "1.00", "holds"]),
        (1.9, 0.07, ["0.95000", "holds", "3.50", "does not hold"]),
    ],
)
def test_twin_ratios_and_their_bars(loss: float, seconds: float, texts: list[str]) -> None:
    table = twin_table(expand(language()), twin_cards(loss, seconds))
    assert table is not None
    assert [row[0].text for row in table.rows] == ["attention=dot_product", "attention=precision"]
    assert [entry.text for entry in table.rows[0][1:]] == texts


def test_a_twin_with_a_negative_loss_has_no_ratio() -> None:
    table = twin_table(expand(language()), twin_cards(1.0, 0.02, twin_loss=-0.5))
    assert table is not None
    assert [entry.text for entry in table.rows[0][1:3]] == ["—", "no ratio"]


def test_experiments_without_a_learning_axis_have_no_twins() -> None:
    assert twin_table(expand(regression()), {}) is None


def test_cost_is_the_mean_loss_and_the_median_time() -> None:
    runs = [
        card(loss=1.0, seconds=0.010),
        card(loss=2.0, seconds=0.012, steps=8),
        card(loss=6.0, seconds=9.0),
    ]
    (row,) = cost_table({"a": runs}, caption="").rows
    assert [entry.text for entry in row] == ["a", "3.0", "12.0", "8 to 10", "1\u202f234\u202f567", "3"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00123456, "1.23"), (0.0456, "45.6"), (1.5, "1500"), (0.0, "0.000"), (2.5e-8, "2.50×10⁻⁵")],
)
def test_milliseconds(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text
