"""A study of three trials that end within seconds, for Katib."""

import yaml

from precisionflow.search.study import Study, parse_study

STUDY = """
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: study, labels: {team: a}}
spec:
  objective: {type: minimize, objectiveMetricName: nll, additionalMetricNames: [crps]}
  algorithm: {algorithmName: random}
  parallelTrialCount: 2
  maxTrialCount: 3
  maxFailedTrialCount: 1
  parameters:
  - {name: lr, parameterType: discrete, feasibleSpace: {list: ["0.25", "0.5"]}}
  - {name: decay, parameterType: double, feasibleSpace: {min: "0.0", max: "0.1"}}
  trialTemplate:
    retain: true
    primaryContainerName: training
    trialParameters:
    - {name: rate, reference: lr, description: ""}
    - {name: weightDecay, reference: decay, description: ""}
    trialSpec:
      apiVersion: batch/v1
      kind: Job
      spec:
        backoffLimit: 0
        template:
          spec:
            restartPolicy: Never
            containers:
            - name: training
              image: precisionflow-python-core:0.1.0
              command:
              - sh
              - -c
              - >-
                { : --set training.learning_rate=${trialParameters.rate}
                --set training.weight_decay=${trialParameters.weightDecay} --set training.steps=3;
                echo nll=9; sleep 3; echo nll=${trialParameters.rate}; echo crps=1e-3; }
"""


def study(**changes: str) -> Study:
    text = STUDY
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return parse_study(yaml.safe_load(text))
