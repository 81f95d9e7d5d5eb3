"""The files in examples/deploy are valid, let a service do no more than it needs, and name real settings."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from embedder.bulk import Shard
from service import KeyFile, KeyFileError, KeyGrant
from service.settings import Settings
from visavis.cli.embed import embed

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "examples" / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
UNIT = DEPLOY / "systemd" / "visavis.service"
KUBERNETES = "1.33"
MAX_EXPOSURE = 20  # of 100, in tenths of systemd's figure


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _rendered() -> Iterator[dict[str, Any]]:
    """The objects as kubectl sends them; without kubectl, as they stand in the files."""
    folder = DEPLOY / "kubernetes"
    if shutil.which("kubectl"):
        ran = _run("kubectl", "kustomize", str(folder))
        assert ran.returncode == 0, ran.stderr
        yield from yaml.safe_load_all(ran.stdout)
    else:
        for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
            yield yaml.safe_load((folder / name).read_text())


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in _rendered()}


@pytest.fixture(scope="module")
def pod(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]
    return found


def test_the_manifests_are_valid(objects: dict[str, dict[str, Any]]) -> None:
    assert set(objects) == {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"
    }  # fmt: skip
    for each in objects.values():
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


def test_the_schemas_find_a_slip(objects: dict[str, dict[str, Any]]) -> None:
    wrong = {**objects["Service"], "spec": {"port": [{"port": 80}]}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_the_pod_may_do_nothing_but_serve(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_kubernetes_sets_no_variables_that_look_like_settings(pod: dict[str, Any]) -> None:
    assert pod["enableServiceLinks"] is False


def test_keys_come_from_a_secret_by_a_path_that_is_no_link(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    (path,) = [each["value"] for each in container["env"] if each["name"] == "VISAVIS_KEYS"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "keys"]
    assert path == f"{mount['mountPath']}/..data/keys.json"
    assert pod["volumes"][0]["secret"] == {"secretName": "visavis-keys", "defaultMode": 0o440}


def test_keys_are_read_as_kubernetes_mounts_a_secret(tmp_path: Path) -> None:
    (tmp_path / "..2026_11_29").mkdir()
    KeyFile(tmp_path / "..2026_11_29" / "keys.json").create(KeyGrant("app", ("verify",)))
    (tmp_path / "..data").symlink_to("..2026_11_29")
    (tmp_path / "keys.json").symlink_to("..data/keys.json")
    assert len(KeyFile(tmp_path / "..data" / "keys.json").read()) == 1
    with pytest.raises(KeyFileError):
        KeyFile(tmp_path / "keys.json").read()


def test_probes_ask_for_health_and_readiness(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}


def test_no_packet_leaves_the_pod(objects: dict[str, dict[str, Any]]) -> None:
    policy = objects["NetworkPolicy"]["spec"]
    assert policy["egress"] == []
    assert "Egress" in policy["policyTypes"]


def test_all_objects_select_the_same_pods(objects: dict[str, dict[str, Any]]) -> None:
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/name": "visavis"}
    assert objects["Deployment"]["spec"]["selector"] == {"matchLabels": labels}
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"] == {"matchLabels": labels}
    assert objects["NetworkPolicy"]["spec"]["podSelector"] == {"matchLabels": labels}
    assert objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "visavis"


@pytest.fixture(scope="module")
def shards() -> list[dict[str, Any]]:
    """The Job of shards and the policy of its pods, then the Job that joins them."""
    files = (DEPLOY / "kubernetes" / name for name in ("embed-shards.yaml", "embed-merge.yaml"))
    return [each for file in files for each in yaml.safe_load_all(file.read_text())]


def test_the_jobs_of_shards_are_valid_and_may_do_nothing_else(
    shards: list[dict[str, Any]], pod: dict[str, Any]
) -> None:
    assert [each["kind"] for each in shards] == ["Job", "NetworkPolicy", "Job"]
    for each in shards:
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    shard, policy, merge = (each["spec"] for each in shards)
    assert (policy["ingress"], policy["egress"]) == ([], [])
    for job in (shard["template"], merge["template"]):
        assert job["metadata"]["labels"] == policy["podSelector"]["matchLabels"]
        for key in ("automountServiceAccountToken", "enableServiceLinks", "securityContext"):
            assert job["spec"][key] == pod[key]
        assert job["spec"]["containers"][0]["securityContext"] == pod["containers"][0]["securityContext"]


def test_each_pod_of_the_indexed_job_embeds_a_shard_of_its_own(shards: list[dict[str, Any]]) -> None:
    n_shards = shards[0]["spec"]["completions"]
    args = shards[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[:2] == ["visavis", "embed"]
    for index in range(n_shards):
        words = [word.replace("$(JOB_COMPLETION_INDEX)", str(index)) for word in args[2:]]
        given = embed.make_context("embed", words).params
        assert given["shard"] == Shard(index, n_shards)
        assert given["out"] == f"/embeddings/shard-{index}"


@pytest.fixture(scope="module")
def ray_job() -> tuple[dict[str, Any], dict[str, Any]]:
    """The job and its network policy."""
    job, policy = yaml.safe_load_all((DEPLOY / "kubernetes" / "ray-job.yaml").read_text())
    return job, policy


def _ray_groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_the_ray_job_has_fields_that_kuberay_knows(ray_job: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Kubernetes' schemas have no RayJob; these are fields of ray.io/v1."""
    job, policy = ray_job
    kubernetes_validate.validate(policy, KUBERNETES, strict=True)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert set(spec) == {
        "entrypoint", "submissionMode", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished",
        "rayClusterSpec",
    }  # fmt: skip
    assert spec["submissionMode"] == "HTTPMode"
    assert set(spec["rayClusterSpec"]) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    head, *workers = _ray_groups(job)
    assert set(head) == {"rayStartParams", "template"}
    for group in workers:
        assert set(group) == {*head, "groupName", "replicas", "minReplicas", "maxReplicas"}
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert all(isinstance(value, str) for group in (head, *workers) for value in group["rayStartParams"].values())


