"""AsyncFaceClient: FaceClient for asyncio, method by method. Thin; `calls` and `transport` hold the substance."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from ..wire import (
    EVEN_PRIOR,
    Answer,
    CompareResponse,
    EmbeddingResponse,
    ExplainResponse,
    FaceChoice,
    FacesResponse,
    QualityChoice,
    VerifyManyResponse,
    VerifyResponse,
)
from . import calls, transport
from .card import ModelResponse
from .choices import checked_standard
from .inputs import EmbeddingInput, ImageInput
from .retry import Outcome, Retry

AnswerT = TypeVar("AnswerT", bound=Answer)


class AsyncFaceClient:
    """A connection to a visavis service, for asyncio.

    All that FaceClient says holds here too; `http=` takes an `httpx2.AsyncClient`. Files are read and pictures
    packed in a worker thread, so that the event loop goes on meanwhile. Belongs to one event loop.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        http: httpx2.AsyncClient | None = None,
        timeout_s: float | None = None,
        retry: Retry | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._is_own, self._timeout_s = http is None, timeout_s
        self._http = transport.open_async(base_url, http, timeout_s)
        self._retry = retry or Retry()
        self._sleep = sleep

    async def verify(  # noqa: PLR0913 - one for each word that a request takes
        self,
        probe: ImageInput,
        reference: ImageInput,
        *,
        face: FaceChoice = "dominant",
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN_PRIOR,
        quality: QualityChoice = "refuse",
    ) -> VerifyResponse:
        """Say whether two images show one person.

        The threshold is your own, or that of the card's `operating_point`: its name (`fmr-1e-4`), or `fmr=1e-4` for
        the nearest that is at least that strict; by default the card's choice. `prior`: how probable one person is
        before the photos are seen; the answer's probability rests on it. A photo that is too poor for the card is
        refused (LowQualityError), unless `quality` is "ignore".
        """
        standard = checked_standard(threshold, operating_point, prior)
        return await self._ask(
            await asyncio.to_thread(calls.verify, probe, reference, face=face, standard=standard, quality=quality)
        )

    async def verify_many(  # noqa: PLR0913 - as verify
        self,
        probe: ImageInput,
        references: Sequence[ImageInput],
        *,
        face: FaceChoice = "dominant",
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN_PRIOR,
        quality: QualityChoice = "refuse",
    ) -> VerifyManyResponse:
        """Compare one image with 1 to 16; one result each, in order: a verdict, or the problem with that reference."""
        standard = checked_standard(threshold, operating_point, prior)
        return await self._ask(
            await asyncio.to_thread(calls.verify_many, probe, references, face=face, standard=standard, quality=quality)
        )

    async def explain(  # noqa: PLR0913 - as verify
        self,
        probe: ImageInput,
        reference: ImageInput,
        *,
        face: FaceChoice = "dominant",
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN_PRIOR,
        quality: QualityChoice = "refuse",
        saliency: bool = True,
    ) -> ExplainResponse:
        """Say what `verify` says and why: both aligned faces, the share of each channel, and the places that matter.

        `saliency`: whether those places are found, which takes most of the time.
        """
        standard = checked_standard(threshold, operating_point, prior)
        ask = partial(calls.explain, face=face, standard=standard, quality=quality, saliency=saliency)
        return await self._ask(await asyncio.to_thread(ask, probe, reference))

    async def detect(self, image: ImageInput) -> FacesResponse:
        """Find every face, largest first; none is an empty list."""
        return await self._ask(await asyncio.to_thread(calls.detect, image))

    async def embed(self, image: ImageInput, *, face: FaceChoice = "dominant") -> EmbeddingResponse:
        """Turn one face into its embedding, 128 numbers; biometric data, to be kept as carefully as the photo."""
        return await self._ask(await asyncio.to_thread(calls.embed, image, face=face))

    async def compare(
        self,
        probe: EmbeddingInput,
        references: Sequence[EmbeddingInput],
        *,
        model_digest: str | None = None,
        threshold: float | None = None,
        operating_point: str | None = None,
        prior: float = EVEN_PRIOR,
    ) -> CompareResponse:
        """Compare one embedding with 1 to 1,000 of the same model; bare vectors need that model's `model_digest`."""
        standard = checked_standard(threshold, operating_point, prior)
        return await self._ask(
            await asyncio.to_thread(calls.compare, probe, references, model_digest=model_digest, standard=standard)
        )

    async def model(self) -> ModelResponse:
        """Return which model answers, and its card."""
        return await self._ask(calls.model())

    async def ready(self) -> bool:
        """Ask once whether the service can answer; False while it cannot yet, Unreachable if nothing is there."""
        call = calls.ready()
        return transport.readiness_of(call, await self._attempt(call), self._retry)

    async def aclose(self) -> None:
        """Close the connections, unless they are those of a caller's `http`."""
        if self._is_own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({transport.origin_of(self._http.base_url)!r})"

    async def _ask(self, call: calls.ApiCall[AnswerT]) -> AnswerT:
        outcome, n_made = await self._attempt(call), 1
        while (pause_s := self._retry.pause_s(n_made, outcome)) is not None:
            await self._sleep(pause_s)
            outcome, n_made = await self._attempt(call), n_made + 1
        return transport.answer_of(call, outcome, self._retry)

    async def _attempt(self, call: calls.ApiCall[AnswerT]) -> Outcome:
        request = transport.request_of(call, self._http, self._timeout_s)
        try:
            return await self._http.send(request, follow_redirects=False)
        except httpx2.RequestError as error:
            return error
