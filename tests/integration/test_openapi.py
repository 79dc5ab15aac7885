"""The description of the API: committed, complete, true to its own examples, and shown offline.

Whether the running site keeps to it is tried by schemathesis: ``make api-check``.
"""

import hashlib
import hmac
import json
import re
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from django.urls import resolve
from jsonschema import Draft202012Validator, FormatChecker

from logs.api.schema.examples import SECRET
from logs.api.urls import urlpatterns
from logs.circleci.signature import verify

FILE = Path(__file__).parents[2] / "docs" / "openapi.yaml"
DOCUMENT = yaml.safe_load(FILE.read_text(encoding="utf-8"))
PATHS = DOCUMENT["paths"]
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, item in PATHS.items()
    for method, operation in item.items()
}
VALUES = {"event_id": "an-id", "id": 1, "webhook": "payments", "pipeline_id": "a-pipeline"}

FORMATS = FormatChecker()


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(text):
    """Whether a text is a date with a time; jsonschema leaves it unchecked without a further package."""
    return not isinstance(text, str) or ("T" in text and datetime.fromisoformat(text).tzinfo is not None)


def route(path):
    """Return what the site finds at a described address."""
    return resolve(path.format(**VALUES))


def followed(node):
    """Return what a reference leads to, or the node itself."""
    while "$ref" in node:
        target = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def nodes(node=DOCUMENT, place=""):
    """Yield every object of the document with its place, and none of what an example holds."""
    yield place, node
    for name, child in node.items() if isinstance(node, dict) else enumerate(node):
        if name not in ("example", "examples") and isinstance(child, dict | list):
            yield from nodes(child, f"{place}/{name}")


def examples_of(node):
    """Return the examples of a parameter, a header or a body, wherever they stand."""
    named = [each["value"] for each in node.get("examples", {}).values()]
    return [*named, *([node["example"]] if "example" in node else []), *node["schema"].get("examples", [])]


def described():
    """Return what has a schema and may have examples: parameters, headers and bodies, by their place."""
    return {place: node for place, node in nodes() if isinstance(node, dict) and "schema" in node}


# The file.


def test_the_committed_file_is_what_the_code_describes(tmp_path):
    path = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(path))
    assert path.read_text(encoding="utf-8") == FILE.read_text(encoding="utf-8"), "run `make schema` and commit it"


def test_it_tells_its_version_and_nothing_of_a_site():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert [server["url"] for server in DOCUMENT["servers"]] == ["/"]
    assert "contact" not in DOCUMENT["info"]
    assert DOCUMENT["info"]["license"]["identifier"] == "MIT"


# It is complete.


def test_every_endpoint_is_described_and_no_other():
    names = {pattern.name for pattern in urlpatterns} - {"home", "schema", "docs"}
    assert {route(path).url_name for path in PATHS} == names
    assert len(PATHS) == len(names)


def test_every_method_of_an_endpoint_is_described_and_no_other():
    for path, item in PATHS.items():
        view = route(path).func.cls
        answered = {name for name in view.http_method_names if hasattr(view, name)} - {"head", "options"}
        assert set(item) == answered, path


def test_every_parameter_is_described_and_no_other():
    for path, method, operation in OPERATIONS.values():
        view = route(path).func.cls()
        parameters = [(parameter["in"], parameter["name"]) for parameter in operation["parameters"]]
        wanted = [("path", name) for name in re.findall(r"{(\w+)}", path)]
        wanted += [("query", name) for name in getattr(view, "parameters", [])]
        assert sorted(parameters) == sorted(wanted), (method, path)


def test_a_list_describes_its_filters():
    path, _, operation = OPERATIONS["events"]
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert names == {*route(path).func.cls.filterset_class.base_filters, "bom", "cursor", "format", "limit", "ordering"}
    assert {"status", "received_after", "q"} <= names


def test_clients_are_told_to_repeat_the_parameter_of_a_list():
    """Some generators of clients do so whatever the description says."""
    lists = [node for node in described().values() if "in" in node and node["schema"].get("type") == "array"]
    assert {node["name"] for node in lists} == {"status", "outcome"}
    assert all((node["style"], node["explode"]) == ("form", True) for node in lists)


def test_the_user_is_told_which_permissions_are_needed():
    for path, _, operation in OPERATIONS.values():
        for permission in getattr(route(path).func.cls, "required_permissions", []):
            assert f"`{permission}`" in operation["description"]


