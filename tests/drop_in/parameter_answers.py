"""What the package ``deadline`` answers about job parameters, as JSON: run by the Python of each environment in turn.

Reads ``[[name, definition, value], ...]`` from its input; writes for each what came back, or the exception's class.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from deadline.client.exceptions import DeadlineOperationError
from deadline.client.job_bundle import parameters, submission


def _controls(definition: dict[str, Any]) -> Any:
    return parameters.get_ui_control_for_parameter_definition(definition)  # type: ignore[arg-type]


def _wire(definition: dict[str, Any], value: Any) -> Any:
    return submission.split_parameter_args([{**definition, "value": value}], "/bundle")[1]  # type: ignore[typeddict-item]


def _applied(definition: dict[str, Any], value: Any) -> Any:
    references = submission.AssetReferences()
    given = [{"name": definition["name"], "value": value}]
    answer: list[Any] = [dict(definition)]
    parameters.apply_job_parameters(given, "/bundle", answer, references, allow_uri_path_values=True)
    return answer, references.to_dict()


def _differences(definition: dict[str, Any], other: Any) -> Any:
    return parameters.parameter_definition_difference(definition, other)  # type: ignore[arg-type]


def _read(folder: str) -> Any:
    # The official one refuses with any of these.
    try:
        found = parameters.read_job_bundle_parameters(folder)
    except (ValueError, TypeError, DeadlineOperationError):
        return "refused"
    return sorted(found, key=lambda parameter: parameter["name"])


CALLS: dict[str, Any] = {
    "definition": lambda definition, _: parameters.validate_job_parameter(definition),
    "value": lambda definition, value: parameters.validate_job_parameter_value(definition, value),
    "control": lambda definition, _: _controls(definition),
    "wire": _wire,
    "applied": _applied,
    "differences": _differences,
    "read": lambda folder, _: _read(folder),
}


def answers(cases: list[list[Any]]) -> list[Any]:
    found = []
    for name, definition, value in cases:
        try:
            found.append({"is": CALLS[name](definition, value)})
        except Exception as error:
            # Ours may be classes below the official ones.
            names = [kind.__name__ for kind in type(error).__mro__]
            known = [name for name in ("DeadlineOperationError", "ValueError", "TypeError") if name in names]
            found.append({"raises": (known or names)[0]})
    answer: list[Any] = json.loads(json.dumps(found))
    return answer


if __name__ == "__main__":
    json.dump(answers(json.load(sys.stdin)), sys.stdout)
