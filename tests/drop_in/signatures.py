"""What a caller of the official symbol could notice about ours, from what ``describe.py`` says of both."""

from __future__ import annotations

from typing import Any

_ADDITIONS = "taken in addition: "


def _parameters(official: list[dict[str, Any]], ours: list[dict[str, Any]], where: str) -> list[str]:
    """Whether every call that fits the official signature fits ours, and means the same."""
    known = {parameter["name"]: parameter for parameter in ours}
    found = []
    for position, wanted in enumerate(official):
        name = wanted["name"]
        own = known.pop(name, None)
        if own is None:
            found.append(f"{where}{name} is missing")
            continue
        if own["kind"] != wanted["kind"]:
            found.append(f"{where}{name} is {own['kind']}, not {wanted['kind']}")
        if wanted["kind"].startswith("POSITIONAL") and ours[position]["name"] != name:
            found.append(f"{where}{name} stands elsewhere")
        if own["required"] and not wanted["required"]:
            found.append(f"{where}{name} is required")
        if not wanted["required"] and own["default"] != wanted["default"]:
            found.append(f"{where}{name} is {own['default']!r} by default, not {wanted['default']!r}")
    found += [f"{where}{name} is required, and new" for name, own in known.items() if own["required"]]
    return found + [f"{_ADDITIONS}{where}{name}" for name, own in known.items() if not own["required"]]


def differences(official: dict[str, Any] | None, ours: dict[str, Any]) -> list[str]:
    """Everything that differs but what is new and harms nobody: bases, members and methods in addition."""
    if official is None:
        return ["the official package has it elsewhere"]
    if official["kind"] != ours["kind"]:
        return [f"is a {ours['kind']}, not a {official['kind']}"]
    found = []
    if official["kind"] == "enum" and official["members"] != ours["members"]:
        found.append(f"has the members {ours['members']}, not {official['members']}")
    if official["kind"] == "class":
        found += [f"does not derive from {base}" for base in official["bases"] if base not in ours["bases"]]
        found += [f"has no member {name}" for name in official["members"] if name not in ours["members"]]
        for name, parameters in official["methods"].items():
            own = ours["methods"].get(name)
            if own is None:
                found.append(f"has no {name}")
            elif isinstance(parameters, list) and isinstance(own, list):
                found += _parameters(parameters, own, f"{name}: ")
            elif parameters != own:
                found.append(f"{name} is {own}, not {parameters}")
    return found + _parameters(official.get("init", []), ours.get("init", []), "")
