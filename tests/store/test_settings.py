from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from store.errors import UnsafeSqlite
from store.session import create_database_engine, refuse_unsafe_sqlite
from store.settings import Settings


def test_settings_come_from_the_environment_and_go_back_to_it() -> None:
    lease = {"STOKER_LEASE_SECONDS": "5.5", "STOKER_RENEW_SECONDS": "1"}
    settings = Settings.from_environment({"STOKER_DATA_DIR": "/data", "STOKER_ATTEMPTS": "7", **lease})
    assert (settings.data_dir, settings.lease_seconds, settings.attempts) == (Path("/data"), 5.5, 7)
    assert settings.database_url == "sqlite:////data/stoker.db"
    assert settings.cache_dir == Path("/data/cache")
    assert Settings.from_environment(settings.to_environment()) == settings


def test_overrides_win() -> None:
    assert Settings.from_environment({"STOKER_ATTEMPTS": "7"}, attempts=1).attempts == 1


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("STOKER_ATTEMPTS", "three"),
        ("STOKER_ATTEMPTS", "-1"),
        ("STOKER_ATTEMPTS", "1.5"),
        ("STOKER_LEASE_SECONDS", "nan"),
        ("STOKER_LEASE_SECONDS", "inf"),
        ("STOKER_CHUNK_BYTES", "100"),
        ("STOKER_CHUNK_BYTES", str(64 << 20)),
        ("STOKER_RENEW_SECONDS", "30"),
    ],
)
def test_nonsense_is_refused_with_the_variables_name(variable: str, text: str) -> None:
    with pytest.raises(ValueError, match=variable):
        Settings.from_environment({variable: text})


def test_every_setting_is_described_and_named_after_its_field() -> None:
    for field in dataclasses.fields(Settings):
        assert field.metadata["variable"] == f"STOKER_{field.name.upper()}"
        assert len(field.metadata["description"]) > 10


@pytest.mark.parametrize("url", ["mysql://localhost/stoker", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="STOKER_DATABASE_URL"):
        create_database_engine(url)


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 51, 2)])
def test_sqlite_with_the_wal_reset_bug_is_refused(version: tuple[int, ...]) -> None:
    with pytest.raises(UnsafeSqlite, match="WAL-reset"):
        refuse_unsafe_sqlite(version)


@pytest.mark.parametrize("version", [(3, 6, 23), (3, 51, 3), (3, 53, 4)])
def test_other_versions_of_sqlite_are_taken(version: tuple[int, ...]) -> None:
    refuse_unsafe_sqlite(version)
