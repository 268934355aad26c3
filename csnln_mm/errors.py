"""Errors that are a user's to mend."""

__all__ = ['UserError']


class UserError(Exception):
    """Something in the input, files or settings is wrong; the message says what, where, and how.

    The tools print the message alone, without a traceback.

    Args:
        message: one line.
    """

    def __init__(self, message: str) -> None:
        # A dataloader worker hands on the text of its traceback, which ends with the message.
        super().__init__(str(message).rpartition(f'{__name__}.UserError: ')[2].rstrip())
