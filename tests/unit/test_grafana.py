"""The files for Grafana fit together: dashboards, data sources, and the metrics that docs/metrics.md describes."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"
GRAFANA = DOCS / "grafana"
DASHBOARDS = sorted(GRAFANA.glob("dashboards/*.json"))
# Of the classic model, https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/.
FIELDS = {"uid", "title", "tags", "timezone", "time", "refresh", "schemaVersion", "templating", "annotations", "panels"}
PANEL_FIELDS = {"id", "type", "title", "datasource", "gridPos", "fieldConfig", "options", "targets"}


def read_yaml(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def data_sources():
    return {each["uid"] for each in read_yaml(GRAFANA / "provisioning/datasources/webhooklog.yaml")["datasources"]}


def documented_metrics():
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(webhooklog_\w+)` \| ([^|]*)\|", page, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def dashboard(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_there_are_two_dashboards():
    assert [path.stem for path in DASHBOARDS] == ["webhooklog-postgresql", "webhooklog-prometheus"]


def test_a_dashboard_has_the_fields_of_the_classic_model(dashboard):
    assert set(dashboard) >= FIELDS
    assert "id" not in dashboard  # Grafana assigns it.
    for panel in dashboard["panels"]:
        assert set(panel) >= PANEL_FIELDS, panel["title"]


def test_panels_have_ids_and_places_of_their_own(dashboard):
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_every_data_source_is_provisioned(dashboard):
    uids = set(
        re.findall(r'"uid": "(webhooklog-\w+)"', json.dumps(dashboard["panels"] + dashboard["templating"]["list"]))
    )
    assert uids
    assert uids <= data_sources()


def test_targets_of_a_panel_have_different_names(dashboard):
    for panel in dashboard["panels"]:
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names)


def test_the_provider_reads_the_folder_that_the_page_names():
    (provider,) = read_yaml(GRAFANA / "provisioning/dashboards/webhooklog.yaml")["providers"]
    assert provider["type"] == "file"
    assert f"`{provider['options']['path']}/`" in (DOCS / "metrics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["dashboards/webhooklog-prometheus.json", "alert-rules.yaml"])
def test_every_metric_in_use_is_described(name):
    used = set(re.findall(r"\bwebhooklog_\w+", (GRAFANA / name).read_text(encoding="utf-8")))
    assert used
    assert used <= set(documented_metrics())


def test_the_page_describes_every_alert():
    (group,) = read_yaml(GRAFANA / "alert-rules.yaml")["groups"]
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Webhooklog\w+)` \|", page, re.MULTILINE) == [rule["alert"] for rule in group["rules"]]
