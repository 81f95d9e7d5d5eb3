"""The built-in network in batches of 32, and its share of the rate at which this machine multiplies f32 matrices."""

import statistics

from network_rate import N, measured, networks, numpy_product, openvino_product, operations_of_a_face

from .figures import Telling, figure

BATCH = 32
NETWORK = "openvino f32"
PLACE = ("network", f"batch of {BATCH}")


def share_of_gemm(rounds: int, tell: Telling) -> None:
    products = {"numpy": numpy_product(), "openvino": openvino_product()}
    network = networks(BATCH, (("openvino", "f32"),))
    taken = measured({**products, **network}, rounds)
    quicker = min(products, key=lambda name: statistics.median(taken[name]))
    tell(figure(PLACE, f"GEMM of {N}, by {quicker}", "GFLOP/s", [2e-9 * N**3 / seconds for seconds in taken[quicker]]))
    tell(figure(PLACE, f"visavis, {NETWORK}, a face", "ms", [1e3 * seconds / BATCH for seconds in taken[NETWORK]]))
    work = BATCH * operations_of_a_face() / (2 * N**3)  # in products
    pairs = zip(taken[quicker], taken[NETWORK], strict=True)
    tell(figure(PLACE, f"visavis, {NETWORK}", "of GEMM", [work * product / seconds for product, seconds in pairs]))
