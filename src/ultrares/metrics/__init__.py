"""How good a result is, in terms that the field has defined."""

from ultrares.metrics.comparison import score
from ultrares.metrics.scores import Scores

__all__ = ["Scores", "score"]
