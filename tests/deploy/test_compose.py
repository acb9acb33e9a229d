from __future__ import annotations

import re
from typing import Any

import pytest

from stokerd.main import parser
from store.settings import Settings
from tests.deploy.compose import load, start_order
from tests.deploy.dockerfile import ROOT, parse

OURS = {"migrate", "api", "relay", "worker-training", "worker-ingest"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load({"STOKER_POSTGRES_PASSWORD": "secret"})


def test_a_password_must_be_chosen() -> None:
    with pytest.raises(KeyError, match="choose a password"):
        load({})


def test_every_part_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == OURS | {"postgres", "valkey"}
    queues = [service["command"][2] for name, service in compose["services"].items() if name.startswith("worker")]
    assert sorted(queues) == ["ingest", "training"]


def test_what_services_name_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(start_order(services)) == set(services)
    for name, service in services.items():
        assert set(service["networks"]) <= set(compose["networks"]), name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], name
        if name in OURS:
            assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[\w/.-]+:\d[\w.-]*", service["image"]), f"{name}: the image's version is not fixed"


def test_commands_and_settings_are_this_programs(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        parser().parse_args(service["command"])
        known = Settings.from_environment({}).to_environment()
        assert set(service["environment"]) <= set(known), name
        Settings.from_environment(service["environment"])


def test_nobody_is_root_and_nothing_is_open_to_the_world(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["user"] not in ("root", "0"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        if name != "api":
            assert service["networks"] == ["inside"], name
    assert compose["networks"]["inside"]["internal"] is True


def test_every_lasting_service_has_a_health_check_and_is_restarted(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name == "migrate":
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] == "CMD", name


def test_ports_agree(compose: dict[str, Any]) -> None:
    services = compose["services"]
    api = services["api"]
    port = str(parser().parse_args(api["command"]).port)
    assert api["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert any(f":{port}/" in word for word in api["healthcheck"]["test"])
    broker = services["valkey"]["command"][services["valkey"]["command"].index("--port") + 1]
    assert api["environment"]["STOKER_BROKER_URL"] == f"redis://valkey:{broker}/0"


def test_written_paths_are_the_images(compose: dict[str, Any]) -> None:
    """What is mounted is made in the image with the right owner: a new volume takes both from there."""
    instructions = parse((ROOT / "Dockerfile").read_text())
    made = next(
        each.arguments for each in instructions if each.keyword == "RUN" and "install --directory" in each.arguments
    )
    for name in ("worker-training", "worker-ingest"):
        for volume in compose["services"][name]["volumes"]:
            assert volume.split(":")[1] in made
