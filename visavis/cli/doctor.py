"""`visavis doctor`: what this machine can do for visavis, and what may slow it down or surprise its operator."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO

import click
import numpy as np
import openvino
from PIL import Image

from embedder import BUILT_IN_MODELS, PRECISIONS, FaceEmbedder, Precision, RuntimeOptions, VisavisError, load
from service import TRACE_ENDPOINTS, Machine, idle_worker_mib, this_machine

from .options import json_option

PACKAGES = ("visavis", "openvino", "numpy", "pillow", "pillow-heif", "torch", "fastapi", "uvicorn", "prometheus-client")
N_RUNS = 15
PICTURE_PX = 640
MIB = 2**20
LEAST_MEMORY = 1536 * MIB  # of a service with the default settings


@dataclass(frozen=True, slots=True)
class Speed:
    """Median times in ms of one precision; None = it does not run here, and `reason` says why."""

    precision: Precision
    network_ms: float | None  # two chips in one batch, as a comparison needs
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that the command finds."""

    platform: str
    machine: Machine
    versions: Mapping[str, str | None]  # None = not installed
    openvino_devices: Mapping[str, str]
    has_heic: bool
    speeds: tuple[Speed, ...]
    detector_ms: float
    worker_mib: int  # of a process that serves the built-in model, and those that decode for it, without requests
    advice: tuple[str, ...]


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Tell what this machine can do: processor, memory, precisions and their speed, versions; and what to change.

    It measures the networks on drawn pictures without a face. The time of a comparison of your photos also has their
    decoding, and depends on their size and on the number of faces.

    Exit status: 0, also if there is advice.
    """
    found = diagnosis()
    click.echo(json.dumps(asdict(found), indent=2) if as_json else as_text(found))


def diagnosis() -> Diagnosis:
    """Look at the machine and measure; takes some seconds."""
    machine, core = this_machine(), openvino.Core()
    speeds = tuple(_speed(precision) for precision in PRECISIONS)
    versions = {name: _version(name) for name in PACKAGES}
    return Diagnosis(
        platform=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        machine=machine,
        versions=versions,
        openvino_devices={name: str(core.get_property(name, "FULL_DEVICE_NAME")) for name in core.available_devices},
        has_heic=versions["pillow-heif"] is not None,
        speeds=speeds,
        detector_ms=_detector_ms(),
        worker_mib=idle_worker_mib(),
        advice=tuple(_advice(machine, speeds, os.environ)),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _speed(precision: Precision) -> Speed:
    try:
        with load(running=RuntimeOptions(precision=precision)) as embedder:
            return Speed(precision, median_ms(lambda: embedder.embed_faces(drawn_chips(embedder))))
    except VisavisError as error:
        return Speed(precision, None, str(error))


def _detector_ms() -> float:
    picture = _drawn_picture()
    with load() as embedder:
        return median_ms(lambda: embedder.detect(picture))


def drawn_chips(embedder: FaceEmbedder) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return two smooth chips for a model."""
    side = embedder.card.alignment.chip_size_px
    ramp = np.linspace(0, 255, side, dtype=np.uint8)
    return np.broadcast_to(ramp[:, None], (2, side, side, 3))


def _drawn_picture() -> bytes:
    """Return a JPEG of a smooth picture without a face."""
    ramp = np.linspace(40, 200, PICTURE_PX, dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(np.add.outer(ramp // 2, ramp // 2)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def median_ms(run: Callable[[], object]) -> float:
    """Return the median time of a run, after a few to warm up."""
    times = []
    for _ in range(N_RUNS):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(times[N_RUNS // 3 :]), 2)


def _advice(machine: Machine, speeds: tuple[Speed, ...], environment: Mapping[str, str]) -> list[str]:
    by_precision = {each.precision: each.network_ms for each in speeds}
    return [*_about_cpu(machine, by_precision), *_about_memory(machine), *_about_environment(environment)]


def _about_cpu(machine: Machine, network_ms: Mapping[Precision, float | None]) -> list[str]:
    told = []
    if machine.cpu_quota is not None and machine.cpu_quota < machine.n_cores:
        told.append(
            f"the container may use {machine.cpu_quota:g} of {machine.n_cores} cores, but the networks start a thread "
            f"for each core: limit them, for example with taskset or a cpuset of {max(1, int(machine.cpu_quota))} cores"
        )
    usable = {name: spent for name, spent in network_ms.items() if spent is not None}
    best = min(usable, key=lambda name: usable[name])
    if best != "f32" and usable[best] < 0.8 * usable["f32"]:
        told.append(
            f"the network is {usable['f32'] / usable[best]:.1f} times as fast in {best} as in f32; its embeddings "
            "differ, so read about precision in docs/api.md before you set VISAVIS_PRECISION"
        )
    if machine.features and not {"avx2", "asimd"} & set(machine.features):
        told.append("the processor has no AVX2, so the networks run several times slower than on common servers")
    return told


def _about_memory(machine: Machine) -> list[str]:
    memory = machine.usable_memory_bytes
    if memory is None or memory >= LEAST_MEMORY:
        return []
    return [f"there are {memory // MIB:,} MiB of memory; lower VISAVIS_MEMORY_BYTES and VISAVIS_MAX_PIXELS to serve"]


def _about_environment(environment: Mapping[str, str]) -> list[str]:
    told = [
        f"{name} is set: with opentelemetry installed, the service sends traces there"
        for name in TRACE_ENDPOINTS
        if environment.get(name)
    ]
    if "PYTHONDEVMODE" in environment or "PYTHONTRACEMALLOC" in environment:
        told.append("Python runs in a mode for debugging, which is slower: unset PYTHONDEVMODE and PYTHONTRACEMALLOC")
    if environment.get("OMP_WAIT_POLICY", "").upper() == "ACTIVE":
        told.append("OMP_WAIT_POLICY=ACTIVE lets waiting threads use up the cores: unset it")
    return told


def as_text(found: Diagnosis) -> str:
    """Return a diagnosis as text."""
    machine = found.machine
    quota = "" if machine.cpu_quota is None else f", the container {machine.cpu_quota:g}"
    limit = "" if machine.memory_limit_bytes is None else f", the container {machine.memory_limit_bytes // MIB:,} MiB"
    return "\n".join(
        [
            f"system      {found.platform}",
            f"processor   {machine.processor or 'unknown'}",
            f"features    {' '.join(machine.features) or 'none known'}",
            f"cores       {machine.n_cores} usable{quota}",
            f"memory      {_mib(machine.memory_bytes)}, {_mib(machine.available_bytes)} available{limit}",
            *(f"openvino    {name}: {full}" for name, full in found.openvino_devices.items()),
            f"HEIC        {'read' if found.has_heic else 'not read: pip install visavis[heif]'}",
            *(_speed_in_words(each) for each in found.speeds),
            f"detector    {found.detector_ms:.1f} ms for a drawn picture of {PICTURE_PX} px without a face, as JPEG",
            f"worker      {found.worker_mib} MiB for each process that serves, without requests",
            "versions    " + ", ".join(f"{name} {each}" for name, each in found.versions.items() if each),
            *(f"advice      {each}" for each in found.advice or ("none",)),
        ]
    )


def _speed_in_words(speed: Speed) -> str:
    if speed.network_ms is None:
        return f"network     {speed.precision}: {speed.reason}"
    name = next(iter(BUILT_IN_MODELS))
    return f"network     {speed.precision}: {speed.network_ms:.1f} ms for two drawn chips in one batch ({name})"


def _mib(n_bytes: int | None) -> str:
    return "unknown" if n_bytes is None else f"{n_bytes // MIB:,} MiB"
