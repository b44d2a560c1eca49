"""Studies whose trials cost nothing, and parts of studies."""

import sys
from pathlib import Path

from precisionflow.search.study import Algorithm, Parameter, parse_study


def parameter(name, kind, **space):
    """A parameter as a study gives it; `space` has Katib's names."""
    return Parameter.model_validate({"name": name, "parameterType": kind, "feasibleSpace": space})


def algorithm(name, **settings):
    """An algorithm, or an early stopping, as a study gives it."""
    given = [{"name": setting, "value": value} for setting, value in settings.items()]
    return Algorithm.model_validate({"algorithmName": name, "algorithmSettings": given})


def study(*args, **changes):
    """The study that `content` describes."""
    return parse_study(content(*args, **changes))


def content(
    folder: Path, *, algorithm="random", settings=None, trials=4, parallel=2, reports=5, pause=0.0, **spec
):
    """A Katib Experiment over x in [-10, 10] whose trials run `trial_program.py` and leave traces in `folder`."""
    program = str(Path(__file__).with_name("trial_program.py"))
    words = [
        sys.executable,
        "-I",
        "-S",
        program,
        "${trialParameters.place}",
        str(reports),
        str(pause),
        str(folder),
    ]
    template = {
        "primaryContainerName": "trial",
        "trialParameters": [{"name": "place", "reference": "x"}],
        "trialSpec": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "spec": {"template": {"spec": {"containers": [{"name": "trial", "command": words}]}}},
        },
    }
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": "parabola"},
        "spec": {
            "objective": {
                "type": "minimize",
                "objectiveMetricName": "loss",
                "additionalMetricNames": ["step"],
                "metricStrategies": [{"name": "step", "value": "latest"}],
            },
            "algorithm": {
                "algorithmName": algorithm,
                "algorithmSettings": [{"name": n, "value": v} for n, v in (settings or {}).items()],
            },
            "parameters": [
                {"name": "x", "parameterType": "double", "feasibleSpace": {"min": "-10", "max": "10"}}
            ],
            "parallelTrialCount": parallel,
            "maxTrialCount": trials,
            "trialTemplate": template,
        }
        | spec,
    }


def listed(values):
    """The parameter x as a list of values, for a grid in this order."""
    return [{"name": "x", "parameterType": "discrete", "feasibleSpace": {"list": [str(v) for v in values]}}]
