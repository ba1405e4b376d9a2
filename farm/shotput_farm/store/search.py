"""Search: filter and sort expressions of the service model, compiled to SQL.

A ``Vocabulary`` says which field names a kind of resource has and which SQL they stand for. Unknown names and operators
that do not fit a field are SearchError; nothing of a request becomes SQL text, only bound values.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["text", "number", "time"]

_COMPARE: Final = {
    "EQUAL": "=",
    "NOT_EQUAL": "<>",
    "GREATER_THAN": ">",
    "GREATER_THAN_EQUAL_TO": ">=",
    "LESS_THAN": "<",
    "LESS_THAN_EQUAL_TO": "<=",
}

_ACTIVITY: Final = (
    "RUNNING", "INTERRUPTING", "STARTING", "ASSIGNED", "SCHEDULED", "READY", "PENDING",
    "SUSPENDED", "FAILED", "CANCELED", "NOT_COMPATIBLE", "SUCCEEDED",
)  # fmt: skip


class SearchError(ValueError):
    """A search expression that cannot be answered. ``path`` is the member it is about."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class Vocabulary:
    """What can be searched: ``fields`` maps a name to (SQL expression, kind); ``term`` are expressions that a search
    term is looked for in; ``parameters`` is the SQL of a JSON object of parameters, or None."""

    noun: str
    fields: Mapping[str, tuple[str, Kind]]
    term: Sequence[str]
    parameters: str | None = None
    creator: str | None = None


JOBS: Final = Vocabulary(
    "job",
    {
        "JOB_ID": ("job.job_id", "text"),
        "QUEUE_ID": ("job.queue_id", "text"),
        "NAME": ("job.name", "text"),
        "JOB_NAME": ("job.name", "text"),
        "DESCRIPTION": ("job.description", "text"),
        "CREATED_BY": ("job.created_by", "text"),
        "UPDATED_BY": ("job.updated_by", "text"),
        "PRIORITY": ("job.priority", "number"),
        "TASK_RUN_STATUS": ("job.task_run_status", "text"),
        "TARGET_TASK_RUN_STATUS": ("job.target_task_run_status", "text"),
        "LIFECYCLE_STATUS": ("job.lifecycle_status", "text"),
        "FAILURE_RETRY_COUNT": ("job.failure_retry_count", "number"),
        "TASK_FAILURE_RETRY_COUNT": ("job.failure_retry_count", "number"),
        "MAX_WORKER_COUNT": ("job.max_worker_count", "number"),
        "SOURCE_JOB_ID": ("job.source_job_id", "text"),
        "CREATED_AT": ("job.created_at", "time"),
        "STARTED_AT": ("job.started_at", "time"),
        "ENDED_AT": ("job.ended_at", "time"),
        "UPDATED_AT": ("job.updated_at", "time"),
    },
    ("job.name", "job.job_id", "job.description", "job.created_by"),
    parameters="job.parameters",
    creator="job.created_by",
)

STEPS: Final = Vocabulary(
    "step",
    {
        "STEP_ID": ("step.step_id", "text"),
        "JOB_ID": ("job.job_id", "text"),
        "NAME": ("step.name", "text"),
        "STEP_NAME": ("step.name", "text"),
        "TASK_RUN_STATUS": ("step.task_run_status", "text"),
        "TARGET_TASK_RUN_STATUS": ("step.target_task_run_status", "text"),
        "LIFECYCLE_STATUS": ("step.lifecycle_status", "text"),
        "FAILURE_RETRY_COUNT": ("step.failure_retry_count", "number"),
        "CREATED_BY": ("job.created_by", "text"),
        "CREATED_AT": ("job.created_at", "time"),
        "STARTED_AT": ("step.started_at", "time"),
        "ENDED_AT": ("step.ended_at", "time"),
        "UPDATED_AT": ("step.updated_at", "time"),
    },
    ("step.name", "step.step_id"),
    creator="job.created_by",
)

TASKS: Final = Vocabulary(
    "task",
    {
        "TASK_ID": ("task.task_id", "text"),
        "STEP_ID": ("task.step_id", "text"),
        "JOB_ID": ("task.job_id", "text"),
        "RUN_STATUS": ("task.status", "text"),
        "TASK_RUN_STATUS": ("task.status", "text"),
        "TARGET_RUN_STATUS": ("task.target_status", "text"),
        "FAILURE_RETRY_COUNT": ("task.failure_retry_count", "number"),
        "STARTED_AT": ("task.started_at", "time"),
        "ENDED_AT": ("task.ended_at", "time"),
        "UPDATED_AT": ("task.updated_at", "time"),
        "CREATED_AT": ("task.created_at", "time"),
    },
    ("task.task_id",),
    parameters="task_parameters(task.step_seq, task.ordinal)",
)

