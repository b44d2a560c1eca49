"""Pages to be looked at by a browser: a report of long names, figures of every kind with what strains their labels."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.config import Experiment
from precisionflow.records.schemas import FIT
from precisionflow.report.drawn import Drawn
from precisionflow.report.figures.attention import heatmap
from precisionflow.report.figures.fit import fit_along_feature
from precisionflow.report.figures.images import image_rows
from precisionflow.report.figures.learning import Curve, curve_figure
from precisionflow.report.figures.performance import phase_bars, quality_figure
from precisionflow.report.figures.scaling import law_figure
from precisionflow.report.figures.sensitivity import index_bars, response
from precisionflow.report.figures.settling import layer_map
from precisionflow.report.page import report, templates
from precisionflow.report.pictures import Picture, legend
from tests.report.conftest import results_of
from tests.synthetic import regression

LONG = [f"a_variant_with_learned_noise_of_beta_0{k}" for k in range(1, 10)]
NAN = float("nan")


def study() -> Experiment:
    """4 variants, 2 of long names, on 3 data sets."""
    named = "".join(f"    set{k}: {{task.source.path: set{k}}}\n" for k in range(3))
    last = "      heteroscedastic: {objective.kind: gaussian_nll}\n"
    more = "".join(
        f"      {name}: {{objective.kind: gaussian_nll, objective.beta: 0.{place}}}\n"
        for place, name in enumerate(LONG[:2], start=1)
    )
    return regression(
        ("ablation:\n", f"ablation:\n  datasets:\n{named}"),
        ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0, 1]"),
        ("seeds: [0, 1]", "seeds: [0]"),
        (last, last + more),
        ("source: {kind: scikit_learn, name: diabetes}", "source: {kind: uci_folder, path: set0}"),
    )


def write_report(experiments: list[Experiment], folder: Path) -> Path:
    """The page of invented results."""
    results = results_of(experiments, folder)
    report(
        results.experiments,
        models=results.models,
        evaluations=results.evaluations,
        aggregate=results.aggregate,
        out=folder / "report",
    )
    return folder / "report" / "report.html"


def write_gallery(file: Path) -> Path:
    """The figures that the page of `study` has not, under a legend."""
    template = templates().from_string(
        '{% from "macros.html.jinja" import pictures, legend %}<!doctype html><html lang="en"><head>'
        '{% include "head.html.jinja" %}</head><body><main>{{ legend(keys) }}{{ pictures(all) }}</main></body></html>'
    )
    shown = [Picture(drawn, f"A caption of figure {place}.") for place, drawn in enumerate(figures())]
    file.write_text(
        template.render(title="figures", all=shown, keys=legend(LONG, name="key")), encoding="utf-8"
    )
    return file


def figures() -> list[Drawn]:
    """One of each kind."""
    noise = np.random.default_rng(0)
    settings = [f"model.attention.potential.setting_{k}" for k in range(6)]
    return [
        index_bars(
            [index(0.1 * k) for k in range(6)],
            [index(0.2 * k) for k in range(6)],
            names=settings,
            x="share of the variance of nll",
            title="What moves the negative log-likelihood",
            name="bars",
        ),
        response(
            [level(k, f"{10.0 ** (k - 9):.3g} to {10.0 ** (k - 8):.3g}") for k in range(9)],
            parameter="training.optimiser.learning_rate",
            metric="nll",
            ordered=True,
            name="response",
        ),
        *(
            law_figure(
                [size(at) for at in sizes],
                law(),
                size="model.width",
                y=y,
                logarithmic=logarithmic,
                name=f"law-{y}",
            )
            for sizes, y, logarithmic in (
                ((8, 16, 32, 64, 128, 256, 512, 1024), "nll", False),
                ((100000, 150000, 225000, 337500), "seconds of a step", True),
            )
        ),
        phase_bars(
            {name: {"forward": 0.01 * k, "settling": 0.02, "backward": 0.013} for k, name in enumerate(LONG)},
            phases=["forward", "settling", "backward"],
            name="phases",
        ),
        quality_figure(
            {name: (10.0 * k, 1e-5 * (9 - k)) for k, name in enumerate(LONG)},
            [True] * 9,
            metric="nll",
            name="front",
        ),
        layer_map(
            np.exp(noise.normal(size=(6, 33))),
            [f"layer {layer}" for layer in range(6, 12)],
            quantity="norm of the errors of a quantity",
            alt="map",
        ),
        layer_map(
            np.exp(noise.normal(size=(2, 2))), ["layer 0", "output"], quantity="precision", alt="small map"
        ),
        heatmap(np.full((20, 20), 0.05), ["surprisingly", "a\n", " "] * 6 + ["x", "WWWWWWWWW"], alt="edges"),
        image_rows(
            {"original": [np.zeros((2, 2), dtype=np.uint8)] * 8, LONG[0]: [np.ones((2, 2), dtype=np.uint8)]},
            alt="images",
            notes=["-1.2e+05"] * 8,
        ),
        image_rows({"reconstructed": [np.zeros((2, 2), dtype=np.uint8)]}, alt="one image", notes=["0.51"]),
        curve_figure(
            "cosine_with_backprop_of_all_the_layers",
            {k: Curve(np.arange(90) * 12345, *(1e-6 * noise.normal(size=(3, 90)))) for k in range(2)},
            variants=LONG,
            name="curves",
            x="optimiser step",
            y="cosine",
        ),
        curve_figure(
            "energy",
            {0: Curve(np.arange(5), *np.full((3, 5), 3e-7) + np.arange(5) * 1e-9)},
            variants=LONG,
            name="narrow",
            x="layer",
            y="nats a target",
            logarithmic=True,
        ),
        fit_along_feature(LONG[0], fitted(noise), 0, truth=None, name="fit"),
    ]


def index(value: float) -> dict[str, float]:
    return {"value": value, "low": 0.8 * value, "high": 1.2 * value, "chance": 0.05}


def level(place: int, value: str) -> dict[str, object]:
    ends = {"mean": 2.0 + place, "low": 1.5 + place, "high": 2.5 + place}
    return ends | {
        "value": value,
        "place": float(place),
        "robust": place < 3,
        "recommended": place == 1,
        "own": place == 2,
    }


def size(at: float) -> dict[str, float]:
    mean = 1.5 + 3 * at**-0.4
    return {"at": at, "mean": mean, "low": 0.98 * mean, "high": 1.02 * mean, "ratio": 1.1}


def law() -> dict[str, float]:
    return {"offset": 1.5, "factor": 3.0, "exponent": -0.4}


def fitted(noise: np.random.Generator) -> pa.Table:
    """A curve with test rows, whose other columns are missing there."""
    x = np.concatenate([np.linspace(-1e4, 1e4, 50), noise.uniform(-1e4, 1e4, 30)])
    target = np.where(np.arange(80) < 50, NAN, 1e-4 * x)
    columns = {name: 1e-4 * x for name in FIT.names if name not in ("x", "target")}
    return pa.table({"x": x, "target": target} | columns)
