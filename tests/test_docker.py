"""The Docker files, as far as they can be checked where no Docker engine runs."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.odd_servers import answering
from support.weights_hub import Hub

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
COMPOSE_FILES = sorted(DOCKER.glob("docker-compose*.yml"))


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load((DOCKER / "docker-compose.yml").read_text())["services"])


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions as (name, arguments), one list per stage."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, arguments.strip()))
    return found


def test_the_image_does_not_run_as_root(stages: list[list[tuple[str, str]]]) -> None:
    users = [arguments for name, arguments in stages[-1] if name == "USER"]
    assert users and users[-1] not in ("root", "0")


def test_the_image_looks_after_its_health(stages: list[list[tuple[str, str]]]) -> None:
    assert any(name == "HEALTHCHECK" and "/health" in arguments for name, arguments in stages[-1])


def test_the_image_is_installed_by_the_script_that_make_uses(stages: list[list[tuple[str, str]]]) -> None:
    assert any(name == "RUN" and 'docker/install.sh --sdk "$SDK"' in arguments for name, arguments in stages[0])
    assert {("ARG", "SDK=1.0.9"), ("ARG", "EXTRAS="), ("ARG", "TORCH_INDEX="), ("ARG", "ENCODER=")} <= set(stages[0])
    assert "docker/install.sh" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({}, []),
        ({"EXTRAS": "postgresql"}, ["--extra", "postgresql"]),
        ({"EXTRAS": "postgresql strategies"}, ["--extra", "postgresql", "--extra", "strategies"]),
        ({"TORCH_INDEX": "http://a/cpu"}, ["--torch-index", "http://a/cpu"]),
    ],
)
def test_the_image_has_what_is_asked_for(
    stages: list[list[tuple[str, str]]], variables: dict[str, str], options: list[str]
) -> None:
    (run,) = (arguments for name, arguments in stages[0] if name == "RUN" and "install.sh" in arguments)
    command = run[run.index("docker/install.sh") :].replace("docker/install.sh", "echo")
    environment = {"SDK": "2.x", "EXTRAS": "", "TORCH_INDEX": "", "PATH": os.environ["PATH"]} | variables
    asked = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert asked.stdout.split() == ["--sdk", "2.x", *options, "/opt/pt4al/bin/python"]


@pytest.mark.parametrize("encoder", ["", "test_vit"])
def test_the_weights_of_an_encoder_are_baked_in(
    stages: list[list[tuple[str, str]]], tmp_path: Path, encoder: str
) -> None:
    (run,) = (arguments for name, arguments in stages[0] if name == "RUN" and "fetch_encoder" in arguments)
    command = run.replace("/opt/pt4al/bin/python", sys.executable).replace("/opt/pt4al/hub", str(tmp_path / "hub"))
    hub = Hub(b"weights")
    with answering(hub.answer) as server:
        environment = os.environ | {"ENCODER": encoder, "HF_ENDPOINT": server.url, "PYTHONPATH": str(ROOT)}
        subprocess.run(["sh", "-c", command], env=environment, check=True, cwd=tmp_path)
    assert hub.downloads == (encoder != "")
    found = [path.read_bytes() for path in (tmp_path / "hub").rglob("model.safetensors")]
    assert found == [b"weights"] * hub.downloads
    (values,) = (arguments for name, arguments in stages[-1] if name == "ENV")
    assert {"PT4AL_ENCODER=${ENCODER:-auto}", "HF_HUB_CACHE=/opt/pt4al/hub"} <= set(values.split())
    assert ("ARG", "ENCODER=") in stages[-1]


def test_nothing_forks_after_loading_cuda() -> None:
    files = [DOCKER / "Dockerfile", *COMPOSE_FILES]  # fact 27
    assert [file.name for file in files if "--preload" in file.read_text()] == []


def test_what_is_copied_exists_and_reaches_the_build(stages: list[list[tuple[str, str]]]) -> None:
    patterns = (ROOT / ".dockerignore").read_text().split()
    let_in = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    assert patterns[0] == "*"
    for stage in stages:
        for name, arguments in stage:
            assert name != "ADD", "COPY does all that is needed, and fetches nothing"
            if name == "COPY" and not arguments.startswith("--from"):
                for source in arguments.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert any(fnmatch.fnmatch(source.rstrip("/"), pattern) for pattern in let_in), source


def test_compose_lets_label_studio_reach_the_backend(services: dict[str, dict[str, Any]]) -> None:
    label_studio = services["label-studio"]
    assert label_studio["image"] == "heartexlabs/label-studio:1.23.2"
    assert label_studio["environment"]["ML_BLOCK_LOCAL_IP"] == "false"  # fact 16
    assert label_studio["environment"]["SSRF_PROTECTION_ENABLED"] == "false"  # fact 17


def test_compose_has_the_label_studio_that_make_installs(services: dict[str, dict[str, Any]]) -> None:
    version = services["label-studio"]["image"].partition(":")[2]
    assert f"LABEL_STUDIO := {version}\n" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", ["web", "worker"])
def test_compose_runs_the_two_halves_on_one_volume(services: dict[str, dict[str, Any]], name: str) -> None:
    service = services[name]
    assert service["command"] == ["pt4al-backend", name]
    assert service["volumes"] == ["pt4al-data:/data"]
    assert service["depends_on"] == {"label-studio": {"condition": "service_healthy"}}
    assert service["environment"]["LABEL_STUDIO_URL"] == "http://label-studio:8080"


def test_one_service_builds_an_image_and_nobody_pulls_it(services: dict[str, dict[str, Any]]) -> None:
    # Two that build one tag at once fail on the containerd image store: "image already exists".
    building = [service["image"] for service in services.values() if "build" in service]
    assert building == ["pt4al-backend"]
    without = [name for name, service in services.items() if service["image"] in building and "build" not in service]
    assert without == ["worker"]
    assert services["worker"]["pull_policy"] == "never"


def test_the_least_version_of_compose_is_told() -> None:
    # env_file with `required` came with 2.24; nothing in the files is younger.
    assert "Needs Docker Compose 2.24 " in (DOCKER / "docker-compose.yml").read_text()
    assert "Docker Compose 2.24 or newer" in (ROOT / "docs" / "install.md").read_text()


@pytest.mark.parametrize("name", ["web", "worker"])
def test_our_services_can_do_no_more_than_they_need(services: dict[str, dict[str, Any]], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"(\$\{WORKER_MEMORY:-)?\dg\}?", service["mem_limit"])
    assert service["tmpfs"] == ["/tmp:size=512m"]
    assert service["environment"]["HOME"] == "/tmp"  # where libraries put their caches


def test_a_gpu_is_an_override_away(services: dict[str, dict[str, Any]]) -> None:
    override = yaml.safe_load((DOCKER / "docker-compose.gpu.yml").read_text())["services"]
    assert override.keys() <= services.keys()
    (device,) = override["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert "-f docker/docker-compose.gpu.yml" in (ROOT / "docs" / "install.md").read_text()


@pytest.mark.parametrize("name", ["web", "worker"])
def test_every_setting_may_stand_in_the_file_of_variables(services: dict[str, dict[str, Any]], name: str) -> None:
    service = services[name]
    assert service["env_file"] == [{"path": ".env", "required": False}]
    # these mean something else there
    assert service["environment"]["PT4AL_PORT"] == "9090"
    assert service["environment"]["LABEL_STUDIO_PASSWORD"] == ""
    assert all(port.endswith(":9090") for port in service.get("ports", []))


def test_the_dashboard_links_to_where_a_browser_finds_label_studio(services: dict[str, dict[str, Any]]) -> None:
    port = services["label-studio"]["ports"][0].partition("}:")[2].removesuffix(":8080")
    assert port.startswith("${LABEL_STUDIO_PORT")
    address = services["web"]["environment"]["PT4AL_LABEL_STUDIO_LINK"]
    assert address == f"${{PT4AL_LABEL_STUDIO_LINK:-http://localhost:{port}}}"


def test_compose_opens_ports_on_this_machine_only_unless_it_is_told(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    local = ("127.0.0.1:", "${LABEL_STUDIO_BIND:-127.0.0.1}:")
    assert len(ports) == 2 and all(port.startswith(local) for port in ports)
    assert "\nLABEL_STUDIO_BIND=127.0.0.1\n" in (DOCKER / ".env.example").read_text()


def test_every_variable_of_compose_is_in_the_example() -> None:
    used = {name for file in COMPOSE_FILES for name in re.findall(r"\$\{(\w+)", file.read_text())}
    named = set(re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text(), flags=re.M))
    assert used == named


@pytest.mark.parametrize("script", ["docker/install.sh", ".ci/run"])
def test_scripts_parse_and_may_be_run(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name the Python to install into"),
        (["--sdk", "3", "python"], "there is no SDK '3'; choose 1.0.9 or 2.x."),
        (["--sdc", "3", "python"], "unknown option '--sdc'"),
        (["--extra", "postgres", "python"], "there is no extra 'postgres'"),
    ],
)
def test_the_install_script_says_what_is_wrong(arguments: list[str], sentence: str) -> None:
    ended = subprocess.run([DOCKER / "install.sh", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert sentence in ended.stderr
