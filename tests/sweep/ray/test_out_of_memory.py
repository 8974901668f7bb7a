"""A whole sweep whose batches do not fit in memory: halved, marked, or failed with the reason.

A worker of Ray is a process of its own, so what makes its memory small is put in its way as a hook
on the import of the training step.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import TINY_SPACE, ptxsweep
from mlflow import MlflowClient

from ptxcore.data.importing.run import import_cases
from ptxcore.data.phantom import write_phantom
from sweep.ledger import Ledger

_HOOK = """
import importlib.machinery, importlib.util, sys

class Small:
    def find_spec(self, name, path=None, target=None):
        if name != "ptxcore.training.micro_batches":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        whole = spec.loader.exec_module
        def exec_module(module):
            whole(module)
            step = module.train_step
            def small(context, batch, *, parts=1, **options):
                if len(batch.images) / parts > 2:
                    raise module.torch.OutOfMemoryError("CUDA out of memory. Tried 2.00 GiB")
                return step(context, batch, parts=parts, **options)
            module.train_step = small
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Small())
"""


def test_batches_are_halved_or_the_trial_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_HOOK, encoding="utf-8")
    files = write_phantom(tmp_path / "source", num_cases=20, size=64, prevalence=0.5, seed=3)
    import_cases(files.dicom, files.rle, tmp_path / "store")
    space = tmp_path / "tiny.yaml"
    text = TINY_SPACE.replace("POLICY", "standard").replace("EPOCHS", "1")
    text = text.replace("folds: 3", "folds: 2").replace("  batch_size: 8\n", "")
    text = text.replace("num_trials: 3, num_completions: 3", "num_trials: 2, num_completions: 2")
    text = (
        text[: text.index("candidates:")] + text[text.index("fixed:") : text.index("parameters:")]
    )
    text += "candidates: [{batch_size: 12}]\nparameters:\n"
    text += "  batch_size: {type: categorical, choices: [4, 12], default: 4}\n"
    space.write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(hook), prepend=":")

    home = tmp_path / "home"
    words = ("run", space, "--store", tmp_path / "store", "--precision", "float32")
    found = ptxsweep(*words, home=home)["trials"]

    assert [one["batch_parts"] for one in found] == [2, 1]
    assert found[0]["state"] == "complete"
    assert found[1]["state"] == "failed"
    assert "a batch of 12 patches of 64 x 64 px in 4 parts does not fit" in found[1]["reason"]
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.db'}", "tiny")
    (attempt,) = ledger.projection.trials[1].log  # no second try: it would fail again
    assert attempt.outcome == "stopped"
    ledger.close()
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    places = [one.experiment_id for one in client.search_experiments()]
    tags = [run.data.tags for run in client.search_runs(places)]
    parts = {
        one["ptxsweep.trial"]: one.get("ptxsweep.batch_parts")
        for one in tags
        if "ptxsweep.trial" in one
    }
    assert parts == {"0": "2", "1": None}
    page = Path(ptxsweep("report", "tiny", home=home)["path"]).read_text(encoding="utf-8")
    assert "They were split in #0 default in 2 parts." in page
