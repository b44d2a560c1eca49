"""The images that tasks run in: the one place that names them."""

CORE = "precisionflow-python-core:0.1.0"
"""Without torch: prepare, aggregate, report."""
TRAIN = "precisionflow-python-train:0.1.0"
"""With torch and DeepSpeed: train, evaluate."""
