"""What IAM decided, on every call: who asked, for which action on what, and the answer. HOME/calls.jsonl has each once.

The permission tests compare it with the roles' policies. An object's key is told by its first folder, and a build,
a stack, a stream of a log without its number, so that the file stays short.
"""

import json
import re
import threading
from collections.abc import Mapping
from typing import Any

from setup.rehearsal import extend

FILE = "calls.jsonl"
_KEYS = ("cloudwatch:namespace", "iam:passedtoservice", "kms:viaservice")  # what the policies' conditions look at
_SHORTER = (
    (re.compile(r"^(arn:aws:s3:::[^/]+/)([^/]+/)?.*$"), r"\1\2…"),
    (re.compile(r"^(arn:aws:cloudformation:[^/]+:stack/[^/]+/).*$"), r"\1…"),
    (re.compile(r"^(arn:aws:logs:.*:log-stream:)([A-Za-z]\w*-[a-z]+/)?.+$"), r"\1\2…"),
)
_seen: set[tuple[Any, ...]] = set()
_lock = threading.Lock()


def install() -> None:
    """Begin the file."""
    (extend.HOME / FILE).touch()
    extend.on_decision(_tell)


def _tell(who: str, agent: str, action: str, resource: str, context: Mapping[str, Any], allowed: bool) -> None:
    for pattern, shorter in _SHORTER:
        resource = pattern.sub(shorter, resource)
    conditions = {key: context[key] for key in _KEYS if key in context}
    application = re.search(r"\bapp/(\S+)", agent)
    call = (
        who.split("/")[1] if ":assumed-role/" in who else who.rpartition(":")[2],
        application[1] if application else "",
    )
    told = (*call, action, resource, tuple(sorted(conditions.items())), allowed)
    with _lock:
        if told in _seen:
            return
        _seen.add(told)
        line = {
            "caller": call[0],
            "application": call[1],
            "action": action,
            "resource": resource,
            "conditions": conditions,
            "allowed": allowed,
        }
        with (extend.HOME / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