def test_everything_has_words_and_an_example():
    for place, node in described().items():
        # The cursor's inside is no promise: whoever invents one is refused.
        if not place.startswith("/components/requestBodies") and node.get("name") != "cursor":
            schema = node["schema"]
            assert examples_of(node) or "default" in schema, place
        if "content" not in place:
            assert node["description"], place
    for place, node in nodes():
        if re.fullmatch(r"/(paths/.*|components)/responses/\w+", place):
            assert followed(node)["description"], place
        if re.fullmatch(r"/components/schemas/\w+/properties/\w+", place):
            assert node.get("description") or "$ref" in node, place


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_described_with_its_headers(name):
    path, method, operation = OPERATIONS[name]
    answers = {status: followed(answer) for status, answer in operation["responses"].items()}
    receiving = method == "post" and path.startswith("/log")
    wanted = {"400", "401", "403", "414", "503"} | ({"413", "415"} if receiving else {"429"})
    assert set(answers) >= wanted | ({"404"} if "{" in path else set()) | ({"304"} if method == "get" else set())
    own = [answer for status, answer in answers.items() if status != "414"]
    assert all("X-Request-ID" in answer["headers"] for answer in own)
    assert followed(answers["401"]["headers"]["WWW-Authenticate"])["required"]
    assert followed(answers["503"]["headers"]["Retry-After"])["required"]
    if not receiving:
        assert set(answers["200"]["headers"]) >= {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
        assert "Retry-After" in answers["429"]["headers"]


def test_bytes_are_described_as_bytes_and_text_as_text():
    # Without a format, generated clients decode the bytes or reject the answer.
    bodies = {
        media_type: content["schema"]
        for _, _, operation in OPERATIONS.values()
        for answer in operation["responses"].values()
        for media_type, content in followed(answer).get("content", {}).items()
        if media_type != "application/json"
    }
    assert bodies == {
        "application/octet-stream": {"type": "string", "format": "binary"},
        "application/x-ndjson": {"type": "string"},
        "application/xml": {"type": "string"},
        "text/csv": {"type": "string"},
        "text/html": {"type": "string"},
    }
    streamed = DOCUMENT["components"]["schemas"]["StreamedDelivery"]["properties"]["body_base64"]
    assert (streamed["type"], streamed["contentEncoding"]) == ("string", "base64")


def test_an_operation_names_every_way_to_sign_in():
    schemes = set(DOCUMENT["components"]["securitySchemes"])
    assert schemes == {"token", "password", "session", "signature"}
    for name, (_, _, operation) in OPERATIONS.items():
        offered = {scheme for requirement in operation["security"] for scheme in requirement}
        assert offered == ({"signature"} if name.startswith("receive") else schemes - {"signature"}), name


def test_every_link_leads_to_an_operation_with_such_parameters():
    links = [link for _, node in nodes() if isinstance(node, dict) for link in node.get("links", {}).values()]
    assert {link["operationId"] for link in links} >= {"event", "delivery", "delivery_body", "replay_delivery"}
    for link in links:
        known = {parameter["name"] for parameter in OPERATIONS[link["operationId"]][2]["parameters"]}
        assert set(link["parameters"]) <= known


# It is true to its own examples.


@pytest.mark.parametrize("place", described())
def test_every_example_is_as_its_schema_says(place):
    node = described()[place]
    # References lead into the components, which therefore stand beside the schema.
    validator = Draft202012Validator(node["schema"] | {"components": DOCUMENT["components"]}, format_checker=FORMATS)
    for example in examples_of(node):
        validator.validate(example)


def test_the_example_of_a_signature_holds():
    text = DOCUMENT["components"]["securitySchemes"]["signature"]["description"]
    body, header = re.findall(r"^    (.*)$", text, re.MULTILINE)
    secret = re.search("the secret `(.*?)`", text)[1]
    name, value = header.split(": ")
    assert name == DOCUMENT["components"]["securitySchemes"]["signature"]["name"]
    assert verify(body.encode(), value, [secret]) == 0
    assert value == "v1=" + hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    assert secret == SECRET
    assert json.loads(body)["type"] == "ping"


# It is served.


@pytest.mark.parametrize(
    ("path", "accept", "content_type", "load"),
    [
        ("/api/schema", "*/*", "application/json", json.loads),
        ("/api/schema/", "application/json", "application/json", json.loads),
        ("/api/schema", "application/yaml", "application/yaml; charset=utf-8", yaml.safe_load),
        ("/api/schema?format=yaml", "application/json", "application/yaml; charset=utf-8", yaml.safe_load),
        ("/api/schema?format=json", "application/yaml", "application/json", json.loads),
    ],
)
def test_everybody_may_read_it(client, path, accept, content_type, load):
    answer = client.get(path, headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == content_type
    assert load(answer.content) == DOCUMENT


@pytest.mark.parametrize(
    ("query", "accept", "status", "code"),
    [("?format=xml", "*/*", 400, "invalid_format"), ("", "image/png", 406, "not_acceptable")],
)
def test_refuses_other_formats_in_the_shape_of_all_errors(client, query, accept, status, code):
    answer = client.get(f"/api/schema{query}", headers={"accept": accept})
    assert answer.status_code == status
    assert answer.json()["code"] == code


def test_the_page_loads_nothing_from_elsewhere_and_holds_no_script_or_style(client):
    answer = client.get("/api/docs")
    page = answer.content.decode()
    sources = re.findall(r'<(?!a )[^>]*(?:src|href)="([^"]*)"', page)  # Links load nothing.
    assert len(sources) == 6
    assert all(source.startswith(("/static/", "/api/docs?script")) for source in sources)
    assert "<style" not in page
    assert all(" src=" in script for script in re.findall(r"<script[^>]*>", page))
    assert '"/api/schema"' in client.get("/api/docs?script=").content.decode()


def test_the_page_alone_may_show_the_images_of_its_style_sheet(client):
    def policy_of(path):
        headers = client.get(path).headers
        return dict(entry.strip().split(" ", 1) for entry in headers["Content-Security-Policy"].split(";"))

    assert policy_of("/api/docs") == policy_of("/api/schema") | {"img-src": "'self' data:"}
    assert policy_of("/api/schema")["default-src"] == "'self'"
