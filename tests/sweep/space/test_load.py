"""Search spaces: what they give Optuna, and how each mistake is told."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import optuna
import pytest
import yaml

from ptxcore.settings import FoldSettings
from sweep.errors import SpaceError
from sweep.policies import MIN_GAIN, PolicySpec
from sweep.space import load_space, parse_space, shipped_spaces
from sweep.space.overrides import Overrides, effective_space

GOOD = """\
name: small
objective: {metric: dice}
policy: {name: greedy, num_trials: 5, num_completions: 2}
candidates:
  - {rate: 5e-4}
fixed: {network: unet}
parameters:
  overlap: {type: float, low: 0, high: 0.5, step: 0.25, default: 0.25, when: {patch: [128, 256]}}
  rate: {type: float, low: 1e-4, high: 1e-2, log: true, default: 1e-3}
  patch:
    type: categorical
    choices: [128, 256, 512]
    default: 512
  depth: {type: int, low: 2, high: 6, step: 2, default: 4, when: {answer: no}}
  answer: {type: categorical, choices: [yes, no], default: yes}
"""


def edited(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def test_distributions() -> None:
    space = parse_space(GOOD, "small.yaml")
    floats, ints = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
    categorical = optuna.distributions.CategoricalDistribution
    assert space.distributions() == {
        "rate": floats(1e-4, 1e-2, log=True),
        "patch": categorical((128, 256, 512)),
        "answer": categorical(("yes", "no")),  # text, as written, and no booleans
        "overlap": floats(0, 0.5, step=0.25),
        "depth": ints(2, 6, step=2),
    }


def test_conditions_choose_what_is_active() -> None:
    space = parse_space(GOOD, "small.yaml")
    defaults = space.defaults()
    assert defaults == {"rate": 1e-3, "patch": 512, "answer": "yes", "overlap": 0.25, "depth": 4}
    assert space.active(defaults) == {"rate": 1e-3, "patch": 512, "answer": "yes"}
    chosen = {"patch": 128, "overlap": 0.5, "depth": 6}
    assert space.active(chosen) == {"rate": 1e-3, "patch": 128, "answer": "yes", "overlap": 0.5}
    assert space.complete({"patch": 512, "overlap": 0.5}) == {
        "network": "unet",
        "rate": 1e-3,
        "patch": 512,
        "answer": "yes",
        "overlap": 0.25,
        "depth": 4,
    }


def test_suggest_asks_optuna_for_active_parameters_alone() -> None:
    space = parse_space(GOOD, "small.yaml")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = set()
    for _ in range(30):
        trial = study.ask()
        whole = space.suggest(trial)
        assert whole == space.complete(trial.params)
        assert space.active(trial.params) == trial.params
        assert ("overlap" in trial.params) == (trial.params["patch"] != 512)
        seen.add(trial.params["patch"])
    assert seen == {128, 256, 512}


def test_candidates_are_completed_with_defaults() -> None:
    space = parse_space(GOOD, "small.yaml")
    assert space.candidates == ({**space.defaults(), "rate": 5e-4},)


def test_digest_depends_on_content_alone() -> None:
    space = parse_space(GOOD, "small.yaml")
    same = parse_space("# a comment\n" + GOOD, "elsewhere.yaml")
    other = parse_space(edited("num_trials: 5", "num_trials: 6"), "small.yaml")
    assert space.digest == same.digest != other.digest
    assert same.locate("rate") == "elsewhere.yaml:10"
    assert same.locate("network") == "elsewhere.yaml:7"
    assert same.locate("nothing") == "elsewhere.yaml"


def test_tree_reads_short_exponents_as_numbers() -> None:
    tree = parse_space(GOOD, "small.yaml").tree()
    assert tree["parameters"]["rate"]["low"] == 1e-4
    again = parse_space(yaml.safe_dump(tree), "again.yaml")
    assert again.digest == parse_space(GOOD, "small.yaml").digest


def test_direction_comes_from_the_metric_and_the_file_may_repeat_it() -> None:
    metrics = {"dice": "maximize", "loss": "minimize"}
    assert parse_space(GOOD, "f", metrics=metrics).objective.maximize
    loss = parse_space(edited("{metric: dice}", "{metric: loss}"), "f", metrics=metrics)
    assert not loss.objective.maximize
    same = edited("{metric: dice}", "{metric: dice, direction: maximize}")
    assert parse_space(same, "f", metrics=metrics).objective.maximize
    for metric, direction, better in (
        ("dice", "minimize", "higher"),
        ("loss", "maximize", "lower"),
    ):
        odd = edited("{metric: dice}", f"{{metric: {metric}, direction: {direction}}}")
        told = (
            rf"^f:2: objective\.direction: found '{direction}', but of {metric} {better} is "
            rf"better; expected '{metrics[metric]}', or it left out$"
        )
        with pytest.raises(SpaceError, match=told):
            parse_space(odd, "f", metrics=metrics)
        parse_space(odd, "f", has_begun=True)  # a sweep that has begun goes on


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: small", "name: 'a b'", r"f:1: name: found 'a b', expected .*match pattern"),
        ("{metric: dice}", "{metric: dise}", r"f:2: objective.metric: found 'dise', did you mean"),
        ("{metric: dice}", "{}", r"f:2: objective.metric: found nothing, expected a value"),
        ("{metric: dice}", "dice", r"f:2: objective: found 'dice', expected a valid dictionary"),
        (
            "name: greedy",
            "name: gredy",
            r"f:3: policy.name: found 'gredy', did you mean 'greedy'",
        ),
        ("num_trials: 5", "num_trial: 5", r"f:3: policy.num_trial: .*did you mean 'num_trials'"),
        ("num_trials: 5", "num_trials: 0", r"f:3: policy.num_trials: found 0, expected greater"),
        ("num_trials: 5", "num_trials: 5.5", r"f:3: policy.num_trials: found 5.5, expected a val"),
        ("ons: 2}", "ons: 9}", r"f:3: policy.num_completions: found 9, expected at most num_tr"),
        ("rate: 5e-4", "rat: 5e-4", r"f:5: candidates.0.rat: .*did you mean 'rate'"),
        ("rate: 5e-4", "rate: 5", r"f:5: candidates.0.rate: found 5, expected a value in \[0.00"),
        ("rate: 5e-4", "rate: true", r"f:5: candidates.0.rate: found True, expected a number"),
        ("rate: 5e-4", "rate: [1]", r"f:5: candidates.0.rate: found \[1\], expected a number, t"),
        ("network: unet", "netwrk: unet", r"f:6: fixed.netwrk: .*did you mean 'network'"),
        ("network: unet", "rate: 1", r"f:6: fixed.rate: found in `parameters` too"),
        ("  rate: {", "  rte: {", r"f:9: parameters.rte: found an unknown setting, .*'rate'"),
        ("high: 1e-2", "hihg: 1e-2", r"f:9: parameters.rate.hihg: .*did you mean 'high'"),
        ("low: 1e-4", "low: 1", r"f:9: parameters.rate.low: found 1.*, expected at most high"),
        ("low: 1e-4", "low: 0", r"f:9: parameters.rate.low: found 0.*, expected a value above 0"),
        ("low: 1e-4", "low: abc", r"f:9: parameters.rate.low: found 'abc', expected a valid num"),
        ("high: 1e-2", "high: .inf", r"f:9: parameters.rate.high: found inf, expected a finite"),
        ("default: 1e-3", "default: 1", r"f:9: parameters.rate.default: found 1.*expected a val"),
        (", default: 1e-3", "", r"f:9: parameters.rate.default: found nothing, expected a value"),
        ("log: true, ", "log: true, step: 1e-4, ", r"f:9: parameters.rate.step: .*no step on a"),
        ("type: categorical\n", "type: choice\n", r"f:11: parameters.patch.type: found 'choice'"),
        ("[128, 256, 512]", "[128, 128, 512]", r"f:12: parameters.patch.choices: found 128, exp"),
        ("[128, 256, 512]", "[]", r"f:12: parameters.patch.choices: found \[\], expected"),
        ("default: 512", "default: 64", r"f:13: parameters.patch.default: found 64, expected one"),
        ("high: 0.5", "high: 0.6", r"f:8: parameters.overlap.high: found 0.6, expected low \(0"),
        ("high: 6", "high: 6.5", r"f:14: parameters.depth.high: found 6.5, expected a valid int"),
        ("{patch: [128, 256]}", "{pach: 1}", r"f:8: parameters.overlap.when.pach: .*'patch'"),
        ("{patch: [128, 256]}", "{patch: 64}", r"f:8: parameters.overlap.when.patch: found 64, e"),
        (
            "default: 512",
            "default: 512\n    when: {overlap: 0.25}",
            r"parameters.\w+.when: found a circle \(\w+ -> \w+ -> \w+\), expected none",
        ),
        (
            "fixed: {network: unet}",
            "pruner: {name: median, n_warmup: 3}\nfixed: {}",
            r"f:6: pruner.n_warmup: found an unknown key, did you mean 'n_warmup_\w+'",
        ),
        (
            "fixed: {network: unet}",
            "pruner: {name: medan}",
            r"f:6: pruner.name: found 'medan', did you mean 'median'",
        ),
        (
            "fixed: {network: unet}",
            "pruner: median",
            r"f:6: pruner: found 'median', expected a",
        ),
        (
            "fixed: {network: unet}",
            "pruner: {name: hyperband}",
            r"f:6: pruner.max_resource: found nothing",
        ),
        (
            "fixed: {network: unet}",
            "pruner: {name: threshold}",
            r"f:6: pruner.lower: found None, expected `lower`",
        ),
        ("fixed: {network: unet}", "name: twice", r"f:6: name: found a second time, .*line 1"),
        ("fixed: {network: unet}", "fixd: {}", r"f:6: fixd: found an unknown key, .*'fixed'"),
        ("fixed: {network: unet}", "fixed: {", r"f:\d+: not YAML: "),
        ("fixed: {network: unet}", "fixed: !!python/object:os.system {}", r"f:6: not YAML: could"),
        ("candidates:\n", "candidates:\n  - {}\n  - {}\n  - {}\n  - {}\n", r"f:4: candidates: fo"),
    ],
)
def test_every_mistake_names_file_line_and_key(old: str, new: str, message: str) -> None:
    known = ["network", "rate", "overlap", "patch", "depth", "answer"]
    with pytest.raises(SpaceError, match=message):
        parse_space(edited(old, new), "f", known=known, metrics={"dice": "maximize"})


def test_several_mistakes_are_told_at_once() -> None:
    text = edited("low: 1e-4", "low: 1").replace("default: 512", "default: 64")
    both = r"f:9: parameters\.rate\.low: .*\nf:13: parameters\.patch\.default: "
    with pytest.raises(SpaceError, match=both):
        parse_space(text, "f")


@pytest.mark.parametrize("text", ["", "- a\n", "just words\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match="f:1: found no keys, expected a mapping"):
        parse_space(text, "f")


def test_loading_by_path_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert load_space(path).name == "small"
    assert load_space("attention_unet").name == "attention_unet"
    with pytest.raises(SpaceError, match=r"attention_unt: found neither .*'attention_unet'"):
        load_space("attention_unt")


@pytest.mark.parametrize("name", sorted(shipped_spaces()))
def test_shipped_spaces_hold_settings_that_exist(name: str) -> None:
    known = [field.name for field in dataclasses.fields(FoldSettings)]
    space = load_space(name, known=known)
    space.pruner.build()
    FoldSettings.from_mapping(space.complete(space.defaults()))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        FoldSettings.from_mapping(space.suggest(study.ask()))


#: The plan of the expert report: what each of its rows changes of the current state. `context` is
#: `input` with a wider view, and no part of the whole plan.
PLAN = {
    "input": {"image_size", "patch_size"},
    "context": {"image_size", "patch_size", "context_factor", "position_channels"},
    "network": {"network"},
    "loss": {"dice_weight"},
    "augmentation": {"augmentation_strength"},
    "early stopping": {"patience"},
    "schedule": {"schedule"},
    "regularisation": {"dropout", "weight_decay"},
}
CURRENT_STATE = {
    "patch_size": 0,
    "context_factor": 0,
    "position_channels": False,
    "network": "unet",
    "dice_weight": 0,
    "augmentation_strength": 0,
    "schedule": "constant",
    "dropout": 0,
    "weight_decay": 0,
}


@pytest.mark.parametrize("name", ["report_ablation", "report_ablation_cpu"])
def test_an_ablation_changes_one_row_of_the_plan_at_a_time_and_then_all(name: str) -> None:
    space = load_space(name)
    defaults = space.defaults()
    assert {key: defaults[key] for key in CURRENT_STATE} == CURRENT_STATE
    assert defaults["patience"] == space.fixed["max_epochs"]  # no early stopping
    *rows, whole = [
        {key: value for key, value in one.items() if value != defaults[key]}
        for one in space.candidates
    ]
    assert [set(row) for row in rows] == list(PLAN.values())
    changes = dict(zip(PLAN, rows, strict=True))
    assert changes["context"].items() >= changes["input"].items()
    del changes["context"]
    assert whole == {key: value for row in changes.values() for key, value in row.items()}
    # Nothing is left to the sampler, nothing is stopped: the table is whole.
    assert space.policy.num_trials == 1 + len(space.candidates)
    assert (space.policy.name, space.pruner.name) == ("standard", "none")


def test_the_input_space_asks_for_every_size_once_and_is_else_the_shipped_one() -> None:
    space = effective_space("input", Overrides())  # checks every configuration
    trained = [(one["image_size"], one["patch_size"]) for one in space.candidates]
    trained.insert(0, (space.defaults()["image_size"], space.defaults()["patch_size"]))
    every = set(itertools.product((256, 512, 1024), (0, 128, 256)))
    assert sorted(trained) == sorted(every - {(256, 256)})  # which is (256, 0) again
    assert space.policy.num_trials == len(trained)
    shipped = load_space("attention_unet")
    asked = {"image_size", "patch_size"}
    other = {key: value for key, value in shipped.complete({}).items() if key not in asked}
    assert {key: value for key, value in space.complete({}).items() if key not in asked} == other
    assert space.inference == shipped.inference
    assert space.objective.metric == shipped.objective.metric


def test_the_shipped_wave_looks_after_a_third_of_a_fold_and_its_sampler_learns() -> None:
    space = load_space("attention_unet")
    assert space.policy.looks() == (space.fixed["max_epochs"] // 3,)
    # Or a trial would be judged by its held fold beside others by the mean of three epochs.
    assert space.policy.looks()[0] <= space.fixed["patience"]
    assert space.policy.most_complete() == 15  # fourteen, and the default
    assert (space.sampler.name, space.pruner.name) == ("tpe", "none")
    fewer = effective_space("attention_unet", Overrides(num_trials=20))
    assert fewer.policy.most_complete() == 9  # 8, and the default


def test_choices_for_inference_are_no_parameters_and_the_cheapest_comes_first() -> None:
    space = load_space("attention_unet")
    assert space.inference == ({"overlap": 0.25}, {"overlap": 0.5})
    assert "overlap" not in space.distributions()
    assert space.complete(space.defaults())["overlap"] == 0.25
    both = parse_space(MINIMAL + "inference: {tta: [true, false], overlap: [0.5, 0]}\n", "f")
    assert both.inference == (
        {"overlap": 0.0, "tta": False},
        {"overlap": 0.0, "tta": True},
        {"overlap": 0.5, "tta": False},
        {"overlap": 0.5, "tta": True},
    )
    assert both.digest != parse_space(MINIMAL, "f").digest
    whole = "inference: {whole_image: [true, false], overlap: [0.5, 0.25]}\n"
    assert parse_space(MINIMAL + whole, "f").inference == (
        {"overlap": 0.25, "whole_image": False},
        {"overlap": 0.25, "whole_image": True},  # which has no overlap
        {"overlap": 0.5, "whole_image": False},
    )


MINIMAL = """\
name: minimal
objective: {metric: dice}
parameters:
  learning_rate: {type: float, low: 1e-4, high: 1e-2, log: true, default: 1e-3}
