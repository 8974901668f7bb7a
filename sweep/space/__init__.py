"""What may vary: a declarative search space (YAML) as Optuna distributions."""

from sweep.space._load import load_space, parse_space, shipped_spaces
from sweep.space._models import Objective, ParameterSpec, SamplerSpec, is_among
from sweep.space._space import SearchSpace

__all__ = [
    "Objective",
    "ParameterSpec",
    "SamplerSpec",
    "SearchSpace",
    "is_among",
    "load_space",
    "parse_space",
    "shipped_spaces",
]
