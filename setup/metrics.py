"""Anonymous operational metrics (the guide's Appendix I): sent only where they are asked for, never in the way."""

import json
import urllib.request
from datetime import UTC, datetime

from setup import names

ENDPOINT = "https://metrics.awssolutionsbuilder.com/generic"
PATIENCE = 5  # seconds


def send(event: str, deployment: str, region: str) -> str:
    """Send one event (create, update, delete); whether it arrived, in words. It raises nothing."""
    told = {
        "Solution": names.SOLUTION_ID,
        "UUID": deployment,
        "TimeStamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        "Data": {"Event": event, "Version": names.VERSION, "Region": region},
    }
    request = urllib.request.Request(
        ENDPOINT, json.dumps(told).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return f"anonymous metrics sent ({answer.status})"
    except Exception as error:  # whatever it is, the set-up goes on
        return f"anonymous metrics not sent: {error}"
