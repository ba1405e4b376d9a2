"""Parameters of a job bundle. Every rule about them is the native module's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Union, cast

from shotput import _native
from shotput.errors import BundleError

from ..exceptions import DeadlineOperationError
from ._validation import check_definition, check_file_filter, check_interface, check_value
from .submission import AssetReferences

__all__ = [
    "JobParameter",
    "JobParameterItemConstraints",
    "UserInterfaceFileFilter",
    "UserInterfaceSpec",
    "apply_job_parameters",
    "get_ui_control_for_parameter_definition",
    "merge_queue_job_parameters",
    "parameter_definition_difference",
    "read_job_bundle_parameters",
    "validate_job_parameter",
    "validate_job_parameter_value",
    "validate_user_interface_file_filter",
    "validate_user_interface_spec",
]

_Value = Union[str, int, float, bool, list[str], list[int], list[float], list[bool], list[list[int]]]


class UserInterfaceFileFilter(TypedDict):
    """A line in the file dialog of a PATH parameter."""

    label: str
    patterns: list[str]


class UserInterfaceSpec(TypedDict, total=False):
    """How a parameter is shown."""

    control: str
    decimals: int
    groupLabel: str
    label: str
    singleStepDelta: float
    fileFilters: list[UserInterfaceFileFilter]
    fileFilterDefault: UserInterfaceFileFilter


class JobParameterItemConstraints(TypedDict, total=False):
    """What the items of a list may be; those of a list of lists have lengths and an ``item`` of their own."""

    allowedValues: list[Any]
    minLength: int
    maxLength: int
    minValue: int | float
    maxValue: int | float
    item: JobParameterItemConstraints


class _Named(TypedDict):
    name: str


class JobParameter(_Named, total=False):
    """A parameter definition in the words of Open Job Description, with its value once it has one.

    With ``name`` and ``value`` alone it is a value whose definition lies elsewhere.
    """

    type: str
    description: str
    value: Any
    default: Any
    allowedValues: list[Any]
    dataFlow: str
    objectType: str
    maxLength: int
    minLength: int
    maxValue: int | float | str
    minValue: int | float | str
    item: JobParameterItemConstraints
    userInterface: UserInterfaceSpec


def read_job_bundle_parameters(bundle_dir: str) -> list[JobParameter]:
    """Definitions of the bundle's template with the bundle's values, then values that are defined elsewhere.

    Raises ``DeadlineOperationError`` for a bundle that breaks the rules.
    """
    parameters: list[JobParameter] = _native.read_bundle(bundle_dir, as_official_client=True)["parameters"]
    return parameters


def apply_job_parameters(
    job_parameters: list[dict[str, Any]],
    job_bundle_dir: str,
    parameters: list[JobParameter],
    asset_references: AssetReferences,
    *,
    allow_uri_path_values: bool = False,
) -> None:
    """Put values into ``parameters``, and what PATH parameters refer to into ``asset_references``, both in place.

    ``job_parameters`` are ``{"name", "value"}``; those that ``parameters`` do not define are left alone. A relative
    path lies in the current folder. With ``allow_uri_path_values`` a URI (``scheme://``) is no path: it stays as it is
    and refers to no file. ``None`` is no value, and numbers are text for a STRING. Raises ``DeadlineOperationError``
    for a value that does not fit its definition, and for a parameter that has neither a value nor a default.
    """
    defined = {parameter["name"]: parameter for parameter in parameters if "type" in parameter}
    given = {
        entry["name"]: _as_text(defined[entry["name"]], entry["value"])
        for entry in plain_values(job_parameters)
        if entry["name"] in defined
    }
    held = [
        {**parameter, "value": _as_text(parameter, parameter["value"])} if "value" in parameter else parameter
        for parameter in defined.values()
    ]
    try:
        applied = _native.apply_job_parameters(held, given, allow_uris=allow_uri_path_values)
    except BundleError as error:
        raise BundleError(f"{error} The job bundle is {job_bundle_dir}.") from error
    for parameter, result in zip(defined.values(), applied["parameters"]):
        if parameter["name"] in given and "value" in result:
            parameter["value"] = result["value"]
    found = AssetReferences.from_dict({"assetReferences": applied["assetReferences"]})
    for member in ("input_filenames", "input_directories", "output_directories", "referenced_paths"):
        getattr(asset_references, member).update(getattr(found, member))


def plain_values(job_parameters: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``{"name", "value"}`` as the native module takes them: nothing for ``None``, and the text of what it does not
    know, as of paths and of numbers of other libraries.
    """
    known = (str, bool, int, float, list, tuple, dict)
    return [
        {"name": entry["name"], "value": entry["value"] if isinstance(entry["value"], known) else str(entry["value"])}
        for entry in job_parameters
        if entry["value"] is not None
    ]


def _as_text(parameter: Mapping[str, Any], value: Any) -> Any:
    return str(value) if parameter["type"] == "STRING" and isinstance(value, (bool, int, float)) else value


def get_ui_control_for_parameter_definition(param_def: JobParameter) -> str:
    """The control of a definition: the one it names, else the one that its type has.

    Raises ``DeadlineOperationError`` for a control that does not fit the type.
    """
    # Its name has no part in this.
    return _native.get_parameter_control({**param_def, "name": param_def.get("name") or "without a name"})


def parameter_definition_difference(lhs: JobParameter, rhs: JobParameter, *, ignore_missing: bool = False) -> list[str]:
    """The members in which two definitions differ; with ``ignore_missing``, of those that both have."""
    differences = _native.compare_parameters(lhs, rhs)
    return [member for member in differences if not ignore_missing or (member in lhs and member in rhs)]


def merge_queue_job_parameters(
    *, job_parameters: list[JobParameter], queue_parameters: list[JobParameter], queue_id: str | None = None
) -> list[JobParameter]:
    """The queue's definitions with what the bundle says of them, then the bundle's own; copies.

    The bundle's defaults and values come before the queue's. Raises ``DeadlineOperationError`` for definitions that
    contradict each other, and for a value without a definition.
    """
    merged: dict[str, JobParameter] = {parameter["name"]: parameter.copy() for parameter in queue_parameters}
    conflicts = []
    for parameter in job_parameters:
        name = parameter["name"]
        is_value_alone = parameter.keys() == {"name", "value"}
        known = merged.get(name)
        if known is None:
            # Names with a colon are an application's own, and need no definition.
            if is_value_alone and ":" not in name:
                raise DeadlineOperationError(f"The bundle has a value for {name!r}, which nobody defines.")
            merged[name] = parameter.copy()
            continue
        if "value" in parameter:
            known["value"] = parameter["value"]
        if "default" in parameter:
            known["default"] = parameter["default"]
        if not is_value_alone:
            differences = [one for one in parameter_definition_difference(known, parameter) if one != "default"]
            if differences:
                conflicts.append(f"  {name}: {', '.join(differences)}")
    if conflicts:
        queue = f"The queue {queue_id}" if queue_id else "The queue"
        lines = "\n".join(conflicts)
        raise DeadlineOperationError(f"{queue} and the job bundle define parameters differently:\n{lines}")
    return list(merged.values())


def validate_job_parameter(input: Any, *, type_required: bool = False, default_required: bool = False) -> JobParameter:
    """The definition, or the value alone, when its members are what they should be; ``input`` itself.

    Raises ``TypeError`` and ``ValueError``. Whether the limits of a type of OpenJD's first edition make sense is not
    looked at, except for PATH.
    """
    check_definition(input, type_required, default_required)
    return cast("JobParameter", input)


def validate_job_parameter_value(job_parameter: JobParameter, value: _Value) -> _Value:
    """The value in the type of its definition: ``"19"`` of an INT is ``19``, ``"[1, 2]"`` of a LIST[INT] ``[1, 2]``.

    Raises ``TypeError`` and ``ValueError``.
    """
    return cast("_Value", check_value(job_parameter, value))


def validate_user_interface_spec(input: Any, *, parameter_name: str) -> UserInterfaceSpec:
    """The ``userInterface`` of a definition; as :func:`validate_job_parameter`."""
    check_interface(input, f"The job parameter {parameter_name!r} -> userInterface")
    return cast("UserInterfaceSpec", input)


def validate_user_interface_file_filter(input: Any, *, parameter_name: str, field_path: str) -> UserInterfaceFileFilter:
    """A line of a file dialog, at ``field_path`` of a definition; as :func:`validate_job_parameter`."""
    check_file_filter(input, f"The job parameter {parameter_name!r} -> {field_path}")
    return cast("UserInterfaceFileFilter", input)
