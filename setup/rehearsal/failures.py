"""An S3 that fails, for who wants to see what becomes of a job then: HOME/failing.json, while it is there, tells how.

    {"method": "PUT|POST", "path": "^/lake/tables/", "after": 3, "times": 2, "status": 503, "code": "SlowDown"}

Of the requests whose method and path match, `after` go well, then `times` fail with an HTTP status and S3's code for
it. With `kill`, the number of a process group, that is killed in place of an answer. HOME/failing.count has the number
of requests that matched.
"""

import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE, COUNT = "failing.json", "failing.count"

App = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@dataclass
class Rule:
    """What the file says, as long as it has its time, and how many requests matched."""

    written: int
    said: dict[str, Any]
    matched: int = 0

    def fails(self, method: str, path: str) -> bool:
        """Whether a request is to fail."""
        if not (re.fullmatch(self.said["method"], method) and re.search(self.said["path"], path)):
            return False
        self.matched += 1
        return bool(self.said["after"] < self.matched <= self.said["after"] + self.said["times"])


def failing(app: App, home: Path) -> App:
    """The emulated AWS, but for the requests that are to fail."""
    rule: Rule | None = None

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal rule
        rule = _rule(home / FILE, rule)
        if not rule or scope["type"] != "http":
            await app(scope, receive, send)
            return
        fails = rule.fails(scope["method"], scope["path"])
        (home / COUNT).write_text(str(rule.matched))
        if not fails:
            await app(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass  # who has not sent all does not listen
        if "kill" in rule.said:
            os.killpg(rule.said["kill"], signal.SIGKILL)
        code = rule.said.get("code", "InternalError")
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as was asked for</Message></Error>".encode()
        headers = [(b"content-type", b"application/xml"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": rule.said.get("status", 500), "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return answer


def _rule(path: Path, known: Rule | None) -> Rule | None:
    try:
        written = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return known if known and known.written == written else Rule(written, json.loads(path.read_text()))