"""


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "  tta: {type: categorical, choices: [false, true], default: false}\n",
            r"f:5: parameters.tta: .*under `inference`",
        ),
        ("inference: {overlap: [0.5, 0.5]}\n", r"f:5: inference.overlap: .*none of them twice"),
        ("inference: {tta: []}\n", r"f:5: inference.tta: found \[\], expected at least one"),
        ("inference: {threshold: [0.5]}\n", r"inference.threshold: found an unknown key"),
        ("fixed: {tta: true}\ninference: {tta: [true]}\n", r"inference.tta: found in `fixed` too"),
    ],
)
def test_what_is_wrong_with_choices_for_inference(more: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        parse_space(MINIMAL + more, "f", known=["learning_rate", "tta", "overlap"])


def test_expected_improvement_ends_by_its_own_estimate_unless_told_otherwise() -> None:
    def policy(text: str) -> PolicySpec:
        old = "{name: greedy, num_trials: 5, num_completions: 2}"
        return parse_space(edited(old, text), "small.yaml").policy

    alone = policy("{name: expected_improvement}")
    assert (alone.min_gain, alone.num_completions) == (MIN_GAIN, None)
    counted = policy("{name: expected_improvement, num_completions: 3}")
    assert (counted.min_gain, counted.num_completions) == (None, 3)
    other = policy("{name: expected_improvement, min_gain: 1.5}")
    assert (other.min_gain, other.num_completions) == (1.5, None)
    endless = policy("{name: expected_improvement, min_gain: null}")
    assert (endless.min_gain, endless.num_completions) == (None, 10)


def test_a_sweep_begun_with_a_number_of_folds_for_its_pruner_goes_on() -> None:
    space = parse_space(f"{GOOD}pruner: {{name: paired_folds, num_folds: 5}}\n", "ledger")
    assert "num_folds" not in space.pruner.model_dump()
    space.pruner.build()
