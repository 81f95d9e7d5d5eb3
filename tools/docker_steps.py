"""Runs the Dockerfile's steps in a temporary folder, without Docker, and asks the service that comes out how it is.

It proves that the steps install a service that starts. It builds no image, and it leaves the base image, the user and
the network out. It knows the instructions that our Dockerfile uses and refuses the rest, so that it cannot drift.
"""

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import Template

PROJECT = Path(__file__).resolve().parents[1]
# An absolute path of the image that the steps themselves fill. Those of the base image (/usr, ...) stay as they are.
OWN_PATH = re.compile(r"""(?<![^\s"'=:])/(?=(?:build|opt)\b)""")
PORT = "8000"
START_S = 120.0


class StepError(Exception):
    """A step of the Dockerfile failed or is not understood."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, continuation lines joined."""

    keyword: str
    text: str


def read_instructions(dockerfile: str) -> Iterator[Instruction]:
    """Read a Dockerfile, without comments and empty lines."""
    lines = (line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, text = line.strip().partition(" ")
        yield Instruction(keyword.upper(), text.strip())


@dataclass(frozen=True, slots=True)
class Ignored:
    """The rules of a .dockerignore: the last one that fits a path, or a folder above it, decides."""

    rules: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> "Ignored":
        """Read the rules, without comments and empty lines."""
        return cls(tuple(line for line in text.split("\n") if line and not line.startswith("#")))

    def __call__(self, path: PurePosixPath) -> bool:
        """Whether a path, relative to the context, is left out."""
        kept = [rule.startswith("!") for rule in self.rules if _fits(rule.removeprefix("!"), path)]
        return bool(kept) and not kept[-1]


def _fits(pattern: str, path: PurePosixPath) -> bool:
    tail = pattern.removeprefix("**/")
    levels = [path, *path.parents][:-1]
    return any(fnmatch.fnmatch(level.name if tail != pattern else str(level), tail) for level in levels)


@dataclass(slots=True)
class Stage:
    """One `FROM ...`: the folder that stands for its root, its variables and its working directory."""

    root: Path
    env: dict[str, str]
    workdir: Path
    health: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def localized(self, text: str) -> str:
        """The same text with the image's own absolute paths moved under this stage's root."""
        return OWN_PATH.sub(f"{self.root}/", text)


class Steps:
    """Carries out instructions one by one. The stage at work lies at `root`; finished ones are moved aside."""

    def __init__(self, folder: Path, context: Path) -> None:
        self.folder, self.context = folder, context
        self.ignored = Ignored.read((context / ".dockerignore").read_text())
        self.stages: dict[str, Stage] = {}
        self.stage: Stage | None = None

    def run(self, instruction: Instruction) -> None:
        """Carry out one instruction, and say it."""
        say(f"{instruction.keyword} {instruction.text}")
        step = getattr(self, f"do_{instruction.keyword.lower()}", None)
        if step is None:
            raise StepError(f"{instruction.keyword} is not known here: teach it to tools/docker_steps.py")
        if instruction.keyword == "FROM":
            self.do_from(instruction.text)
            return
        step(self.current(), instruction.text)

    def current(self) -> Stage:
        """The stage at work."""
        if self.stage is None:
            raise StepError("an instruction stands before the first FROM")
        return self.stage

    def do_from(self, text: str) -> None:
        """Put the finished stage aside and start an empty one at the same place, as each image has its own root."""
        root = self.folder / "root"
        if self.stage is not None:
            self.stage.root = root.rename(self.folder / f"stage-{len(self.stages)}")
        root.mkdir()
        self.stage = Stage(root, base_environment(self.folder / "bin"), root)
        self.stages[text.rpartition(" AS ")[2]] = self.stage

    def do_env(self, stage: Stage, text: str) -> None:
        """Set variables."""
        for word in shlex.split(stage.localized(text)):
            name, _, value = word.partition("=")
            stage.env[name] = Template(value).substitute(stage.env)

    def do_workdir(self, stage: Stage, text: str) -> None:
        """Make a folder and work in it."""
        stage.workdir = Path(stage.localized(text))
        stage.workdir.mkdir(parents=True, exist_ok=True)

    def do_copy(self, stage: Stage, text: str) -> None:
        """Copy from the context, or from another stage (as hard links: an environment is large)."""
        *sources, target = shlex.split(stage.localized(text))
        destination = stage.workdir / target
        if sources[0].startswith("--from="):
            origin = self.stages[sources.pop(0).removeprefix("--from=")].root
            for source in sources:
                shutil.copytree(
                    origin / Path(source).relative_to(stage.root), destination, symlinks=True, copy_function=os.link
                )
            return
        for source in sources:
            self._copy_from_context(self.context / source, destination)

    def _copy_from_context(self, source: Path, destination: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, destination, ignore=self._ignored_names)
        elif self.ignored(PurePosixPath(source.relative_to(self.context))):
            raise StepError(f".dockerignore leaves out {source.name}, which the Dockerfile copies")
        else:
            shutil.copy(source, destination)

    def _ignored_names(self, folder: str, names: list[str]) -> set[str]:
        above = PurePosixPath(Path(folder).relative_to(self.context))
        return {name for name in names if self.ignored(above / name)}

    def do_run(self, stage: Stage, text: str) -> None:
        """Run a command in the shell."""
        started = time.monotonic()
        done = subprocess.run(["sh", "-c", stage.localized(text)], cwd=stage.workdir, env=stage.env, check=False)  # noqa: S603, S607 - our Dockerfile's own line
        if done.returncode:
            raise StepError(f"exit status {done.returncode}: {text}")
        say(f"    done in {time.monotonic() - started:.0f} s")

    def do_user(self, _stage: Stage, _text: str) -> None:
        """Leave the user as it is: only root may change it."""
        say("    (not done here)")

    def do_expose(self, _stage: Stage, text: str) -> None:
        """Check that the port is the one that the service is asked at."""
        if text != PORT:
            raise StepError(f"the port is {text} here and {PORT} in tools/docker_steps.py")

    def do_healthcheck(self, stage: Stage, text: str) -> None:
        """Keep the question for the end."""
        stage.health = json.loads(text.partition(" CMD ")[2])

    def do_cmd(self, stage: Stage, text: str) -> None:
        """Keep the command for the end."""
        stage.command = json.loads(text)


def base_environment(bin_folder: Path) -> dict[str, str]:
    """Our variables without those of a Python environment, and a `python` as the base image has it."""
    bin_folder.mkdir(exist_ok=True)
    python = bin_folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{Path(sys.base_prefix, "bin", "python3")}" "$@"\n')
    python.chmod(0o755)
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COVERAGE"))
    }
    return env | {"PATH": f"{bin_folder}:{os.environ['PATH']}"}


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def start_and_ask(stage: Stage) -> None:
    """Start the image's command, on a free port, and ask as its health check does until it is healthy."""
    port = free_port()
    command, health = ([word.replace(PORT, port) for word in words] for words in (stage.command, stage.health))
    program = shutil.which(command[0], path=stage.env["PATH"])
    if program is None or not Path(program).is_relative_to(stage.root):
        raise StepError(f"{command[0]} is not among what was installed")
    say(f"start {shlex.join(command)}")
    with subprocess.Popen([program, *command[1:]], cwd=stage.root, env=stage.env) as server:  # noqa: S603 - our Dockerfile's own command
        try:
            wait_until_healthy(server, health, stage)
        finally:
            server.terminate()


