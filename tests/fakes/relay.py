"""Passes connections on to a server of S3, counts the requests, and holds back answers: a store that stalls."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Relay(socketserver.ThreadingTCPServer):
    """Requests by method and kind of object are in :meth:`taken`; ``hold_after`` bytes of answers, no more come."""

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("http://").split(":")
        self.onward = (host, int(port))
        self.counts: Counter[str] = Counter()
        self.answered = 0
        self.hold_after: int | None = None
        self.holds = threading.Event()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Connection)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def taken(self) -> dict[str, int]:
        """The requests since the last call."""
        counts, self.counts = dict(self.counts), Counter()
        return counts

    def count_request(self, data: bytes) -> bool:
        for method, path in re.findall(rb"(?:^|\n)([A-Z]+) (/[^ ]*) HTTP/1\.1\r\n", data):
            kind = "Manifests" if b"/Manifests/" in path else "Data" if b"/Data/" in path else "list"
            with self._lock:
                self.counts[f"{method.decode()} {kind}"] += 1
        return True

    def count_answer(self, data: bytes) -> bool:
        with self._lock:
            self.answered += len(data)
            if self.hold_after is None or self.answered <= self.hold_after:
                return True
        self.holds.set()
        return False


class _Connection(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with socket.create_connection(self.server.onward) as onward:
            arguments = (onward, self.request, self.server.count_answer)
            back = threading.Thread(target=self.pass_on, args=arguments, daemon=True)
            back.start()
            self.pass_on(self.request, onward, self.server.count_request)
            back.join()

    @staticmethod
    def pass_on(source: socket.socket, sink: socket.socket, look: Callable[[bytes], bool]) -> None:
        try:
            is_held = False
            while data := source.recv(65536):
                # What is held back is read and forgotten, and so is all behind it: the other side waits until it is
                # killed, and what nobody got is not counted with what a later connection gets.
                is_held = is_held or not look(data)
                if not is_held:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()


@contextmanager
def relaying(endpoint: str) -> Iterator[Relay]:
    with Relay(endpoint) as relay:
        thread = threading.Thread(target=relay.serve_forever)
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()
