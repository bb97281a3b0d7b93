"""smpplib as an ESME: commands as JSON lines on stdin, what happens as JSON lines on stdout.

The vocabulary is the same for all ESME peers; README.md, "How to add a peer", lists it.
"""

import json
import os
import select
import socket
import sys

from smpplib import client, consts, exceptions, gsm, smpp

OCTETS = ("short_message", "message_payload", "network_error_code")


def emit(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def fields(pdu):
    """What smpplib knows of a PDU: texts as texts, octets as hexadecimal digits."""
    named = {"command": pdu.command, "status": pdu.status, "sequence": pdu.sequence}
    for name in getattr(pdu, "params_order", ()):
        value = getattr(pdu, name, None)
        if name in OCTETS:
            value = (value or b"").hex() if name == "short_message" or value else None
        elif isinstance(value, bytes):
            value = value.decode("latin-1")
        if value is not None:
            named[name] = value
    return named


class Link(client.Client):
    """One session, which logs every PDU that it reads or writes."""

    def __init__(self, name, port):
        super().__init__("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
        self.name = name
        self.connect()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local = self._socket.getsockname()[1]

    def fileno(self):
        return self._socket.fileno()

    def send_pdu(self, p):
        super().send_pdu(p)
        emit("out", link=self.name, port=self.local, **fields(p))

    def read_pdu(self):
        pdu = super().read_pdu()
        emit("in", link=self.name, port=self.local, **fields(pdu))
        return pdu

    def message_received_handler(self, pdu, **kwargs):
        return consts.SMPP_ESME_ROK

    def message_sent_handler(self, pdu, **kwargs):
        pass

    def error_pdu_handler(self, pdu):
        pass

    def turn(self):
        """Reads and answers what has arrived (smpplib leaves an unbind to its user); false at the end."""
        before = self.state
        pdu = self.read_pdu()
        if pdu.command == "deliver_sm":
            self._message_received(pdu)
        elif pdu.command == "enquire_link":
            self._enquire_link_received(pdu)
        elif pdu.command == "unbind":
            self.state = before
            answer = smpp.make_pdu("unbind_resp", client=self)
            answer.sequence = pdu.sequence
            self.send_pdu(answer)
        return pdu.command != "unbind_resp"

    def submit(self, order):
        """Sends a text as smpplib encodes and cuts it, or octets as they are given."""
        order = dict(order)
        text = order.pop("text", None)
        if text is None:
            parts, coding, esm_class = [bytes.fromhex(order.pop("short_message", ""))], None, 0
        else:
            parts, coding, esm_class = gsm.make_parts(text, order.get("data_coding", 0))
        if coding is not None:
            order["data_coding"] = coding
        order["esm_class"] = order.get("esm_class", 0) | esm_class
        if "message_payload" in order:
            order["message_payload"] = bytes.fromhex(order["message_payload"])
        emit("submitted", link=self.name, parts=len(parts))
        for part in parts:
            self.send_message(**order, short_message=part)


def run(links, order):
    name, do = order.pop("link", "main"), order.pop("do")
    if do == "bind":
        link = Link(name, order.pop("port"))
        links[name] = link
        version = order.pop("interface_version")
        bind = smpp.make_pdu(f"bind_{order.pop('kind')}", client=link, **order)
        bind.interface_version = version
        link.send_pdu(bind)
        return
    link = links[name]
    if do == "submit":
        link.submit(order)
    elif do in ("enquire_link", "unbind"):
        link.send_pdu(smpp.make_pdu(do, client=link))


def main():
    links = {}
    waiting = b""
    while True:
        ready, _, _ = select.select([0, *links.values()], [], [])
        for source in ready:
            if source == 0:
                octets = os.read(0, 65536)
                if not octets:
                    return
                *lines, waiting = (waiting + octets).split(b"\n")
                for line in lines:
                    try:
                        run(links, json.loads(line))
                    except (exceptions.ConnectionError, exceptions.PDUError, ValueError) as error:
                        emit("error", text=repr(error))
                continue
            try:
                goes_on = source.turn()
            except exceptions.ConnectionError:
                goes_on = False
            if not goes_on:
                emit("closed", link=source.name, port=source.local)
                source.disconnect()
                links = {name: link for name, link in links.items() if link is not source}


if __name__ == "__main__":
    sys.exit(main())
