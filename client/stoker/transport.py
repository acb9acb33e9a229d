"""Requests with retries: what may be sent twice is sent again, under the same Idempotency-Key if it creates."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from stoker.configuration import Configuration
from stoker.errors import ApiError, ConnectionFailedError, api_error
from stoker.version import __version__

# Answers of a proxy, or of a server that is restarting or full.
TRANSIENT = frozenset({429, 502, 503, 504})
LONGEST_WAIT_SECONDS = 20.0


class Transport:
    """An HTTP connection to one server. Safe to use from several threads."""

    def __init__(self, configuration: Configuration, *, retries: int = 4, timeout_seconds: float = 60.0) -> None:
        self.configuration = configuration
        self.retries = retries
        self._http = httpx.Client(
            base_url=configuration.url,
            headers={"Authorization": f"Bearer {configuration.api_key}", "User-Agent": f"stoker/{__version__}"},
            timeout=httpx.Timeout(timeout_seconds, connect=5.0),
            trust_env=not configuration.is_loopback,
            follow_redirects=False,  # a redirect would carry the key elsewhere
        )

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON answer of a GET; parameters that are None are left out."""
        return self._json("GET", path, params=_present(parameters), repeatable=True)

    def delete(self, path: str) -> None:
        """A DELETE; one that was already carried out by a lost answer counts as done."""
        for attempt in range(self.retries + 1):
            try:
                self._send("DELETE", path, repeatable=False)
                return
            except (ApiError, ConnectionFailedError) as error:
                if isinstance(error, ApiError) and error.status == 404 and attempt:
                    return
                if attempt == self.retries or not _is_transient(error):
                    raise
                self._wait(attempt, None)

    def create(self, path: str, document: Any, *, idempotency_key: str | None = None) -> Any:
        """A POST that creates: it carries an Idempotency-Key, so a repeated one gives the first one's answer."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._json("POST", path, json=document, headers=headers, repeatable=True)

    def upload(self, path: str, fields: Mapping[str, str], file: Any, *, idempotency_key: str | None = None) -> Any:
        """A multipart POST of `(name, file object, content type)`, read in pieces as it is sent."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._json("POST", path, data=dict(fields), files={"file": file}, headers=headers, repeatable=True)

    def act(self, path: str, document: Any = None) -> Any:
        """A POST that changes something once: repeated only when it surely was not carried out."""
        return self._json("POST", path, json=document, repeatable=False)

    @contextmanager
    def stream(
        self,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str],
        read_seconds: float = 60.0,
    ) -> Iterator[httpx.Response]:
        """An answer whose body is read in pieces; no retries. Raises ApiError, ConnectionFailedError."""
        timeout = httpx.Timeout(read_seconds, connect=5.0)
        try:
            with self._http.stream(
                "GET", path, params=_present(parameters or {}), headers=dict(headers), timeout=timeout
            ) as response:
                if response.is_error or response.is_redirect:
                    response.read()
                    raise _problem(response)
                yield response
        except httpx.TransportError as error:
            raise ConnectionFailedError(self._unreachable(error)) from error

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._send(method, path, **arguments)
        return response.json() if response.content else None

    def _send(self, method: str, path: str, *, repeatable: bool, **arguments: Any) -> httpx.Response:
        for attempt in range(self.retries + 1):
            last = attempt == self.retries
            try:
                response = self._http.request(method, path, **arguments)
            except httpx.TransportError as error:
                # A connection that was refused carried nothing; any other failure may have come after the act.
                if last or not (repeatable or isinstance(error, httpx.ConnectError)):
                    raise ConnectionFailedError(self._unreachable(error)) from error
                self._wait(attempt, None)
                continue
            if response.status_code in TRANSIENT and not last and (repeatable or response.status_code in (429, 503)):
                self._wait(attempt, response.headers.get("Retry-After"))
                continue
            if response.is_error or response.is_redirect:
                raise _problem(response)
            return response
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, attempt: int, retry_after: str | None) -> None:
        """Exponential, with jitter so that clients do not come back together; the server's own wish goes first."""
        wished = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        grown = 0.25 * 2**attempt * (0.5 + random.random())
        time.sleep(min(max(wished, grown), LONGEST_WAIT_SECONDS))

    def _unreachable(self, error: Exception) -> str:
        return f"no answer from {self.configuration.url}: {str(error) or type(error).__name__}"


def _present(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _is_transient(error: StokerTransient) -> bool:
    return isinstance(error, ConnectionFailedError) or error.status in TRANSIENT


def _problem(response: httpx.Response) -> ApiError:
    """The exception for an answer that is not a success, whether or not its body is a problem document."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"title": response.reason_phrase or "unexpected answer", "detail": response.text[:200].strip()}
    return api_error(response.status_code, document)


StokerTransient = ApiError | ConnectionFailedError