def wait_until_healthy(server: "subprocess.Popen[bytes]", health: list[str], stage: Stage) -> None:
    """Ask again and again; raise if the server ends or the time is over."""
    started = time.monotonic()
    while time.monotonic() - started < START_S:
        if server.poll() is not None:
            raise StepError(f"the service ended by itself, with exit status {server.returncode}")
        asked = subprocess.run(health, cwd=stage.root, env=stage.env, check=False, stderr=subprocess.DEVNULL)  # noqa: S603 - our Dockerfile's own
        if asked.returncode == 0:
            say(f"healthy after {time.monotonic() - started:.1f} s")
            return
        time.sleep(0.5)
    raise StepError(f"not healthy after {START_S:.0f} s")


def say(text: str) -> None:
    """Print at once, so that it stands before what the step prints."""
    print(text, flush=True)


def main() -> None:
    """Run all the steps of the project's Dockerfile once."""
    argparse.ArgumentParser(
        description="Run the Dockerfile's steps without Docker (needs up to 1 GB in TMPDIR)."
    ).parse_args()
    instructions = list(read_instructions((PROJECT / "Dockerfile").read_text()))
    with tempfile.TemporaryDirectory(prefix="visavis-docker-steps-") as folder:
        steps = Steps(Path(folder).resolve(), PROJECT)
        try:
            for instruction in instructions:
                steps.run(instruction)
            start_and_ask(steps.current())
        except StepError as error:
            sys.exit(f"docker steps: {error}")
    say("all steps of the Dockerfile passed")


if __name__ == "__main__":
    main()
