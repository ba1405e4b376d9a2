"""The shape of parameter definitions, and of values, as tools check them before they show or send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Callable

from shotput import _native
from shotput.errors import BundleError

__all__ = ["check_definition", "check_file_filter", "check_interface", "check_value"]

# What a list holds. Items are not converted; LIST[BOOL] takes what a BOOL takes.
_ITEMS: dict[str, tuple[type, ...]] = {
    "LIST[STRING]": (str,),
    "LIST[PATH]": (str,),
    "LIST[INT]": (int,),
    "LIST[FLOAT]": (int, float),
    "LIST[BOOL]": (bool, int, float, str),
    "LIST[LIST[INT]]": (list,),
}
_TYPES = ("STRING", "PATH", "INT", "FLOAT", "BOOL", "RANGE_EXPR", *_ITEMS)
_FLOWS = ("NONE", "IN", "OUT", "INOUT")
_OBJECTS = ("FILE", "DIRECTORY")
_CONTROLS = (
    "CHECK_BOX",
    "CHECK_BOX_LIST",
    "CHOOSE_DIRECTORY",
    "CHOOSE_DIRECTORY_LIST",
    "CHOOSE_INPUT_FILE",
    "CHOOSE_INPUT_FILE_LIST",
    "CHOOSE_OUTPUT_FILE",
    "CHOOSE_OUTPUT_FILE_LIST",
    "DROPDOWN_LIST",
    "HIDDEN",
    "LINE_EDIT",
    "LINE_EDIT_LIST",
    "MULTILINE_EDIT",
    "SPIN_BOX",
    "SPIN_BOX_LIST",
)
_LONGEST_PATTERN = 20
_LONGEST_PATH = 1024

_Check = Callable[[Any, str], None]


def _kind(value: Any, kinds: tuple[type, ...], where: str) -> None:
    # A bool is an int to Python and to nobody else.
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{where} is {value!r}, of the type {type(value).__name__}; it must be {wanted}.")


def _of(*kinds: type) -> _Check:
    return lambda value, where: _kind(value, kinds, where)


def _one_of(words: tuple[str, ...]) -> _Check:
    def check(value: Any, where: str) -> None:
        if value not in words:
            raise ValueError(f"{where} is {value!r}; it must be one of {', '.join(words)}.")

    return check


def _count(value: Any, where: str) -> None:
    _kind(value, (int,), where)
    if value < 0:
        raise ValueError(f"{where} is {value}; it must not be below 0.")


def _number(value: Any, where: str) -> None:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            raise ValueError(f"{where} is {value!r}, which is no number.") from None
    else:
        _kind(value, (int, float), where)


def _step(value: Any, where: str) -> None:
    _kind(value, (int, float), where)
    if value <= 0:
        raise ValueError(f"{where} is {value}; it must be above 0.")


def _given(value: Any, where: str) -> None:
    if value is None:
        raise ValueError(f"{where} is None; give a value, or leave it out.")


def check_file_filter(value: Any, where: str) -> None:
    """A line of a file dialog: ``{"label", "patterns"}``."""
    _kind(value, (dict,), where)
    for member in ("label", "patterns"):
        if member not in value:
            raise ValueError(f"{where} has no {member}.")
    _kind(value["label"], (str,), f"{where} -> label")
    _kind(value["patterns"], (list,), f"{where} -> patterns")
    for pattern in value["patterns"]:
        _kind(pattern, (str,), f"A pattern of {where}")
        if not 0 < len(pattern) <= _LONGEST_PATTERN:
            raise ValueError(f"The pattern {pattern!r} of {where} must have 1 to {_LONGEST_PATTERN} letters.")


def _file_filters(value: Any, where: str) -> None:
    _kind(value, (list,), where)
    for index, line in enumerate(value):
        check_file_filter(line, f"{where}[{index}]")


_INTERFACE: dict[str, _Check] = {
    "control": _one_of(_CONTROLS),
    "label": _of(str),
    "groupLabel": _of(str),
    "decimals": _count,
    "singleStepDelta": _step,
    "fileFilters": _file_filters,
    "fileFilterDefault": check_file_filter,
}


def check_interface(value: Any, where: str) -> None:
    """``userInterface`` of a definition."""
    _kind(value, (dict,), where)
    for member, check in _INTERFACE.items():
        if member in value:
            check(value[member], f"{where} -> {member}")


_DEFINITION: dict[str, _Check] = {
    "description": _of(str),
    "type": _one_of(_TYPES),
    "default": _given,
    "allowedValues": _of(list),
    "dataFlow": _one_of(_FLOWS),
    "minLength": _count,
    "maxLength": _count,
    "minValue": _number,
    "maxValue": _number,
    "objectType": _one_of(_OBJECTS),
    "userInterface": check_interface,
}


def check_definition(value: Any, type_required: bool, default_required: bool) -> None:
    """A definition, or a value alone. Raises ``TypeError`` and ``ValueError`` with what is wrong first."""
    _kind(value, (dict,), "The job parameter")
    if "name" not in value:
        raise ValueError(f"The job parameter {value!r} has no name.")
    _kind(value["name"], (str,), "The name of a job parameter")
    if not value["name"]:
        raise ValueError("A job parameter has an empty name.")
    where = f"The job parameter {value['name']!r}"
    for member, is_required in (("type", type_required), ("default", default_required)):
        if is_required and member not in value:
            raise ValueError(f"{where} has no {member}.")
    for member, check in _DEFINITION.items():
        if member in value:
            check(value[member], f"{where} -> {member}")
    kind = value.get("type")
    if "item" in value and kind not in _ITEMS:
        raise ValueError(f"{where} has an item, which its type {kind!r} does not take.")
    if kind not in ("STRING", "INT", "FLOAT", None):
        _check_limits(kind, value, where)


def _check_limits(kind: str, definition: dict[str, Any], where: str) -> None:
    """What is limited must be of the right Python type; whether the limits make sense, the native module says."""
    default = definition.get("default")
    if default is not None and kind in ("PATH", "RANGE_EXPR", *_ITEMS):
        _kind(default, (list,) if kind in _ITEMS else (str,), f"{where} -> default")
        if kind in _ITEMS:
            _check_items(kind, default, f"{where} -> default")
    if kind == "PATH":
        for allowed in definition.get("allowedValues", ()):
            _kind(allowed, (str,), f"A value of {where} -> allowedValues")
    if "item" in definition and kind != "LIST[BOOL]":
        _check_item(kind, definition["item"], f"{where} -> item")
    # Its look is checked apart: here, any control goes with any type.
    _natively(_native.get_parameter_control, {key: definition[key] for key in definition if key != "userInterface"})


def _check_item(kind: str, item: Any, where: str) -> None:
    _kind(item, (dict,), where)
    kinds = _ITEMS[kind]
    counts, amounts = ("minLength", "maxLength"), ("minValue", "maxValue")
    for member in counts if kinds in ((str,), (list,)) else amounts:
        if member in item:
            _kind(item[member], (int,) if member in counts else kinds, f"{where} -> {member}")
            _small(item[member], f"{where} -> {member}")
    if kinds == (list,):
        if "item" in item:
            _check_item("LIST[INT]", item["item"], f"{where} -> item")
    elif "allowedValues" in item:
        _kind(item["allowedValues"], (list,), f"{where} -> allowedValues")
        _check_items(kind, item["allowedValues"], f"{where} -> allowedValues")


def _small(value: Any, where: str) -> None:
    # The native module knows no larger numbers at all.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{where} is {value}, which has more than 64 bits.")


def _check_items(kind: str, items: list[Any], where: str) -> None:
    for index, item in enumerate(items):
        _kind(item, _ITEMS[kind], f"{where}[{index}]")
        if kind != "LIST[FLOAT]":
            _small(item, f"{where}[{index}]")
        if kind == "LIST[LIST[INT]]":
            _check_items("LIST[INT]", item, f"{where}[{index}]")


def _natively(call: Callable[..., Any], *values: Any) -> Any:
    try:
        return call(*values)
    except BundleError as error:
        raise ValueError(str(error)) from None


def check_value(definition: Mapping[str, Any], value: Any) -> Any:
    """The value in the type of its definition. Raises ``TypeError`` and ``ValueError`` when it does not fit."""
    kind, where = definition["type"], f"The value {value!r} of the job parameter {definition['name']!r}"
    if kind in ("STRING", "PATH"):
        if not isinstance(value, str):
            raise TypeError(f"{where} is no text, as the type {kind} asks.")
        if kind == "PATH" and len(value) > _LONGEST_PATH:
            raise ValueError(f"{where} is longer than {_LONGEST_PATH}, as paths can be.")
    elif kind in ("BOOL", "RANGE_EXPR", *_ITEMS):
        return _check_of_extension(kind, definition, value, where)
    elif kind in ("INT", "FLOAT"):
        try:
            number = float(value) if kind == "FLOAT" else int(value)
        except ValueError:
            raise ValueError(f"{where} is no {'whole ' if kind == 'INT' else ''}number.") from None
        if kind == "INT" and not isinstance(value, str) and number != value:
            raise ValueError(f"{where} is no whole number.")
        value = number
    else:
        raise TypeError(f"The job parameter {definition['name']!r} is of the type {kind!r}, which nobody knows.")
    size = len(value) if isinstance(value, str) else value
    for member, sign, words in (
        ("minLength", -1, "shorter than"),
        ("maxLength", 1, "longer than"),
        ("minValue", -1, "below"),
        ("maxValue", 1, "above"),
    ):
        bound = definition.get(member)
        if bound is not None and (size - float(bound)) * sign > 0:
            raise ValueError(f"{where} is {words} {bound} ({member}).")
    allowed = definition.get("allowedValues")
    if allowed is not None and value not in allowed:
        raise ValueError(f"{where} is none of {', '.join(map(repr, allowed))}.")
    return value


def _check_of_extension(kind: str, definition: Mapping[str, Any], value: Any, where: str) -> Any:
    if kind == "RANGE_EXPR":
        _kind(value, (str,), where)
    elif kind in _ITEMS:
        _kind(value, (list, str), where)
        items = value
        if isinstance(value, str):
            try:
                items = json.loads(value)
            except ValueError:
                items = None
        if isinstance(items, list):
            _check_items(kind, items, where)
    else:
        _small(value, where)
    return _natively(_native.coerce_parameter, definition, value)
