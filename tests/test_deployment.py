"""The files of `docker/` hold together; no engine reads them here, so structure is checked."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

DOCKER = Path(__file__).resolve().parent.parent / "docker"
KUBERAY = ("kuberay/raycluster.yaml", "kuberay/rayjob.yaml", "kuberay/rayjob-spot.yaml")
#: Started once and gone; nothing to ask for health.
ONE_SHOT = {"bucket"}
#: KubeRay's fields and what its operator refuses.
KUBERAY_SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parent / "data" / "kuberay.schema.json").read_text("utf-8"))
)


def read(name: str) -> Any:
    return yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))


COMPOSE = read("compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]


def leaves(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value with the key it stands under; for a container's variable, its name."""
    if isinstance(tree, dict):
        if set(tree) == {"name", "value"}:
            yield str(tree["name"]), str(tree["value"])
        else:
            for name, inner in tree.items():
                yield from leaves(inner, str(name))
    elif isinstance(tree, list):
        for inner in tree:
            yield from leaves(inner, key)
    else:
        yield key, str(tree)


def test_ray_up_accepts_its_file() -> None:
    content = read("ray-cluster.yaml")
    schema = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    jsonschema.validate(content, json.loads(schema.read_text(encoding="utf-8")))
    whole = prepare_config(content)  # as `ray up` does before it connects anywhere
    validate_config(whole)
    node = whole["available_node_types"][whole["head_node_type"]]
    assert node["min_workers"] == len(content["provider"]["worker_ips"])
    starts = content["head_start_ray_commands"] + content["worker_start_ray_commands"]
    assert sum("ray-node" in command for command in starts) == 2
    (head,) = [one for one in content["head_start_ray_commands"] if "ray-node" in one]
    assert head.endswith(" --autoscaling-config=~/ray_bootstrap_config.yaml")  # starts the workers
    assert any("/run/secrets/ray_token:ro" in one for one in content["docker"]["run_options"])


def test_compose_accepts_its_file() -> None:
    places = resources.files("check_jsonschema.builtin_schemas") / "vendor" / "compose-spec.json"
    schema = json.loads(places.read_text(encoding="utf-8"))
    jsonschema.validate(COMPOSE, schema)
    with pytest.raises(jsonschema.ValidationError, match="'imagine' was unexpected"):
        jsonschema.validate({"services": {"mlflow": {"imagine": "a typing error"}}}, schema)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_uses_what_is_defined(name: str) -> None:
    service = SERVICES[name]
    secrets = [one if isinstance(one, str) else one["source"] for one in service.get("secrets", [])]
    assert set(secrets) <= set(COMPOSE["secrets"])
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (DOCKER / source).exists(), volume
    read_from = [value for _, value in leaves(service) if value.startswith("/run/secrets/")]
    for path in read_from:
        assert Path(path).name in secrets, f"{path} is no secret of {name}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed_and_tells_its_health(name: str) -> None:
    service = SERVICES[name]
    for port in service.get("ports", []):
        assert str(port).startswith("127.0.0.1:"), f"{port} is open to the network"
    if name not in ONE_SHOT:
        assert service["healthcheck"]["test"]
    for other, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how["condition"] == wanted
    assert not service.get("privileged")
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_images_have_versions_and_ours_the_one_of_the_package() -> None:
    images = [value for key, value in leaves(SERVICES) if key == "image"]
    assert len(images) == len(SERVICES)
    images += [pod["containers"][0]["image"] for pod in pods()]
    images.append(read("ray-cluster.yaml")["docker"]["image"])
    assert all(re.search(r":\d+\.\d+", image) for image in images), images
    project = tomllib.loads((DOCKER.parent / "pyproject.toml").read_text(encoding="utf-8"))
    ours = {image.removesuffix("-ssh") for image in images if image.startswith("ptxsweep:")}
    assert ours == {f"ptxsweep:{project['project']['version']}"}


