"""AWS behind a studio's proxy: a tunnel that leads every host to one server on this machine, with a certificate of the
studio's own authority.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

HAS_OPENSSL = shutil.which("openssl") is not None


@dataclass
class Certificates:
    """An authority and a certificate that it signed."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, names: list[str]) -> Certificates:
        folder.mkdir()

        def openssl(*words: str) -> None:
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Studio CA")
        openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=Stand-in")
        extensions = "subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\nbasicConstraints=CA:FALSE\n"
        (folder / "extensions").write_text(extensions)
        openssl(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", "server.pem",
        )  # fmt: skip
        return cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that do not trust the certificate go away in the middle."""


@dataclass
class TlsProxy:
    """The proxy and the server behind it. Use as a context manager."""

    certificates: Certificates
    handler: Any
    tunnels: list[str] = field(default_factory=list)

    def __enter__(self) -> TlsProxy:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates.certificate, self.certificates.key)
        self._server = _Server(("127.0.0.1", 0), self.handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        behind = self._server.server_address[:2]
        tunnels = self.tunnels

        class Tunnel(BaseRequestHandler):
            def handle(self) -> None:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = self.request.recv(4096)
                    if not more:
                        return
                    head += more
                method, place, _ = head.split(b"\r\n")[0].decode().split(" ")
                assert method == "CONNECT"
                tunnels.append(place)
                with socket.create_connection(behind) as other:
                    self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=_pump, args=(other, self.request), daemon=True)
                    back.start()
                    _pump(self.request, other)
                    back.join()

        class Proxy(ThreadingTCPServer):
            daemon_threads = True

        self._proxy = Proxy(("127.0.0.1", 0), Tunnel)
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            for server in (self._server, self._proxy)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._proxy, self._server):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._proxy.server_address[1]}"


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
