"""The pages for people come whole from our own files, under a policy that forbids everything else."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.app import create_app
from service.routes import pages
from service.settings import Settings

FOLDER = pages.DOCS
PAGES = {"/": "/page", "/docs": "/docs"}  # where a page is, and where its files are
FILES = [
    (url, name) for url, folder in (("/page", pages.START), ("/docs", pages.DOCS)) for name in pages.files_of(folder)
]


def test_the_start_is_the_page_from_which_the_documentation_is_reached(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert 'href="/docs"' in answer.text


@pytest.mark.parametrize("url", PAGES)
def test_a_page_loads_only_from_here(url: str, client: TestClient) -> None:
    page = client.get(url).text
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) >= 4
    assert all(source.startswith(("/", "data:,", "#")) for source in sources)
    for source in sources:
        assert source.startswith(("data:,", "#")) or client.get(source).status_code == 200


@pytest.mark.parametrize(("url", "n_scripts"), [("/", 1), ("/docs", 2)])
def test_a_page_has_no_script_within(url: str, n_scripts: int, client: TestClient) -> None:
    page = client.get(url)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page.text) == [""] * n_scripts
    assert " style=" not in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_the_start_page_says_whether_there_are_galleries(
    client: TestClient, embedder: FaceEmbedder, tmp_path: Path
) -> None:
    store = create_app(Settings(gallery=f"sqlite:///{tmp_path / 'gallery.db'}"), embedder)
    with TestClient(store) as other:
        on, off = other.get("/"), client.get("/")
    assert on.text.replace('data-galleries="on"', 'data-galleries="off"') == off.text != on.text
    assert on.headers["etag"] != off.headers["etag"]


def test_our_script_asks_for_the_description_of_this_service() -> None:
    script = (FOLDER / "start.js").read_text(encoding="utf-8")
    assert 'url: "/openapi.json"' in script
    assert "http" not in script


@pytest.mark.parametrize(("url", "name"), FILES, ids=lambda value: value.strip("/"))
def test_each_file_of_a_page_is_served_with_its_type(url: str, name: str, client: TestClient) -> None:
    answer = client.get(f"{url}/{name}")
    assert answer.content == (pages.WEB / url.strip("/") / name).read_bytes()
    assert answer.headers["content-type"].startswith(pages.MEDIA_TYPES[Path(name).suffix])
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("url", PAGES.values())
def test_no_other_file_is_served(url: str, client: TestClient) -> None:
    assert client.get(f"{url}/index.html").json()["code"] == "not_found"
    assert client.get(f"{url}/..%2Fapp.py").status_code == 404


def test_our_own_files_name_no_other_place() -> None:
    ours = [path for path in pages.START.iterdir() if path.suffix in (".js", ".css", ".html")]
    assert len(ours) > 20
    assert [path.name for path in ours if "//" in re.sub(r"(?m)(^|\s)//.*$", "", named_elsewhere(path))] == []


def named_elsewhere(path: Path) -> str:
    """A file without the one address that names a kind of element, and leads nowhere."""
    return path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")


def test_the_curves_on_the_page_are_those_of_the_model_that_is_shipped(client: TestClient) -> None:
    curves = client.get("/page/distributions.json").json()
    assert curves["card_digest"] == client.get("/v1/model").json()["card_digest"]
    assert (sum(curves["genuine"]), sum(curves["impostor"])) == (curves["n_genuine"], curves["n_impostor"])
    assert len(curves["edges"]) == len(curves["genuine"]) + 1 == len(curves["impostor"]) + 1


def test_the_licence_of_what_is_vendored_stands_beside_it() -> None:
    licence = (FOLDER / "SWAGGER-UI-LICENSE.txt").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "SmartBear" in licence


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/docs", "/docs/start.js", "/openapi.json", "/errors"])
def test_what_a_browser_has_already_is_not_sent_again(path: str, client: TestClient) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == first.headers["cache-control"] == "no-cache"
        assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
        assert "content-length" not in again.headers
    assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_each_page_has_a_tag_of_its_own(client: TestClient) -> None:
    tags = [client.get(f"{url}/{name}").headers["etag"] for url, name in FILES]
    assert len(set(tags)) == len(tags)


def test_what_a_caller_sends_is_never_answered_from_a_cache(client: TestClient) -> None:
    assert client.get("/v1/model").headers["cache-control"] == "no-store"
