"""Values for any shape of a service model, drawn from a seed: the least that is allowed, or a lot."""

from __future__ import annotations

import random
import re._constants as sre  # the parser of `re` itself: what it reads is what the checks match
import re._parser as sre_parser
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

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
