"""The worker's client against the farm's API: every operation by the model, retries, typed errors."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.serialize import create_serializer
from shotput_farm.protocol import client as client_module
from shotput_farm.protocol import model, parse
from shotput_farm.protocol.client import FarmClient, UnreachableError
from shotput_farm.protocol.errors import ResourceNotFound, ServiceError, Throttling, Validation

SERVICE = model.service("deadline")
FARM_ID = "farm-" + "0" * 32
FLEET_ID = "fleet-" + "2" * 32
WORKER_ID = "worker-" + "3" * 32


@pytest.mark.parametrize("name", sorted(SERVICE.operations))
def test_a_request_is_that_of_botocore(name: str, generator: Any, seconds: Callable[[Any], Any]) -> None:
    operation = SERVICE.operations[name]
    params = generator(name, full=True, moments=True).value(operation.input)
    method, target, headers, body = client_module.build(operation, seconds(params))
    parts = urlsplit(f"http://x{target}")
    _, uri = parse.route(SERVICE, method, parts.path)
    lower = {key.lower(): value for key, value in headers.items()}
    assert parse.read(operation, uri, parts.query, lower, body) == seconds(params)
    request_dict = create_serializer("rest-json", include_validation=False).serialize_to_request(
        params, SERVICE.model.operation_model(name)
    )
    prepare_request_dict(request_dict, endpoint_url="http://x", context={})
    expected = create_request_object(request_dict).prepare()
    assert (method, parts.path) == (expected.method, urlsplit(expected.url).path)
    assert sorted(parts.query.split("&")) == sorted(urlsplit(expected.url).query.split("&"))


def test_times_come_back_as_seconds_and_nothing_is_lost(client: FarmClient) -> None:
    reply = client.call("GetFarm", farmId=FARM_ID)
    assert reply["createdAt"] == 1700000000.123456


def test_errors_are_typed(client: FarmClient) -> None:
    with pytest.raises(ResourceNotFound) as missing:
        client.call("GetFarm", farmId="farm-" + "1" * 32)
    assert missing.value.members == {"resourceType": "farm", "resourceId": "farm-" + "1" * 32}
    with pytest.raises(Validation) as invalid:
        client.call("GetFarm", farmId="castle")
    assert invalid.value.members["fieldList"] == [
        {"name": "farmId", "message": "must match the pattern farm-[0-9a-f]{32}, and is 'castle'"}
    ]
    with pytest.raises(Validation, match=r"^GetFarm needs farmId\. Give it\.$"):
        client.call("GetFarm")
    with pytest.raises(Validation, match=r"^The local farm does not serve GetCastle\."):
        client.call("GetCastle")
    with pytest.raises(ServiceError) as internal:
        client.call("CreateWorker", farmId=FARM_ID, fleetId=FLEET_ID)
    assert (internal.value.code, internal.value.status) == ("InternalServerException", 500)


def test_connections_are_kept(client: FarmClient, monkeypatch: pytest.MonkeyPatch) -> None:
    connects = 0
    connect = socket.create_connection

    def counted(*arguments: Any, **options: Any) -> socket.socket:
        nonlocal connects
        connects += 1
        return connect(*arguments, **options)

    monkeypatch.setattr(socket, "create_connection", counted)
    for _ in range(5):
        client.call("GetFarm", farmId=FARM_ID)
    assert connects == 1


def test_a_farm_that_comes_back_is_found_again(server: Any, serve: Any, client_of: Any, tmp_path: Any) -> None:
    pauses: list[float] = []
    back: list[Any] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            back.append(serve(tmp_path, port=server.port))

    client = client_of(server, sleep=sleep)
    client.call("CreateFarm", displayName="one")
    server.close()
    client.call("CreateFarm", displayName="two")
    assert len(pauses) == 2
    (request,) = back[0].farm.seen
    assert request.params["displayName"] == "two"


def test_a_retry_repeats_the_client_token(server: Any) -> None:
    def pass_on(line: socket.socket) -> None:
        """Lose the answer to the first request, and pass on that to the second."""
        for lost in (True, False):
            caller, _ = line.accept()
            with caller, socket.create_connection(("127.0.0.1", server.port)) as farm:
                asking = threading.Thread(target=copy, args=(caller, farm))
                asking.start()
                if lost:
                    assert farm.recv(1)
                    caller.shutdown(socket.SHUT_RDWR)
                else:
                    copy(farm, caller)
                asking.join()

    def copy(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as line:
        passing = threading.Thread(target=pass_on, args=(line,))
        passing.start()
        url = f"http://127.0.0.1:{line.getsockname()[1]}"
        client = FarmClient(url, server.farm.credentials.root, attempts=2, sleep=lambda _: None)
        assert client.call("CreateFarm", displayName="x") == {"farmId": FARM_ID}
        client.close()
        passing.join()
    first, second = server.farm.seen
    assert first.client_token == second.client_token


def test_a_farm_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        port = taken.getsockname()[1]
        keys = type("K", (), {"access_key_id": "a", "secret_access_key": "b", "session_token": None})()
        client = FarmClient(f"http://management.localhost:{port}", keys, attempts=2, sleep=lambda _: None)
        with pytest.raises(UnreachableError) as raised:
            client.call("GetFarm", farmId=FARM_ID)
    assert str(raised.value) == (
        f"The farm at http://management.localhost:{port} does not answer GET /2023-10-12/farms/{FARM_ID} "
        f"([Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}). "
        "Look whether it runs: `shotput farm status`."
    )


def test_throttling_waits_as_long_as_the_farm_asks(server: Any, client_of: Any) -> None:
    pauses: list[float] = []
    client = client_of(server, attempts=3, sleep=pauses.append)
    server.on_loop(server.app.stop)
    with pytest.raises(Throttling):
        client.call("GetFarm", farmId=FARM_ID)
    assert len(pauses) == 2
    assert all(1.0 <= pause < 1.2 for pause in pauses)


def test_several_threads_call_at_once(client: FarmClient) -> None:
    replies: list[Any] = []
    threads = [
        threading.Thread(target=lambda: replies.append(client.call("GetFarm", farmId=FARM_ID))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 8


def test_lines_are_written_and_read(client: FarmClient) -> None:
    events = [{"timestamp": n, "message": f"line {n}"} for n in range(3)]
    client.put_log_events("group", "stream", events)
    page = client.get_log_events("group", "stream", startFromHead=True)
    assert [event["message"] for event in page["events"]] == ["line 0", "line 1", "line 2"]


def test_an_address_that_is_none() -> None:
    with pytest.raises(
        ValueError, match=r"^The farm's address must be like http://localhost:8080, and is 'ftp://x'\.$"
    ):
        FarmClient("ftp://x", lambda: None)  # type: ignore[arg-type,return-value]
