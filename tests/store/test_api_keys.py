from __future__ import annotations

import pytest
from sqlalchemy import select

from store.errors import NotFound
from store.models import ApiKey
from store.repositories import ApiKeyRepository
from store.repositories.api_keys import is_secret, new_secret
from store.session import Database
from tests.store.rows import new_project


def test_a_key_opens_its_project_until_it_is_revoked(database: Database) -> None:
    project_id = new_project(database)
    with database.write() as session:
        key, secret = ApiKeyRepository(session).create(project_id, "laptop")
    with database.read() as session:
        found = ApiKeyRepository(session).authenticate(secret)
        assert found is not None
        assert (found.id, found.project_id) == (key.id, project_id)
        assert ApiKeyRepository(session).active([key.id, "key_none"]) == {key.id}
    with database.write() as session:
        revoked = ApiKeyRepository(session).revoke(key.id)
    with database.write() as session:
        assert ApiKeyRepository(session).revoke(key.id).revoked_at == revoked.revoked_at
    with database.read() as session:
        assert ApiKeyRepository(session).authenticate(secret) is None
        assert ApiKeyRepository(session).active([key.id]) == set()
        assert [row.id for row in ApiKeyRepository(session).list(project_id)] == [key.id]


def test_the_secret_is_nowhere_in_the_database(database: Database) -> None:
    project_id = new_project(database)
    with database.write() as session:
        key, secret = ApiKeyRepository(session).create(project_id, "laptop")
    with database.read() as session:
        row = session.execute(select(*ApiKey.__table__.columns).where(ApiKey.id == key.id)).one()
    assert all(secret not in str(value) for value in row)
    assert secret.startswith(row.hint)
    assert len(row.hint) < 12


def test_revoking_an_unknown_key_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound), database.write() as session:
        ApiKeyRepository(session).revoke("key_none")


def test_secrets_carry_192_random_bits_and_a_checksum() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(is_secret(secret) and len(secret) == 59 for secret in secrets)


MISTAKES = {
    "empty": lambda secret: "",
    "cut": lambda secret: secret[:-1],
    "longer": lambda secret: secret + "0",
    "capitals": lambda secret: secret.upper(),
    "newline": lambda secret: secret + "\n",
    "one digit": lambda secret: secret[:10] + ("0" if secret[10] != "0" else "1") + secret[11:],
    "accent": lambda secret: "é" + secret[1:],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistyped_secret_is_refused_without_the_database(mistake: str, sqlite_database: Database) -> None:
    wrong = MISTAKES[mistake](new_secret())
    assert not is_secret(wrong)
    with sqlite_database.read() as session:
        assert ApiKeyRepository(session).authenticate(wrong) is None
