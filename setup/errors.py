"""The one exception of the orchestrator."""


class SetupError(Exception):
    """What happened, where, and what to do next, for the person who called `./setup.sh`."""
