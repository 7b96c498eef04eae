"""Whether an address answers from this machine."""

import ssl

import httpx

_SECONDS = 10


def problem(url: str, client: httpx.Client | None = None) -> str:
    """Return why a URL has no answer, nothing where it has one: a refusal, too, is an answer."""
    try:
        with client or httpx.Client(timeout=_SECONDS) as asked:
            asked.get(url)
    except httpx.HTTPError as error:
        # It is there, and its authority is the nodes' matter.
        return "" if _untrusted(error) else str(error) or type(error).__name__
    return ""


def _untrusted(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
