"""The built-in network alone: milliseconds per face with torch and OpenVINO, and its share of the machine's GEMM rate.

Usage: python benchmarks/network_rate.py [--rounds N]. On random pixels, because the time does not depend on the
content. The runtimes take turns, and each figure is a median with minimum and maximum. The machine's rate is the higher
of numpy's and OpenVINO's for the product of two f32 matrices of 2,048 by 2,048.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from embedder import (
    BUILT_IN,
    Precision,
    RuntimeName,
    RuntimeOptions,
    RuntimeUnavailable,
    build_network,
    load,
    read_bundle,
)
from embedder.runtime.openvino import openvino

N = 2048
BATCHES = (1, 2, 4, 32)
WAYS: tuple[tuple[RuntimeName, Precision], ...] = (
    ("torch", "f32"),
    ("openvino", "f32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
)

Timed = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    operations = operations_of_a_face()
    print(f"{operations / 1e9:.3f} GFLOP a face; {torch.get_num_threads()} threads")
    gemm = measured({"numpy": numpy_product(), "openvino": openvino_product()}, rounds)
    rate = max(2 * N**3 / statistics.median(seconds) for seconds in gemm.values())
    print(f"f32 products of {N} by {N}: {rate / 1e9:.0f} GFLOP/s, the better of", *in_words(gemm, 1))
    for n in BATCHES:
        seconds = measured(networks(n), rounds)
        print(f"batch {n}: ms a face", *in_words(seconds, n))
        for name, taken in seconds.items():
            print(f"    {name}: {n * operations / statistics.median(taken) / rate:.0%} of that rate")


def operations_of_a_face() -> int:
    """Multiplications and additions of one pass, by torch's own count."""
    network = build_network(read_bundle(BUILT_IN)).eval()
    side = network.chip_size_px
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, side, side, 3, dtype=torch.uint8))
    return int(counter.get_total_flops())


def networks(n: int, ways: tuple[tuple[RuntimeName, Precision], ...] = WAYS) -> Timed:
    found: Timed = {}
    for runtime, precision in ways:
        try:
            embedder = load(running=RuntimeOptions(runtime=runtime, precision=precision))
        except RuntimeUnavailable as error:
            print(f"{runtime} {precision}: {error}")
            continue
        side = embedder.card.alignment.chip_size_px
        chips = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)
        found[f"{runtime} {precision}"] = lambda embedder=embedder, chips=chips: embedder.embed_chips(chips)  # type: ignore[misc] # bound now
    return found


def numpy_product() -> Callable[[], object]:
    a, b = np.random.default_rng(0).random((2, N, N), np.float32)
    return lambda: a @ b


def openvino_product() -> Callable[[], object]:
    a, b = np.random.default_rng(0).random((2, N, N), np.float32)
    opset13 = openvino.opset13
    places = [opset13.parameter([N, N], np.float32) for _ in range(2)]
    model = openvino.Model([opset13.matmul(*places, transpose_a=False, transpose_b=False)], places)
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda: compiled([a, b])


def measured(timed: Timed, rounds: int) -> dict[str, list[float]]:
    """Seconds of each, in turns; the first rounds warm up."""
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds + 2):
        for name, work in timed.items():
            start = time.perf_counter()
            work()
            if number > 1:
                taken[name].append(time.perf_counter() - start)
    return taken


def in_words(taken: dict[str, list[float]], n: int) -> list[str]:
    return [
        f"{name} {1e3 * statistics.median(all_) / n:.2f} ({1e3 * min(all_) / n:.2f} to {1e3 * max(all_) / n:.2f})"
        for name, all_ in taken.items()
    ]


if __name__ == "__main__":
    main()
