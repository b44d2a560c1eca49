"""One results folder for all tests of the report: a regression and a language experiment."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import aggregate
from precisionflow.config import Experiment
from tests.synthetic import evaluations, language, models, plausible, regression


@dataclass(frozen=True)
class Results:
    """What a run leaves before its report."""

    experiments: list[Experiment]
    models: list[Path]
    evaluations: list[Path]
    aggregate: Path


def results_of(experiments: list[Experiment], root: Path) -> Results:
    """Invented results of the experiments, aggregated."""
    evaluated = [f for e in experiments for f in evaluations(e, root, plausible, rows=80)]
    trained = [f for e in experiments for f in models(e, root)]
    aggregate(experiments, evaluations=evaluated, out=root / "aggregate")
    return Results(experiments, trained, evaluated, root / "aggregate")


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results_of([language(), regression()], tmp_path_factory.mktemp("results"))
