"""FaceClient and AsyncFaceClient, with the same methods; `calls` and `transport` do the work that both share."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, Unpack

import httpx2

from ..wire import (
    Answer,
    CompareResponse,
    DecisionKeywords,
    EmbedAllResponse,
    EmbeddingResponse,
    ExplainResponse,
    FacesResponse,
    ModelResponse,
    VerifyKeywords,
    VerifyManyResponse,
    VerifyResponse,
)
from . import calls, transport
from .call_limits import CallLimits, attempt, attempt_async
from .gallery_client import AsyncGalleryClient, GalleryClient
from .inputs import EmbeddingInput, ImageInput
from .retry import Outcome, Retry
from .transport import DEADLINE_S

AnswerT = TypeVar("AnswerT", bound=Answer)


class FaceClient:
    """A connection to a visavis service.

    Pass the service's address, or an `httpx2.Client` (`http=`), which the caller must close. With an address it uses no
    proxy and no `.netrc`, and never follows redirects, so that photos of faces are sent to this address only.
    `api_key` is sent with each request, if the service needs keys.
    `timeout_s` limits each wait for the network (connecting, sending, the next bytes of an answer); default 30 s, or
    the timeout of `http`. `deadline_s` limits a whole call, with all attempts and pauses. Threads may share a client.

    Every method raises a `ClientError` of `service.client` if the service refuses, fails or cannot be reached.
    """

    def __init__(  # noqa: PLR0913 - all but the address by keyword
        self,
        base_url: str | None = None,
        *,
        http: httpx2.Client | None = None,
        api_key: str | None = None,
        timeout_s: float | None = None,
        deadline_s: float = DEADLINE_S,
        retry: Retry | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._is_own, self._timeout_s, self._deadline_s = http is None, timeout_s, transport.deadline(deadline_s)
        self._key = transport.key_of(api_key, base_url)
        self._http = transport.open_blocking(base_url, http, timeout_s)
        self._retry = retry or Retry()
        self._sleep = sleep

    def verify(self, probe: ImageInput, reference: ImageInput, **options: Unpack[VerifyKeywords]) -> VerifyResponse:
        """Decide whether two images show one person.

        All keywords are optional. `face` selects a face if an image shows several: a rule (`dominant`, `only`,
        `largest`, `center`), a point on it (`at:x,y`) or its index in the list of `detect`; `probe_face` and
        `reference_face` do so for one of the images. The threshold is `threshold`, or
        that of the card's `operating_point`: its name (`fmr-1e-4`), or `fmr=1e-4` for the nearest that is at least that
        strict; the default is the card's choice. `prior` is the prior probability that the photos show one person; the
        answer's probability depends on it. A photo that is too poor for the card is refused (LowQualityError), unless
        `quality` is "ignore".
        """
        return self._ask(calls.verify(probe, reference, **options))

    def verify_many(
        self, probe: ImageInput, references: Sequence[ImageInput], **options: Unpack[VerifyKeywords]
    ) -> VerifyManyResponse:
        """Compare one image with 1 to 16 others; the answer has a verdict or a problem for each, in order."""
        return self._ask(calls.verify_many(probe, references, **options))

    def explain(
        self, probe: ImageInput, reference: ImageInput, *, saliency: bool = True, **options: Unpack[VerifyKeywords]
    ) -> ExplainResponse:
        """Verify and explain: both aligned faces, the share of each channel, and the influence of each place.

        `saliency`: whether to compute the influence of the places, which takes most of the time.
        """
        return self._ask(calls.explain(probe, reference, saliency=saliency, **options))

    def detect(self, image: ImageInput) -> FacesResponse:
        """Find all faces, largest first; the list may be empty."""
        return self._ask(calls.detect(image))

    def embed(self, image: ImageInput, *, face: str | int = "dominant") -> EmbeddingResponse:
        """Return the embedding of one face. It is biometric data: protect it like the photo."""
        return self._ask(calls.embed(image, face=face))

    def embed_all(self, images: Sequence[ImageInput]) -> EmbedAllResponse:
        """Embed every face of 1 to 16 images: `faces`, each with its image's place, and `problems` of unusable images.

        A single image that cannot be used raises an error.
        """
        return self._ask(calls.embed_all(images))

    def compare(
        self,
        probe: EmbeddingInput,
        references: Sequence[EmbeddingInput],
        *,
        model_digest: str | None = None,
        **options: Unpack[DecisionKeywords],
    ) -> CompareResponse:
        """Compare one embedding with 1 to 1,000 of the same model; bare vectors need that model's `model_digest`."""
        return self._ask(calls.compare(probe, references, model_digest=model_digest, **options))

    def gallery(self, name: str) -> GalleryClient:
        """Return a gallery of the service, to enrol, identify and forget people."""
        return GalleryClient(name, self._ask)

    def model(self) -> ModelResponse:
        """Return the model card."""
        return self._ask(calls.model())

    def ready(self) -> bool:
        """Check once whether the service is ready; raises Unreachable if nothing answers."""
        call = calls.ready()
        limits = transport.limits_of(call, self._deadline_s)
        return transport.readiness_of(call, self._attempt(call, limits), self._retry)

    def close(self) -> None:
        """Close the connections, except those of a caller's `http`."""
        if self._is_own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({transport.origin_of(self._http.base_url)!r})"

    def _ask(self, call: calls.ApiCall[AnswerT]) -> AnswerT:
        limits = transport.limits_of(call, self._deadline_s)
        outcome, n_made = self._attempt(call, limits), 1
        while (pause_s := transport.pause_s(call, self._retry, n_made, outcome, limits)) is not None:
            self._sleep(pause_s)
            outcome, n_made = self._attempt(call, limits), n_made + 1
        return transport.answer_of(call, outcome, self._retry)

    def _attempt(self, call: calls.ApiCall[AnswerT], limits: CallLimits) -> Outcome:
        request = transport.request_of(call, self._http, self._timeout_s, self._key)
        return attempt(self._http, request, limits)


