"""Values for any shape of a service model, and the farm's API on a real socket with a tiny farm behind it."""

from __future__ import annotations

import asyncio
import random
import re._constants as sre  # the parser of `re` itself: what it reads is what the checks match
import re._parser as sre_parser
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.model import ListShape, MapShape, Shape, StructureShape
from shotput_farm import process
from shotput_farm.app import Application
from shotput_farm.credentials import CredentialStore
from shotput_farm.handlers import Handler, Registered, Request
from shotput_farm.protocol.client import FarmClient
from shotput_farm.protocol.errors import ResourceNotFound
from shotput_farm.store.logs import LogStore

_LONGEST_TEXT = 1200
_MOST_ITEMS = 3
_DEEPEST = 9


class Generator:
    """Draws values. ``full`` fills every member and goes to the upper limits; otherwise only what is required.

    Timestamps are ``datetime`` where ``moments`` is set (what botocore's serializer takes), else epoch seconds.
    """

    def __init__(self, seed: object, *, full: bool, moments: bool) -> None:
        self.random = random.Random(repr(seed))
        self.full = full
        self.moments = moments

    def value(self, shape: Shape, depth: int = 0) -> Any:
        if isinstance(shape, StructureShape):
            return self.structure(shape, depth)
        if isinstance(shape, ListShape):
            return [self.value(shape.member, depth + 1) for _ in range(self.count(shape, depth))]
        if isinstance(shape, MapShape):
            return {
                self.value(shape.key, depth + 1): self.value(shape.value, depth + 1)
                for _ in range(self.count(shape, depth))
            }
        return getattr(self, {"float": "floating"}.get(shape.type_name, shape.type_name))(shape)

    def structure(self, shape: StructureShape, depth: int) -> Any:
        if shape.is_document_type:
            return {"name": "Render", "nested": [1, 2.5, None, {"é": True}]} if self.full else {}
        names = list(shape.members)
        if shape.is_tagged_union:
            # The innermost choice must not be a shape that contains itself.
            flat = [name for name in names if shape.members[name].type_name != "structure"] or names
            names = [self.random.choice(flat if depth > 4 else names)]
        elif not self.full or depth > _DEEPEST:
            names = [name for name in names if name in shape.required_members]
        return {name: self.value(shape.members[name], depth + 1) for name in names}

    def count(self, shape: Shape, depth: int) -> int:
        # An empty list in a query string cannot be told from none.
        minimum = max(shape.metadata.get("min", 0), 1 if "location" in shape.serialization else 0)
        if not self.full or depth > _DEEPEST:
            return int(minimum)
        return int(max(minimum, min(shape.metadata.get("max", _MOST_ITEMS), _MOST_ITEMS)))

    def string(self, shape: Shape) -> str:
        metadata = shape.metadata
        if metadata.get("enum"):
            return str(self.random.choice(metadata["enum"]))
        minimum, maximum = metadata.get("min", 0), min(metadata.get("max", 40), _LONGEST_TEXT)
        if metadata.get("pattern"):
            return self.matching(metadata["pattern"], minimum, metadata.get("max", _LONGEST_TEXT))
        # A path member must not be empty: no client sends that.
        length = maximum if self.full else max(minimum, 1 if shape.serialization.get("location") == "uri" else 0)
        alphabet = 'aZ09 _-/+&=?#%:"\\\u00e9\u4e2d\U0001f3ac' if "location" not in shape.serialization else "aZ09-_.~"
        return "".join(self.random.choice(alphabet) for _ in range(length))

    def matching(self, pattern: str, minimum: int, maximum: int) -> str:
        for _ in range(200):
            text = "".join(self._draw(sre_parser.parse(pattern)))
            if minimum <= len(text) <= maximum:
                return text
        raise AssertionError(f"no text of {minimum} to {maximum} characters found for {pattern}")

    def _draw(self, parsed: Any) -> list[str]:
        out: list[str] = []
        for kind, detail in parsed:
            if kind is sre.LITERAL:
                out.append(chr(detail))
            elif kind is sre.ANY:
                out.append("x")
            elif kind is sre.IN:
                out.append(self._draw_from(detail))
            elif kind is sre.SUBPATTERN:
                out += self._draw(detail[3])
            elif kind is sre.BRANCH:
                out += self._draw(self.random.choice(detail[1]))
            elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
                low, high, inner = detail
                for _ in range(self.random.randint(low, min(high, low + 4))):
                    out += self._draw(inner)
            elif kind is not sre.AT:
                raise AssertionError(f"the generator does not know {kind}")
        return out

    def _draw_from(self, choices: Any) -> str:
        if choices[0][0] is sre.NEGATE:
            return "k"
        kind, detail = self.random.choice(choices)
        if kind is sre.LITERAL:
            return chr(detail)
        if kind is sre.RANGE:
            return chr(self.random.randint(*detail))
        return {sre.CATEGORY_DIGIT: "7", sre.CATEGORY_WORD: "w", sre.CATEGORY_SPACE: " "}[detail]

    def integer(self, shape: Shape) -> int:
        low, high = shape.metadata.get("min", -5), shape.metadata.get("max", 2**31 - 1)
        return int(high if self.full else low)

    long = integer

    def floating(self, shape: Shape) -> float:
        low, high = shape.metadata.get("min", -1.5), shape.metadata.get("max", 12345.678)
        return float(high if self.full else low)

    double = floating

    def boolean(self, shape: Shape) -> bool:
        return self.full

    def timestamp(self, shape: Shape) -> Any:
        seconds = self.random.randrange(0, 2 * 10**9)
        micros = self.random.randrange(10**6) if self.full else 0
        if self.moments:
            return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
        return round(seconds + micros / 1e6, 6)


