"""Run the `visavis` that answers.py records: the command and the service, each in its own process."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import httpx2

START_S, STOP_S, COMMAND_S = 120.0, 60.0, 300.0

# As the installed script does: with the name `visavis`, which usage and errors show.
LAUNCH = """\
import sys
from importlib import import_module
_, module, function, *words = sys.argv
sys.argv = ["visavis", *words]
sys.exit(getattr(import_module(module), function)())
"""
# The locations of the command's package and of `embedder`.
LOCATE = """\
import sys
from importlib import import_module
_, module, function = sys.argv
getattr(import_module(module), function)
for name in (module.partition(".")[0], "embedder"):
    print(import_module(name).__path__[0])
"""


class ProgramError(Exception):
    """The command cannot be found, or the service does not start."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Program:
    """The function behind `visavis`, imported from PYTHONPATH, then the working directory, then what is installed."""

    module: str
    function: str

    @classmethod
    def named(cls, name: str | None) -> "Program":
        """Return MODULE:FUNCTION, or without a name that of the installed entry point. Raises ProgramError."""
        found = [point.value for point in entry_points(group="console_scripts", name="visavis")]
        module, _, function = (name or next(iter(found), "")).partition(":")
        if not module or not function:
            raise ProgramError(f"{name or 'no entry point visavis'}: give --main MODULE:FUNCTION")
        return cls(module, function)

    def package(self) -> Path:
        """Return the folder of the package `embedder` that answers.

        Raises ProgramError where it cannot be imported, or is of another checkout than the command.
        """
        located = subprocess.run(  # noqa: S603 - Python itself, with a script of ours
            self._python(LOCATE), env=environment(), capture_output=True, text=True, check=False
        )
        if located.returncode:
            raise ProgramError(f"{located.stderr}{self.module}:{self.function} cannot be used; give another --main")
        command, package = (Path(line) for line in located.stdout.splitlines())
        if command.parent != package.parent:
            raise ProgramError(f"{command} and {package} are from different checkouts; set PYTHONPATH or --main")
        return package

    def run(self, words: list[str]) -> Ended:
        """Run one command line to its end."""
        done = subprocess.run(  # noqa: S603 - Python itself, with a script of ours
            [*self._python(LAUNCH), *words],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def serving(self, log: Path, model: str, **settings: str) -> Iterator[str]:
        """Serve a model until the block ends; gives the address. What the service prints goes into `log`."""
        port = str(free_port())
        words = [*self._python(LAUNCH), "serve", "--port", port, "--model", model]
        with log.open("w") as file:
            server = subprocess.Popen(  # noqa: S603 - Python itself, with a script of ours
                words, env=environment() | settings, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
            try:
                yield when_ready(f"http://127.0.0.1:{port}", server, log)
            finally:
                stop(server)

    def _python(self, script: str) -> list[str]:
        # -P: else the working directory would go before PYTHONPATH
        return [sys.executable, "-P", "-c", script, self.module, self.function]


def environment() -> dict[str, str]:
    """Return our environment without settings of the service, on lines of one width, with one order of sets.

    Starlette makes the Allow header of a route with two methods from a set.
    """
    ours = {name: value for name, value in os.environ.items() if not name.upper().startswith("VISAVIS_")}
    path = [*filter(None, [os.environ.get("PYTHONPATH")]), str(Path.cwd())]
    return ours | {"PYTHONPATH": os.pathsep.join(path), "COLUMNS": "80", "NO_COLOR": "1", "PYTHONHASHSEED": "0"}


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def when_ready(url: str, server: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return the address once the service is ready. Raises ProgramError if it ends before or needs too long."""
    deadline = time.monotonic() + START_S
    while not is_ready(url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise ProgramError(f"the service did not become ready:\n{log.read_text()}")
        time.sleep(0.1)
    return url


def is_ready(url: str) -> bool:
    """Whether a service answers there and is ready."""
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).is_success
    except httpx2.HTTPError:
        return False


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Stop the service gracefully; kill it if it does not stop."""
    server.terminate()
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def emptied(folder: Path) -> Path:
    """Create a folder, deleting an old one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
