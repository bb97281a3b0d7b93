"""Finds a tool, or fetches it as the peers are fetched, within two minutes, and prints where it is.

Where it cannot be had it prints nothing, says on stderr why and how many checks that costs, and is no failure.
"""

import signal
import sys

import install

LIMIT = 120


def main(name, checks):
    """`checks`: those that nobody can make without it."""

    def skip(reason):
        print(f"SKIPPED: {checks}: {reason}", file=sys.stderr)

    def over(*_):
        skip(f"to fetch it took longer than {LIMIT} s")
        # No Unavailable: that is answered with another try.
        sys.exit(0)

    signal.signal(signal.SIGALRM, over)
    signal.alarm(LIMIT)
    scratch = install.target() / "interop"
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        print(install.Tools(scratch).get(name))
    except (install.Unavailable, OSError) as reason:
        skip(reason)
    finally:
        signal.alarm(0)
        install.stop_all()
