"""Errors that are a user's to mend."""

__all__ = ['UserError']


class UserError(Exception):
    """Something in the input, files or settings is wrong; the message says what, where, and how.

    The tools print the message alone, without a traceback.
    """
