"""The documents: their links lead somewhere, they name what exists, and no machine of ours shines through."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("visavis", "embedder", "gallery", "service", "train")
NOT_OURS = {".venv", ".git", "node_modules"}
LINK = re.compile(r"""\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)="([^"]+)\"""")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HOME_OF_SOMEONE = re.compile(r"(?<![\w.])/(?:home|Users|root|work|workspace|mnt|srv)/[\w.-]+")
WEB = ("http://", "https://", "mailto:")
CHINESE = ".zh-CN.md"  # a line break inside a Chinese sentence would be shown as a space
LONGEST_LINE = 100
NOT_PROSE = ("|", "#", "[", "![", "<")


def documents() -> list[Path]:
    found = (path.relative_to(PROJECT) for path in PROJECT.rglob("*.md"))
    return sorted(path for path in found if not NOT_OURS & set(path.parts) and not path.parts[0].startswith("."))


def links(text: str) -> list[str]:
    return [first or second for first, second in LINK.findall(FENCE.sub("", text))]


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def anchors(document: Path) -> set[str]:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def is_broken(link: str, document: Path) -> bool:
    if link.startswith(WEB):
        return False
    path, _, fragment = link.partition("#")
    target = (PROJECT / document).parent / path if path else PROJECT / document
    if not target.resolve().is_relative_to(PROJECT) or not target.exists():
        return True
    return bool(fragment) and target.suffix == ".md" and fragment not in anchors(target)


def tree_of_architecture() -> set[str]:
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```\n(embedder/ .*?)^```", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"[\w.-]+(?:\.py|/)(?=[\s;])", tree))


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("make")
    if program is None:
        pytest.skip("make is not installed")
    ours = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    return subprocess.run([program, *arguments], cwd=PROJECT, env=ours, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("document", documents(), ids=str)
def test_every_relative_link_of_a_document_leads_somewhere(document: Path) -> None:
    text = (PROJECT / document).read_text(encoding="utf-8")
    assert [link for link in links(text) if is_broken(link, document)] == []


@pytest.mark.parametrize("document", documents(), ids=str)
def test_no_document_names_a_folder_of_somebodys_machine(document: Path) -> None:
    text = (PROJECT / document).read_text(encoding="utf-8")
    assert HOME_OF_SOMEONE.findall(text) == []
    assert f"{PROJECT}/" not in text
    assert f"{Path.home()}/" not in text


@pytest.mark.parametrize("document", [each for each in documents() if not each.name.endswith(CHINESE)], ids=str)
def test_no_line_of_prose_is_too_long(document: Path) -> None:
    text = FENCE.sub("", (PROJECT / document).read_text(encoding="utf-8"))
    prose = [line for line in text.splitlines() if not line.lstrip().startswith(NOT_PROSE)]
    assert [line for line in prose if len(line) > LONGEST_LINE] == []


def test_the_tree_in_the_architecture_names_only_what_exists_and_every_folder_of_the_rooms() -> None:
    told = tree_of_architecture()
    rooms = [path for room in ROOMS for path in (PROJECT / room, *(PROJECT / room).rglob("*"))]
    others = [path for path in (*PROJECT.glob("*"), *PROJECT.glob("[a-z]*/*")) if path.is_dir()]
    folders = {f"{path.name}/" for path in rooms if path.is_dir() and any(path.rglob("*.py"))}
    assert told - {path.name for path in rooms} - {f"{path.name}/" for path in (*rooms, *others)} == set()
    assert folders - told == set()


def test_every_test_and_script_that_the_security_policy_names_exists() -> None:
    named = re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", (PROJECT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    assert [name for name in named if not (PROJECT / name).is_file()] == []


def test_a_broken_link_is_found() -> None:
    here = Path("docs/architecture.md")
    text = 'See [a](nowhere.md), [b](glossary.md#no-such-heading), <img src="../no.png"> and [c](../../outside.md).'
    assert [is_broken(link, here) for link in links(text)] == [True] * 4


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
@pytest.mark.parametrize(("target", "program"), [("serve", "visavis serve"), ("test", "pytest")])
def test_the_two_commands_of_the_readme_are_targets_of_the_makefile(readme: str, target: str, program: str) -> None:
    assert f"make {target}" in (PROJECT / readme).read_text(encoding="utf-8")
    planned = make("--dry-run", target)
    assert planned.returncode == 0, planned.stderr
    assert program in planned.stdout


def test_make_alone_explains_every_target() -> None:
    told = make().stdout
    declared = re.findall(r"^\.PHONY: (.+)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"setup", "serve", "demo", "test", "check", "format", "bench", "clean"} <= set(declared)
    assert [target for target in declared if not re.search(rf"^  {target} +\w", told, re.MULTILINE)] == []


def test_make_serve_passes_host_port_and_model_on() -> None:
    planned = make("--dry-run", "serve", "HOST=::1", "PORT=9000", "MODEL=my bundle").stdout
    assert "visavis serve --host ::1 --port 9000 --model 'my bundle'" in planned


def test_make_without_a_new_enough_python_says_what_to_install(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    refused = make("--directory", str(tmp_path), "setup", "PYTHON=no-such-python")
    assert refused.returncode != 0
    assert "visavis needs Python 3.11 or newer" in refused.stderr
