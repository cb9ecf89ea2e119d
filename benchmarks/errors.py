"""What can go wrong with a row."""


class RowFailed(Exception):
    """What was measured was wrong, so that no number of it counts: output was lost, a run did not succeed."""


class NotMeasured(Exception):
    """The machine lacks what a row is measured against. Says what to do about it."""
