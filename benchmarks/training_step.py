"""The speed of a training step against a plain f32 loop with the same network and batch.

Usage: python benchmarks/training_step.py [--rounds N]. Each runs in its own process, and they take turns, on random
pixels, because the time does not depend on the content. The first is the loop's step with the process settings of
`visavis train`: channels last, bf16 if the processor supports it, freed memory kept, sleeping threads, gradient
clipping, averaged weights. The plain loop uses torch's default memory format and f32, with the same loss and optimizer
and no other settings. Prints the median ratio with minimum and maximum.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import IO, cast

import numpy as np
import torch
from torch.optim import AdamW

from embedder import BUILT_IN, Architecture, EmbeddingNet, Preprocessing, build_network, new_network, read_bundle
from train.learning.batches import Batch
from train.learning.learner import Learner, build_accelerator, chosen_precision, keep_freed_memory
from train.learning.weight_averaging import WeightAverage
from train.losses.build import build_losses
from train.run_file import LoopConfig, Triplet

PEOPLE, IMAGES = 16, 4
LOSSES = (Triplet(kind="triplet", miner="hard"),)
SIDES = ("ours", "plain")
N_FIRST = 2  # rounds that warm up
CHIP_SIZE_PX = 150  # of the small network, which is given its pictures already resized


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--network", choices=NETWORKS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side is not None:
        take_steps(asked.side, NETWORKS[asked.network]())
        return
    print(f"precision of ours: {chosen_precision('auto')}; {torch.get_num_threads()} threads; batch {PEOPLE * IMAGES}")
    for name in NETWORKS:
        compare(name, asked.rounds)


def built_in() -> EmbeddingNet:
    return build_network(read_bundle(BUILT_IN))


def small() -> EmbeddingNet:
    preprocessing = Preprocessing(input_size_px=96, color_order="RGB", mean=(127.5,) * 3, scale=64.0)
    architecture = Architecture(backbone="small", embedding_size=128, unit_length=True, mirror=False)
    return new_network(architecture, preprocessing, CHIP_SIZE_PX, torch.Generator().manual_seed(0))


NETWORKS = {"dlib_resnet at 150 px": built_in, "small at 96 px": small}


def compare(name: str, n_rounds: int) -> None:
    others = {side: begun(side, name) for side in SIDES}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(n_rounds + N_FIRST):
        for side, other in others.items():
            taken = one_step(other)
            if number >= N_FIRST:
                seconds[side].append(taken)
    for other in others.values():
        other.communicate()
    ratios = [plain / ours for ours, plain in zip(seconds["ours"], seconds["plain"], strict=True)]
    rates = {side: PEOPLE * IMAGES / statistics.median(each) for side, each in seconds.items()}
    print(
        f"{name}: {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}); "
        f"ours {rates['ours']:.0f} faces/s, plain {rates['plain']:.0f}",
        flush=True,
    )


def begun(side: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--side", side, "--network", name]
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if side == "ours":
        env["OMP_WAIT_POLICY"] = "PASSIVE"
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def one_step(other: subprocess.Popen[str]) -> float:
    orders, answers = cast("IO[str]", other.stdin), cast("IO[str]", other.stdout)
    orders.write("step\n")
    orders.flush()
    return float(answers.readline())


def take_steps(side: str, network: EmbeddingNet) -> None:
    """A step, and the seconds it took, for every line that comes in."""
    step = {"ours": our_step, "plain": plain_step}[side](network)
    for _line in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)


def batch_for(network: EmbeddingNet, *, channels_last: bool) -> Batch:
    side = network.input_size_px
    pixels = np.random.default_rng(0).integers(0, 256, (PEOPLE * IMAGES, 3, side, side), np.uint8)
    pictures = torch.from_numpy(pixels)
    if channels_last:
        pictures = pictures.contiguous(memory_format=torch.channels_last)
    return Batch(pictures, torch.arange(PEOPLE).repeat_interleave(IMAGES), {})


def learner_of(network: EmbeddingNet) -> Learner:
    losses = build_losses(
        LOSSES, n_identities=PEOPLE, n_channels=128, unit_length=False, generator=torch.Generator().manual_seed(0)
    )
    return Learner(network.train(), losses, head_alone=False)


def our_step(network: EmbeddingNet) -> Callable[[], None]:
    keep_freed_memory()
    learner = learner_of(network.to(memory_format=torch.channels_last))
    average = WeightAverage(learner.network, 0.999)
    batch = batch_for(network, channels_last=True)
    accelerator = build_accelerator(LoopConfig(steps=1))
    module, optimizer = accelerator.prepare(learner, AdamW(learner.parameters(), 1e-5))

    def step() -> None:
        learnt = module(batch, 0)
        optimizer.zero_grad()
        accelerator.backward(learnt.loss.total)
        accelerator.clip_grad_norm_(module.parameters(), 5.0)
        optimizer.step()
        average.update()

    return step


def plain_step(network: EmbeddingNet) -> Callable[[], None]:
    learner = learner_of(network)
    batch = batch_for(network, channels_last=False)
    optimizer = AdamW(learner.parameters(), 1e-5)

    def step() -> None:
        loss = learner(batch, 0).loss.total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
