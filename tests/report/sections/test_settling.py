"""The section on settling from invented records: what is averaged over runs, what is drawn, what is left out."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.records.files import write_parquet
from precisionflow.records.schemas import SETTLING, without
from precisionflow.report.figures.settling import layer_map
from precisionflow.report.histories import Histories, measured
from precisionflow.report.sections import settling
from precisionflow.report.settling import Records, records
from precisionflow.results.cells import Cell
from tests.synthetic import language

TRUE = (640, 0.0003, 0.5, 0.9, 0.95, 1.0)
SMALL = (640, 0.06, 0.9, 0.99, 1.0, 0.2)
NO_ERRORS = (0, *[math.nan] * 5)


def row(layer, energy, norms, precisions, quadratic, cosine, calibration, step=20):
    values = (0, step, layer, energy, norms, precisions, quadratic, cosine, *calibration, [])
    return dict(zip(SETTLING.names, values, strict=True))


def record(shift, *, step=20, precisions=(4.0, 9.0), iterations=3):
    """Two layers with an error, of two positions, and the output."""
    return [
        row(
            0,
            [0.0, 1.0 + shift, 2.0][:iterations],
            [3.0, 4.0],
            list(precisions),
            [20.0, 70.0],
            0.9,
            TRUE,
            step,
        ),
        row(
            2,
            [0.0, 1.0, 1.0][:iterations],
            [0.0, 1.0 + shift],
            [2.0, 2.0],
            [0.0, (1.0 + shift) ** 2],
            0.5 + shift,
            SMALL,
            step,
        ),
        row(3, [9.0, 6.0, 4.0][:iterations], [], [], [], 0.99, NO_ERRORS, step),
    ]


def test_a_run_that_stopped_early_keeps_its_last_energy():
    both = Records((tuple(record(0.0)), tuple(record(0.5, iterations=2))))
    assert both.energies.tolist() == [[9.0, 8.0, 7.0], [9.0, 8.5, 8.5]]
    assert both.iterations == [2, 1]
    assert both.layers == [0, 2]


def test_energies_by_layer_and_iteration_are_what_errors_gain_and_the_output_loses():
    """Means over the runs; together the descent of the whole energy."""
    both = Records((tuple(record(0.0)), tuple(record(0.5, iterations=2))))
    assert both.exchanged.tolist() == [[0.0, 1.25, 1.75], [0.0, 1.0, 1.0], [0.0, 3.0, 4.0]]
    descent = both.energies[:, :1] - both.energies
    np.testing.assert_allclose(both.exchanged[-1] - both.exchanged[:-1].sum(axis=0), descent.mean(axis=0))


def test_norms_are_averaged_by_squares_and_precisions_by_logarithms():
    both = Records((tuple(record(0.0)), tuple(record(1.0))))
    assert both.by_layer("error_norm")[0].tolist() == pytest.approx([math.sqrt(12.5), math.sqrt(0.5)])
    assert both.by_layer("precision")[0].tolist() == pytest.approx([6.0, 2.0])
    assert both.by_place("error_norm")[1].tolist() == pytest.approx([0.0, math.sqrt(2.5)])
    assert both.by_place("precision")[0].tolist() == pytest.approx([4.0, 9.0])
    assert both.by_layer("quadratic_energy").tolist() == pytest.approx(np.array([[90.0, 1.0], [90.0, 4.0]]))
    assert both.cosines.mean(axis=0).tolist() == pytest.approx([0.9, 1.0, 0.99])


def group_of(folder, of_variants):
    """Two seeds of two variants; each that has records has an earlier one too."""
    names = ["backprop", "predictive_coding"]
    trained = {}
    for name in names:
        for seed in (0, 1):
            trained[Cell("twins", "text", name, seed, 0)] = folder / name / str(seed)
            if name in of_variants:
                rows = record(0.7, step=10) + of_variants[name][seed]
                table = pa.Table.from_pylist(rows, schema=SETTLING)
                write_parquet(table, folder / name / str(seed) / "settling.parquet", SETTLING)
    cosines = measured(np.array([0, 0, 1, 1]), np.array([10, 20, 10, 20]), np.array([0.3, 0.8, 0.3, 0.8]))
    experiment = language(("seeds: [0, 1, 2]", "seeds: [0, 1]"))
    return SimpleNamespace(
        experiment=experiment,
        dataset="text",
        variants=[SimpleNamespace(name=name, dataset="text", experiment=experiment) for name in names],
        names=names,
        trained=SimpleNamespace(folders=trained),
        cells_of=lambda folders, of: [path for cell, path in folders.items() if cell.variant == of.name],
        histories=lambda _: Histories(2, {"gradient_cosine": cosines}),
        anchor="x0-0",
    )


def shown(group):
    return settling.section(SimpleNamespace(groups=(group,), several=False))


def test_the_section_shows_the_last_record_of_the_variants_that_have_one(tmp_path):
    group = group_of(tmp_path, {"predictive_coding": [record(0.0), record(-0.25, iterations=2)]})
    assert records(group, group.variants[0]) is None
    (of,) = shown(group).context["groups"]
    (line,) = of.table.rows
    texts = ["predictive_coding", "1 to 2", "9.0", "7.4", "115", "0.8000", "0.3750"]
    assert [entry.text for entry in line] == texts
    assert line[-1].note == "layer 2"
    captions = [picture.caption for picture in of.pictures]
    assert [caption.split()[0] for caption in captions] == [
        "Energy",
        "Settled",
        "Precision",
        "Energy",
        "Cosine",
    ]
    assert [picture.caption.split(": ")[1].split(",")[0] for picture in of.maps] == [
        "energy that each layer's errors have gained at each iteration",
        "norm of the errors of each layer at each position.",
        "precision of each layer at each position.",
    ]


def test_a_layer_that_no_error_reaches_has_no_share_of_the_energy_and_leaves_a_gap(tmp_path, monkeypatch):
    still = [
        record(0.0)[0],
        record(0.0)[1] | {"error_norm": [0.0, 0.0], "quadratic_energy": [0.0, 0.0]},
        record(0.0)[2],
    ]
    group = group_of(tmp_path, {"predictive_coding": [still, record(0.0)]})
    drawn = {}
    monkeypatch.setattr(
        settling, "curve_figure", lambda title, curves, **_: drawn.update({title: curves}) or ""
    )
    (of,) = shown(group).context["groups"]
    assert of.table.rows[0][4].text == "180", "90 over the mean of 0 and 1"
    curve = drawn["energy of the errors"][1]
    assert curve.mean.tolist() == pytest.approx([90.0, math.nan], nan_ok=True)
    file = tmp_path / "predictive_coding" / "1" / "settling.parquet"
    write_parquet(pa.Table.from_pylist(still, schema=SETTLING), file, SETTLING)
    assert shown(group).context["groups"][0].table.rows[0][4].text == "∞"


def test_the_calibration_of_each_layer_with_errors_is_a_mean_over_the_runs(tmp_path):
    other = [record(0.0)[0], record(0.0)[1] | {"pit_error": 0.02, "coverage_95": 0.98}, record(0.0)[2]]
    (of,) = shown(group_of(tmp_path, {"predictive_coding": [record(0.0), other]})).context["groups"]
    assert [[entry.text for entry in line] for line in of.calibration.rows] == [
        ["predictive_coding", "6.00", "640", "0.00030", "50.0 %", "90.0 %", "95.0 %", "1.00"],
        ["predictive_coding", "2.00", "640", "0.040", "90.0 %", "99.0 %", "99.0 %", "0.200"],
    ]
    assert [line[0].note for line in of.calibration.rows] == ["layer 0", "layer 2"]


def test_the_calibration_of_an_image_stands_beside_its_precision(tmp_path):
    runs = [
        [*record(0.0)[:2], record(0.0)[2] | {"precision": [precision], "errors": 64, "dispersion": 1.0}]
        for precision in (2.0, 8.0)
    ]
    for run in runs:
        run[2] |= {"pit_error": 0.01, "coverage_50": 0.5, "coverage_90": 0.9, "coverage_95": 0.95}
    (of,) = shown(group_of(tmp_path, {"predictive_coding": runs})).context["groups"]
    *_, image = of.calibration.rows
    assert [entry.text for entry in image][:3] == ["predictive_coding", "4.00", "64"]
    assert image[0].note == "output"


def test_members_of_an_ensemble_are_runs(tmp_path):
    group = group_of(tmp_path, {"predictive_coding": [record(0.0), record(0.0)]})
    file = tmp_path / "predictive_coding" / "1" / "settling.parquet"
    both = [of | {"network": network} for network in (0, 1) for of in record(float(network))]
    write_parquet(pa.Table.from_pylist(both, schema=SETTLING), file, SETTLING)
    assert records(group, group.variants[1]).energies[:, 1].tolist() == [8.0, 8.0, 9.0]


def test_precisions_that_are_the_same_everywhere_have_no_map(tmp_path):
    alike = [record(0.0, precisions=(4.0, 4.0)), record(0.0, precisions=(4.0, 4.0))]
    group = group_of(tmp_path, {"predictive_coding": alike})
    (of,) = shown(group).context["groups"]
    assert [picture.caption.split(": ")[1][:4] for picture in of.maps] == ["ener", "norm"]


def test_precisions_of_heads_are_drawn_by_head(tmp_path):
    """Of the layers whose heads have their own, by geometric means over the runs."""
    heads = ([2.0, 8.0, 3.0], [8.0, 2.0, 3.0])
    runs = [
        [of | {"head_precision": mine if of["layer"] == 2 else []} for of in record(0.0)] for mine in heads
    ]
    both = Records(tuple(map(tuple, runs)))
    layers, means = both.by_head()
    assert layers == [2]
    assert means.tolist() == [pytest.approx([4.0, 4.0, 3.0])]
    (of,) = shown(group_of(tmp_path, {"predictive_coding": runs})).context["groups"]
    picture = of.maps[-1]
    assert picture.caption == "predictive_coding: precision of each head of attention."
    assert ">head</text>" in picture.drawn.svg
    assert ">layer 2</text>" in picture.drawn.svg
    assert ">layer 0</text>" not in picture.drawn.svg


def test_a_record_of_before_heads_had_a_column_is_still_shown(tmp_path):
    """And beside one that has it no head is drawn, as the runs would be unlike."""
    new = [of | {"head_precision": [2.0, 3.0] if of["layer"] == 2 else []} for of in record(0.0)]
    group = group_of(tmp_path, {"predictive_coding": [new, new]})
    old = without(SETTLING, "head_precision")
    rows = [{name: of[name] for name in old.names} for of in record(0.0)]
    write_parquet(
        pa.Table.from_pylist(rows, schema=old), tmp_path / "predictive_coding" / "1" / "settling.parquet", old
    )
    (of,) = shown(group).context["groups"]
    assert [picture.caption.split(": ")[1].split()[0] for picture in of.maps] == [
        "energy",
        "norm",
        "precision",
    ]


def test_without_records_there_is_no_section(tmp_path):
    assert shown(group_of(tmp_path, {})) is None


def test_shades_are_places_between_the_logarithms_and_zero_is_blank():
    svg = layer_map(
        np.array([[1.0, 1e11, 1e4], [0.0, 1.0, 1.0]]), ["layer 0", "layer 4"], quantity="<norm>", alt="a & b"
    ).svg
    shades = {round(12 * float(o)): d for o, d in re.findall(r'fill-opacity="([\d.]+)" d="([^"]+)"', svg)}
    assert {level: areas.count("M") for level, areas in shades.items()} == {1: 3, 5: 1, 12: 1}
    assert shades[12] == "M146 34h100v14h-100z", "layer 0 is below, the second of three positions"
    assert "&lt;norm&gt;, 1.0 to 1.0×10¹¹ (logarithmic)" in svg
    assert "a &amp; b" in svg
    assert "layer 4</text>" in svg
    assert "fill-opacity" not in layer_map(np.zeros((1, 2)), ["layer 0"], quantity="norm", alt="none").svg