def test_the_ray_job_runs_the_version_of_ray_that_is_tested(ray_job: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert f"\nray=={ray_job[0]['spec']['rayClusterSpec']['rayVersion']}\n" in (PROJECT / "constraints.txt").read_text()


def test_the_ray_jobs_command_has_options_that_exist(ray_job: tuple[dict[str, Any], dict[str, Any]]) -> None:
    program, command, *words = ray_job[0]["spec"]["entrypoint"].split()
    assert (program, command) == ("visavis", "embed")
    assert embed.make_context(command, words).params["engine"] == "ray"


def test_the_pods_of_a_ray_job_are_valid_and_may_do_nothing_but_embed(
    ray_job: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    job, policy = ray_job
    for group in _ray_groups(job):
        template = group["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **template["metadata"]}}
        kubernetes_validate.validate({**pod, "spec": template["spec"]}, KUBERNETES, strict=True)
        assert template["metadata"]["labels"] == policy["spec"]["podSelector"]["matchLabels"]
        (container,) = template["spec"]["containers"]
        assert template["spec"]["automountServiceAccountToken"] is False
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {each["mountPath"] for each in container["volumeMounts"]} == {"/tmp", "/dev/shm"}  # noqa: S108 - in a pod
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]


def test_packets_of_a_ray_job_go_to_its_pods_to_dns_and_to_the_store(
    ray_job: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    own, dns, store = ray_job[1]["spec"]["egress"]
    assert own == {"to": [{"podSelector": ray_job[1]["spec"]["podSelector"]}]}
    assert {each["port"] for each in dns["ports"]} == {53}
    assert store == {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443}]}


def test_the_compose_file_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    checked = _run(*command)
    assert checked.returncode == 0, checked.stdout


def test_the_containers_may_do_nothing_but_serve() -> None:
    for service in yaml.safe_load(COMPOSE.read_text())["services"].values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == "65534:65534"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_new_volumes_belong_to_the_user_of_the_containers() -> None:
    """A volume takes its owner from the image; without such a folder there it would belong to root."""
    volumes = [
        each for service in yaml.safe_load(COMPOSE.read_text())["services"].values() for each in service["volumes"]
    ]
    made = re.search(r"install -d -m 700 -o 65534 -g 65534 (.*)", (PROJECT / "Dockerfile").read_text())
    assert made is not None
    assert {volume.split(":")[1] for volume in volumes} == set(made[1].split())


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that exists here."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/visavis/bin/visavis", sys.executable))
    return path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_valid_and_hardened(unit: Path) -> None:
    verified = _run("systemd-analyze", "verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")
    security = _run("systemd-analyze", "security", "--offline=yes", f"--threshold={MAX_EXPOSURE}", str(unit))
    assert security.returncode == 0, security.stdout.splitlines()[-1]


def test_every_variable_in_the_examples_is_a_setting() -> None:
    texts = [path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*") if path.is_file()]
    named = {
        name
        for text in texts
        for name in re.findall(r"^\s*(?:- name: |Environment=)?(VISAVIS_[A-Z_]+)", text, re.MULTILINE)
    }
    assert len(named) > 3
    assert named <= {f"VISAVIS_{name.upper()}" for name in Settings.model_fields}


ISOLATED = """
set -e
ip link set lo up
mount --make-rprivate /
mount -t tmpfs tmpfs /tmp
mount -o remount,ro,bind /
exec setpriv --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
"""
ASK_ONCE = """
import re, subprocess, sys
import httpx2
command = [sys.executable, "-c", "from visavis.cli.serve import serve; serve()", "--port", "0"]
service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
url = next(found[1] for line in service.stderr if (found := re.search(r"ready on (http://\\S+)", line)))
photos = {part: open(path, "rb").read() for part, path in zip(("probe", "reference"), sys.argv[1:])}
print(httpx2.post(f"{url}/v1/verify", files=photos, timeout=60).json()["same"])
service.terminate()
print(service.wait(30))
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can isolate a process")
def test_a_service_needs_neither_a_writable_disk_nor_capabilities_nor_a_network(examples: Path) -> None:
    photos = [str(examples / f"001-{name}.jpg") for name in ("neutral", "smiling")]
    isolated = ["unshare", "-mn", "bash", "-c", ISOLATED, "isolated"]
    ran = _run(*isolated, sys.executable, "-c", ASK_ONCE, *photos)
    assert ran.stdout.split() == ["True", "0"], ran.stderr