def test_compose_defines_only_secrets_that_the_script_makes(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    subprocess.run([DOCKER / "bin" / "make-secrets", folder], check=True)
    for secret in COMPOSE["secrets"].values():
        assert (folder / Path(secret["file"]).name).stat().st_size > 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    passwords = [(folder / name).read_text("utf-8") for name in ("ray_token", "mlflow_password")]
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in passwords)
    assert len(set(passwords)) == 2
    before = (folder / "ledger").read_bytes()
    subprocess.run([DOCKER / "bin" / "make-secrets", folder], check=True)
    assert (folder / "ledger").read_bytes() == before


@pytest.mark.parametrize("name", ["compose.yaml", "ray-cluster.yaml", *KUBERAY])
def test_no_password_stands_in_a_file(name: str) -> None:
    for key, value in leaves(read(name)):
        assert not re.search(r"://[^/\s:@]+:[^/\s@]+@", value), f"{key}: an address with a password"
        if re.search("password|token|secret", key, re.IGNORECASE):
            named = re.fullmatch(r"/run/secrets/\w+|\./secrets/\w+|[a-z0-9_-]+", value)
            assert named or value.lower() in ("true", "false"), f"{key}: {value}"
        if re.search("PASSWORD|TOKEN|SECRET|CREDENTIAL|LEDGER", key):  # a variable: names a file
            assert value.startswith("/run/secrets/"), f"{key}: {value}"


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("mlflow-server",), "MLFLOW_BACKEND_STORE_URI_FILE"),
        (("mlflow-server",), "MLFLOW_AUTH_ADMIN_PASSWORD_FILE"),
        (("mlflow-server",), "MLFLOW_FLASK_SECRET_FILE"),
        (("ray-node", "head"), "RAY_AUTH_TOKEN_PATH"),
        (("ray-node", "health"), "RAY_AUTH_TOKEN_PATH"),
    ],
)
def test_nothing_starts_without_its_secret(
    words: tuple[str, ...], missing: str, tmp_path: Path
) -> None:
    """There are no defaults; the programs themselves are not even looked for."""
    (tmp_path / "known").write_text("known", encoding="utf-8")
    (tmp_path / "empty").touch()
    names = ("MLFLOW_BACKEND_STORE_URI_FILE", "MLFLOW_AUTH_ADMIN_PASSWORD_FILE",
             "MLFLOW_FLASK_SECRET_FILE", "RAY_AUTH_TOKEN_PATH")  # fmt: skip
    environment = {name: str(tmp_path / "known") for name in names}
    environment |= {missing: str(tmp_path / "empty"), "PATH": "/usr/bin:/bin"}
    environment["MLFLOW_STATE"] = str(tmp_path / "state")
    done = subprocess.run(
        [DOCKER / "bin" / words[0], *words[1:]], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert str(tmp_path / "empty") in done.stderr
    assert not (tmp_path / "state").exists()


def pods() -> list[dict[str, Any]]:
    """Of the cluster: head and worker; the submitter of a job there; head and worker of another."""
    cluster, job, spot = (read(name)["spec"] for name in KUBERAY)
    own, others = (
        [one["headGroupSpec"], *one["workerGroupSpecs"]]
        for one in (cluster, spot["rayClusterSpec"])
    )
    found = [[one["template"]["spec"] for one in groups] for groups in (own, others)]
    return [*found[0], job["submitterPodTemplate"]["spec"], *found[1]]


def test_pods_mount_what_they_define_and_run_without_rights() -> None:
    for pod in pods():
        volumes = {one["name"] for one in pod.get("volumes", [])}
        (container,) = pod["containers"]
        assert {one["name"] for one in container.get("volumeMounts", [])} == volumes
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False


def test_the_secrets_of_pods_are_those_the_comments_tell_to_make() -> None:
    text = (DOCKER / KUBERAY[0]).read_text(encoding="utf-8")
    told = set(re.findall(r"create secret generic (\S+)", text))
    used = {volume["secret"]["secretName"] for pod in pods() for volume in pod.get("volumes", [])
            if "secret" in volume}  # fmt: skip
    assert used | {read(KUBERAY[0])["spec"]["authOptions"]["secretName"]} == told
    head, worker, submitter, own_head, spot = pods()
    assert all("ptxsweep-driver" in str(one) for one in (head, own_head))
    assert not any("ptxsweep-driver" in str(one) for one in (worker, submitter, spot))
    job = read(KUBERAY[1])["spec"]
    assert job["clusterSelector"] == {"ray.io/cluster": read(KUBERAY[0])["metadata"]["name"]}


def pinned(package: str) -> str:
    """The version in constraints.txt."""
    pins = (DOCKER.parent / "constraints.txt").read_text(encoding="utf-8")
    (version,) = re.findall(rf"^{package}==(\S+)$", pins, re.MULTILINE)
    return str(version)


@pytest.mark.parametrize("name", KUBERAY)
def test_kuberay_accepts_its_file(name: str) -> None:
    KUBERAY_SCHEMA.check_schema(KUBERAY_SCHEMA.schema)
    KUBERAY_SCHEMA.validate(read(name))


@pytest.mark.parametrize(
    ("kind", "path", "value", "why"),
    [
        # The first one is refused beside `clusterSelector`.
        ("rayjob", "spec.backoffLimit", 2, "2 is greater than the maximum"),
        ("rayjob", "spec.suspend", True, "False was expected"),
        ("rayjob", "spec.submissionMode", "SidecarMode", "should not be valid"),
        ("rayjob", "spec.ttlSecondsAfterFinished", 60, "60 is greater than the maximum"),
        ("rayjob", "spec.clusterSelector", {"ray.io/cluster": ""}, "should be non-empty"),
        ("rayjob", "spec.entryPoint", "a typing error", "'entryPoint' was unexpected"),
        ("rayjob", "metadata.name", "Upper", "'Upper' does not match"),
        ("rayjob-spot", "spec.shutdownAfterJobFinishes", True, "False was expected"),
        ("rayjob-spot", "spec.clusterSelector", {"ray.io/cluster": "one"}, "is not valid|greater"),
        ("rayjob-spot", "spec.submitterConfig", {"backoffLimit": 2}, "False schema"),
        ("rayjob-spot", "spec.deletionStrategy", {}, "'deletionRules' is a required"),
        (
            "rayjob-spot",
            "spec.deletionStrategy.deletionRules.0.condition.jobStatus",
            "STOPPED",
            "not",
        ),
        (
            "rayjob-spot",
            "spec.deletionStrategy.deletionRules.0.condition",
            {},
            "under any of|not valid",
        ),
        ("rayjob-spot", "spec.rayClusterSpec.authOptions.enableK8sTokenAuth", True, "False was"),
        ("raycluster", "spec.rayVersion", 2.6, "is not of type 'string'"),
        ("raycluster", "spec.authOptions.mode", "tokens", "'tokens' is not one of"),
        ("raycluster", "spec.headGroupSpec.rayStartParams.num-cpus", 0, "not of type 'string'"),
        ("raycluster", "spec.headGroupSpec.rayStartParams.labels", "a=b", "not allow 'a=b'"),
        ("raycluster", "spec.headGroupSpec.resources", {"cpu": "1"}, "expected to be empty"),
        ("raycluster", "spec.headGroupSpec.template.spec.containers", [], "should be non-empty"),
        ("raycluster", "spec.workerGroupSpecs.0.minReplicas", None, "'minReplicas' is a required"),
    ],
)
def test_the_schema_refuses_what_kuberay_refuses(
    kind: str, path: str, value: Any, why: str
) -> None:
    content = inner = read(f"kuberay/{kind}.yaml")
    *steps, last = path.split(".")
    for step in steps:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    inner[last] = value
    if value is None:
        del inner[last]
    assert not KUBERAY_SCHEMA.is_valid(content)
    of_kind = {"$defs": KUBERAY_SCHEMA.schema["$defs"], "$ref": f"#/$defs/{content['kind']}"}
    with pytest.raises(jsonschema.ValidationError, match=why):
        KUBERAY_SCHEMA.evolve(schema=of_kind).validate(content)


def test_rules_of_deletion_come_in_order_and_once() -> None:
    """KubeRay refuses a cluster that goes before its workers, and two rules for one moment."""
    rules = read(KUBERAY[2])["spec"]["deletionStrategy"]["deletionRules"]
    order = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")
    seconds: dict[str, dict[str, int]] = {}
    for rule in rules:
        condition = dict(rule["condition"])
        after = condition.pop("ttlSeconds")
        assert seconds.setdefault(str(condition), {}).setdefault(rule["policy"], after) == after
    assert sum(map(len, seconds.values())) == len(rules)
    for found in seconds.values():
        assert [found[one] for one in order if one in found] == sorted(found.values())


def test_a_job_with_its_own_cluster_goes_through_a_queue_as_its_comment_says() -> None:
    """Kueue wants `shutdownAfterJobFinishes`, which KubeRay refuses beside rules of deletion."""
    text = (DOCKER / KUBERAY[2]).read_text(encoding="utf-8")
    label, line = re.findall(r"`([\w./-]+: \w+)`", text)
    content = read(KUBERAY[2])
    queued = KUBERAY_SCHEMA.evolve(
        schema={"$defs": KUBERAY_SCHEMA.schema["$defs"], "$ref": "#/$defs/queued"}
    )
    assert not queued.is_valid(content)
    content["metadata"]["labels"] = yaml.safe_load(label)
    assert not queued.is_valid(content)
    content["spec"] |= yaml.safe_load(line)
    assert not KUBERAY_SCHEMA.is_valid(content)
    del content["spec"]["deletionStrategy"]
    queued.validate(content)
    KUBERAY_SCHEMA.validate(content)


def test_the_cluster_takes_kubernetes_tokens_as_the_comment_says() -> None:
    text = (DOCKER / "kuberay/rbac.yaml").read_text(encoding="utf-8")
    account, asks, role, binding = yaml.safe_load_all(text)
    content = read(KUBERAY[0])
    (options,) = re.findall(r"^#   (authOptions: .*)$", text, re.MULTILINE)
    content["spec"] |= yaml.safe_load(options)
    for pod in pods()[:2]:
        pod |= {key: yaml.safe_load(value) for key, value in re.findall(r"`(\w+): (\w+)`", text)}
        assert pod["serviceAccountName"] == account["metadata"]["name"]
        assert pod["automountServiceAccountToken"] is True
        KUBERAY_SCHEMA.evolve(
            schema={"$defs": KUBERAY_SCHEMA.schema["$defs"], "$ref": "#/$defs/PodSpec"}
        ).validate(pod)
    KUBERAY_SCHEMA.validate(content)
    assert asks["roleRef"]["name"] == "system:auth-delegator"
    (rule,) = role["rules"]
    assert rule["resourceNames"] == [content["metadata"]["name"]]
    assert (rule["apiGroups"], rule["resources"]) == (["ray.io"], ["rayclusters"])
    assert rule["verbs"] == ["ray:write"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    for one in (asks, binding):
        assert [subject["name"] for subject in one["subjects"]] == [account["metadata"]["name"]]


def test_kuberay_starts_as_many_workers_as_it_may_with_the_ray_of_the_image() -> None:
    spec = read(KUBERAY[0])["spec"]
    assert read(KUBERAY[2])["spec"]["rayClusterSpec"]["rayVersion"] == spec["rayVersion"]
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert spec["rayVersion"] == pinned("ray")
    # Tokens since 2.52; since 2.53 the operator's probes need no wget, which the image has not.
    assert tuple(map(int, spec["rayVersion"].split("."))) >= (2, 53)


def test_ray_notices_a_lost_host_as_soon_everywhere() -> None:
    """Every setting that the entry script gives Ray, with its value, in every pod."""
    script = (DOCKER / "bin" / "ray-node").read_text(encoding="utf-8")
    wanted = dict(re.findall(r"export (RAY_[a-z_]+)=\"\$\{\w+:-(\d+)\}\"", script))
    assert len(wanted) == 5
    for pod in (one for one in pods() if one["containers"][0]["name"] != "submitter"):
        variables = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
        assert wanted.items() <= variables.items()


def test_torch_comes_from_its_index_alone_and_stays() -> None:
    """A second index would be one more place that may offer any package."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    assert "--extra-index-url" not in text
    runs = [" ".join(line.split()) for line in text.splitlines() if line.startswith("RUN")]
    steps = [step for line in runs for step in re.split(" && ", line) if "pip install" in step]
    assert all("--constraint constraints.txt" in step for step in steps)
    (indexed,) = [step for step in steps if "--index-url" in step]
    assert "--no-deps" in indexed
    assert indexed.endswith(" torch")
    assert steps.index(indexed) == 0  # what comes later finds torch there and keeps it
    pins = (DOCKER.parent / "constraints.txt").read_text(encoding="utf-8")
    assert re.search(r"^torch==\d+\.\d+\.\d+$", pins, re.MULTILINE)


def test_the_image_is_pinned_and_runs_without_rights() -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    image = r"python:3\.\d+\.\d+-slim-bookworm@sha256:[0-9a-f]{64}"
    assert re.search(rf"^ARG PYTHON_IMAGE={image}$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    final = text[text.rindex("\nFROM ") :]
    users = re.findall(r"^USER (\S+)$", final, re.MULTILINE)
    assert users[-1] not in ("0", "root")
    assert f"useradd --uid {users[-1]} " in final
    assert "EXPOSE" not in text
    for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"):
        assert f"{name}=/source/constraints.txt" in text


def test_a_login_shell_finds_our_programs() -> None:
    """`ray up` runs every command in one, and Debian's sets PATH anew."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    (line,) = re.findall(r"echo '(.*)' > /etc/profile\.d/\w+\.sh", text)
    (wanted,) = re.findall(r"^ENV (PATH=\S+) ", text[text.rindex("\nFROM ") :], re.MULTILINE)
    assert line == wanted


@pytest.mark.parametrize(
    ("by_name", "own", "given", "address"),
    [
        ("10.0.0.3", "10.0.0.3 172.17.0.1", "", "10.0.0.3"),
        ("127.0.1.1", "fd00::2 10.0.0.3 172.17.0.1", "", "10.0.0.3"),
        ("127.0.1.1", "10.0.0.3", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "", "127.0.0.1", "127.0.0.1"),
        ("127.0.1.1", "", "", None),
    ],
)
def test_a_host_names_an_address_that_others_reach(
    by_name: str, own: str, given: str, address: str | None, tmp_path: Path
) -> None:
    """With an invented `hostname` and a `ray` that shows its arguments."""
    programs = {
        "hostname": f'[ "$1" = -I ] && echo "{own}" || echo "{by_name}"',
        "ray": 'echo "$@"',
    }
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "token").write_text("known", encoding="utf-8")
    done = subprocess.run(
        [DOCKER / "bin" / "ray-node", "head", "--further"], capture_output=True, text=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PTXSWEEP_NODE_IP": given,
             "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")},
    )  # fmt: skip
    if address is None:
        assert done.returncode == 2
        assert "PTXSWEEP_NODE_IP" in done.stderr
    else:
        words = done.stdout.split()
        assert words[words.index("--node-ip-address") + 1] == address
        assert "--further" in words


def test_mlflow_asks_for_a_password_and_knows_its_names() -> None:
    script = (DOCKER / "bin" / "mlflow-server").read_text(encoding="utf-8")
    assert "--app-name basic-auth" in script
    assert "--allowed-hosts" in script
    names = SERVICES["mlflow"]["environment"]["MLFLOW_ALLOWED_HOSTS"].split(",")
    assert not {"*", ""} & set(names)
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["mlflow"]


def test_ray_asks_for_its_token_everywhere() -> None:
    assert read(KUBERAY[0])["spec"]["authOptions"]["mode"] == "token"
    assert "RAY_AUTH_MODE=token" in (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    assert "export RAY_AUTH_MODE=token" in (DOCKER / "bin" / "ray-node").read_text(encoding="utf-8")
    for name in ("ray-head", "ray-worker", "driver"):
        assert "ray_token" in SERVICES[name]["secrets"]
