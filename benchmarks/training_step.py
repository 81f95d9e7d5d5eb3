"""A step of training against a plain f32 loop over the same network and batch: how many times as fast.

Usage: python benchmarks/training_step.py [--rounds N]. Both take turns in one run, on random pixels (what a chip shows
makes no difference to the time). Ours is the loop's own step: channels last, bf16 where the processor computes in
it, gradients clipped, the average of the weights kept. The plain one is a network in torch's own memory format, in f32,
with the same loss and optimizer and nothing else. Prints the median ratio and its spread.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.optim import AdamW

from embedder import BUILT_IN, Architecture, EmbeddingNet, Preprocessing, build_network, new_network, read_bundle
from train.learning.allocator import keep_freed_memory
from train.learning.averaging import Average
from train.learning.feed import Batch
from train.learning.learner import Learner
from train.learning.precision import build_accelerator, chosen_precision
from train.losses.build import build_losses
from train.runfile.losses import Triplet
from train.runfile.run import Loop

PEOPLE, IMAGES = 16, 4
LOSSES = (Triplet(kind="triplet", miner="hard"),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    n_rounds = parser.parse_args().rounds
    keep_freed_memory()
    print(f"precision of ours: {chosen_precision('auto')}; {torch.get_num_threads()} threads; batch {PEOPLE * IMAGES}")
    for name, network in (("dlib_resnet at 150 px", built_in()), ("small at 96 px", small())):
        compare(name, network, n_rounds)


def built_in() -> EmbeddingNet:
    return build_network(read_bundle(BUILT_IN))


def small() -> EmbeddingNet:
    preprocessing = Preprocessing(input_size_px=96, color_order="RGB", mean=(127.5,) * 3, scale=64.0)
    architecture = Architecture(backbone="small", embedding_size=128, unit_length=True, mirror=False)
    return new_network(architecture, preprocessing, torch.Generator().manual_seed(0))


def compare(name: str, network: EmbeddingNet, n_rounds: int) -> None:
    steps = {"ours": our_step(copy.deepcopy(network)), "plain": plain_step(network)}
    seconds: dict[str, list[float]] = {which: [] for which in steps}
    for number in range(n_rounds + 1):
        for which, step in steps.items():
            start = time.perf_counter()
            step()
            if number > 0:  # the first of each warms up
                seconds[which].append(time.perf_counter() - start)
    ratios = [plain / ours for ours, plain in zip(seconds["ours"], seconds["plain"], strict=True)]
    rates = {which: PEOPLE * IMAGES / statistics.median(each) for which, each in seconds.items()}
    print(
        f"{name}: {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}); "
        f"ours {rates['ours']:.0f} faces/s, plain {rates['plain']:.0f}",
        flush=True,
    )


def batch_for(network: EmbeddingNet, *, channels_last: bool) -> Batch:
    side = network.input_size_px
    pixels = np.random.default_rng(0).integers(0, 256, (PEOPLE * IMAGES, 3, side, side), np.uint8)
    pictures = torch.from_numpy(pixels)
    if channels_last:
        pictures = pictures.contiguous(memory_format=torch.channels_last)
    return Batch(pictures, torch.arange(PEOPLE).repeat_interleave(IMAGES), {})


def learner_of(network: EmbeddingNet) -> Learner:
    losses = build_losses(LOSSES, n_identities=PEOPLE, unit_length=False, generator=torch.Generator().manual_seed(0))
    return Learner(network.train(), losses, head_alone=False)


def our_step(network: EmbeddingNet) -> Callable[[], None]:
    learner = learner_of(network.to(memory_format=torch.channels_last))
    average = Average(learner.network, 0.999)
    batch = batch_for(network, channels_last=True)
    accelerator = build_accelerator(Loop(steps=1))
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