WORKERS: Final = Vocabulary(
    "worker",
    {
        "WORKER_ID": ("worker.worker_id", "text"),
        "FLEET_ID": ("worker.fleet_id", "text"),
        "STATUS": ("worker.status", "text"),
        "WORKER_STATUS": ("worker.status", "text"),
        "HOST_NAME": ("json_extract(worker.host_properties, '$.hostName')", "text"),
        "CREATED_BY": ("worker.created_by", "text"),
        "UPDATED_BY": ("worker.updated_by", "text"),
        "CREATED_AT": ("worker.created_at", "time"),
        "UPDATED_AT": ("worker.updated_at", "time"),
    },
    ("worker.worker_id", "json_extract(worker.host_properties, '$.hostName')"),
    creator="worker.created_by",
)


@dataclass
class Query:
    """Compiled expressions: SQL, and the values that are bound in it."""

    where: str
    order: str
    where_values: list[Any]
    order_values: list[Any]


def compile_query(
    vocabulary: Vocabulary,
    filters: Mapping[str, Any] | None,
    sorts: Sequence[Mapping[str, Any]] | None,
    *,
    tie: str,
) -> Query:
    """Compile ``filterExpressions`` and ``sortExpressions``; ``tie`` is the SQL order of what is equal. SearchError."""
    where_values: list[Any] = []
    order_values: list[Any] = []
    where = _group(vocabulary, filters, where_values, "filterExpressions") if filters else "1"
    terms = [_sort(vocabulary, sort, order_values, f"sortExpressions[{i}]") for i, sort in enumerate(sorts or ())]
    return Query(where, ", ".join([*terms, tie]), where_values, order_values)


def jobs(
    db: sqlite3.Connection, query: Query, queue_ids: Sequence[str], *, offset: int, limit: int
) -> tuple[int, list[sqlite3.Row]]:
    """Return how many jobs of these queues match, and those from ``offset`` on."""
    return _run(db, "job", "job.*", "job.queue_id", query, queue_ids, offset, limit)


def steps(
    db: sqlite3.Connection, query: Query, queue_ids: Sequence[str], job_id: str | None, *, offset: int, limit: int
) -> tuple[int, list[sqlite3.Row]]:
    """Return how many steps of these queues (of one job, if given) match, and those from ``offset`` on.

    Each row has its job's ``job_id``, ``queue_id``, ``created_at`` and ``created_by`` as well.
    """
    if job_id is not None:
        narrowed = f"({query.where}) AND job.job_id = ?"
        query = Query(narrowed, query.order, [*query.where_values, job_id], query.order_values)
    columns = "step.*, job.job_id, job.queue_id, job.created_at, job.created_by"
    return _run(db, "step JOIN job ON job.seq = step.job_seq", columns, "job.queue_id", query, queue_ids, offset, limit)


def workers(
    db: sqlite3.Connection, query: Query, fleet_ids: Sequence[str], *, offset: int, limit: int
) -> tuple[int, list[sqlite3.Row]]:
    """Return how many workers of these fleets match, and those from ``offset`` on."""
    return _run(db, "worker", "worker.*", "worker.fleet_id", query, fleet_ids, offset, limit)


