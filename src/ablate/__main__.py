"""The console script ``ablate``, also ``python -m ablate``: how every command ends."""

from __future__ import annotations

import sys

from ablate import interrupts
from ablate.errors import AblateError, of_the_machine

NO_READER = 141
"""The exit code of what SIGPIPE ends, as shells give it."""


def main() -> None:
    """User errors exit with 2, failures of a run or of the machine with 1, an interruption with 128 and the
    signal's number; all with a message and without a traceback."""
    try:
        with interrupts.caught():  # before the imports, which take a moment
            from ablate.cli import app, streams

            streams.prepare()
            try:
                app()
            finally:
                sys.stdout.flush()
    except AblateError as error:
        _end(error)
    except BrokenPipeError:  # who read it has seen enough, as `head` has
        streams.discard_output()
        sys.exit(NO_READER)
    except (OSError, MemoryError) as error:
        if not (failure := of_the_machine(error)):
            raise
        _end(failure)
    except interrupts.Interrupted as error:
        print("interrupted; give the same command again to go on from here", file=sys.stderr)
        sys.exit(error.exit_code)


def _end(error: AblateError) -> None:
    from ablate.cli import streams
    from ablate.cli.printing import print_error

    print_error(error)
    streams.flush_or_discard()  # what a full disk still refuses would change the exit code
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