def as_seconds(value: Any) -> Any:
    """Replace every datetime by epoch seconds."""
    if isinstance(value, dict):
        return {key: as_seconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_seconds(item) for item in value]
    return round(value.timestamp(), 6) if isinstance(value, datetime) else value


@pytest.fixture
def generator() -> type[Generator]:
    return Generator


@pytest.fixture
def seconds() -> Callable[[Any], Any]:
    return as_seconds


class TinyFarm:
    """A farm with just enough in it to try the API: one farm record and what the handlers below need."""

    def __init__(self, folder: Path) -> None:
        self.credentials = CredentialStore(folder / "keys.json", bucket="shotput-local")
        self.logs = LogStore(folder / "logs.sqlite3")
        self.wake = asyncio.Event()
        self.cancelled = threading.Event()
        self.waiting = threading.Event()
        self.seen: list[Request] = []


FARM_ID = "farm-" + "0" * 32
CREATED_AT = 1700000000.123456


def get_farm(farm: TinyFarm, request: Request) -> dict[str, Any]:
    farm.seen.append(request)
    if request.params["farmId"] != FARM_ID:
        raise ResourceNotFound("farm", request.params["farmId"])
    return {
        "farmId": FARM_ID,
        "displayName": "Local",
        "description": None,
        "createdAt": CREATED_AT,
        "createdBy": request.identity.principal,
        "costScaleFactor": 1.0,
    }


def create_farm(farm: TinyFarm, request: Request) -> dict[str, Any]:
    farm.seen.append(request)
    return {"farmId": FARM_ID}


def delete_farm(farm: TinyFarm, request: Request) -> None:
    raise RuntimeError("the cellar is flooded")


def update_farm(farm: TinyFarm, request: Request) -> dict[str, Any]:
    raise sqlite3.OperationalError("database or disk is full")


def list_farms(farm: TinyFarm, request: Request) -> dict[str, Any]:
    return {"farms": [{"farmId": "no id"}]}


def search_jobs(farm: TinyFarm, request: Request) -> dict[str, Any]:
    return {"jobs": [], "totalResults": 0}


def tag_resource(farm: TinyFarm, request: Request) -> None:
    farm.seen.append(request)


def create_worker(farm: TinyFarm, request: Request) -> dict[str, Any]:
    raise RuntimeError("the cellar is flooded")


async def update_worker_schedule(farm: TinyFarm, request: Request) -> dict[str, Any]:
    desired = None
    if request.hold_seconds:
        farm.waiting.set()
        try:
            await asyncio.wait_for(farm.wake.wait(), request.hold_seconds)
            desired = "STOPPED"
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            farm.cancelled.set()
            raise
    return {
        "assignedSessions": {},
        "cancelSessionActions": {},
        "updateIntervalSeconds": 15,
        "desiredWorkerStatus": desired,
    }


_HANDLERS: dict[str, Handler] = {
    "CreateFarm": create_farm,
    "CreateWorker": create_worker,
    "DeleteFarm": delete_farm,
    "GetFarm": get_farm,
    "ListFarms": list_farms,
    "SearchJobs": search_jobs,
    "TagResource": tag_resource,
    "UpdateFarm": update_farm,
    "UpdateWorkerSchedule": update_worker_schedule,
}


class Server:
    """The application on a real socket, in a thread of its own."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.farm = TinyFarm(folder)
        self.app = Application(
            self.farm,
            registry={name: Registered(name, handler, False) for name, handler in _HANDLERS.items()},
            log_file=folder / "farm.log",
            strict_replies=True,
        )
        self.socket = process.listen(port)
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = process.Uvicorn(process.uvicorn_config(self.app))
        self._thread = threading.Thread(target=self._run, name="farm")
        self._thread.start()
        while not self._server.started:
            time.sleep(0.002)

    def _run(self) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[self.socket])

        asyncio.run(serve())

    def on_loop(self, function: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(function)

    def close(self) -> None:
        if self._thread.is_alive():
            self.on_loop(self.app.stop)
            self._server.should_exit = True
            self._thread.join()
        self.app.close()
        self.farm.logs.close()
        self.socket.close()

    def boto(self, service: str, key: Any = None, **options: Any) -> Any:
        """Return a boto3 client of the farm that signs with ``key`` (default: the farm's own)."""
        key = key or self.farm.credentials.root
        config = Config(inject_host_prefix=False, retries={"max_attempts": 0, "mode": "standard"}, **options)
        return boto3.client(
            service,
            region_name="us-west-2",
            endpoint_url=self.url,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token,
            config=config,
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start further servers: ``serve(folder, port=…)``."""
    running: list[Server] = []

    def start(folder: Path, *, port: int = 0) -> Server:
        running.append(Server(folder, port=port))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def client_of() -> Iterator[Callable[..., FarmClient]]:
    """Make clients: ``client_of(server, key=None, **options)``."""
    clients: list[FarmClient] = []

    def make(server: Server, key: Any = None, **options: Any) -> FarmClient:
        clients.append(FarmClient(server.url, key or server.farm.credentials.root, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(server: Server, client_of: Callable[..., FarmClient]) -> FarmClient:
    return client_of(server)


@pytest.fixture
def call(client_of: Callable[..., FarmClient]) -> Callable[[Server], Callable[..., dict[str, Any]]]:
    return lambda server: client_of(server).call
