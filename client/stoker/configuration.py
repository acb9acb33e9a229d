"""Where the server is and with which key: arguments, then the environment, then a local `stokerd up`.

`stokerd up` writes its address and first key into its data directory (`address`, `api-key`). The directory is
`STOKER_DATA_DIR`, or `stoker-data` where the command runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stoker.errors import ConfigurationError

DEFAULT_DATA_DIR = "stoker-data"


@dataclass(frozen=True)
class Configuration:
    """A server's address, without a trailing slash, and a key for it."""

    url: str
    api_key: str = field(repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, where no proxy belongs between."""
        return urlsplit(self.url).hostname in ("127.0.0.1", "::1", "localhost")


def resolve(
    url: str | None = None,
    api_key: str | None = None,
    *,
    data_dir: str | Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Configuration:
    """The first of arguments, environment and data directory that says it. Raises ConfigurationError."""
    directory = Path(data_dir or environment.get("STOKER_DATA_DIR") or DEFAULT_DATA_DIR)
    local = _read(directory / "address")
    url = url or environment.get("STOKER_URL") or local
    if not url:
        raise ConfigurationError(
            "no server: set STOKER_URL and STOKER_API_KEY, or run where a local `stokerd up` keeps its data"
            f" (looked for {directory / 'address'}; STOKER_DATA_DIR names another directory)"
        )
    url = url.rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ConfigurationError(f"expected an address such as http://127.0.0.1:8000, received {url!r}")
    api_key = api_key or environment.get("STOKER_API_KEY")
    if not api_key and local and url == local.rstrip("/"):  # a local server's key is sent to that server only
        api_key = _read(directory / "api-key")
    if not api_key:
        raise ConfigurationError(f"no key for {url}: set STOKER_API_KEY")
    return Configuration(url, api_key)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
