"""Which loss each of the papers' systems is trained by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from ultrares.data.scale_pairs import ScalePair
from ultrares.training.diffusion_systems import diffusion_objective
from ultrares.training.recipe import SystemStage
from ultrares.types import Backbone

Objective = Callable[[Backbone, ScalePair, np.random.Generator], tuple[Tensor, dict[str, float]]]
"""The loss of one batch of pairs, given the backbone in training, and figures worth logging."""

LOSSES: Mapping[str, Callable[[SystemStage], Objective]] = {"sr3": diffusion_objective}
"""By kind of system: what makes its objective for a recipe's stage."""
