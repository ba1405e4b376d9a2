"""YAML as submitters write it: text of several lines stays readable, and keys keep their order."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["DeadlineDumper", "deadline_yaml_dump"]


class DeadlineDumper(yaml.SafeDumper):
    """PyYAML's safe dumper, with text of several lines as a literal block."""

    def represent_text(self, data: str) -> yaml.ScalarNode:
        """One scalar, quoted only where YAML asks for it."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


DeadlineDumper.add_representer(str, DeadlineDumper.represent_text)


def deadline_yaml_dump(data: Any, stream: Any = None, **kwds: Any) -> Any:
    """Write plain values as YAML; with no ``stream``, return the text. Keywords are those of ``yaml.dump``."""
    return yaml.dump(data, stream, Dumper=DeadlineDumper, **{"sort_keys": False, **kwds})
