"""Replies and what is read of them: one converter for many threads."""

from __future__ import annotations

import sys
import threading

from shotput_farm.protocol import model, serialise, timestamps

SERVICE = model.service("deadline")


def test_threads_may_compile_the_same_shapes_at_once() -> None:
    """The first replies of a process come on many threads, and their shapes contain themselves and each other."""
    shapes = [SERVICE.operations[name].output for name in sorted(SERVICE.operations)]
    inputs = [SERVICE.operations[name].input for name in ("SearchJobs", "SearchTasks", "BatchGetJobEntity")]
    every = [shape for shape in [*inputs, *shapes] if shape is not None]
    value = {"filterExpressions": {"operator": "AND", "filters": [{"groupFilter": {"operator": "OR", "filters": []}}]}}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            converter = serialise.Converter(timestamps.render)
            failed: list[BaseException] = []
            begin = threading.Barrier(8)

            def work(
                converter: serialise.Converter = converter,
                failed: list[BaseException] = failed,
                begin: threading.Barrier = begin,
            ) -> None:
                begin.wait()
                try:
                    for shape in every:
                        convert = converter.convert(shape)
                        if convert is not None:
                            assert convert(value if shape is every[0] else {}) == (value if shape is every[0] else {})
                except BaseException as error:
                    failed.append(error)

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failed == []
    finally:
        sys.setswitchinterval(interval)
