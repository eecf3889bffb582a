"""The errors that a caller can expect. Each message is one line for a user.

RbacguardError
├── InputError        an input cannot be read
│   └── ContradictionError  the input contains two different states of one object
├── QuestionError     a request is ambiguous or names an unknown resource
├── VersionError      a release does not exist, or no update leads from one to the other
├── PolicyError       a policy file is invalid
├── ClusterError      a cluster cannot be reached, or does not answer
└── OutputError       a file cannot be written, or already exists
    └── FormatError         a report does not have this format
"""

from __future__ import annotations


class RbacguardError(Exception):
    """The root of the tree. The command line prints the message and exits with a code."""


class InputError(RbacguardError):
    """A file, an archive, or an object is invalid. The message names the location."""


class ContradictionError(InputError):
    """The input contains the same object twice, and the two differ. The message names both."""


class QuestionError(RbacguardError):
    """A request names no known resource, or more than one."""


class VersionError(RbacguardError):
    """A release is unknown, or the update would be a downgrade."""


class PolicyError(RbacguardError):
    """A policy is invalid. The message names the file, the field, and what was expected."""


class ClusterError(RbacguardError):
    """A cluster cannot be reached or refuses access. The command line exits with code 3."""


class OutputError(RbacguardError):
    """Nothing was written: a file exists, cannot be written, or would be invalid."""


class FormatError(OutputError):
    """A report does not have this format. The message names the report."""
