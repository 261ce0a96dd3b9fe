"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Say in one line what is wrong, where and what to do; entry points print it and exit 2."""
