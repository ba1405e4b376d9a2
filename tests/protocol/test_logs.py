"""CloudWatch Logs by boto3 against the farm."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

FARM_ID = "farm-" + "0" * 32
QUEUE_ID = "queue-" + "1" * 32
OTHER_QUEUE = "queue-" + "2" * 32
GROUP = f"/aws/deadline/{FARM_ID}/{QUEUE_ID}"
STREAM = "session-" + "3" * 32
WHERE = {"logGroupName": GROUP, "logStreamName": STREAM}


def lines(first: int, count: int) -> list[dict[str, Any]]:
    return [{"timestamp": 1_700_000_000_000 + n, "message": f"line {n} \u00e9"} for n in range(first, first + count)]


def messages(reply: dict[str, Any]) -> list[int]:
    return [int(event["message"].split()[1]) for event in reply["events"]]


def refused(call: Any, **params: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as raised:
        call(**params)
    error: dict[str, Any] = raised.value.response["Error"]
    return error


def test_lines_of_an_unknown_stream_are_taken_and_read_back(server: Any) -> None:
    logs = server.boto("logs")
    assert logs.put_log_events(**WHERE, logEvents=lines(0, 3))["nextSequenceToken"]
    reply = logs.get_log_events(**WHERE, startFromHead=True)
    assert [(e["timestamp"], e["message"]) for e in reply["events"]] == [
        (1_700_000_000_000 + n, f"line {n} \u00e9") for n in range(3)
    ]
    assert all(event["ingestionTime"] > 1_700_000_000_000 for event in reply["events"])


def test_a_follower_gets_each_line_once(server: Any) -> None:
    logs = server.boto("logs")
    logs.put_log_events(**WHERE, logEvents=lines(0, 25))
    reply = logs.get_log_events(**WHERE, startFromHead=True, limit=10)
    seen = messages(reply)
    for _ in range(2):
        reply = logs.get_log_events(**WHERE, startFromHead=True, limit=10, nextToken=reply["nextForwardToken"])
        seen += messages(reply)
    assert seen == list(range(25))
    end = logs.get_log_events(**WHERE, nextToken=reply["nextForwardToken"])
    assert (end["events"], end["nextForwardToken"]) == ([], reply["nextForwardToken"])
    logs.put_log_events(**WHERE, logEvents=lines(25, 5))
    assert messages(logs.get_log_events(**WHERE, nextToken=end["nextForwardToken"])) == list(range(25, 30))


def test_the_last_lines_come_first_and_paging_goes_back(server: Any) -> None:
    logs = server.boto("logs")
    for first in range(0, 30, 10):
        logs.put_log_events(**WHERE, logEvents=lines(first, 10))
    reply = logs.get_log_events(**WHERE, limit=12)
    assert messages(reply) == list(range(18, 30))
    back = logs.get_log_events(**WHERE, limit=12, nextToken=reply["nextBackwardToken"])
    assert messages(back) == list(range(6, 18))
    assert messages(logs.get_log_events(**WHERE, limit=12, nextToken=back["nextForwardToken"])) == list(range(18, 30))
    back = logs.get_log_events(**WHERE, limit=12, nextToken=back["nextBackwardToken"])
    assert messages(back) == list(range(6))
    again = logs.get_log_events(**WHERE, limit=12, nextToken=back["nextBackwardToken"])
    assert (again["events"], again["nextBackwardToken"]) == ([], back["nextBackwardToken"])


def test_a_span_of_time_is_half_open(server: Any) -> None:
    logs = server.boto("logs")
    for first in range(0, 30, 10):
        logs.put_log_events(**WHERE, logEvents=lines(first, 10))
    span = {"startTime": 1_700_000_000_005, "endTime": 1_700_000_000_023}
    assert messages(logs.get_log_events(**WHERE, **span, startFromHead=True)) == list(range(5, 23))
    assert messages(logs.get_log_events(**WHERE, **span)) == list(range(5, 23))
    assert messages(logs.get_log_events(**WHERE, **span, limit=2)) == [21, 22]
    assert messages(logs.get_log_events(**WHERE, startTime=1_700_000_000_100)) == []


def test_a_page_ends_at_a_mebibyte(server: Any) -> None:
    logs = server.boto("logs")
    for n in range(6):
        logs.put_log_events(**WHERE, logEvents=[{"timestamp": n, "message": f"line {n} " + "x" * 250_000}])
    reply = logs.get_log_events(**WHERE, startFromHead=True)
    assert messages(reply) == [0, 1, 2, 3]
    assert messages(logs.get_log_events(**WHERE, nextToken=reply["nextForwardToken"])) == [4, 5]
    assert messages(logs.get_log_events(**WHERE)) == [2, 3, 4, 5]


def test_a_stream_that_nobody_wrote_to_is_not_found(server: Any) -> None:
    assert refused(server.boto("logs").get_log_events, **WHERE) == {
        "Code": "ResourceNotFoundException",
        "Message": f"There is no log stream {STREAM} in the log group {GROUP}. "
        "Look at the names; a stream is made with its session or worker.",
    }


def test_groups_and_streams_can_be_made_and_listed(server: Any) -> None:
    logs = server.boto("logs")
    logs.create_log_group(logGroupName=GROUP)
    assert refused(logs.create_log_group, logGroupName=GROUP)["Code"] == "ResourceAlreadyExistsException"
    for name in ("session-b", "session-a", "worker-c"):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
    assert refused(logs.create_log_stream, logGroupName=GROUP, logStreamName="session-a") == {
        "Code": "ResourceAlreadyExistsException",
        "Message": f"The log stream session-a exists in {GROUP}. Go on and use it.",
    }
    logs.put_log_events(logGroupName=GROUP, logStreamName="session-a", logEvents=lines(0, 2))
    found = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert [stream["logStreamName"] for stream in found] == ["session-a", "session-b", "worker-c"]
    assert (found[0]["firstEventTimestamp"], found[0]["lastEventTimestamp"]) == (1_700_000_000_000, 1_700_000_000_001)
    page = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="session-", limit=1)
    assert [stream["logStreamName"] for stream in page["logStreams"]] == ["session-a"]
    page = logs.describe_log_streams(
        logGroupName=GROUP, logStreamNamePrefix="session-", limit=1, nextToken=page["nextToken"]
    )
    assert [stream["logStreamName"] for stream in page["logStreams"]] == ["session-b"]
    assert "nextToken" not in page
    latest = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)["logStreams"]
    assert latest[0]["logStreamName"] == "session-a"
    assert refused(logs.describe_log_streams, logGroupName="/nowhere") == {
        "Code": "ResourceNotFoundException",
        "Message": "There is no log group /nowhere. Look at the name; a group is made with its first session or "
        "worker.",
    }


def test_bad_requests_are_named(server: Any) -> None:
    logs = server.boto("logs", parameter_validation=False)
    put = logs.put_log_events
    assert refused(put, **WHERE, logEvents=[{"timestamp": 1, "message": 5}, {"timestamp": 2}]) == {
        "Code": "InvalidParameterException",
        "Message": "PutLogEvents cannot be served: logEvents: each event must be an object with timestamp and message. "
        "Correct them and send again.",
    }
    assert refused(put, **WHERE, logEvents=[{"timestamp": 1.5, "message": "x"}])["Message"] == (
        "PutLogEvents cannot be served: logEvents: each event's timestamp must be a whole number and its message a "
        "string. Correct them and send again."
    )
    assert refused(put, **WHERE, logEvents=[])["Message"] == (
        "PutLogEvents cannot be served: logEvents must have between 1 and 10000 events, and has 0. Split the batch."
    )
    assert refused(put, logGroupName=GROUP, logStreamName="a:b", logEvents=lines(0, 1))["Message"] == (
        "PutLogEvents cannot be served: logStreamName must match the pattern [^:*]*, and is 'a:b'. "
        "Correct what is named and send the request again."
    )
    assert refused(logs.get_log_events, **WHERE, limit=10_001)["Message"] == (
        "GetLogEvents cannot be served: limit must be at most 10000, and is 10001. "
        "Correct what is named and send the request again."
    )
    put(**WHERE, logEvents=lines(0, 1))
    assert refused(logs.get_log_events, **WHERE, nextToken="f/99")["Message"] == (
        "GetLogEvents cannot be served: nextToken 'f/99' is no token of this log stream. Leave it out to begin anew."
    )
    assert refused(logs.describe_log_groups) == {
        "Code": "UnknownOperationException",
        "Message": "The local farm does not serve DescribeLogGroups of CloudWatch Logs; it serves PutLogEvents, "
        "GetLogEvents, CreateLogGroup, CreateLogStream, DescribeLogStreams.",
    }


def test_a_role_reads_its_queue_and_a_worker_writes_its_farm(server: Any) -> None:
    credentials = server.farm.credentials
    reader = server.boto("logs", credentials.mint("queue-user", principal="a", farm_id=FARM_ID, queue_id=QUEUE_ID))
    key = credentials.mint("fleet-worker", principal="w", farm_id=FARM_ID, fleet_id="fleet-x", worker_id="worker-x")
    server.boto("logs", key).put_log_events(**WHERE, logEvents=lines(0, 2))
    assert messages(reader.get_log_events(**WHERE)) == [0, 1]
    assert refused(reader.put_log_events, **WHERE, logEvents=lines(0, 2))["Code"] == "AccessDeniedException"
    elsewhere = {"logGroupName": f"/aws/deadline/{FARM_ID}/{OTHER_QUEUE}", "logStreamName": STREAM}
    server.boto("logs", key).put_log_events(**elsewhere, logEvents=lines(0, 2))
    error = refused(reader.get_log_events, **elsewhere)
    assert error["Message"].endswith(
        f"may not call GetLogEvents on the log group /aws/deadline/{FARM_ID}/{OTHER_QUEUE}. Use the farm's own key."
    )


def test_an_unsigned_put_is_refused(server: Any) -> None:
    from botocore import UNSIGNED

    error = refused(server.boto("logs", signature_version=UNSIGNED).put_log_events, **WHERE, logEvents=lines(0, 1))
    assert error == {
        "Code": "MissingAuthenticationTokenException",
        "Message": "The request is not signed. Take the keys that `shotput farm env` prints.",
    }


def test_lines_outlive_a_restart(server: Any, serve: Any, tmp_path: Any) -> None:
    server.boto("logs").put_log_events(**WHERE, logEvents=lines(0, 5_000))
    server.close()
    again = serve(tmp_path)
    reply = again.boto("logs").get_log_events(**WHERE, startFromHead=True)
    assert messages(reply) == list(range(5_000))
