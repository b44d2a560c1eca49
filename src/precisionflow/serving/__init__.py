"""A trained model behind the interface of those who serve or use it.

>>> model = load_predictor("results/model/EXPERIMENT/DATASET/VARIANT/seed-0-split-0")  # or "models:/NAME@champion"
>>> predict_with_uncertainty(model, frame, levels=(0.9,), recalibrated="conformal_split")
"""

from precisionflow.serving.model import ServedModel, load_predictor, predict_with_uncertainty

__all__ = ["ServedModel", "load_predictor", "predict_with_uncertainty"]
