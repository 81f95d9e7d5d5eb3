"""Embeddings as a caller holds them -> the request that compares them. Knows no distance: the service computes it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from ..wire import MAX_EMBEDDINGS, CompareRequest, EmbeddingResponse, Standard, Vector
from .errors import DigestMismatchError

EmbeddingInput = EmbeddingResponse | Sequence[float] | NDArray[np.floating]

_VECTOR: TypeAdapter[list[float]] = TypeAdapter(Vector)


def comparison_of(
    probe: EmbeddingInput,
    references: Sequence[EmbeddingInput],
    *,
    model_digest: str | None,
    standard: Standard,
) -> CompareRequest:
    """Check that one model made all the embeddings, and put them into one request.

    Raises:
        DigestMismatchError: different models made them.
        TypeError: bare vectors without `model_digest`.
        ValueError: a vector of another size or with NaN, no reference, or more than the service takes.
    """
    if not 1 <= len(references) <= MAX_EMBEDDINGS:
        raise ValueError(f"compare with 1 to {MAX_EMBEDDINGS:,} references, not {len(references):,}")
    return CompareRequest(
        probe=_vector_of(probe),
        references=[_vector_of(reference) for reference in references],
        model_digest=_common_digest([probe, *references], model_digest),
        **dict(standard),
    )


def _common_digest(embeddings: Sequence[EmbeddingInput], said: str | None) -> str:
    told = {embedding.model.digest for embedding in embeddings if isinstance(embedding, EmbeddingResponse)}
    digests = told | ({said} if said is not None else set())
    if not digests:
        raise TypeError("bare vectors do not say which model made them; give model_digest=")
    if len(digests) > 1:
        names = ", ".join(sorted(digest[:19] for digest in digests))
        raise DigestMismatchError(
            f"different models or precisions made these embeddings ({names}); embed the photos again with one"
        )
    return digests.pop()


def _vector_of(embedding: EmbeddingInput) -> list[float]:
    numbers = embedding.embedding if isinstance(embedding, EmbeddingResponse) else embedding
    if isinstance(numbers, np.ndarray):
        numbers = numbers.tolist()
    try:
        return _VECTOR.validate_python(numbers)
    except ValidationError as error:  # its own text would show the embedding
        reason = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise ValueError(f"this is not an embedding: {reason}") from None
