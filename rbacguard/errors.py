"""The errors that a caller can expect; each message is one line for a person.

RbacguardError
├── InputError        what was given cannot be read
│   └── ContradictionError  the same object twice, and different
├── QuestionError     it is not clear what is asked
├── VersionError      no such release, or no update from one to the other
├── PolicyError       a policy file is broken
├── ClusterError      a cluster cannot be reached, or does not answer
└── OutputError       a file cannot be written, or stands in the way
    └── FormatError         there is no such form of a report
"""

from __future__ import annotations


class RbacguardError(Exception):
    """The root of the tree; the command line turns it into one line and an exit code."""


class InputError(RbacguardError):
    """A file, archive or object cannot be used; the message names the place."""


class ContradictionError(InputError):
    """The same object was given twice and differs; the message names both places."""


class QuestionError(RbacguardError):
    """A question names no resource that is known, or more than one."""


class VersionError(RbacguardError):
    """A release is unknown, or the update would be a downgrade."""


class PolicyError(RbacguardError):
    """A policy does not load; the message names file, field and what was expected."""


class ClusterError(RbacguardError):
    """A cluster cannot be reached or refuses; the command line exits 3, nothing being known."""


class OutputError(RbacguardError):
    """Nothing was written: a file exists, cannot be written or would be invalid."""


class FormatError(OutputError):
    """A report has no such form; the message names the report."""
