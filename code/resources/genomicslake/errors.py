"""The one exception of the jobs: what happened, where, and what to do next."""


class LakeError(Exception):
    """Input, options or surroundings that a job can't go on with; its text is for the person who runs it."""

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        end, gap = ("", "\n") if "\n" in what else (".", " ")
        super().__init__((f"{where}: " if where else "") + what + end + (gap + todo if todo else ""))

    @classmethod
    def told(cls, text: str) -> "LakeError":
        """The error that a task on another machine raised, from its text."""
        error = cls("")
        error.args = (text,)
        return error
