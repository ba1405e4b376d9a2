"""Botocore's service models, and what the rest of ``protocol`` derives from them: operations and their routes.

The models are read through botocore's ``Loader`` and ``ServiceModel`` and nothing else of botocore: no session, no
client, no credential chain. This module parses and writes nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

_VERSIONS = {"deadline": "2023-10-12", "logs": "2014-03-28", "sts": "2011-06-15"}


@dataclass(frozen=True)
class Located:
    """A member of an operation's input that travels outside the body: in the path, the query string or a header."""

    name: str
    wire_name: str
    shape: Shape


@dataclass(eq=False)
class Operation:
    """One operation of a service: its route, where each input member travels, and its shapes."""

    name: str
    method: str
    segments: tuple[str, ...]
    status: int
    host_prefix: str
    input: Shape | None
    output: Shape | None
    path: tuple[Located, ...] = ()
    query: tuple[Located, ...] = ()
    headers: tuple[Located, ...] = ()
    body: dict[str, Shape] = field(default_factory=dict)
    token_member: str | None = None

    @property
    def is_scheduling(self) -> bool:
        """Whether the operation belongs to the host that workers talk to."""
        return self.host_prefix == "scheduling."


class Service:
    """A service model and its operations by name. ``name`` is botocore's: ``deadline``, ``logs`` or ``sts``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model = _service_model(name)
        self.signing_name: str = self.model.signing_name

    @cached_property
    def operations(self) -> dict[str, Operation]:
        """Every operation of the model."""
        return {name: _operation(self.model.operation_model(name)) for name in self.model.operation_names}

    @cached_property
    def routes(self) -> dict[tuple[str, int], list[tuple[tuple[str, ...], Operation]]]:
        """Operations by (method, number of path segments), those with more literal segments first."""
        routes: dict[tuple[str, int], list[tuple[tuple[str, ...], Operation]]] = {}
        for operation in self.operations.values():
            routes.setdefault((operation.method, len(operation.segments)), []).append((operation.segments, operation))
        for candidates in routes.values():
            candidates.sort(key=lambda candidate: sum(segment.startswith("{") for segment in candidate[0]))
        return routes

    def shape(self, name: str) -> Shape:
        """Return a shape by its name in the model."""
        return self.model.shape_for(name)


@cache
def service(name: str) -> Service:
    """Return the service ``deadline``, ``logs`` or ``sts``, read once per process."""
    return Service(name)


def _service_model(name: str) -> ServiceModel:
    description: dict[str, Any] = Loader(include_default_search_paths=True).load_service_model(
        name, "service-2", api_version=_VERSIONS[name]
    )
    return ServiceModel(description, service_name=name)


def _operation(model: OperationModel) -> Operation:
    located: dict[str, list[Located]] = {"uri": [], "querystring": [], "header": []}
    body: dict[str, Shape] = {}
    token: str | None = None
    members = model.input_shape.members if model.input_shape is not None else {}
    for name, shape in members.items():
        location = shape.serialization.get("location")
        if location is None:
            body[shape.serialization.get("name", name)] = shape
        else:
            located[location].append(Located(name, shape.serialization.get("name", name), shape))
        if shape.metadata.get("idempotencyToken"):
            token = name
    uri: str = model.http["requestUri"]
    return Operation(
        name=model.name,
        method=model.http["method"],
        segments=tuple(uri.partition("?")[0].strip("/").split("/")),
        status=model.http.get("responseCode", 200),
        host_prefix=(model.endpoint or {}).get("hostPrefix", ""),
        input=model.input_shape,
        output=model.output_shape,
        path=tuple(located["uri"]),
        query=tuple(located["querystring"]),
        headers=tuple(located["header"]),
        body=body,
        token_member=token,
    )
