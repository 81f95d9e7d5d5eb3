"""The card's part on how its weights were learnt."""

from typing import Annotated

from pydantic import Field

from .parts import CardPart, Count, Digest


class TrainingRecord(CardPart):
    """What it takes to understand, and with the same data to repeat, a training."""

    data_digest: Digest  # of the people and images of the data; those held out are among them where they are not apart
    validation_digest: Digest  # of the data that people were held out of
    n_identities: Count  # learnt from
    n_images: Count
    n_validation_identities: Count
    n_validation_images: Count
    run_sha256: Digest  # of the run file in full
    seed: Count
    steps: Count
    minutes: Annotated[float, Field(ge=0)]
    started_from: Digest | None  # the bundle, or file of another project, that it began with; null: from scratch
    losses: tuple[str, ...]  # in words, with their numbers
    versions: dict[str, str]  # of the libraries
