"""The pages for people come whole from our own files, under a policy that forbids everything else."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.routes import pages

FOLDER = Path(pages.__file__).parents[1] / "web" / "docs"


def test_the_start_leads_to_the_documentation(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_documentation_page_loads_only_from_here(client: TestClient) -> None:
    page = client.get("/docs").text
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) >= 4
    assert all(source.startswith(("/", "data:,")) for source in sources)
    for source in sources:
        assert source == "data:," or client.get(source).status_code == 200


def test_the_documentation_page_has_no_script_within(client: TestClient) -> None:
    page = client.get("/docs")
    assert re.findall(r"<script[^>]*>(.*?)</script>", page.text) == ["", ""]
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_our_script_asks_for_the_description_of_this_service() -> None:
    script = (FOLDER / "start.js").read_text(encoding="utf-8")
    assert 'url: "/openapi.json"' in script
    assert "http" not in script


@pytest.mark.parametrize("name", sorted(pages.MEDIA_TYPES))
def test_each_file_of_the_page_is_served_with_its_type(name: str, client: TestClient) -> None:
    answer = client.get(f"/docs/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-type"].startswith(pages.MEDIA_TYPES[name])


def test_no_other_file_is_served(client: TestClient) -> None:
    assert client.get("/docs/index.html").json()["code"] == "not_found"
    assert client.get("/docs/..%2Fapp.py").status_code == 404


def test_the_licence_of_what_is_vendored_stands_beside_it() -> None:
    licence = (FOLDER / "SWAGGER-UI-LICENSE.txt").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "SmartBear" in licence