def tasks(
    db: sqlite3.Connection, query: Query, queue_ids: Sequence[str], job_id: str | None, *, offset: int, limit: int
) -> tuple[int, list[sqlite3.Row]]:
    """Return how many tasks match (counted up to 10,000), and those from ``offset`` on, touched or not.

    Tasks that are no rows are made up from their step, ordinal by ordinal. A function ``task_parameters(step,
    ordinal)`` must be known to the connection when the query asks for parameters.
    """
    marks = ", ".join("?" * len(queue_ids))
    scope = f"job.queue_id IN ({marks})" + (" AND job.job_id = ?" if job_id is not None else "")
    values: list[Any] = [*queue_ids, *([job_id] if job_id is not None else [])]
    source = f"""
        WITH RECURSIVE scope AS MATERIALIZED (
            SELECT step.seq AS step_seq, step.step_id, job.job_id, job.queue_id, job.created_at, step.untouched,
                   step.untouched_status, step.task_count, step.next_ordinal
            FROM step JOIN job ON job.seq = step.job_seq WHERE {scope}
        ),
        candidate (step_seq, ordinal, stop) AS (
            SELECT step_seq, next_ordinal, task_count FROM scope WHERE untouched > 0
            UNION ALL SELECT step_seq, ordinal + 1, stop FROM candidate WHERE ordinal + 1 < stop
        ),
        task AS (
            SELECT t.step_seq, t.ordinal, t.status, t.target_status, t.failure_retry_count, t.started_at, t.ended_at,
                   t.updated_at, t.updated_by, t.latest_session, t.latest_action, t.parameters, scope.step_id,
                   scope.job_id, scope.queue_id, scope.created_at,
                   'task-' || substr(scope.step_id, 6) || '-' || t.ordinal AS task_id
            FROM main.task AS t JOIN scope USING (step_seq)
            UNION ALL
            SELECT c.step_seq, c.ordinal, scope.untouched_status, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                   scope.step_id, scope.job_id, scope.queue_id, scope.created_at,
                   'task-' || substr(scope.step_id, 6) || '-' || c.ordinal
            FROM candidate AS c JOIN scope USING (step_seq)
            WHERE NOT EXISTS (SELECT 1 FROM main.task AS t WHERE t.step_seq = c.step_seq AND t.ordinal = c.ordinal)
        )
    """
    bound = [*values, *query.where_values]
    (total,) = db.execute(
        f"{source} SELECT count(*) FROM (SELECT 1 FROM task WHERE {query.where} LIMIT 10000)", bound
    ).fetchone()
    rows = db.execute(
        f"{source} SELECT * FROM task WHERE {query.where} ORDER BY {query.order} LIMIT ? OFFSET ?",
        (*bound, *query.order_values, limit, offset),
    ).fetchall()
    return int(total), rows


def _run(
    db: sqlite3.Connection,
    source: str,
    columns: str,
    scope: str,
    query: Query,
    scope_ids: Sequence[str],
    offset: int,
    limit: int,
) -> tuple[int, list[sqlite3.Row]]:
    where = f"{scope} IN ({', '.join('?' * len(scope_ids))}) AND ({query.where})"
    bound = [*scope_ids, *query.where_values]
    (total,) = db.execute(f"SELECT count(*) FROM {source} WHERE {where}", bound).fetchone()
    rows = db.execute(
        f"SELECT {columns} FROM {source} WHERE {where} ORDER BY {query.order} LIMIT ? OFFSET ?",
        (*bound, *query.order_values, limit, offset),
    ).fetchall()
    return min(int(total), 10_000), rows


def _group(vocabulary: Vocabulary, group: Mapping[str, Any], values: list[Any], path: str) -> str:
    parts = []
    for i, item in enumerate(group["filters"]):
        ((kind, body),) = item.items()
        where = f"{path}.filters[{i}].{kind}"
        if kind == "groupFilter":
            parts.append(_group(vocabulary, body, values, where))
        else:
            parts.append(_FILTERS[kind](vocabulary, body, values, where))
    if not parts:
        return "1"
    return "(" + f" {'OR' if group['operator'] == 'OR' else 'AND'} ".join(parts) + ")"


def _field(vocabulary: Vocabulary, name: str, path: str) -> tuple[str, Kind]:
    try:
        return vocabulary.fields[name]
    except KeyError:
        raise SearchError(
            f"{path}.name",
            f"A {vocabulary.noun} cannot be searched by {name!r}. Use one of {', '.join(sorted(vocabulary.fields))}.",
        ) from None


def _operator(operator: str, path: str) -> str:
    try:
        return _COMPARE[operator]
    except KeyError:
        raise SearchError(
            f"{path}.operator",
            f"The operator {operator!r} does not compare one value. Use one of {', '.join(_COMPARE)}.",
        ) from None


def _time(vocabulary: Vocabulary, body: Mapping[str, Any], values: list[Any], path: str) -> str:
    sql, kind = _field(vocabulary, body["name"], path)
    if kind != "time":
        raise SearchError(f"{path}.name", f"{body['name']!r} is not a time. Use a stringFilter for it.")
    values.append(round(body["dateTime"] * 1000, 3))
    return f"coalesce({sql} {_operator(body['operator'], path)} ?, 0)"


