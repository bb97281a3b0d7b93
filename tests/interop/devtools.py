"""Chromium without a window, driven over its DevTools protocol through a pair of pipes: no port, no library."""

import base64
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from processes import Failure

# Descriptors at which Chromium reads commands and writes answers.
READS, WRITES = 3, 4
PATIENCE = 20.0
LOOK = 0.05

KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, "")}


def _high(descriptor):
    """The same pipe under a number that is neither of Chromium's."""
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return high


class Browser:
    """One page. `requests` are all addresses that were asked for, `errors` what its console and its scripts complained of."""

    def __init__(self, program, env, log):
        self.home = tempfile.mkdtemp(prefix="tidegate-browser-")
        to_read, self._out = map(_high, os.pipe())
        self._in, to_write = map(_high, os.pipe())

        def place():
            os.dup2(to_read, READS)
            os.dup2(to_write, WRITES)

        argv = [
            str(program),
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--hide-scrollbars",
            "--no-proxy-server",
            f"--user-data-dir={self.home}",
            "about:blank",
        ]
        self._log = open(log, "ab")
        self.child = subprocess.Popen(
            argv,
            env={**os.environ, **env, "HOME": self.home},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(READS, WRITES),
            preexec_fn=place,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self.requests, self.errors = [], []
        self._number, self._session, self._answers = 0, None, {}
        self._came = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        page = next(
            target
            for target in self.ask("Target.getTargets")["targetInfos"]
            if target["type"] == "page"
        )
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def _listen(self):
        rest = b""
        while octets := os.read(self._in, 1 << 16):
            *messages, rest = (rest + octets).split(b"\0")
            for message in messages:
                self._heed(json.loads(message))

    def _heed(self, message):
        if "id" in message:
            self._came.put(message)
            return
        method, told = message["method"], message["params"]
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(told["exceptionDetails"].get("exception", told["exceptionDetails"])))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.errors.append(str([value.get("value") for value in told["args"]]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    def ask(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while self._number not in self._answers:
            try:
                came = self._came.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise Failure(f"an answer to {method}", "none") from None
            self._answers[came["id"]] = came
        answer = self._answers.pop(self._number)
        if "error" in answer:
            raise Failure(f"{method} done", answer["error"])
        return answer["result"]

    def open(self, url):
        self.ask("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.protocol !== 'about:'", "the page")

    def run(self, script):
        """The value of an expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failure(f"the value of {script}", answer["exceptionDetails"].get("exception", {}).get("description"))
        return answer["result"].get("value")

    def until(self, script, what, patience=PATIENCE):
        """Waits until an expression is true, and returns its value."""
        deadline = time.monotonic() + patience
        while not (value := self.run(script)):
            if time.monotonic() > deadline:
                raise Failure(f"{what} within {patience:g} s", f"{value!r} of {script}")
            time.sleep(LOOK)
        return value

    def press(self, key, **more):
        code, text = KEYS[key]
        told = {"key": key, "code": key, "windowsVirtualKeyCode": code, **more}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **told)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **told)

    def type(self, text):
        self.ask("Input.insertText", text=text)

    def look(self, width, height, scheme, motion="no-preference"):
        """How large the window is, and what its user prefers."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.ask("Emulation.setEmulatedMedia", features=features)

    def shoot(self, path):
        picture = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)
