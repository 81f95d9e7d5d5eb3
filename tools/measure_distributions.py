"""Measure the distances of genuine and impostor pairs, for the scale on the page.

Usage: python tools/measure_distributions.py --data DIR, where DIR contains lfw-view1 as described in CONTRIBUTING.md.
Compares all photos of View 1's DevTest with each other; the built-in model's thresholds were not measured on these
people. Writes service/web/page/distributions.json, which the page shows only with answers of this model and card.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedder import load, show_progress
from train.evaluation.bootstrap import Resampling
from train.evaluation.evaluation import EvaluationConfig, embed_and_compare
from train.evaluation.metrics import ScoreDistribution
from train.evaluation.protocols.lfw import read_lfw

OUT = Path(__file__).parent.parent / "service" / "web" / "page" / "distributions.json"
N_BINS = 60


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True, metavar="DIR")
    folder = arguments.parse_args().data / "lfw-view1"
    listed = read_lfw(folder / "pairsDevTest.txt", folder / "lfw")
    embedder = load()
    scores = embedder.card.score_kind
    setting = EvaluationConfig(
        embedder, listed.face, resampling=Resampling(seed=0), progress=show_progress, score_kind=scores
    )
    compared = embed_and_compare(replace(listed, pairs=None), setting).scores
    tallies = compared.genuine.tally, compared.impostor.tally
    edges = edges_of(tallies)
    genuine, impostor = (np.diff(tally.below(edges)) for tally in tallies)
    told = {
        "card_digest": embedder.identity.card_digest,
        "scores": scores,
        "data": "LFW View 1, DevTest",
        "n_identities": listed.n_identities,
        "n_genuine": round(genuine.sum()),
        "n_impostor": round(impostor.sum()),
        "edges": edges.round(4).tolist(),
        "genuine": genuine.round().astype(int).tolist(),
        "impostor": impostor.round().astype(int).tolist(),
    }
    OUT.write_text(json.dumps(told) + "\n", encoding="utf-8")
    print(
        f"{told['n_genuine']:,} genuine, {told['n_impostor']:,} impostor comparisons of {told['n_identities']:,} people"
    )


def edges_of(tallies: tuple[ScoreDistribution, ScoreDistribution]) -> np.ndarray:
    """The bounds of the bins, over the whole stretch of scores."""
    lowest = min(float(tally.values[0]) for tally in tallies)
    highest = max(float(tally.values[-1]) for tally in tallies)
    return np.linspace(lowest, np.nextafter(highest, np.inf), N_BINS + 1)


if __name__ == "__main__":
    main()
