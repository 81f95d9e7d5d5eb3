"""The reader of the Dockerfile behind CI's "docker steps": what it leaves out, what it refuses, what it starts from."""

import importlib.util
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def docker_steps() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docker_steps", PROJECT / "tools" / "docker_steps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "room" / "__pycache__").mkdir(parents=True)
    (folder / "room" / "code.py").write_text("kept")
    (folder / "room" / "__pycache__" / "code.pyc").write_text("left out")
    (folder / "secret.txt").write_text("left out")
    (folder / ".dockerignore").write_text("# a comment\n*\n!room\n**/__pycache__\n")
    return folder


def run(docker_steps: ModuleType, context: Path, dockerfile: str) -> Path:
    folder = context.parent / "image"
    folder.mkdir()
    steps = docker_steps.Steps(folder, context)
    for instruction in docker_steps.read_instructions(dockerfile):
        steps.run(instruction)
    return folder


def test_comments_go_and_continued_lines_are_joined(docker_steps: ModuleType) -> None:
    text = "# a comment\nRUN one \\\n  # inside\n  && two\n\nuser 1"
    read = [(each.keyword, " ".join(each.text.split())) for each in docker_steps.read_instructions(text)]
    assert read == [("RUN", "one && two"), ("USER", "1")]


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("visavis/cli/main.py", False),
        ("LICENSE", False),
        ("embedder/__pycache__/cli.pyc", True),
        (".venv/bin/pip", True),
    ],
)
def test_the_dockerignore_lets_in_only_what_the_image_is_built_from(
    docker_steps: ModuleType, path: str, *, left_out: bool
) -> None:
    ignored = docker_steps.Ignored.read((PROJECT / ".dockerignore").read_text())
    assert ignored(PurePosixPath(path)) is left_out


def test_steps_run_in_a_folder_that_stands_for_the_root_of_the_image(docker_steps: ModuleType, context: Path) -> None:
    image = run(
        docker_steps,
        context,
        "FROM base AS first\nENV GREETING=hello\nWORKDIR /build\nCOPY room room\n"
        'RUN mkdir /opt && echo "$GREETING" > /opt/said\n'
        "FROM base\nCOPY --from=first /opt /opt",
    )
    assert (image / "root" / "opt" / "said").read_text() == "hello\n"
    assert [path.name for path in (image / "stage-1" / "build" / "room").iterdir()] == ["code.py"]
    assert not (image / "root" / "build").exists()


@pytest.mark.parametrize(
    ("dockerfile", "reason"),
    [
        ("FROM base\nRUN exit 3", "exit status 3"),
        ("FROM base\nVOLUME /data", "VOLUME is not known"),
        ("RUN true", "before the first FROM"),
        ("FROM base\nCOPY secret.txt .", "leaves out secret.txt"),
        ("FROM base\nEXPOSE 9", "the port is 9"),
    ],
)
def test_a_step_that_fails_or_is_not_understood_stops_the_rest(
    docker_steps: ModuleType, context: Path, dockerfile: str, reason: str
) -> None:
    with pytest.raises(docker_steps.StepError, match=reason):
        run(docker_steps, context, dockerfile)


def test_the_projects_dockerfile_is_understood_to_its_end(docker_steps: ModuleType) -> None:
    instructions = list(docker_steps.read_instructions((PROJECT / "Dockerfile").read_text()))
    assert [
        each.keyword for each in instructions if not hasattr(docker_steps.Steps, f"do_{each.keyword.lower()}")
    ] == []
    assert instructions[-1].keyword == "CMD"