def _string(vocabulary: Vocabulary, body: Mapping[str, Any], values: list[Any], path: str) -> str:
    sql, kind = _field(vocabulary, body["name"], path)
    values.append(_typed(body["value"], kind, body["name"], path))
    if body["operator"] == "NOT_EQUAL":
        return f"({sql} IS NOT ?)"
    return f"coalesce({sql} {_operator(body['operator'], path)} ?, 0)"


def _string_list(vocabulary: Vocabulary, body: Mapping[str, Any], values: list[Any], path: str) -> str:
    sql, kind = _field(vocabulary, body["name"], path)
    values.extend(_typed(value, kind, body["name"], path) for value in body["values"])
    marks = ", ".join("?" * len(body["values"]))
    if body["operator"] in ("ALL_NOT_EQUALS", "NOT_EQUAL"):
        return f"coalesce({sql} NOT IN ({marks}), 1)"
    return f"coalesce({sql} IN ({marks}), 0)"


def _parameter(vocabulary: Vocabulary, body: Mapping[str, Any], values: list[Any], path: str) -> str:
    if vocabulary.parameters is None:
        raise SearchError(path, f"A {vocabulary.noun} has no parameters to search by. Leave the parameterFilter out.")
    # A parameter is a union with one member; its value is text, whatever its type.
    values.extend((body["name"], body["value"]))
    return (
        f"EXISTS (SELECT 1 FROM json_each({vocabulary.parameters}) AS p, json_each(p.value) AS v"
        f" WHERE p.key = ? AND CAST(v.value AS TEXT) {_operator(body['operator'], path)} ?)"
    )


def _term(vocabulary: Vocabulary, body: Mapping[str, Any], values: list[Any], path: str) -> str:
    escaped = body["searchTerm"].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = f"%{escaped}%" if body.get("matchType") == "CONTAINS" else f"{escaped}%"
    if body.get("matchType") not in ("CONTAINS", None, "FUZZY_MATCH"):
        pattern = escaped
    if body.get("matchType") in (None, "FUZZY_MATCH"):
        pattern = f"%{'%'.join(escaped.split())}%"
    values.extend(pattern for _ in vocabulary.term)
    return "(" + " OR ".join(f"coalesce({sql} LIKE ? ESCAPE '\\', 0)" for sql in vocabulary.term) + ")"


_FILTERS: Final = {
    "dateTimeFilter": _time,
    "stringFilter": _string,
    "stringListFilter": _string_list,
    "parameterFilter": _parameter,
    "searchTermFilter": _term,
}


def _typed(value: str, kind: Kind, name: str, path: str) -> str | float:
    if kind == "text":
        return value
    try:
        return float(value)
    except ValueError:
        raise SearchError(f"{path}.value", f"{name!r} is a number; {value!r} is not. Give it as digits.") from None


def _sort(vocabulary: Vocabulary, sort: Mapping[str, Any], values: list[Any], path: str) -> str:
    ((kind, body),) = sort.items()
    direction = "DESC" if body.get("sortOrder") == "DESCENDING" else "ASC"
    if kind == "userJobsFirst":
        if vocabulary.creator is None:
            raise SearchError(path, f"A {vocabulary.noun} belongs to no user. Leave userJobsFirst out.")
        values.append(body["userIdentityId"])
        return f"({vocabulary.creator} = ?) DESC"
    if kind == "parameterSort":
        if vocabulary.parameters is None:
            raise SearchError(path, f"A {vocabulary.noun} has no parameters to sort by. Leave the parameterSort out.")
        values.append(body["name"])
        return (
            "(SELECT coalesce(CAST(v.value AS REAL), v.value) FROM"
            f" json_each({vocabulary.parameters}) AS p, json_each(p.value) AS v WHERE p.key = ? LIMIT 1) {direction}"
        )
    sql, _ = _field(vocabulary, body["name"], path)
    if body["name"] in ("TASK_RUN_STATUS", "RUN_STATUS"):
        # By activity, as the monitor lists them, rather than by the alphabet.
        cases = " ".join(f"WHEN '{status}' THEN {i}" for i, status in enumerate(_ACTIVITY))
        return f"CASE {sql} {cases} END {direction}"
    return f"{sql} {direction}"


def parameters_function(db: sqlite3.Connection, lookup: Any) -> None:
    """Make ``lookup(step_seq, ordinal) -> dict`` known to SQL as ``task_parameters``."""
    db.create_function("task_parameters", 2, lambda step, ordinal: json.dumps(lookup(step, ordinal)))
