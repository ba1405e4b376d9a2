"""Which function calls which symbol: ``@calls("module", "name", ...)`` above a function that uses them for real."""

from __future__ import annotations

from collections.abc import Callable

from drop_in.conftest import Workstation

Call = Callable[[Workstation], None]
CALLS: dict[str, Call] = {}


def calls(module: str, *names: str) -> Callable[[Call], Call]:
    def register(function: Call) -> Call:
        for name in names:
            symbol = f"{module}:{name}"
            assert symbol not in CALLS, f"{symbol} is called twice"
            CALLS[symbol] = function
        return function

    return register
