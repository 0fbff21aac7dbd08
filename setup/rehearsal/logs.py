"""CloudWatch Logs: the ARNs that IAM checks on. What is about a stream is checked on the stream, below its group."""

from setup.rehearsal import extend
from setup.rehearsal.extend import Request

_OF_STREAMS = {"CreateLogStream", "DeleteLogStream", "DescribeLogGroups", "GetLogEvents", "PutLogEvents"}


def install() -> None:
    """Tell IAM."""
    extend.resource_of("logs", _resource)


def _resource(operation: str, request: Request) -> str | None:
    if operation not in _OF_STREAMS:
        return None
    group = f"arn:aws:logs:{extend.REGION}:{extend.ACCOUNT}:log-group:{request.get('logGroupName', '')}"
    return f"{group}:log-stream:{request.get('logStreamName', '')}"
