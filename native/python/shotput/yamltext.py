"""Writes the part of YAML that job bundles need: mappings, lists, strings, numbers, booleans and null.

JSON would be valid YAML too, and shorter to write, but a bundle is a thing that people read, compare and edit, and its
render script would be one line of ``\\n``. No YAML library is in the standard library, and hosts carry no third-party
Python, so this is written here: strings that could be read as anything else are quoted as JSON strings are, long texts
become literal blocks, keys keep their order. It writes, it does not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Letters first, then nothing that YAML gives a meaning to; the words YAML 1.1 takes for something else are left out.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*\Z")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"])
_BLOCK_BREAKERS = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")


def dump(document: Mapping[str, Any]) -> str:
    """The document as YAML text, ending in a newline. Raises ``TypeError`` for values that are not plain data."""
    return "\n".join(_mapping(document, 0)) + "\n" if document else "{}\n"


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float):
        # YAML 1.1 reads 1e+20 as text; with a dot before the exponent every version reads a number.
        text = json.dumps(value, allow_nan=False)
        return re.sub(r"^(-?\d+)e", r"\1.0e", text)
    if not isinstance(value, str):
        raise TypeError(
            f"A {type(value).__name__} cannot be written to YAML; pass strings, numbers, lists and mappings."
        )
    if _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _BLOCK_BREAKERS.sub(_escaped, quoted)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def _is_block(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value and bool(value.strip("\n ")) and not _BLOCK_BREAKERS.search(value)


def _block(value: str, indent: int) -> Iterator[str]:
    body = value.rstrip("\n")
    ending = len(value) - len(body)
    # The indentation is stated, since a text may start with spaces or an empty line; "-" and "+" say how it ends.
    yield f"|2{'-' if ending == 0 else '' if ending == 1 else '+'}"
    for line in body.split("\n") + [""] * max(ending - 1, 0):
        yield " " * indent + line if line else ""


def _item(prefix: str, value: Any, indent: int) -> Iterator[str]:
    if _is_block(value):
        lines = _block(value, indent + 2)
        yield f"{prefix} {next(lines)}"
        yield from lines
    elif isinstance(value, Mapping) and value:
        yield prefix
        yield from _mapping(value, indent + 2)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and value:
        yield prefix
        # Lists stand below their key at the key's own column; a list in a list goes two further.
        inner = indent + 2 if prefix.endswith("-") else indent
        for element in value:
            yield from _element(element, inner)
    else:
        empty = "{}" if isinstance(value, Mapping) else "[]" if isinstance(value, (list, tuple)) else None
        yield f"{prefix} {empty or _scalar(value)}"


def _element(value: Any, indent: int) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for number, line in enumerate(_mapping(value, indent + 2)):
            yield " " * indent + "- " + line[indent + 2 :] if number == 0 else line
    else:
        yield from _item(" " * indent + "-", value, indent)


def _mapping(value: Mapping[str, Any], indent: int) -> Iterator[str]:
    for key, element in value.items():
        if not isinstance(key, str):
            raise TypeError(f"The key {key!r} is not a string; job bundles have string keys only.")
        yield from _item(f"{' ' * indent}{_scalar(key)}:", element, indent)