P = ParamSpec("P")


class AsyncFaceClient:
    """A connection to a visavis service, for asyncio.

    It has the parameters and methods of FaceClient; `http=` is an `httpx2.AsyncClient`. A worker thread reads files
    and encodes images, so that the event loop is not blocked. A client belongs to one event loop.
    """

    def __init__(  # noqa: PLR0913 - all but the address by keyword
        self,
        base_url: str | None = None,
        *,
        http: httpx2.AsyncClient | None = None,
        api_key: str | None = None,
        timeout_s: float | None = None,
        deadline_s: float = DEADLINE_S,
        retry: Retry | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._is_own, self._timeout_s, self._deadline_s = http is None, timeout_s, transport.deadline(deadline_s)
        self._key = transport.key_of(api_key, base_url)
        self._http = transport.open_async(base_url, http, timeout_s)
        self._retry = retry or Retry()
        self._sleep = sleep

    async def verify(
        self, probe: ImageInput, reference: ImageInput, **options: Unpack[VerifyKeywords]
    ) -> VerifyResponse:
        """Decide whether two images show one person.

        All keywords are optional. `face` selects a face if an image shows several: a rule (`dominant`, `only`,
        `largest`, `center`), a point on it (`at:x,y`) or its index in the list of `detect`; `probe_face` and
        `reference_face` do so for one of the images. The threshold is `threshold`, or
        that of the card's `operating_point`: its name (`fmr-1e-4`), or `fmr=1e-4` for the nearest that is at least that
        strict; the default is the card's choice. `prior` is the prior probability that the photos show one person; the
        answer's probability depends on it. A photo that is too poor for the card is refused (LowQualityError), unless
        `quality` is "ignore".
        """
        return await self._ask(calls.verify, probe, reference, **options)

    async def verify_many(
        self, probe: ImageInput, references: Sequence[ImageInput], **options: Unpack[VerifyKeywords]
    ) -> VerifyManyResponse:
        """Compare one image with 1 to 16 others; the answer has a verdict or a problem for each, in order."""
        return await self._ask(calls.verify_many, probe, references, **options)

    async def explain(
        self, probe: ImageInput, reference: ImageInput, *, saliency: bool = True, **options: Unpack[VerifyKeywords]
    ) -> ExplainResponse:
        """Verify and explain: both aligned faces, the share of each channel, and the influence of each place.

        `saliency`: whether to compute the influence of the places, which takes most of the time.
        """
        return await self._ask(calls.explain, probe, reference, saliency=saliency, **options)

    async def detect(self, image: ImageInput) -> FacesResponse:
        """Find all faces, largest first; the list may be empty."""
        return await self._ask(calls.detect, image)

    async def embed(self, image: ImageInput, *, face: str | int = "dominant") -> EmbeddingResponse:
        """Return the embedding of one face. It is biometric data: protect it like the photo."""
        return await self._ask(calls.embed, image, face=face)

    async def embed_all(self, images: Sequence[ImageInput]) -> EmbedAllResponse:
        """Embed every face of 1 to 16 images: `faces`, each with its image's place, and `problems` of unusable images.

        A single image that cannot be used raises an error.
        """
        return await self._ask(calls.embed_all, images)

    async def compare(
        self,
        probe: EmbeddingInput,
        references: Sequence[EmbeddingInput],
        *,
        model_digest: str | None = None,
        **options: Unpack[DecisionKeywords],
    ) -> CompareResponse:
        """Compare one embedding with 1 to 1,000 of the same model; bare vectors need that model's `model_digest`."""
        return await self._ask(calls.compare, probe, references, model_digest=model_digest, **options)

    def gallery(self, name: str) -> AsyncGalleryClient:
        """Return a gallery of the service, to enrol, identify and forget people."""
        return AsyncGalleryClient(name, self._ask)

    async def model(self) -> ModelResponse:
        """Return the model card."""
        return await self._ask(calls.model)

    async def ready(self) -> bool:
        """Check once whether the service is ready; raises Unreachable if nothing answers."""
        call = calls.ready()
        limits = transport.limits_of(call, self._deadline_s)
        return transport.readiness_of(call, await self._attempt(call, limits), self._retry)

    async def aclose(self) -> None:
        """Close the connections, except those of a caller's `http`."""
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

    async def _ask(self, ask: Callable[P, calls.ApiCall[AnswerT]], *question: P.args, **options: P.kwargs) -> AnswerT:
        call = await asyncio.to_thread(ask, *question, **options)
        limits = transport.limits_of(call, self._deadline_s)
        outcome, n_made = await self._attempt(call, limits), 1
        while (pause_s := transport.pause_s(call, self._retry, n_made, outcome, limits)) is not None:
            await self._sleep(pause_s)
            outcome, n_made = await self._attempt(call, limits), n_made + 1
        return transport.answer_of(call, outcome, self._retry)

    async def _attempt(self, call: calls.ApiCall[AnswerT], limits: CallLimits) -> Outcome:
        request = transport.request_of(call, self._http, self._timeout_s, self._key)
        return await attempt_async(self._http, request, limits)
