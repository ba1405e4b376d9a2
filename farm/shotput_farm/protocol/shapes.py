"""What is made of a shape of the service model, once each and for all threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from botocore.model import Shape

T = TypeVar("T")


class Compiled(Generic[T]):
    """Compiles shapes by name. ``compile_`` makes one, and asks this object for the shapes in it.

    A shape can contain itself (groupFilter): what refers to it meanwhile gets ``stand_in`` of a function that finds the
    compiled one later. Threads may share one.
    """

    def __init__(self, compile_: Callable[[Shape], T], stand_in: Callable[[Callable[[], T]], T]) -> None:
        self._compile = compile_
        self._stand_in = stand_in
        # By name and by the traits that a reference can add to a shape: members of one shape share what is made of it.
        self._finished: dict[str, T] = {}
        self._unfinished: dict[str, T] = {}
        self._compiling = threading.RLock()

    def __call__(self, shape: Shape) -> T:
        """Return what is made of a shape."""
        name = shape.name
        if name in self._finished:
            return self._finished[name]
        with self._compiling:
            for known in (self._finished, self._unfinished):
                if name in known:
                    return known[name]
            is_outermost = not self._unfinished
            try:
                self._unfinished[name] = self._stand_in(lambda: self._finished[name])
                made = self._unfinished[name] = self._compile(shape)
                if is_outermost:
                    # Not before: another thread would use what looks up a shape that is not there yet.
                    self._finished.update(self._unfinished)
            finally:
                if is_outermost:
                    self._unfinished.clear()
            return made
