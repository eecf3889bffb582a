"""The command line: parse, one call, print, exit."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import NoReturn

import click

from rbacguard.cli.commands import NotReadError, cli
from rbacguard.errors import ClusterError, RbacguardError
from rbacguard.output.exits import INCOMPLETE, INTERRUPTED, NOT_READ, WRONG_INPUT

__all__ = ["main", "run"]


def main() -> NoReturn:
    """Run the command line and end the process."""
    code = 1

    def end() -> None:
        os._exit(code)

    # At once: to free the millions of values of a large cluster one by one takes long. What is
    # registered first is called last, when libraries have cleared away what they have to: the
    # Kubernetes client writes the keys of a kubeconfig to files.
    atexit.register(end)
    code = run()
    sys.exit(code)


def run() -> int:
    """Run the command line; return the exit code. Every expected error is one line on stderr."""
    # One answer, then the end: looking for cycles again and again would take a third of the time.
    gc.disable()
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as ended:
        # How click ends a completion; whoever else ends the process has something to say.
        if not isinstance(ended.code, int):
            raise
        code = ended.code
    except RbacguardError as error:
        _tell(str(error))
        code = INCOMPLETE if isinstance(error, ClusterError) else WRONG_INPUT
    except click.UsageError as error:
        error.show()
        code = WRONG_INPUT
    except click.ClickException as error:
        _tell(error.format_message())
        code = WRONG_INPUT
    except (KeyboardInterrupt, click.Abort):
        click.echo("rbacguard: interrupted", err=True)
        code = INTERRUPTED
    except NotReadError:
        # The reader of our output is gone, as in `rbacguard audit | head`: nothing to report, but
        # nothing that may pass for clean either.
        _drop_output()
        code = NOT_READ
    except MemoryError:
        _tell("not enough memory for this input")
        code = WRONG_INPUT
    except OSError as error:
        # Standard output, above all: files and connections say for themselves what is wrong.
        _drop_output()
        _tell(str(error))
        code = WRONG_INPUT
    return code if isinstance(code, int) else 0


def _tell(error: str) -> None:
    # Seldom needed, and what starts fast completes fast.
    from rbacguard.text import visible

    click.echo(f"rbacguard: error: {visible(error)}", err=True)


def _drop_output() -> None:
    """Keep Python from writing what is left when it ends, which would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
