"""Print the sizes of files and functions by package; with --walk, the files that one POST /v1/verify runs through.

    python tools/house.py [--walk]

It measures the packages that Python imports, so PYTHONPATH selects a checkout. A body is a function without its
docstring.
"""

import ast
import importlib.util
import statistics
import sys
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from time import sleep
from types import FrameType

import click
import numpy as np

ROOMS = ("visavis", "embedder", "gallery", "service", "train")
EXAMPLES = Path(__file__).parents[1] / "examples" / "faces"


def folder_of(room: str) -> Path | None:
    found = importlib.util.find_spec(room)
    return None if found is None or found.origin is None else Path(found.origin).parent


def bodies(path: Path) -> Iterator[int]:
    """The lines of each function of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def row(name: str, files: list[Path]) -> str:
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in files]
    functions = list(chain.from_iterable(map(bodies, files)))
    return (
        f"{name:10} {len(files):5} {sum(lines):7,}   {statistics.median(lines):5.0f} {np.percentile(lines, 95):4.0f} "
        f"{max(lines):4}   {len(functions):6,} {statistics.median(functions):4.0f} {np.percentile(functions, 95):4.0f} "
        f"{max(functions):4}"
    )


def print_sizes(rooms: dict[str, Path]) -> None:
    print("room       files   lines   files: median, p95, max   functions, bodies: median, p95, max")
    of_room = {room: sorted(folder.rglob("*.py")) for room, folder in rooms.items()}
    for room, files in of_room.items():
        print(row(room, files))
    print(row("all", list(chain.from_iterable(of_room.values()))))


def files_of_a_request(rooms: dict[str, Path]) -> list[str]:
    """Run one request and return the files whose functions ran, in the order in which they were first entered."""
    seen: dict[str, None] = {}
    is_on = False

    def note(frame: FrameType, event: str, _: object) -> None:
        if is_on and event == "call":
            seen[frame.f_code.co_filename] = None

    threading.setprofile(note)  # for threads that start from now on: those of the service
    sys.setprofile(note)
    from starlette.testclient import TestClient  # noqa: PLC0415 - after the profile is set

    from embedder import load  # noqa: PLC0415 - the same
    from service.app import create_app  # noqa: PLC0415 - the same
    from service.settings import Settings  # noqa: PLC0415 - the same

    photos = {name: (EXAMPLES / f"001-{photo}.jpg").read_bytes() for name, photo in PARTS.items()}
    with load() as embedder, TestClient(create_app(Settings(), embedder), "http://localhost") as client:
        client.post("/v1/verify", files=photos).raise_for_status()
        while not client.get("/readyz").is_success:  # the service checks its own readiness
            sleep(0.1)
        is_on = True
        client.post("/v1/verify", files=photos).raise_for_status()
        is_on = False
    parents = [folder.parent for folder in rooms.values()]
    ours = [Path(name) for name in seen if any(Path(name).is_relative_to(folder) for folder in rooms.values())]
    return [str(path.relative_to(next(each for each in parents if path.is_relative_to(each)))) for path in ours]


# What stands around every request, which a reader of the comparison need not open: who may ask, what is recorded, how
# long it may take, what a file may cost, which model is loaded.
AROUND = (
    "service/access/", "service/telemetry/", "service/audit/", "service/served_model.py", "embedder/deadline.py",
    "embedder/image_structure.py",
)  # fmt: skip


PARTS = {"probe": "neutral", "reference": "smiling"}


@click.command()
@click.option("--walk", is_flag=True, help="List the files that one POST /v1/verify runs through.")
def main(*, walk: bool) -> None:
    """Print files, lines and the sizes of functions, room by room."""
    rooms = {room: folder for room in ROOMS if (folder := folder_of(room)) is not None}
    print_sizes(rooms)
    if walk:
        files = files_of_a_request(rooms)
        around = [name for name in files if name.startswith(AROUND)]
        inside = [name for name in files if name not in around]
        print(f"\nAround every request: {', '.join(around)}")
        print(f"\nPOST /v1/verify runs through {len(inside)} files:", *inside, sep="\n  ")


if __name__ == "__main__":
    main()
