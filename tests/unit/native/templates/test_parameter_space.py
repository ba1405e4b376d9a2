"""Task parameter spaces."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from shotput import _native
from templates import chunked, frames, job_template, space


class TestParameterSpace:
    def test_a_step_without_parameters_has_one_task(self) -> None:
        parameter_space = _native.create_job(job_template()).steps[0].parameter_space
        assert len(parameter_space) == 1
        assert parameter_space.get(0) == {}
        assert parameter_space.names == []
        assert parameter_space.to_dict() is None

    def test_ranges_and_types(self) -> None:
        parameter_space = space(
            [
                {"name": "I", "type": "INT", "range": "1-5:2"},
                {"name": "F", "type": "FLOAT", "range": [0.5, 2]},
                {"name": "S", "type": "STRING", "range": ["a"]},
                {"name": "P", "type": "PATH", "range": ["/x"]},
            ]
        )
        assert len(parameter_space) == 6
        assert parameter_space.get(1) == {
            "I": {"type": "INT", "value": "1"},
            "F": {"type": "FLOAT", "value": "2.0"},
            "S": {"type": "STRING", "value": "a"},
            "P": {"type": "PATH", "value": "/x"},
        }
        assert [task["I"]["value"] for task in parameter_space.slice(0, 99)] == ["1", "1", "3", "3", "5", "5"]
        assert parameter_space.names == ["I", "F", "S", "P"]
        assert repr(parameter_space) == '<ParameterSpace of "render", 6 tasks>'

    def test_combination(self) -> None:
        parameter_space = space(
            [
                {"name": "A", "type": "INT", "range": [1, 2]},
                {"name": "B", "type": "STRING", "range": ["x", "y"]},
                {"name": "C", "type": "INT", "range": [7, 8, 9]},
            ],
            "C * (A, B)",
        )
        tasks = [tuple(task[name]["value"] for name in "ABC") for task in parameter_space.slice(0, 6)]
        assert tasks == [
            ("1", "x", "7"),
            ("2", "y", "7"),
            ("1", "x", "8"),
            ("2", "y", "8"),
            ("1", "x", "9"),
            ("2", "y", "9"),
        ]

    @pytest.mark.parametrize(
        ("range_", "count", "constraint", "expected"),
        [
            ("1-10", 4, "CONTIGUOUS", ["1-4", "5-7", "8-10"]),
            ("1-3", 1, "CONTIGUOUS", ["1-1", "2-2", "3-3"]),
            ("1-3,7-8", 2, "CONTIGUOUS", ["1-2", "3-3", "7-8"]),
            ("1-9:2", 3, "CONTIGUOUS", ["1-1", "3-3", "5-5", "7-7", "9-9"]),
            ("1-5:2,6-8", 2, "CONTIGUOUS", ["1-1", "3-3", "5-6", "7-8"]),
            ([1, 2, 3, 10], 2, "CONTIGUOUS", ["1-2", "3-3", "10-10"]),
            ("1-10", 4, "NONCONTIGUOUS", ["1-4", "5-7", "8-10"]),
            ("1-9:2", 2, "NONCONTIGUOUS", ["1,3", "5,7", "9"]),
        ],
    )
    def test_chunks(self, range_: Any, count: int, constraint: str, expected: list[str]) -> None:
        parameter_space = space([chunked(range_, count, constraint)])
        assert frames(parameter_space) == expected
        assert parameter_space.get(0)["Frame"]["type"] == "CHUNK[INT]"
        assert not parameter_space.is_adaptive
        assert parameter_space.chunk_parameter == "Frame"
        assert parameter_space.default_task_count == count
        assert parameter_space.range_constraint == constraint
        assert parameter_space.target_runtime_seconds is None

    def test_a_chunk_size_from_a_parameter(self) -> None:
        definitions = [
            {"name": "ChunkSize", "type": "INT", "default": 2},
            {"name": "Frames", "type": "STRING", "default": "1-4"},
        ]
        template = {"parameterDefinitions": definitions}
        parameter_space = space([chunked("{{Param.Frames}}", "{{Param.ChunkSize}}", "CONTIGUOUS")], **template)
        assert frames(parameter_space) == ["1-2", "3-4"]
        parameter_space = space(
            [chunked("{{Param.Frames}}", "{{Param.ChunkSize}}", "CONTIGUOUS")],
            None,
            {"ChunkSize": 4, "Frames": "5-8"},
            **template,
        )
        assert frames(parameter_space) == ["5-8"]

    def test_chunks_among_other_parameters(self) -> None:
        definitions = [{"name": "Camera", "type": "STRING", "range": ["l", "r"]}, chunked("1-4", 2, "CONTIGUOUS")]
        tasks = [(task["Camera"]["value"], task["Frame"]["value"]) for task in space(definitions).slice(0, 9)]
        assert tasks == list(itertools.product("lr", ["1-2", "3-4"]))
        tasks = [
            (task["Camera"]["value"], task["Frame"]["value"])
            for task in space(definitions, "Frame * Camera").slice(0, 9)
        ]
        assert tasks == [("l", "1-2"), ("r", "1-2"), ("l", "3-4"), ("r", "3-4")]

    def test_adaptive_chunks_are_cut_where_the_last_one_ended(self) -> None:
        definitions = [
            chunked("1-4,8-9", 2, "CONTIGUOUS", targetRuntimeSeconds=60),
            {"name": "Camera", "type": "STRING", "range": ["l", "r"]},
        ]
        parameter_space = space(definitions)
        assert parameter_space.is_adaptive
        assert parameter_space.target_runtime_seconds == 60
        assert len(parameter_space) == parameter_space.task_count == 12
        offset, cut = 0, []
        for count in itertools.cycle([3, 1, 10]):
            if offset == len(parameter_space):
                break
            task, covered = parameter_space.chunk(offset, count)
            cut.append((task["Camera"]["value"], task["Frame"]["value"]))
            offset += covered
        assert cut == [("l", "1-3"), ("l", "4-4"), ("l", "8-9"), ("r", "1-3"), ("r", "4-4"), ("r", "8-9")]
        assert parameter_space.get(7) == {
            "Frame": {"type": "CHUNK[INT]", "value": "2-2"},
            "Camera": {"type": "STRING", "value": "r"},
        }
        assert repr(parameter_space) == '<ParameterSpace of "render", 12 tasks, adaptive>'

    def test_adaptive_chunks_without_constraint_step_over_gaps(self) -> None:
        parameter_space = space([chunked("1-4,8-9", 2, "NONCONTIGUOUS", targetRuntimeSeconds=60)])
        task, covered = parameter_space.chunk(2, 3)
        assert (task["Frame"]["value"], covered) == ("3,4,8", 3)

    @pytest.mark.parametrize(
        ("definition", "length"),
        [
            ({"name": "Frame", "type": "INT", "range": "1-1000000"}, 1_000_000),
            (chunked("1-1000000", 10, "CONTIGUOUS"), 100_000),
            (chunked("1-2000000:2", 10, "CONTIGUOUS"), 1_000_000),
            (chunked("1-1000000", 10, "NONCONTIGUOUS"), 100_000),
            (chunked("1-1000000", 10, "CONTIGUOUS", targetRuntimeSeconds=5), 1_000_000),
        ],
    )
    def test_a_million_tasks_are_not_made(self, definition: dict[str, Any], length: int) -> None:
        before = time.process_time()
        parameter_space = space([definition])
        assert len(parameter_space) == length
        last = parameter_space.slice(length - 100, length + 5)
        assert len(last) == 100
        # Making them would take seconds; no threshold of speed, one of kind.
        assert time.process_time() - before < 2

    def test_past_the_end(self) -> None:
        parameter_space = space([{"name": "Frame", "type": "INT", "range": "1-3"}])
        for ordinal in (3, -1):
            with pytest.raises(IndexError) as raised:
                parameter_space.get(ordinal)
            assert str(raised.value) == f"There is no task {ordinal}: the step 'render' has 3 tasks, counted from 0."
        assert [task["Frame"]["value"] for task in parameter_space] == ["1", "2", "3"]
        with pytest.raises(ValueError) as raised_value:  # noqa: PT011
            parameter_space.slice(-1, 2)
        assert str(raised_value.value) == "A slice of tasks counts from 0, but -1 to 2 was asked for."
