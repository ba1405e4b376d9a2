"""The registry of operations."""

from __future__ import annotations

from typing import Any

import pytest
from shotput_farm import handlers
from shotput_farm.handlers import Request, operation
from shotput_farm.protocol import model


def test_every_registered_operation_is_one_of_the_model() -> None:
    assert set(handlers.load()) <= set(model.service("deadline").operations)


def test_an_operation_has_one_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "registry", {})

    @operation("GetFarm", inline=True)
    def first(farm: Any, request: Request) -> None: ...

    assert handlers.registry["GetFarm"].handler is first
    assert handlers.registry["GetFarm"].inline
    with pytest.raises(ValueError, match=r"^Operation GetFarm has two handlers: <function .*first.*> and <function .*"):
        operation("GetFarm")(lambda farm, request: None)
