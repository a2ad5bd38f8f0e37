"""What can be known of ``deploy/`` without Docker and without a GPU."""

import ast
import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.urls import URLPattern
from prometheus_client.parser import text_string_to_metric_families

from config import operating

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
# Of the services that are not ours, and of the tools.
FOREIGN = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"], "unknown": []}
IMAGE_COMMANDS = r"^(?:CMD|\s+CMD) (\[.*\])$"


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


@cache
def settings_read() -> frozenset[str]:
    """Return every name that the settings read from the environment."""
    calls = [
        node for node in ast.walk(ast.parse((ROOT / "config/settings.py").read_text())) if isinstance(node, ast.Call)
    ]
    return frozenset(
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    )


def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")


def expressions() -> list[str]:
    """Return every query of the dashboard, and of its variables."""
    dashboard = json.loads((DEPLOY / "grafana/parley.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return queries + [variable["query"]["query"] for variable in dashboard["templating"]["list"]]


def test_every_variable_of_the_site_is_a_setting() -> None:
    services = load("compose.yaml")["services"]
    (image,) = re.findall(r"^ENV (.*)$", dockerfile(), re.MULTILINE)
    given = {pair.partition("=")[0] for pair in shlex.split(image)}
    for service in ("site", "site-2", "migrate"):
        given |= services[service]["environment"].keys()
    assert "METRICS_TOKEN" in settings_read()
    assert given - FOREIGN <= settings_read()


def test_every_variable_of_the_compose_file_is_in_the_example_and_back() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    offered = set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))
    assert wanted == offered


def test_the_parts_of_the_compose_file_fit_together() -> None:
    compose = load("compose.yaml")
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            assert condition != "service_healthy" or "test" in services[needed]["healthcheck"]
            assert condition != "service_completed_successfully" or services[needed]["restart"] == "no"
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in compose["volumes"], name
        for config in service.get("configs", []):
            assert config["source"] in compose["configs"]
        # The network sees nothing by itself.
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert services["tgi"]["image"].endswith("text-generation-inference:3.3.7")
    # One GPU, one engine: the one whose profile is named.
    assert [name for name, service in services.items() if service.get("profiles") == [name]] == ["vllm", "tgi"]


def test_every_command_exists() -> None:
    known = get_commands()
    commands = [json.loads(command) for command in re.findall(IMAGE_COMMANDS, dockerfile(), re.MULTILINE)]
    commands += [service["command"] for service in load("compose.yaml")["services"].values() if "command" in service]
    managed = [command[2] for command in commands if command[:2] == ["python", "manage.py"]]
    assert set(managed) == {"serve", "migrate"}
    readme = (DEPLOY / "README.md").read_text()
    assert set(managed) | set(re.findall(r"manage\.py\s+(\w+)", readme)) <= known.keys()


def test_what_the_image_copies_and_runs_is_there() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*)$", dockerfile(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    kept = re.findall(r"^!(.*)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    for source in [*sources, *kept, "frontend/build.py", "manage.py"]:
        assert (ROOT / source).exists(), source
    assert set(sources) - {"."} <= set(kept)
    # A room that is forgotten would only be missed at run time.
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"} <= set(kept)
    assert re.findall(r"^USER (.*)$", dockerfile(), re.MULTILINE) == ["parley"]


def test_what_is_asked_of_the_site_has_an_address() -> None:
    site = load("compose.yaml")["services"]["site"]
    asked = re.findall(r"127\.0\.0\.1:8000(/\w*)", dockerfile() + str(site["healthcheck"]))
    patterns = [pattern for pattern in operating.http_urlpatterns if isinstance(pattern, URLPattern)]
    answered = {f"/{pattern.pattern}" for pattern in patterns}
    assert set(asked) == {"/healthz", "/readyz"}
    # `/health` is the name that other servers have for it.
    assert {*asked, "/health", "/metrics"} == answered


def test_prometheus_scrapes_services_that_are_there_with_the_token() -> None:
    compose, jobs = load("compose.yaml"), load("prometheus.yml")["scrape_configs"]
    for job in jobs:
        (target,) = job["static_configs"][0]["targets"]
        assert target.partition(":")[0] in compose["services"]
    (parley,) = [job for job in jobs if job["job_name"] == "parley"]
    (config,) = compose["services"]["prometheus"]["configs"]
    assert parley["authorization"]["credentials_file"] == config["target"]


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    (source,) = load("grafana/datasources.yml")["datasources"]
    services = load("compose.yaml")["services"]
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    (provider,) = load("grafana/dashboards.yml")["providers"]
    dashboard = json.loads((DEPLOY / "grafana/parley.json").read_text())
    assert f"{provider['options']['path']}/parley.json" in mounted
    assert source["url"].removeprefix("http://").partition(":")[0] in services
    named = [panel["datasource"] for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(each == {"type": "prometheus", "uid": source["uid"]} for each in named)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.parametrize("expression", expressions())
def test_every_series_of_the_dashboard_is_on_the_page(expression: str) -> None:
    families = text_string_to_metric_families(operating.render().decode())
    # A family is on the page from the start, its series with the first request.
    shown = {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}
    series = set(re.findall(r"\b(?:parley|process)_\w+", expression))
    assert series
    assert series <= shown
