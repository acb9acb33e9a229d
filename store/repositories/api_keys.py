"""API keys: `sk_`, 192 random bits and a checksum in hexadecimal. Only their SHA-256 is stored.

The checksum lets a mistyped or truncated key be refused, and a leaked one be found in files, without the database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store.base import utc_now
from store.errors import NotFound
from store.ids import new_id
from store.models import ApiKey

_FORM = re.compile(r"sk_([0-9a-f]{48})([0-9a-f]{8})")


def new_secret() -> str:
    """A new key's text: 59 characters."""
    random = secrets.token_hex(24)
    return f"sk_{random}{_checksum(random)}"


def is_secret(text: str) -> bool:
    """Whether `text` has a key's form and its checksum is right."""
    match = _FORM.fullmatch(text)
    return match is not None and hmac.compare_digest(_checksum(match[1]), match[2])


def _checksum(random: str) -> str:
    return f"{zlib.crc32(random.encode()):08x}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiKeyRepository:
    """Keys are made once, shown once, and revoked for ever."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def create(self, project_id: str, name: str) -> tuple[ApiKey, str]:
        """The row and the secret, which nobody can read again."""
        secret = new_secret()
        key = ApiKey(id=new_id("key"), project_id=project_id, name=name, sha256=_digest(secret), hint=secret[:9])
        self.session.add(key)
        self.session.flush()
        return key, secret

    def authenticate(self, secret: str) -> ApiKey | None:
        """The key of this secret, unless it is unknown, malformed or revoked."""
        if not is_secret(secret):
            return None
        digest = _digest(secret)
        key = self.session.scalar(select(ApiKey).where(ApiKey.sha256 == digest, ApiKey.revoked_at.is_(None)))
        return key if key is not None and hmac.compare_digest(key.sha256, digest) else None

    def active(self, ids: Iterable[str]) -> set[str]:
        """Those of these keys that open something."""
        return set(
            self.session.scalars(select(ApiKey.id).where(ApiKey.id.in_(tuple(ids)), ApiKey.revoked_at.is_(None)))
        )

    def list(self, project_id: str | None = None) -> list[ApiKey]:
        """All keys (of a project), revoked ones too, oldest first."""
        statement = select(ApiKey).order_by(ApiKey.id)
        return list(
            self.session.scalars(statement if project_id is None else statement.where(ApiKey.project_id == project_id))
        )

    def revoke(self, id: str) -> ApiKey:
        """From the commit on the key opens nothing. Revoking again changes nothing. Raises NotFound."""
        statement = update(ApiKey).where(ApiKey.id == id, ApiKey.revoked_at.is_(None)).values(revoked_at=utc_now())
        self.session.execute(statement, execution_options={"synchronize_session": False})
        key = self.session.scalar(select(ApiKey).where(ApiKey.id == id).execution_options(populate_existing=True))
        if key is None:
            raise NotFound("API key", id)
        return key
