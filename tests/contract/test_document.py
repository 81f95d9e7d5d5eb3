"""docs/client.md tells the truth: every block of it runs, in order, against the real service."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.client import FaceClient, GalleryClient

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docs" / "client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"


def run(block: str, url: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", "-c", block.replace(ADDRESS, url)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[-1][:40])
def test_a_block_of_the_document_runs_alone(block: str, gallery_url: str, examples: Path) -> None:
    assert ADDRESS in block
    run(block, gallery_url, examples)


def test_the_blocks_print_what_the_document_says_they_print(gallery_url: str, examples: Path) -> None:
    printed = "".join(run(block, gallery_url, examples) for block in BLOCKS)
    told = re.findall(r"print\(.*\)  # (.+)", TEXT)
    assert len(told) == 8
    for line in told:
        assert re.search(re.escape(line).replace(r"\.\.\.", r"\d+"), printed), line


@pytest.mark.parametrize(("client", "table"), [(FaceClient, "| method |"), (GalleryClient, "| of a gallery |")])
def test_every_method_is_in_the_documents_table(client: type, table: str) -> None:
    methods = {name for name in vars(client) if not name.startswith("_")} - {"close"}
    rows, _, _ = TEXT[TEXT.index(table) :].partition("\n\n")
    first_cells = "\n".join(row.split(" | ")[0] for row in rows.splitlines())
    assert set(re.findall(r"`(\w+)\(", first_cells)) == methods
