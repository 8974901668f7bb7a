"""Facts of a card by key, each a sentence or some; what is not known has no key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files

import yaml

from ptxcore.limits import PLAIN
from ptxcore.metrics import CONVENTIONS
from ptxcore.pretrained import PACKAGE, SHA256
from sweep.analysis.metric_names import metric_name
from sweep.promotion.card._data import DATA
from sweep.promotion.card._evidence import CardEvidence
from sweep.promotion.card._results import RESULTS
from sweep.promotion.card._settings import listed, versions
from sweep.util.words import count

_NETWORKS = {"attention_unet": "Attention U-Net (Oktay 2018)", "unet": "U-Net (Ronneberger 2015)"}


#: Settings that the other facts name.
_NO_TRAINING = frozenset(
    ("network", "encoder", "channels", "levels", "norm", "image_size", "patch_size", "resampling",
     "threshold", "overlap", "tta", "whole_image")
)  # fmt: skip


def known(evidence: CardEvidence) -> dict[str, str]:
    """All facts that the evidence holds.

    Args:
        evidence: What is known of the sweep.
    """
    found = {key: make(evidence) for key, make in (DATA | _FACTS | RESULTS).items()}
    return _of_all() | {key: text for key, text in found.items() if text}


def _of_all() -> dict[str, str]:
    """What holds of every model."""
    text = files(__package__).joinpath("program.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _technology(evidence: CardEvidence) -> str | None:
    settings = _settings(evidence)
    if settings is None:
        return None
    network = _NETWORKS.get(str(settings.get("network")), str(settings.get("network")))
    return (
        f"Deep learning: an ensemble of {evidence.projection.num_folds} {network} networks, "
        f"developed by cross-validated search"
        f"{' and tested on a locked hold-out' if evidence.confirmation is not None else ''}."
    )


def _aims(evidence: CardEvidence) -> str:
    header = evidence.projection.header
    goal = "highest" if header.maximize else "lowest"
    return (
        f"Find the configuration with the {goal} {header.metric} over the folds, and show on cases "
        "that the search never saw that it is better than predicting nothing, no worse than the "
        "default, and better than the model in use."
    )


def _goal(evidence: CardEvidence) -> str:
    tried = count(evidence.verdict.standing.num_looked_at, "configuration")
    return f"Development of a model by choice among {tried}, with an internal test."


def _network(evidence: CardEvidence) -> str | None:
    settings = _settings(evidence)
    if settings is None:
        return None
    name = _NETWORKS.get(str(settings.get("network")), str(settings.get("network")))
    encoder = settings.get("encoder", PLAIN)
    depth = "levels" if encoder == PLAIN else "encoder"
    names = ("channels", depth, "norm", "dropout", "deep_supervision")
    case = ", and one logit an image from its coarsest level" * bool(settings.get("case_head"))
    return f"{name}: one channel of logits on the input's grid{case} ({listed(settings, names)})."


def _initialisation(evidence: CardEvidence) -> str:
    settings = _settings(evidence) or {}
    drawn = (
        "rawn at random by PyTorch's own initialisation from the sweep's seed "
        f"({evidence.projection.header.seed}), trial and fold"
    )
    if settings.get("encoder", PLAIN) == PLAIN:
        return f"D{drawn}; no pretrained weights."
    return (
        f"The contracting path is {settings['encoder']} with the weights that it learned from "
        f"ImageNet's photographs (package {PACKAGE}, SHA-256 {SHA256}); "
        f"the rest is d{drawn}."
    )


def _training(evidence: CardEvidence) -> str | None:
    winner = evidence.winner
    if winner is None:
        return None
    rest = [name for name in winner.settings if name not in _NO_TRAINING]
    epochs = ", ".join(str(fold.num_epochs) for fold in winner.folds.values())
    return f"AdamW; {listed(winner.settings, rest)}. Epochs by fold: {epochs}."


def _choice(evidence: CardEvidence) -> str | None:
    space = evidence.space
    named = {
        key: space[key].get("name")
        for key in ("policy", "pruner", "sampler")
        if isinstance(space.get(key), Mapping)
    }
    settings = _settings(evidence) or {}
    by = ", ".join(f"{key} {name}" for key, name in named.items())
    where = {"fold": "on the scored fold itself (optimistic)"}.get(
        str(settings.get("selection", "monitor")), "on monitor cases inside the training part"
    )
    return (
        f"{f'Search: {by}. ' if by else ''}The winner is the complete trial with the best mean of "
        f"{evidence.projection.header.metric}; the epoch of each network was chosen {where}."
    )


def _ensemble(evidence: CardEvidence) -> str | None:
    winner = evidence.winner
    if winner is None:
        return None
    inference = listed(winner.inference, list(winner.inference)) or listed(
        winner.settings, ("overlap", "tta", "whole_image")
    )
    return (
        f"The networks of all {len(winner.folds)} folds; their logits are averaged, then the rule "
        f"makes the mask{f' ({inference})' if inference else ''}."
    )


def _metrics(evidence: CardEvidence) -> str:
    names = ("dice", "dice_positive", "iou", "average_precision", "case_sensitivity",
             "case_specificity", "surface_dice", "hausdorff95_mm", "calibration_error")  # fmt: skip
    return " ".join(f"{metric_name(name)}: {CONVENTIONS[name]}." for name in names)


def _software(evidence: CardEvidence) -> str | None:
    header = evidence.projection.header
    under = versions(header.versions)
    if header.version is None and not under:
        return None
    text = f"ptxsweep {header.version or 'unknown'}, commit {header.git_sha or 'unknown'}."
    if header.environment is not None:
        kept = count(len(header.environment), "package")
        under += f" The ledger has the versions of all {kept}."
    return text + under


def _protocol(evidence: CardEvidence) -> str | None:
    header = evidence.projection.header
    parts = {
        "search space": header.space_digest,
        "fold plan": header.plan_digest,
        "data": header.data_hash,
        "commit": header.git_sha,
    }
    shown = ", ".join(f"{name} {value}" for name, value in parts.items() if value)
    return f"Fixed before the first fold: {shown}; seed {header.seed}." if shown else None


def _code(evidence: CardEvidence) -> str | None:
    header = evidence.projection.header
    if header.version is None:
        return None
    return (
        f"ptxsweep {header.version}, commit {header.git_sha or 'unknown'}; a wheel of it is in the "
        "model's folder."
    )


def _availability(evidence: CardEvidence) -> str | None:
    code = _code(evidence)
    if code is None:
        return None
    return (
        f"{code} Weights and rule are files of the model, with digests; images are no part of it."
    )


def _modifications(evidence: CardEvidence) -> str | None:
    parameters = evidence.space.get("parameters")
    if not isinstance(parameters, Mapping):
        return None
    return f"Searched: {', '.join(parameters)}; everything else was fixed."


def _settings(evidence: CardEvidence) -> Mapping[str, object] | None:
    return evidence.winner.settings if evidence.winner is not None else None


_FACTS: dict[str, Callable[[CardEvidence], str | None]] = {
    "technology": _technology,
    "aims": _aims,
    "goal": _goal,
    "network": _network,
    "software": _software,
    "initialisation": _initialisation,
    "training": _training,
    "choice": _choice,
    "ensemble": _ensemble,
    "metrics": _metrics,
    "protocol": _protocol,
    "availability": _availability,
    "code": _code,
    "modifications": _modifications,
}
