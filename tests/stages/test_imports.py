"""What the stages of a study of small networks import."""

import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path

from precisionflow import stages
from precisionflow.config import load
from precisionflow.results.layout import Results

toy = load("toy", ["seeds=[0]", "splits=[0]", "training.steps=2"])
variant, results = stages.expand([toy])[0], Results(Path(sys.argv[1]))
places = {"data": results.data, "model": results.model(variant)}
stages.prepare([variant], out=results.data)
stages.train(variant, data=results.data, out=results.model(variant))
stages.evaluate(variant, **places, out=results.evaluation(variant))
assert "torch" in sys.modules
print(*({"torch._dynamo", "sympy", "scipy.stats"} & sys.modules.keys()), file=sys.stderr)
"""


def test_stacked_networks_are_trained_and_evaluated_without_a_compiler(tmp_path):
    """A process that trains for seconds would import torch's for one."""
    words = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
