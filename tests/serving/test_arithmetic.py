"""Arithmetic by query: what is measured, what is kept, what is chosen, and that it is what answers."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trained as tiny

from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors.point import Point
from precisionflow.records.arithmetic import ArithmeticCard, Timed, Variant
from precisionflow.records.files import write_card
from precisionflow.results.layout import TrainedCell, cell_folder
from precisionflow.serving import ServedModel, load_predictor
from precisionflow.serving.arithmetic import calibrate, kept, variants
from precisionflow.serving.arithmetic.choice import chosen
from precisionflow.serving.arithmetic.int8 import in_int8
from precisionflow.serving.arithmetic.on_gpu import Float8Linear, in_float8
from precisionflow.serving.arithmetic.variants import variants_of
from precisionflow.serving.endpoints.assembled import endpoints_of
from precisionflow.serving.endpoints.predict import PredictRows
from tests.raw_likelihood import Raw
from tests.served import serving


def card(**of: tuple[float, float, bool]) -> ArithmeticCard:
    """name -> (error, median in ms at 1 and at 100 rows, faster)."""
    return ArithmeticCard(
        model="m",
        machine="here",
        largest=3.0,
        variants=tuple(
            Variant(
                arithmetic=name,
                error=error,
                excess_nll=0,
                times=tuple(
                    Timed(rows=rows, median=ms / 1e3, most=1.5 * ms / 1e3, faster=faster) for rows in (1, 100)
                ),
            )
            for name, (error, ms, faster) in of.items()
        ),
    )


MEASURED = card(float32=(0, 10, False), bfloat16=(0.01, 6, True), int8=(0.1, 2, True))


@pytest.mark.parametrize(
    ("tolerance", "milliseconds", "expected"),
    [
        (1.0, 15, "float32"),  # in time, so nothing is given away
        (0.0, 1, "float32"),  # late, and no error is allowed
        (0.01, 10, "bfloat16"),
        (1.0, 10, "bfloat16"),  # the most precise that is in time
        (1.0, 4, "int8"),
        (1.0, 1, "int8"),  # none is in time: the fastest
        (0.05, 1, "bfloat16"),
        (1.0, -5, "int8"),
    ],
)
def test_the_most_precise_that_is_allowed_and_in_time(
    tolerance: float, milliseconds: float, expected: str
) -> None:
    assert chosen(MEASURED, rows=1, tolerance=tolerance, seconds=milliseconds / 1e3) == expected


def test_what_was_not_measured_faster_is_never_chosen() -> None:
    slow = card(float32=(0, 10, False), bfloat16=(0.01, 9.9, False), int8=(0.1, 20, False))
    assert {chosen(slow, rows=1, tolerance=1, seconds=s) for s in (-1, 0.001, 0.012, 1)} == {"float32"}


def test_times_are_those_of_the_next_measured_number_of_rows() -> None:
    found = MEASURED.variants[0]
    assert [found.timed(rows).rows for rows in (1, 2, 100, 101)] == [1, 100, 100, 100]


class Wide:
    """A trained network wide enough that int8 is another function than float32."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        small = {"seeds": [0], "splits": [0], "training": {"steps": 5, "validate_every": 5}}
        self.trained = tiny.trained(tiny.TABLE, folder / "results", **small, **changes)
        self.cell = cell_folder(self.trained.model, 0, 0)

    def load(self) -> ServedModel:
        return load_predictor(self.cell, data=self.trained.data)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Wide:
    return Wide(tmp_path_factory.mktemp("arithmetic"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "TURNS", 5)
    monkeypatch.setattr(calibrate, "BATCHES", (1, 10))


@pytest.mark.usefixtures("quick")
def test_the_table_is_kept_beside_the_model_and_holds_for_it_alone(
    wide: Wide, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, file = kept.measure(str(wide.cell), wide.load(), data=wide.trained.data)
    assert file == TrainedCell(wide.cell).arithmetic
    assert kept.kept(str(wide.cell)) == (measured, None)
    exact, *cheaper = measured.variants
    assert (exact.arithmetic, exact.error, exact.excess_nll) == ("float32", 0, 0)
    assert {each.arithmetic for each in cheaper} == {"bfloat16", "int8"}
    assert 1 < measured.largest < 10
    assert all(0 < each.error < 0.2 and abs(each.excess_nll) < 0.1 for each in cheaper)
    assert not any(each.faster for each in exact.times)
    assert load_predictor(wide.cell, data=wide.trained.data)  # the folder is still what training wrote
    write_card(measured.model_copy(update={"model": "other"}), file)
    assert kept.kept(str(wide.cell))[1] == f"{file}: is of another model; float32 alone, calibrate again"
    write_card(measured, file)
    monkeypatch.setattr(kept, "machine", lambda: "another")
    assert (kept.kept(str(wide.cell))[1] or "").startswith(f"{file}: is of another machine")


def test_errors_are_in_units_of_the_stated_std(wide: Wide) -> None:
    predictor = wide.load().predictor
    rows = torch.randn(50, len(predictor.data_card.inputs), generator=torch.Generator().manual_seed(0))
    exact = predictor.standardised(rows)
    half = variants_of(predictor, largest=3.0)["bfloat16"].standardised(rows)
    shift = np.abs(half.mean - exact.mean) / exact.std
    spread = np.abs(np.log(half.std / exact.std))
    assert calibrate._error(exact, half) == pytest.approx(np.quantile(np.maximum(shift, spread), 0.99))
    assert calibrate._error(exact, exact) == 0


def test_faster_needs_most_turns() -> None:
    exact = np.full(10, 1.0)
    for seconds, faster in (([0.9] * 10, True), ([0.96] * 10, False), ([0.5] * 7 + [2.0] * 3, False)):
        assert calibrate._timed(1, np.array(seconds), exact).faster is faster


def test_the_chosen_arithmetic_is_what_answers(wide: Wide) -> None:
    model = wide.load()
    endpoint = endpoints_of(model, measured=MEASURED)["predict"]
    assert isinstance(endpoint, PredictRows)
    columns = endpoint.example() or {}
    value = endpoint.read(columns).value
    stated: dict[str, Sequence[float]] = {}
    for of in endpoint.variants:
        tolerance, seconds = {"float32": (0.0, 1.0), "bfloat16": (0.01, 0.001), "int8": (1.0, 0.001)}[of]
        at = endpoint.at(1, tolerance=tolerance, seconds=seconds)
        assert at.arithmetic == of
        stated[of] = at.answer([value], {}).columns["mean"].tolist()
    assert len({tuple(each) for each in stated.values()}) == len(stated) > 1
    slow = card(float32=(0, 10_000, False), bfloat16=(0.01, 6_000, True), int8=(0.1, 2_000, True))
    with serving(endpoints_of(model, measured=slow)["predict"]) as served:
        found = served.ask(columns, tolerance=0.05, deadline=9.5).said
        assert found["arithmetic"] == "bfloat16"
        assert found["columns"]["mean"] == stated["bfloat16"]
        assert served.ask(columns, deadline=9.5).said["arithmetic"] == "float32"


def in_eight_bits(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """W x + b with W in -127 to 127 and x in 0 to 255, one unit for each, sums exact."""
    weight_unit = layer.weight.abs().max() / 127
    unit = (x.max().clamp(min=0) - x.min().clamp(max=0)) / 255
    zero = (-x.min().clamp(max=0) / unit).round()
    given = ((x / unit).round() + zero).clamp(0, 255) - zero
    return unit * weight_unit * (given @ (layer.weight / weight_unit).round().T) + layer.bias


def single(layer: torch.nn.Module) -> Point:
    """The point posterior of a network of one layer."""
    return Point(Layered([], layer, states=[]), Raw())


@torch.no_grad()
def test_int8_is_a_product_of_whole_numbers() -> None:
    torch.manual_seed(0)
    layer, rows = torch.nn.Linear(13, 5), torch.randn(40, 13)
    found = in_int8(single(layer), features=13, largest=10.0)
    assert found
    for scale in (1.0, 1e-3, 1e-6):
        torch.testing.assert_close(
            found.predict(scale * rows), in_eight_bits(layer, scale * rows), rtol=0, atol=1e-2 * scale
        )
        assert (found.predict(scale * rows) - layer(scale * rows)).abs().max() > 1e-3 * scale
    assert found.predict(rows[:0]).shape == (0, 5)
    torch.testing.assert_close(found.predict(0 * rows), layer(0 * rows))


@torch.no_grad()
@pytest.mark.parametrize("outlier", [11.0, -1e3, 1e6, -1e30])
def test_an_outlier_takes_no_digits_from_the_rows_beside_it(outlier: float) -> None:
    """With one scale for all, a row of 1e6 would leave every other row with zeros."""
    torch.manual_seed(0)
    layer, rows = torch.nn.Linear(13, 5), torch.randn(40, 13)
    found = in_int8(single(layer), features=13, largest=10.0)
    assert found
    alone = found.predict(rows)
    rows[7, 3] = outlier
    beside = found.predict(rows)
    others = torch.arange(40) != 7
    torch.testing.assert_close(beside[7:8], layer(rows[7:8]))
    torch.testing.assert_close(beside[others], alone[others], rtol=0, atol=0.02)


class Branching(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("layer", [torch.nn.Identity(), Branching()])
def test_a_network_without_products_or_export_has_no_int8(
    layer: torch.nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    assert in_int8(single(layer), features=3, largest=1.0) is None
    assert capfd.readouterr() == ("", "")


def test_without_its_packages_there_is_no_int8(wide: Wide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "has_int8", lambda: False)
    assert list(variants_of(wide.load().predictor, largest=3.0)) == ["float32", "bfloat16"]
    assert "onnxruntime" not in variants.machine()


def test_float8_is_a_product_of_rounded_numbers_row_by_row() -> None:
    """By torch's products on a CPU; those of a GPU were not tried. 17 and 5 are no edges that its matrices have."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(17, 5)
    rows = torch.randn(4, 3, 17) * 10.0 ** torch.arange(-6, 6).view(4, 3, 1)
    rows[1, 2] = 0
    found = Float8Linear(layer)

    def rounded(x: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
        unit = torch.where(largest > 0, largest / 448, 1)
        return (x / unit).to(torch.float8_e4m3fn).float() * unit

    weight = rounded(layer.weight, layer.weight.abs().max())
    wanted = rounded(rows, rows.abs().amax(-1, keepdim=True)) @ weight.T + layer.bias
    torch.testing.assert_close(found(rows), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found(rows[3:, 1]), found(rows)[3:, 1], rtol=1e-6, atol=0)


def test_a_network_in_float8_states_nearly_the_same(wide: Wide) -> None:
    predictor = wide.load().predictor
    rows = torch.randn(50, len(predictor.data_card.inputs), generator=torch.Generator().manual_seed(0))
    exact = predictor.standardised(rows)
    stated = dataclasses.replace(predictor, model=in_float8(predictor.model)).standardised(rows)
    assert 0 < calibrate._error(exact, stated) < 0.2


def test_stacked_networks_have_no_int8(tmp_path: Path) -> None:
    ensemble = {"kind": "mlp", "hidden": [4], "posterior": {"kind": "ensemble", "members": 2}}
    found = variants_of(Wide(tmp_path, model=ensemble).load().predictor, largest=3.0)
    assert list(found) == ["float32", "bfloat16"]
