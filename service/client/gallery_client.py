"""GalleryClient and AsyncGalleryClient: one gallery of a service. They have the same methods, which `calls` build."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar, Unpack

from ..wire import (
    Answer,
    EnrolResponse,
    ForgetResponse,
    GalleryResponse,
    IdentifyResponse,
    Person,
    PersonResponse,
    PersonVerifyResponse,
)
from . import gallery_calls as calls
from .calls import ApiCall
from .gallery_calls import EnrolKeywords, IdentifyKeywords, PersonVerifyKeywords, PutPersonKeywords
from .inputs import ImageInput

AnswerT = TypeVar("AnswerT", bound=Answer)


class Ask(Protocol):
    """Sends a call and returns its answer."""

    def __call__(self, call: ApiCall[AnswerT], /) -> AnswerT:
        """Ask."""


class AskAsync(Protocol):
    """Builds a call in a worker thread, sends it and returns its answer."""

    async def __call__(self, ask: Callable[[], ApiCall[AnswerT]], /) -> AnswerT:
        """Ask."""


class GalleryClient:
    """One gallery of a service; `FaceClient.gallery(name)` returns it, and sends nothing yet.

    `if_match` is the `etag` of an earlier answer: the write is done only if nothing has changed since, or else raises
    VersionConflictError. `must_be_new` raises AlreadyExistsError if there is one already.
    """

    def __init__(self, name: str, ask: Ask) -> None:
        self.name, self._ask = name, ask

    def create(self, *, must_be_new: bool = False) -> GalleryResponse:
        """Create the gallery, or leave it as it is."""
        return self._ask(calls.create(self.name, must_be_new=must_be_new))

    def read(self) -> GalleryResponse:
        """Return how many people and templates the gallery has."""
        return self._ask(calls.read(self.name))

    def forget(self, *, if_match: str | None = None) -> ForgetResponse:
        """Forget the gallery with all people."""
        return self._ask(calls.forget(self.name, if_match=if_match))

    def people(self) -> Iterator[Person]:
        """Yield all people in the order of their ids; asks for a page at a time."""
        cursor, last = None, ""
        while True:
            page = self._ask(calls.people(self.name, cursor=cursor))
            cursor = calls.next_cursor(page, last)
            yield from page.people
            if cursor is None:
                return
            last = page.people[-1].id

    def put_person(self, person: str, **given: Unpack[PutPersonKeywords]) -> PersonResponse:
        """Create a person, or replace all that is stored beside the photos; `person` is an id of your own.

        All keywords are optional: `note`, `consent` and `forget_at` are the facts, `if_match` and `must_be_new` the
        condition. From `forget_at` on, which needs a time zone, no request finds the person.
        """
        return self._ask(calls.put_person(self.name, person, **given))

    def person(self, person: str) -> PersonResponse:
        """Return a person, with what is known of each template except the embedding."""
        return self._ask(calls.read_person(self.name, person))

    def enrol(self, person: str, photos: Sequence[ImageInput], **options: Unpack[EnrolKeywords]) -> EnrolResponse:
        """Enrol 1 to 16 photos of a person, who is created if missing: all of them, or none.

        All keywords are optional. `face` selects the face of photos that show several (`only`: they are refused). The
        facts `note`, `consent` and `forget_at` are written with the photos; those that are left out stay as they are.

        Raises EnrolmentRefusedError, whose `refusals` tell what is wrong with each photo. A person who is enrolled
        under another id is refused (AlreadyEnrolledError), unless `allow_duplicate`. Photos that are sent again with
        the same `idempotency_key` are enrolled once; without one, each call has a key of its own.
        """
        return self._ask(calls.enrol(self.name, person, photos, **options))

    def identify(self, photo: ImageInput, **options: Unpack[IdentifyKeywords]) -> IdentifyResponse:
        """Find out whom a photo shows, if anybody in the gallery.

        All keywords are optional. `face` selects a face, `all` takes every face. `fpir` is the false positive
        identification rate to claim (0.01): the threshold follows from it. `prior` is the prior probability of a given
        person, and `limit` the largest number of candidates for each face (5). Raises ClaimUnavailableError if the
        model's measurements do not support the rate.
        """
        return self._ask(calls.identify(self.name, photo, **options))

    def verify(self, person: str, photo: ImageInput, **options: Unpack[PersonVerifyKeywords]) -> PersonVerifyResponse:
        """Decide whether a photo shows a person, by the nearest of the person's templates; options as in `verify`."""
        return self._ask(calls.verify(self.name, person, photo, **options))

    def forget_person(self, person: str, *, if_match: str | None = None) -> ForgetResponse:
        """Forget a person with all templates."""
        return self._ask(calls.forget_person(self.name, person, if_match=if_match))

    def forget_template(self, person: str, template: str, *, if_match: str | None = None) -> ForgetResponse:
        """Forget one template of a person; `if_match` is about the person."""
        return self._ask(calls.forget_template(self.name, person, template, if_match=if_match))


