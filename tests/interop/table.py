"""What became of each scenario: a line as it happens, a table and a count at the end."""

import json
import sys
import time
import traceback

from install import Unavailable
from processes import Failure

PASS, FAIL, SKIPPED = "pass", "FAIL", "SKIPPED"


class Table:
    def __init__(self, peers, scenarios):
        self.peers, self.scenarios = peers, scenarios
        self.rows = []

    def note(self, peer, scenario, outcome, why="", seconds=0.0):
        self.rows.append(
            {"peer": peer, "scenario": scenario, "outcome": outcome, "why": why, "seconds": seconds}
        )
        line = f"{outcome} {peer} {scenario}"
        if outcome == SKIPPED:
            line += f": {why}"
        else:
            line += f" ({seconds:.1f} s)" + (f"\n  {why}" if why else "")
        # One write for a line: peers run beside each other.
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def failures(self, peer):
        return sum(row["peer"] == peer and row["outcome"] == FAIL for row in self.rows)

    def complete(self, wanted):
        """What has no outcome has failed: nothing is left out silently."""
        known = {(row["peer"], row["scenario"]) for row in self.rows}
        for peer, scenario in wanted:
            if (peer, scenario) not in known:
                self.note(peer, scenario, FAIL, "it was not run: see above")

    def run(self, peer, scenario, play, logs):
        """Plays one scenario and notes what became of it; true if it passed."""
        start = time.monotonic()
        outcome, why = PASS, ""
        try:
            play()
        except Unavailable as reason:
            outcome, why = SKIPPED, str(reason)
        except Failure as failure:
            outcome = FAIL
            why = f"expected: {failure.expected}\n  seen:     {failure.seen}\n  logs:     {logs}"
        except Exception:
            outcome, why = FAIL, f"{traceback.format_exc()}  logs: {logs}"
        self.note(peer, scenario, outcome, why, round(time.monotonic() - start, 2))
        return outcome == PASS

    def count(self, outcome):
        return sum(row["outcome"] == outcome for row in self.rows)

    def show(self):
        """The table, peer x scenario; `-` where a scenario is not for a peer."""
        outcomes = {(row["peer"], row["scenario"]): row["outcome"] for row in self.rows}
        peers = [peer for peer in self.peers if any(peer == each for each, _ in outcomes)]
        scenarios = [title for title in self.scenarios if any(title == each for _, each in outcomes)]
        width = max(map(len, scenarios), default=0)
        widths = [max(len(peer), len(SKIPPED)) for peer in peers]
        lines = [[" " * width, *(peer.ljust(space) for peer, space in zip(peers, widths))]]
        for scenario in scenarios:
            cells = (outcomes.get((peer, scenario), "-").ljust(space) for peer, space in zip(peers, widths))
            lines.append([scenario.ljust(width), *cells])
        print()
        for line in lines:
            print("  ".join(line).rstrip())
        print()

    def closing(self):
        """The line that a run ends with."""
        words = {PASS: "passed", FAIL: "failed", SKIPPED: "skipped"}
        return ", ".join(f"{self.count(outcome)} {word}" for outcome, word in words.items())

    def write(self, path):
        path.write_text(json.dumps(self.rows, indent=1) + "\n")
