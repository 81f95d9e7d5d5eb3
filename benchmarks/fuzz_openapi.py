"""Let schemathesis make requests from a running service's OpenAPI document, with all its checks, without and with keys.

    python benchmarks/fuzz_openapi.py [--examples 1000] [--seed 0]

Valid and invalid data, the boundaries of every value, and sequences by the document's links. Exit status 1 at a
failure of a check, or at a line of the log about a failure. `make fuzz-http` installs schemathesis in .venv-tools.
"""

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path

import click
from fuzz_service import SCOPES, enrol, log_faults, request_source
from mutated_requests import faces
from running_service import RunningService, running_service

from service.access.keys import KeyFile, KeyGrant

HERE = Path(__file__).parent
SCHEMATHESIS = HERE.parent / ".venv-tools" / "bin" / "schemathesis"
OPTIONS = (
    "--checks=all", "--continue-on-failure", "--no-color", "--generation-database=none", "--suppress-health-check=all",
    "--request-timeout=60",
)  # fmt: skip
CONFIG = HERE / "schemathesis.toml"


def run(folder: Path, examples: int, seed: int, *, with_keys: bool) -> bool:
    """Start a service, let schemathesis ask it, and tell whether nothing was found."""
    images, file = folder / "images", folder / "keys.json"
    images.mkdir(exist_ok=True)
    for n, data in enumerate(faces()):
        (images / str(n)).write_bytes(data)
    key = KeyFile(file).create(KeyGrant("fuzz", SCOPES)).text if with_keys else None
    served = ("--gallery", f"sqlite:///{folder}/gallery-{with_keys}.db", *(("--keys", str(file)) if with_keys else ()))
    given = ("--header", f"Authorization: Bearer {key}") if with_keys else ()
    with running_service(*served, environment={"VISAVIS_LOG_FORMAT": "json"}) as service:
        asyncio.run(_enrol(service, key))
        command = [str(SCHEMATHESIS), "--config-file", str(CONFIG), "run", f"http://{service.host}/openapi.json"]
        command += [*OPTIONS, *given, f"--max-examples={examples}", f"--seed={seed}"]
        environment = {**os.environ, "FUZZ_IMAGES": str(images), "PYTHONPATH": str(HERE)}
        before_mib = service.memory_mib()
        status = subprocess.run(command, check=False, env=environment, cwd=folder).returncode
        click.echo(f"Memory: {before_mib:.0f} MiB before, {service.memory_mib():.0f} MiB after")
    faults = list(log_faults(service.lines))
    click.echo(f"Lines in the log: {len(service.lines):,}, with faults: {len(faults)}\n" + "\n".join(faults[:20]))
    return status == 0 and not faults


async def _enrol(service: RunningService, key: str | None) -> None:
    await enrol(service, await request_source(service, key))


@click.command()
@click.option("--examples", default=1000, help="Of each operation, for each kind of data.")
@click.option("--seed", default=0, help="Of schemathesis.")
@click.option("--keys/--no-keys", "with_keys", default=None, help="Only with keys, or only without.")
def main(*, examples: int, seed: int, with_keys: bool | None) -> None:
    """Run without keys, then with keys; exit status 1 if anything was found."""
    with tempfile.TemporaryDirectory() as folder:
        modes = (False, True) if with_keys is None else (with_keys,)
        results = [run(Path(folder), examples, seed, with_keys=mode) for mode in modes]
    raise SystemExit(not all(results))


if __name__ == "__main__":
    main()
