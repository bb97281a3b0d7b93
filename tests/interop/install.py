"""Fetches the peers into the scratch folder: nothing is installed on the system, nothing needs root.

What is fetched is kept, and used again on the next run as long as what was asked for is the same.
"""

import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
LIMIT = 120.0
BUILD_LIMIT = 900.0


class Unavailable(Exception):
    """A peer that cannot be had here, and why."""


def command(argv, limit=LIMIT, **more):
    """Runs a command with a time limit and returns what it printed."""
    argv = [str(part) for part in argv]
    try:
        done = subprocess.run(
            argv, timeout=limit, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more
        )
    except FileNotFoundError:
        raise Unavailable(f"no {argv[0]} here") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{' '.join(argv[:3])} …` took longer than {limit:g} s") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Unavailable(f"`{' '.join(argv[:3])} …` failed: {last}")
    return done.stdout


class Tools:
    """The peers as they are found or fetched, each at its first use; a failure is remembered."""

    def __init__(self, scratch):
        self.scratch = scratch
        self._known = {}
        self._lock = threading.RLock()

    def get(self, name):
        """What `name` needs to run; raises Unavailable."""
        with self._lock:
            if name not in self._known:
                try:
                    self._known[name] = getattr(self, f"_{name}")()
                except Unavailable as reason:
                    self._known[name] = reason
        if isinstance(self._known[name], Unavailable):
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

    def _smpplib(self):
        wish = HERE / "peers" / "requirements.txt"
        pip = [
            "python3",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
        ]

        def fetch(place):
            command([*pip, "--target", place, "-r", wish])

        return {"PYTHONPATH": str(self._fresh("pip", wish.read_text(), fetch))}

    def _node(self):
        """node from the PATH, else Debian's."""
        if found := shutil.which("node"):
            return [found], {}
        root = self._debian("nodejs")
        return [root / "usr/bin/node"], libraries(root)

    def _smpp(self):
        node, env = self.get("node")
        wish = HERE / "peers" / "package-lock.json"

        def fetch(place):
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / "peers" / name, place)
            command(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=place)

        place = self._fresh("npm", wish.read_text(), fetch)
        return node, {**env, "NODE_PATH": str(place / "node_modules")}

    def _rusmppc(self):
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
        command(argv, limit=BUILD_LIMIT, cwd=TOP)
        return target() / "debug/examples/interop_rusmppc"

    def _kannel(self):
        """The folder with bearerbox and smsbox, and their environment."""
        if shutil.which("bearerbox") and shutil.which("smsbox"):
            return Path(shutil.which("bearerbox")).parent, {}
        root = self._debian("kannel")
        env = libraries(root)
        for box in ("bearerbox", "smsbox"):
            command([root / "usr/sbin" / box, "--version"], limit=10, env={**os.environ, **env})
        return root / "usr/sbin", env

    def _tshark(self):
        if found := shutil.which("tshark"):
            return found, {}
        root = self._debian("tshark")
        env = libraries(root)
        command([root / "usr/bin/tshark", "--version"], limit=30, env={**os.environ, **env})
        return root / "usr/bin/tshark", env

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
            options = [f"-oDir::State::Lists={state / 'lists'}", f"-oDir::Cache={state / 'cache'}"]
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
