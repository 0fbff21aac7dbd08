"""The log of a build: a stream of CloudWatch Logs, written with the rights of the build's role."""

import threading
import time
from typing import Any

_INTERVAL = 0.5  # seconds between two calls
_BATCH = 2000  # events a call; CloudWatch takes 10,000, or 1 MB
_LONGEST = 8000  # characters of a line: a batch of them must not pass 1 MB too often


class Log:
    """Takes lines at any time and sends them in the background, in their order."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client = client
        self._names = {"logGroupName": group, "logStreamName": stream}
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._over = threading.Event()
        self._sender = threading.Thread(target=self._send_all, daemon=True)
        self._failure: Exception | None = None

    def open(self) -> None:
        """Make the stream, and its group where it is missing. Raises ClientError where the role may not."""
        try:
            self._client.create_log_stream(**self._names)
        except self._client.exceptions.ResourceNotFoundException:
            self._client.create_log_group(logGroupName=self._names["logGroupName"])
            self._client.create_log_stream(**self._names)
        self._send()
        self._sender.start()

    def tell(self, line: str) -> None:
        """Add a line."""
        event = {"timestamp": int(time.time() * 1000), "message": line[:_LONGEST] or " "}
        with self._lock:
            self._events.append(event)

    def close(self) -> None:
        """Send the rest. Raises what went wrong on the way."""
        self.abandon()
        if self._failure:
            raise self._failure

    def abandon(self) -> None:
        """Send the rest, if that is possible."""
        self._over.set()
        if self._sender.is_alive():
            self._sender.join()

    def _send_all(self) -> None:
        try:
            while not self._over.wait(_INTERVAL):
                self._send()
            self._send()
        except Exception as error:
            self._failure = error

    def _send(self) -> None:
        while True:
            with self._lock:
                batch, self._events = self._events[:_BATCH], self._events[_BATCH:]
            if not batch:
                return
            self._client.put_log_events(**self._names, logEvents=batch)
