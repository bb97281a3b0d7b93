"""The processes of a run: the gateway, the peers that speak JSON lines, and their logs."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

PATIENCE = 20.0
LOOK = 0.02
HOST = "127.0.0.1"

PASSWORD = "secret"
# tidegate hash-password, of PASSWORD
HASH = "$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0"


class Failure(Exception):
    """A scenario that did not go as it should: what was expected, what was seen."""

    def __init__(self, expected, seen):
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected, self.seen = expected, seen


def expect(what, expected, seen):
    if expected != seen:
        raise Failure(f"{what} {expected!r}", repr(seen))


def until(look, what, patience=PATIENCE, seen=lambda: "nothing of the kind"):
    """Looks until there is something; a deadline without it is a failure."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failure(f"{what} within {patience:g} s", seen())
        time.sleep(LOOK)


_ports = iter(random.sample(range(15_000, 32_000), 17_000))


def free_port():
    """A port that nobody has: below those that systems give to outgoing connections, and none twice."""
    for port in _ports:
        try:
            socket.create_server((HOST, port)).close()
            return port
        except OSError:
            continue
    raise RuntimeError("no free port")


# The machine's proxy, if it has one, knows nothing of loopback.
WEB = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url):
    """The page, whatever its status below 500; None while nobody answers."""
    try:
        with WEB.open(url, timeout=5) as answer:
            return answer.read().decode(errors="replace")
    except urllib.error.HTTPError as answer:
        return answer.read().decode(errors="replace") if answer.code < 500 else None
    except OSError:
        return None


class Process:
    """A child in a process group of its own, its output in files, stopped whatever happens."""

    running = set()
    ended = False

    def __init__(self, argv, directory, name, env=None, talks=False):
        if Process.ended:
            raise RuntimeError("the run has ended")
        self.name, self.log = name, directory / f"{name}.log"
        self._err = open(self.log, "ab")
        self.child = subprocess.Popen(
            [str(part) for part in argv],
            cwd=directory,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else self._err,
            stderr=self._err,
            start_new_session=True,
        )
        Process.running.add(self)

    def signal(self, number):
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def stop(self, grace=5.0):
        """SIGTERM, then SIGKILL; returns the exit status."""
        if self.child.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(grace)

    def wait(self, patience):
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        self.signal(signal.SIGKILL)
        self.child.wait()
        self._err.close()
        Process.running.discard(self)
        return self.child.returncode

    @classmethod
    def stop_all(cls):
        cls.ended = True
        for process in list(cls.running):
            process.stop(grace=1.0)


class Peer(Process):
    """A peer that takes orders and tells events as JSON lines; everything it tells is kept and logged."""

    def __init__(self, argv, directory, name, env=None):
        super().__init__(argv, directory, name, env, talks=True)
        self.events = []
        self._record = open(directory / f"{name}.jsonl", "ab")
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def wait(self, patience):
        status = super().wait(patience)
        # What it told before its end is known after it.
        self._listener.join(patience)
        return status

    def _listen(self):
        for line in self.child.stdout:
            self._record.write(line)
            self._record.flush()
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.events.append({"event": "error", "text": line.decode(errors="replace")})

    def order(self, do, **more):
        try:
            self.child.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            self.child.stdin.flush()
        except OSError as error:
            raise Failure(f"{self.name} to take an order", f"{error}, log {self.log}") from error

    def mark(self):
        """Where the events stand now; what is waited for comes after a mark."""
        return len(self.events)

    def seen(self, mark=0, event="in", **wanted):
        wanted["event"] = event
        return [each for each in self.events[mark:] if all(each.get(key) == wanted[key] for key in wanted)]

    def wait_for(self, mark=0, patience=PATIENCE, **wanted):
        """The first event with these fields after the mark."""
        return self.seen_all(mark, 1, patience, **wanted)[0]

    def seen_all(self, mark, count, patience=PATIENCE, **wanted):
        """The first `count` events with these fields after the mark."""
        until(
            lambda: len(self.seen(mark, **wanted)) >= count,
            f"{self.name} to see {count} x {wanted}",
            patience,
            lambda: json.dumps(self.seen(mark, event="error") + self.events[mark:][-6:]),
        )
        return self.seen(mark, **wanted)[:count]


class Gateway:
    """A `tidegate serve` with a configuration of its own."""

    def __init__(self, binary, directory, carrier_port, accounts):
        self.binary, self.directory = binary, directory
        self.carrier_port, self.accounts = carrier_port, accounts
        self.smpp, self.http = free_port(), free_port()
        self.process = None
        self.config = directory / "tidegate.toml"
        password = directory / "carrier.password"
        password.touch(0o600)
        password.write_text(PASSWORD + "\n")
        self.configure()

    def configure(self, **carrier):
        """Writes the configuration; what is named differs from the usual carrier."""
        self.config.write_text(configuration(self, carrier))

    def start(self):
        argv = [self.binary, "serve", "--config", self.config]
        self.process = Process(argv, self.directory, "gateway")
        until(self._ready, "/readyz to say yes", seen=lambda: f"log {self.process.log}")

    def _ready(self):
        if self.process.child.poll() is not None:
            raise Failure(
                "the gateway to run", f"exit {self.process.child.returncode}, log {self.process.log}"
            )
        return get(f"http://{HOST}:{self.http}/readyz") is not None

    def stop(self):
        """An orderly end, which must succeed."""
        process, self.process = self.process, None
        if process:
            expect("the gateway's exit status", 0, process.stop(grace=PATIENCE))


def configuration(gateway, carrier):
    """A small, quick configuration: short pauses before reconnects, enquire_link every three seconds."""
    carrier = {"binds": "trx", "window": 5, "interface_version": "3.4", **carrier}
    text = f"""\
[[listen]]
address = "{HOST}:{gateway.smpp}"

[http]
address = "{HOST}:{gateway.http}"

[storage]
data = "data"
key_ring = "keys"
kek_file = "kek/kek"
auto_init = true
segment_size = "1MiB"
limit = "64MiB"

[limits]
enquire_link = "3s"
enquire_link_response = "2900ms"
shutdown_grace = "3s"

[[carrier]]
name = "carrier"
addresses = ["{HOST}:{gateway.carrier_port}"]
system_id = "tidegate"
password_file = "carrier.password"
system_type = "interop"
addr_ton = 1
addr_npi = 1
address_range = "^44"
enquire_link = "3s"
enquire_link_response = "2900ms"
reconnect_min = "50ms"
reconnect_max = "200ms"
retry_min = "50ms"
retry_max = "200ms"
"""
    text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in carrier.items())
    text += '\n[[route.mt]]\nprefix = ""\ncarriers = ["carrier"]\n'
    for index, account in enumerate(gateway.accounts):
        text += f'\n[[account]]\nsystem_id = "{account}"\npassword_hashes = ["{HASH}"]\n'
        number = "*" if index == 0 else f"{index}*"
        text += f'\n[[route.mo]]\nnumber = "{number}"\naccount = "{account}"\n'
    return text
