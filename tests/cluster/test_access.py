"""Who is let in: Ray by its token, MLflow by its password and its names, the dashboard from home.

Each refusal stands beside the same request in order, so that a dead server does not pass for a
careful one.
"""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from cluster import Cluster
from services import PASSWORD

_DASHBOARD_PORT = 8265


def _ask(url: str, **headers: str) -> int:
    """The HTTP status of a request for MLflow's experiments."""
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _signed(password: str) -> str:
    return "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()


def test_mlflow_wants_its_password_and_one_of_its_names(cluster: Cluster) -> None:
    url, known = cluster.mlflow.url, _signed(PASSWORD)
    assert _ask(url, Authorization=known) == 200
    assert _ask(url) == 401
    for password in ("wrong", "password1234", ""):  # the second is MLflow's own default
        assert _ask(url, Authorization=_signed(password)) == 401
    assert _ask(url, Authorization=known, Host="elsewhere.example") == 403


def test_ray_wants_its_token(cluster: Cluster) -> None:
    words = ("python", "-m", "sweep.cli", "doctor", "--address", f"{cluster.head.address}:6379")
    wrong = (
        {"RAY_AUTH_MODE": "disabled"},
        {"RAY_AUTH_TOKEN": "w" * 48, "RAY_AUTH_TOKEN_PATH": ""},
    )
    with ThreadPoolExecutor() as pool:  # Ray tries a wrong token for 20 s
        refused = list(pool.map(lambda more: cluster.driver.run(*words, more=more), wrong))
    for one in refused:
        assert one.returncode != 0
        assert "cannot join a Ray cluster" in one.stdout + one.stderr
        assert "RAY_AUTH_TOKEN" in one.stdout + one.stderr
    known = cluster.driver.run(*words)
    assert known.returncode == 0, known.stdout + known.stderr


def test_the_dashboard_answers_its_own_host_alone(cluster: Cluster) -> None:
    connect = "import socket, sys; socket.create_connection((sys.argv[1], {}), 5)"
    words = ("python", "-c", connect.format(_DASHBOARD_PORT))
    at_home = cluster.head.run(*words, "127.0.0.1")
    assert at_home.returncode == 0, at_home.stderr
    from_afar = cluster.driver.run(*words, cluster.head.address)
    assert from_afar.returncode != 0
    assert "refused" in from_afar.stderr


def test_a_host_says_whether_it_is_in_the_cluster(cluster: Cluster) -> None:
    for host in (cluster.head, cluster.b, cluster.driver):
        here = host.run("ray-node", "health")
        assert here.returncode == 0, here.stderr
    outside = cluster.network.add("outside", cluster.environment)
    there = outside.run("ray-node", "health")
    outside.power_off()
    assert there.returncode != 0
    assert "not in a cluster" in there.stderr
