"""Anonymous metrics: exactly what is sent, and that nothing about them can fail or hold a set-up."""

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from setup import metrics, names

received: list[tuple[str, dict[str, Any]]] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        received.append((self.path, json.loads(self.rfile.read(length))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def server() -> Iterator[str]:
    listening = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}/generic"
    listening.shutdown()


def test_what_is_sent(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ENDPOINT", server)
    deployment = str(uuid.uuid4())
    assert metrics.send("create", deployment, "eu-west-1") == "anonymous metrics sent (200)"
    path, told = received.pop()
    assert path == "/generic"
    assert time.strptime(told.pop("TimeStamp"), "%Y-%m-%d %H:%M:%S")
    data = {"Event": "create", "Version": names.VERSION, "Region": "eu-west-1"}
    assert told == {"Solution": "SO0077", "UUID": deployment, "Data": data}


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(metrics, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert metrics.send("create", "u", "r").startswith("anonymous metrics not sent: ")


def test_a_server_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        monkeypatch.setattr(metrics, "ENDPOINT", f"http://127.0.0.1:{hanging.getsockname()[1]}/")
        assert metrics.send("delete", "u", "r").startswith("anonymous metrics not sent: ")
