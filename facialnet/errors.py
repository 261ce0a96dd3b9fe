"""The one exception that a user is meant to read, and the gist of all others."""


class UserError(Exception):
    """Say in one line what is wrong, where and what to do; entry points print it and exit 2."""


def gist(error: BaseException) -> str:
    """Return the first line of what an error says, or its name where it says nothing."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
