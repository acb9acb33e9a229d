from __future__ import annotations

from pathlib import Path

import pytest

from stoker.configuration import resolve
from stoker.errors import ConfigurationError


@pytest.fixture
def local(tmp_path: Path) -> Path:
    (tmp_path / "address").write_text("http://127.0.0.1:8123\n")
    (tmp_path / "api-key").write_text("sk_local\n")
    return tmp_path


def test_arguments_go_before_the_environment(local: Path) -> None:
    environment = {"STOKER_URL": "http://there", "STOKER_API_KEY": "sk_env", "STOKER_DATA_DIR": str(local)}
    found = resolve("https://here/", "sk_argument", environment=environment)
    assert (found.url, found.api_key) == ("https://here", "sk_argument")


def test_the_environment_goes_before_a_local_server(local: Path) -> None:
    environment = {"STOKER_URL": "http://there", "STOKER_API_KEY": "sk_env", "STOKER_DATA_DIR": str(local)}
    assert resolve(environment=environment).url == "http://there"


def test_a_local_server_is_found_by_its_data_directory(local: Path) -> None:
    found = resolve(environment={"STOKER_DATA_DIR": str(local)})
    assert (found.url, found.api_key, found.is_loopback) == ("http://127.0.0.1:8123", "sk_local", True)


def test_a_local_key_is_never_sent_to_another_server(local: Path) -> None:
    with pytest.raises(ConfigurationError, match="no key for http://elsewhere"):
        resolve("http://elsewhere", data_dir=local, environment={})


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://host", "http://", "file:///etc/passwd"])
def test_what_is_not_an_http_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="expected an address"):
        resolve(address, "sk", environment={})


def test_without_anything_the_error_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="STOKER_URL and STOKER_API_KEY"):
        resolve(data_dir=tmp_path, environment={})


def test_the_key_is_not_in_the_configurations_text() -> None:
    assert "sk_secret" not in repr(resolve("http://here", "sk_secret", environment={}))
