"""The optimisation itself: data in, a trained network out. Everything around it is in `train.py`."""

from stockbot.model import build_model  # noqa: F401 first: it sets what TensorFlow reads at import

# isort: split
from stockbot.fit.exports import BEST, FINAL, LEGACY
from stockbot.fit.fitting import Fitted, fit_model

__all__ = ["BEST", "FINAL", "LEGACY", "Fitted", "fit_model"]
