"""Every error a command can end with, and the exit code of each."""

from __future__ import annotations

from enum import IntEnum

from search_spaces.errors import UserError


class Exit(IntEnum):
    """Exit codes of the command line, part of the public contract."""

    COMPLETE = 0
    USAGE = 2
    FAILED_TRIALS = 3
    INCOMPLETE = 4
    STORE = 5
    BUDGET = 6
    SIGNAL = 130


class BocbError(Exception):
    """An error of ours: its text is one clear sentence for the user."""

    exit_code = Exit.USAGE
    kind = "error"


class SpecError(BocbError, UserError):
    """The sweep's spec is wrong; nothing was started."""

    kind = "spec"


class UsageError(BocbError, UserError):
    """A command was given something it cannot use."""

    kind = "usage"


class QueryError(BocbError):
    """The SQL cannot be run, or would do more than read the store."""

    kind = "query"


class StoreError(BocbError):
    """The store cannot be read or written, or holds something that it should not."""

    exit_code = Exit.STORE
    kind = "store"


class BusyError(BocbError):
    """Another driver is running this sweep."""

    exit_code = Exit.INCOMPLETE
    kind = "busy"


class SupersededError(BocbError):
    """A newer driver has taken this sweep over; this one must write nothing more."""

    exit_code = Exit.INCOMPLETE
    kind = "superseded"


class StoppedError(BocbError):
    """The sweep was asked to stop at once."""

    exit_code = Exit.INCOMPLETE
    kind = "stopped"


class ClusterError(BocbError):
    """A Ray cluster cannot be reached, or cannot run this sweep."""

    exit_code = Exit.INCOMPLETE
    kind = "cluster"