class AsyncGalleryClient:
    """One gallery of a service, for asyncio; `AsyncFaceClient.gallery(name)` returns it, and sends nothing yet.

    `if_match` is the `etag` of an earlier answer: the write is done only if nothing has changed since, or else raises
    VersionConflictError. `must_be_new` raises AlreadyExistsError if there is one already.
    """

    def __init__(self, name: str, ask: AskAsync) -> None:
        self.name, self._ask = name, ask

    async def create(self, *, must_be_new: bool = False) -> GalleryResponse:
        """Create the gallery, or leave it as it is."""
        return await self._ask(partial(calls.create, self.name, must_be_new=must_be_new))

    async def read(self) -> GalleryResponse:
        """Return how many people and templates the gallery has."""
        return await self._ask(partial(calls.read, self.name))

    async def forget(self, *, if_match: str | None = None) -> ForgetResponse:
        """Forget the gallery with all people."""
        return await self._ask(partial(calls.forget, self.name, if_match=if_match))

    async def people(self) -> AsyncIterator[Person]:
        """Yield all people in the order of their ids; asks for a page at a time."""
        cursor, last = None, ""
        while True:
            page = await self._ask(partial(calls.people, self.name, cursor=cursor))
            cursor = calls.next_cursor(page, last)
            for each in page.people:
                yield each
            if cursor is None:
                return
            last = page.people[-1].id

    async def put_person(self, person: str, **given: Unpack[PutPersonKeywords]) -> PersonResponse:
        """Create a person, or replace all that is stored beside the photos; `person` is an id of your own.

        All keywords are optional: `note`, `consent` and `forget_at` are the facts, `if_match` and `must_be_new` the
        condition. From `forget_at` on, which needs a time zone, no request finds the person.
        """
        return await self._ask(partial(calls.put_person, self.name, person, **given))

    async def person(self, person: str) -> PersonResponse:
        """Return a person, with what is known of each template except the embedding."""
        return await self._ask(partial(calls.read_person, self.name, person))

    async def enrol(self, person: str, photos: Sequence[ImageInput], **options: Unpack[EnrolKeywords]) -> EnrolResponse:
        """Enrol 1 to 16 photos of a person, who is created if missing: all of them, or none.

        All keywords are optional. `face` selects the face of photos that show several (`only`: they are refused). The
        facts `note`, `consent` and `forget_at` are written with the photos; those that are left out stay as they are.

        Raises EnrolmentRefusedError, whose `refusals` tell what is wrong with each photo. A person who is enrolled
        under another id is refused (AlreadyEnrolledError), unless `allow_duplicate`. Photos that are sent again with
        the same `idempotency_key` are enrolled once; without one, each call has a key of its own.
        """
        return await self._ask(partial(calls.enrol, self.name, person, photos, **options))

    async def identify(self, photo: ImageInput, **options: Unpack[IdentifyKeywords]) -> IdentifyResponse:
        """Find out whom a photo shows, if anybody in the gallery.

        All keywords are optional. `face` selects a face, `all` takes every face. `fpir` is the false positive
        identification rate to claim (0.01): the threshold follows from it. `prior` is the prior probability of a given
        person, and `limit` the largest number of candidates for each face (5). Raises ClaimUnavailableError if the
        model's measurements do not support the rate.
        """
        return await self._ask(partial(calls.identify, self.name, photo, **options))

    async def verify(
        self, person: str, photo: ImageInput, **options: Unpack[PersonVerifyKeywords]
    ) -> PersonVerifyResponse:
        """Decide whether a photo shows a person, by the nearest of the person's templates; options as in `verify`."""
        return await self._ask(partial(calls.verify, self.name, person, photo, **options))

    async def forget_person(self, person: str, *, if_match: str | None = None) -> ForgetResponse:
        """Forget a person with all templates."""
        return await self._ask(partial(calls.forget_person, self.name, person, if_match=if_match))

    async def forget_template(self, person: str, template: str, *, if_match: str | None = None) -> ForgetResponse:
        """Forget one template of a person; `if_match` is about the person."""
        return await self._ask(partial(calls.forget_template, self.name, person, template, if_match=if_match))
