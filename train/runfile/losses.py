"""The loss terms that a run file may list.

A loss is a sum of terms; each is distance x miner x reducer, or a classification, or the distance to a teacher's
embeddings.
"""

from typing import Annotated, Literal

from pydantic import Field

from .part import NotNegative, Positive, RunConfig


class Term(RunConfig):
    """What every term has: how much it weighs, and over how many steps that weight rises from 0."""

    weight: Positive = 1.0
    warm_up_steps: Annotated[int, Field(ge=0)] = 0


class Mined(Term):
    """A metric loss: it may compare a batch with the embeddings of earlier ones too (cross-batch memory)."""

    memory: Annotated[int, Field(ge=0)] = 0  # embeddings kept; 0: none
    memory_after_steps: Annotated[int, Field(ge=0)] = 0  # steps before the memory takes part


class Contrastive(Mined):
    """Positive pairs nearer than one margin, negative ones farther than another."""

    kind: Literal["contrastive"]
    positive_margin: NotNegative = 0.0
    negative_margin: Positive = 1.0


class Triplet(Mined):
    """Every positive nearer to the anchor than the negative, by a margin of the Euclidean distance (not squared).

    Or softly, by the log of 1 + exp, which has no margin.
    """

    kind: Literal["triplet"]
    margin: NotNegative = 0.2
    miner: Literal["all", "hard", "semi-hard"] = "semi-hard"
    soft: bool = False


class MultiSimilarity(Mined):
    """Pairs weighted by how they lie to each other and to a base similarity, with the miner of the same paper."""

    kind: Literal["multi-similarity"]
    alpha: Positive = 2.0
    beta: Positive = 50.0
    base: Annotated[float, Field(ge=-1, le=1)] = 0.5
    epsilon: NotNegative = 0.1  # of the miner


class ArcFace(Term):
    """Classification with an angular margin."""

    kind: Literal["arcface"]
    scale: Positive = 64.0
    margin_degrees: Annotated[float, Field(ge=0, lt=90)] = 28.6


class CosFace(Term):
    """Classification with a margin of the cosine."""

    kind: Literal["cosface"]
    scale: Positive = 64.0
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.35


class Distillation(Term):
    """How far the embeddings are from those that another bundle gives to the same chips."""

    kind: Literal["distillation"]
    teacher: str = "built-in"  # or the path of a bundle
    measure: Literal["cosine", "mse"] = "mse"


LossTerm = Annotated[
    Contrastive | Triplet | MultiSimilarity | ArcFace | CosFace | Distillation, Field(discriminator="kind")
]
