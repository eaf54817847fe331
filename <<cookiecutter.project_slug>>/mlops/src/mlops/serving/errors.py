"""A request that is answered with an error, and the HTTP status that says whose fault it is."""


class Refused(Exception):
    """A request that cannot be answered.

    Attributes:
        status: the HTTP status, 4xx for what the client can mend.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Violation(Refused):
    """Input that is not as the contract says.

    Attributes:
        column: which one; empty where the contract has no such column.
    """

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


class Busy(Refused):
    """Too much is waiting already: to be asked again a moment later."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 503)
