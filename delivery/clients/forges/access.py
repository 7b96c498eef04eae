"""How a forge is asked: again where that helps, within bounds, and with one message where it refuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException, RetryError
from urllib3.util import Retry

from delivery.clients.forges.origin import Origin
from delivery.clients.git import without_login
from delivery.errors import DeliveryError

SECONDS = 30
_ATTEMPTS = 4
# So long at most a forge may let wait that says for how long.
PATIENCE = 60
# Nothing was done: whatever was sent may be sent again. 403 is GitHub's, for those that come too often.
_BUSY = (403, 429, 503)
# Something may have been done: what makes a new object is not sent again.
_FAILED = (500, 502, 504)
_SHOWN = 300


class Again(Retry):
    """What is sent again: everything where the forge was busy, and where it failed all that makes nothing new."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Return whether a request is sent again after an answer."""
        again = super().is_retry(method, status_code, has_retry_after)
        return again and (method != "POST" or status_code in _BUSY)


def again(backoff: float, **more: float) -> dict[str, object]:
    """Return how often and after how many seconds is asked again: 0, 2, 4 times `backoff`."""
    return {
        "total": _ATTEMPTS - 1,
        "read": False,
        "status_forcelist": [429, 503, *_FAILED],
        "allowed_methods": None,
        "backoff_factor": backoff,
        "retry_after_max": PATIENCE,
        **more,
    }


def session(backoff: float) -> Session:
    """Return a session that asks again."""
    made = Session()
    adapter = HTTPAdapter(max_retries=Again(**again(backoff)))  # type: ignore[arg-type]
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


@dataclass(frozen=True)
class Access:
    """The repository that is asked; `answer` takes status and words out of an error of the library, None of others'."""

    origin: Origin
    answer: Callable[[Exception], tuple[int, str] | None]

    @contextmanager
    def to(self, purpose: str, needed: str) -> Iterator[None]:
        """Raise DeliveryError where the forge refuses or is not reached: what was wanted, and what the token needs."""
        try:
            yield
        except DeliveryError:
            raise
        except Exception as error:
            answer = self.answer(error)
            if answer is not None:
                raise self._refused(*answer, purpose, needed) from None
            if isinstance(error, RequestException):
                raise self._not_reached(error, purpose) from None
            raise

    def _refused(self, status: int, said: str, purpose: str, needed: str) -> DeliveryError:
        origin, words = self.origin, f"{status}: {without_login(said)[:_SHOWN]}"
        where = f"{origin.name}: {origin.page}: {purpose}"
        if status == 401:
            return DeliveryError(
                f"{where}: the token of {origin.variable} is not accepted ({words}); it may have expired; make one "
                f"with {needed}"
            )
        if status == 403:
            return DeliveryError(f"{where}: the token of {origin.variable} may not ({words}); it needs {needed}")
        if status == 404:
            return DeliveryError(
                f"{where}: not found, or the token of {origin.variable} may not see it ({words}); look at the "
                f"repository's name; the token needs {needed}"
            )
        later = "; try again later" if status == 429 else ""
        return DeliveryError(f"{where}: refused ({words}){later}")

    def _not_reached(self, error: RequestException, purpose: str) -> DeliveryError:
        where = f"{self.origin.name}: {self.origin.page}: {purpose}"
        reason = getattr(error.args[0] if error.args else None, "reason", error)
        if isinstance(error, RetryError):
            return DeliveryError(f"{where}: gave up after {_ATTEMPTS} attempts ({reason}); try again later")
        # The libraries wrap it several times; what it was comes last.
        text = without_login(str(reason)).rpartition(": ")[2][:_SHOWN]
        return DeliveryError(f"{where}: not reached ({text}); see whether {self.origin.url} is reached from here")
