"""The dashboard and the alert rules ask for metrics and labels that the service has, and each alert is explained."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.app import create_app
from service.problem_types import TABLE
from service.request_execution import Phase
from service.settings import Settings

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "examples/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "examples/grafana/visavis.json").read_text())
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
BY_PROMETHEUS = {"job", "instance"}  # labels that it adds to all
NAME = re.compile(r"\b(?:visavis|process)_[a-z_]+")
MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"')


@pytest.fixture(scope="module")
def names(embedder: FaceEmbedder, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    store = tmp_path_factory.mktemp("galleries") / "gallery.db"
    app = create_app(Settings(gallery=f"sqlite:///{store}"), embedder)
    with TestClient(app):  # which closes the store at its end
        families = list(text_string_to_metric_families(app.state.metrics.text().decode()))
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))}


def _matchers() -> Iterator[tuple[str, str]]:
    for expression in EXPRESSIONS:
        yield from ((name, value) for name, _, value in MATCHER.findall(expression) if "$" not in value)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_that_is_asked_for_exists(expression: str, names: set[str]) -> None:
    assert set(NAME.findall(expression)) <= names
    assert NAME.search(expression) or expression.startswith("up{")
    assert all(expression.count(one) == expression.count(other) for one, other in ("()", "[]", "{}"))


def test_every_label_and_its_values_are_those_of_the_service() -> None:
    known = {
        "code": {error.code for error in TABLE} | {""},
        "phase": {phase.name.lower() for phase in Phase},
        "stage": {"total", "search"},
        "outcome": {"match", "nobody"},
        "verdict": {"same", "different"},
        "status": {"500"},
        "job": {"visavis"},
        "route": {"/v1/verify", "/healthz", "/readyz", "/v1/galleries/{gallery}/identify"},
    }
    asked = list(_matchers())
    assert len(asked) > 10
    for name, value in asked:
        assert set(value.split("|")) <= known[name], name


def test_the_dashboard_groups_by_labels_of_the_metrics() -> None:
    groups = {
        label.strip()
        for each in EXPRESSIONS
        for found in re.findall(r"by \(([^)]*)\)", each)
        for label in found.split(",")
    }
    assert groups <= {"le", "status", "code", "stage", "phase", "verdict", "operating_point", "outcome", "kind"}


def test_the_dashboard_can_be_imported() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert {each["name"] for each in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_complete_and_explained(rule: dict[str, object]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert rule["annotations"]["summary"]  # type: ignore[index]
    assert re.fullmatch(r"\d+[mh]", str(rule.get("for", "1m")))
    assert f"| `{rule['alert']}` |" in (ROOT / "docs/operations.md").read_text()
