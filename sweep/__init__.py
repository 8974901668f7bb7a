"""The sweep platform: which configuration trains which fold next, and what the evidence says.

The names in `__all__` are the public API (docs/reference/python.md). Each is imported when it is
first asked for, so that `import sweep` loads neither Ray, nor MLflow, nor PyTorch. No submodule has
one of these names: importing `sweep.x` would put the module in the place of the function `x`.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.analysis.compare import compare
    from sweep.launch import resume, run
    from sweep.load import load_sweep
    from sweep.promotion.promote import promote
    from sweep.segment import predict_files as predict
    from sweep.storage.home import Home

__all__ = ["Home", "compare", "load_sweep", "predict", "promote", "resume", "run"]

#: Module and name behind each public name.
_PLACES = {
    "Home": ("sweep.storage.home", "Home"),
    "compare": ("sweep.analysis.compare", "compare"),
    "load_sweep": ("sweep.load", "load_sweep"),
    "predict": ("sweep.segment", "predict_files"),
    "promote": ("sweep.promotion.promote", "promote"),
    "resume": ("sweep.launch", "resume"),
    "run": ("sweep.launch", "run"),
}

# Read by MLflow when it is imported, or at each request; a user's own values win. Its defaults
# would call home, hold a process for minutes at a server that is gone (we try again anyway), print
# on our standard output, and take a model's requirements from a uv project that happens to be the
# working folder.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
}.items():
    os.environ.setdefault(_name, _value)


def __getattr__(name: str) -> Any:
    """Import a public name (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    """The public names beside those that are loaded."""
    return sorted({*globals(), *__all__})
