"""Debian's Kannel as an ESME: its bearerbox binds to the gateway, its smsbox sends and receives over HTTP.

It keeps no log of PDUs; what it wrote and read is told by the recorder, by its HTTP calls and by the carrier.
"""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from processes import HOST, PASSWORD, Failure, Process, expect, free_port, get, until
from texts import LONG, LONG_UNICODE, PLAIN, SPECIAL, UCS2, UNICODE, cut, encode
from world import World

# Kannel's words for what became of a message.
DELIVERED, FAILED, TAKEN = "1", "2", "8"
BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER = 0x01, 0x02, 0x09
UNBIND, ENQUIRE_LINK, RESPONSE = 0x06, 0x15, 0x80000000
RBINDFAIL = 0x0D
SERVICE = "78001"


class Calls(ThreadingHTTPServer):
    """What Kannel calls: for each receipt and each MO."""

    daemon_threads = True

    def __init__(self):
        super().__init__((HOST, 0), Call)
        self.calls = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def wait_for(self, mark, path, **wanted):
        def look():
            return next(
                (call for call in self.calls[mark:] if call == {**call, "path": path, **wanted}), None
            )

        return until(look, f"Kannel to call {path} with {wanted}", seen=lambda: repr(self.calls[mark:]))


class Call(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True, encoding="latin-1")
        self.server.calls.append({"path": url.path, **{name: values[0] for name, values in query.items()}})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class KannelWorld(World):
    """The gateway and the carrier as for every ESME, with bearerbox and smsbox in front."""

    def __init__(self, name, gateway, tools):
        self.folder, self.env = tools.get("kannel")
        super().__init__(name, gateway, tools)
        self.calls = Calls()
        self.admin, self.boxes_port, self.sendsms = free_port(), free_port(), free_port()
        self.boxes = []

    def start_boxes(self, *links, password=PASSWORD, online=True):
        """Starts both boxes with a configuration of these connections."""
        self.stop_boxes()
        file = self.directory / "kannel.conf"
        file.write_text(self.configuration(links or ({"port": None, "transceiver-mode": "true"},), password))
        for box in ("bearerbox", "smsbox"):
            self.boxes.append(Process([self.folder / box, "-v", "4", file], self.directory, box, self.env))
            if box == "bearerbox":
                until(lambda: self.status() is not None, "bearerbox to answer")
                # It answers over HTTP before it listens for boxes, and a smsbox that finds nobody there ends.
                until(self.boxes_welcome, "bearerbox to listen for boxes")
        if online:
            self.wait_online(len(links or (1,)))
            until(self.sendsms_answers, "smsbox to answer")

    def configuration(self, links, password):
        groups = [
            {
                "group": "core",
                "admin-port": self.admin,
                "admin-interface": HOST,
                "admin-password": PASSWORD,
                "smsbox-port": self.boxes_port,
                "smsbox-interface": HOST,
                "box-allow-ip": HOST,
                "log-file": self.directory / "bearerbox.debug",
                "log-level": 0,
            },
            *(
                {
                    "group": "smsc",
                    "smsc": "smpp",
                    "smsc-id": "tidegate",
                    "host": HOST,
                    "smsc-username": self.name,
                    "smsc-password": password,
                    "system-type": "interop",
                    # Longer than the gateway's, so that it is the gateway that asks.
                    "enquire-link-interval": 60,
                    "reconnect-delay": 1,
                    **{key: self.to_gateway.port if value is None else value for key, value in link.items()},
                }
                for link in links
            ),
            {
                "group": "smsbox",
                "bearerbox-host": HOST,
                "sendsms-port": self.sendsms,
                "sendsms-interface": HOST,
                "log-file": self.directory / "smsbox.debug",
                "log-level": 0,
            },
            {
                "group": "sendsms-user",
                "username": self.name,
                "password": PASSWORD,
                "concatenation": "true",
                "max-messages": 10,
            },
            {
                "group": "sms-service",
                "keyword": "default",
                "get-url": self.url("/mo?from=%p&to=%P&text=%b&coding=%c&charset=%C"),
                "max-messages": 0,
            },
        ]
        lines = ("\n".join(f'{key} = "{value}"' for key, value in group.items()) for group in groups)
        return "\n\n".join(lines) + "\n"

    def url(self, path):
        return f"http://{HOST}:{self.calls.server_port}{path}"

    def stop_boxes(self):
        """smsbox first: bearerbox waits for it."""
        while self.boxes:
            self.boxes.pop().stop(grace=10.0)

    def ask(self, command):
        return get(f"http://{HOST}:{self.admin}/{command}{'&' if '?' in command else '?'}password={PASSWORD}")

    def status(self):
        return self.ask("status.txt")

    def wait_online(self, links=1):
        until(
            lambda: (self.status() or "").count("(online") >= links,
            f"{links} SMSC links online",
            seen=self.status,
        )

    def boxes_welcome(self):
        try:
            socket.create_connection((HOST, self.boxes_port), 1).close()
            return True
        except OSError:
            return False

    def sendsms_answers(self):
        return get(f"http://{HOST}:{self.sendsms}/cgi-bin/sendsms") is not None

    def send(self, text, coding=0, sender="Tidegate"):
        """Sends over HTTP; returns the number it went to."""
        number = self.number()
        order = {
            "username": self.name,
            "password": PASSWORD,
            "from": sender,
            "to": number,
            "text": text,
            "charset": "UTF-8",
            "coding": 2 if coding == UCS2 else 0,
            "dlr-mask": 31,
            "dlr-url": self.url(f"/dlr?number={number}&status=%d&text=%A"),
        }
        # A smsbox that was just started may not listen yet.
        address = f"http://{HOST}:{self.sendsms}/cgi-bin/sendsms?{urlencode(order)}"
        answer = until(lambda: get(address), "sendsms to answer")
        if not (answer or "").startswith("0:"):
            raise Failure("sendsms to accept the message", answer)
        return number

    def arrived(self, mark, number, count=1):
        """What of a message the carrier got."""
        return self.carrier.seen_all(mark, count, command="submit_sm", destination_addr=number)

    def pdus(self, mark, sender, command, count=1, status=None):
        """Waits until a side has written these PDUs after the mark of the recorder."""

        def look():
            found = [
                pdu
                for pdu in self.to_gateway.pdus[mark:]
                if pdu[:2] == (sender, command) and status in (None, pdu[2])
            ]
            return len(found) >= count

        until(
            look,
            f"{count} x {command:#x} from the {sender}",
            seen=lambda: repr(self.to_gateway.pdus[mark:][-8:]),
        )

    def reset(self):
        super().reset()
        self.start_boxes()

    def close(self):
        try:
            self.stop_boxes()
        finally:
            super().close()
            self.calls.shutdown()


def sent_and_delivered(world, stat="DELIVRD", state=2, word=DELIVERED):
    mark, there = len(world.calls.calls), world.carrier.mark()
    number = world.send(PLAIN)
    (arrived,) = world.arrived(there, number)
    expect("the octets", encode(PLAIN, 0).hex(), arrived["short_message"])
    expect("the sender", (5, "Tidegate"), (arrived["source_addr_ton"], arrived["source_addr"]))
    expect("registered_delivery", 1, arrived["registered_delivery"] & 3)
    world.calls.wait_for(mark, "/dlr", number=number, status=TAKEN)
    world.receipt((None, None, arrived), stat, state)
    call = world.calls.wait_for(mark, "/dlr", number=number, status=word)
    if f" stat:{stat} " not in call["text"]:
        raise Failure(f"stat:{stat} in the receipt", call)


def bind_transceiver(world):
    world.pdus(0, "server", BIND_TRANSCEIVER | RESPONSE, status=0)
    sent_and_delivered(world)


def with_connections(world, *links):
    """Two connections, one for each direction; then again the one for both."""
    mark = len(world.to_gateway.pdus)
    world.start_boxes(*links)
    world.pdus(mark, "server", BIND_TRANSMITTER | RESPONSE, status=0)
    world.pdus(mark, "server", BIND_RECEIVER | RESPONSE, status=0)
    sent_and_delivered(world)
    received(world, "STOP")
    world.start_boxes()


def bind_transmitter_and_receiver(world):
    with_connections(world, {"port": None}, {"receive-port": None})


def bind_3_3(world):
    with_connections(
        world, {"port": None, "interface-version": 33}, {"receive-port": None, "interface-version": 33}
    )


def wrong_password(world):
    mark = len(world.to_gateway.pdus)
    world.start_boxes(password="wrong", online=False)
    world.pdus(mark, "server", BIND_TRANSCEIVER | RESPONSE, status=RBINDFAIL)
    world.start_boxes()


def receipt_delivered(world):
    sent_and_delivered(world)


def receipt_failed(world):
    sent_and_delivered(world, "UNDELIV", 5, FAILED)


def text_arrives(world, text, coding=0):
    there = world.carrier.mark()
    number = world.send(text, coding)
    (arrived,) = world.arrived(there, number)
    expect("data_coding", coding, arrived["data_coding"])
    expect("the octets", encode(text, coding).hex(), arrived["short_message"])
    expect("the text that the carrier reads", text, arrived["text"])


def special_characters(world):
    text_arrives(world, SPECIAL)


def ucs2(world):
    text_arrives(world, UNICODE, UCS2)


def long_text(world, text, coding=0):
    """Kannel cuts, and is told of the message as a whole when every part has its receipt."""
    mark, there = len(world.calls.calls), world.carrier.mark()
    number = world.send(text, coding)
    arrived = world.arrived(there, number, len(cut(encode(text, coding), coding, 0)))
    expect("esm_class", {0x40}, {each["esm_class"] & 0x40 for each in arrived})
    arrived.sort(key=lambda each: each["short_message"][:12])
    expect("the text that the carrier reads", text, "".join(each["text"] for each in arrived))
    for each in arrived:
        world.receipt((None, None, each))
    world.calls.wait_for(mark, "/dlr", number=number, status=DELIVERED)


def long_udh(world):
    long_text(world, LONG)


def long_udh_ucs2(world):
    long_text(world, LONG_UNICODE, UCS2)


def window(world):
    there = world.carrier.mark()
    texts = {world.send(f"message {index}"): f"message {index}" for index in range(30)}
    for number, text in texts.items():
        (arrived,) = world.arrived(there, number)
        expect("the text that the carrier reads", text, arrived["text"])


def received(world, text, coding=0, udh=False):
    """An MO from the carrier; Kannel's call has its text (Kannel joins what comes in parts)."""
    mark = len(world.calls.calls)
    number = world.number()
    octets = encode(text, coding)
    deliver(world, number, octets, coding, udh)
    call = world.calls.wait_for(mark, "/mo", **{"from": f"+{number}"})
    expect("the receiver", SERVICE, call["to"])
    expect("Kannel's coding", "2" if coding == UCS2 else "0", call["coding"])
    charset = call["charset"] or "UTF-8"
    expect("the text that Kannel reads", text, call["text"].encode("latin-1").decode(charset))


def deliver(world, number, octets, coding, udh=False):
    for piece in cut(octets, coding, 9) if udh else [octets]:
        there = world.carrier.mark()
        world.carrier.order(
            "deliver",
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=number,
            destination_addr=SERVICE,
            esm_class=0x40 if udh else 0,
            data_coding=coding,
            short_message=piece.hex(),
        )
        world.carrier_delivered(there)


def mo(world):
    received(world, "STOP")


def mo_ucs2(world):
    received(world, UNICODE, UCS2)


def mo_long(world):
    received(world, LONG, udh=True)


def mo_waits(world):
    """An MO that comes while Kannel is not bound is there after its next bind."""
    unbind(world)
    mark, number = len(world.calls.calls), world.number()
    deliver(world, number, encode(PLAIN, 0), 0)
    bind_again(world)
    call = world.calls.wait_for(mark, "/mo", **{"from": f"+{number}"})
    expect("the text that Kannel reads", PLAIN, call["text"])


def unbind(world):
    mark = len(world.to_gateway.pdus)
    world.ask("stop-smsc?smsc=tidegate")
    world.pdus(mark, "client", UNBIND)
    world.pdus(mark, "server", UNBIND | RESPONSE, status=0)


def bind_again(world):
    mark = len(world.to_gateway.pdus)
    # Refused as long as the old connection has not quite ended.
    until(lambda: "not" not in world.ask("start-smsc?smsc=tidegate"), "Kannel to start the connection again")
    world.pdus(mark, "server", BIND_TRANSCEIVER | RESPONSE, status=0)
    world.wait_online()


def enquire_link(world):
    mark = len(world.to_gateway.pdus)
    world.start_boxes({"port": None, "transceiver-mode": "true", "enquire-link-interval": 1})
    world.pdus(mark, "client", ENQUIRE_LINK)
    world.pdus(mark, "server", ENQUIRE_LINK | RESPONSE, status=0)
    world.start_boxes()


def enquire_link_from_gateway(world):
    mark = len(world.to_gateway.pdus)
    world.pdus(mark, "server", ENQUIRE_LINK, count=2)
    world.pdus(mark, "client", ENQUIRE_LINK | RESPONSE, status=0)


def outstanding(world, interrupt, resume):
    """Receipts that come while Kannel is away are there after its next bind."""
    mark, there = len(world.calls.calls), world.carrier.mark()
    numbers = [world.send(PLAIN) for _ in range(3)]
    arrived = [world.arrived(there, number)[0] for number in numbers]
    for number in numbers:
        world.calls.wait_for(mark, "/dlr", number=number, status=TAKEN)
    interrupt(world)
    for each in arrived:
        world.receipt((None, None, each))
    resume(world)
    for number in numbers:
        world.calls.wait_for(mark, "/dlr", number=number, status=DELIVERED)


def reconnect_after_unbind(world):
    outstanding(world, unbind, bind_again)


def reconnect_after_cut(world):
    mark = len(world.to_gateway.pdus)
    outstanding(
        world,
        lambda world: world.to_gateway.cut(),
        lambda world: world.pdus(mark, "server", BIND_TRANSCEIVER | RESPONSE, status=0),
    )


def shutdown(world):
    """The gateway ends: it unbinds, Kannel answers, and binds again when the gateway is back."""
    mark = len(world.to_gateway.pdus)
    world.gateway.stop()
    world.pdus(mark, "server", UNBIND)
    world.pdus(mark, "client", UNBIND | RESPONSE)
    there = world.carrier.mark()
    world.gateway.start()
    world.carrier.wait_for(there, command="bind_transceiver")
    world.pdus(mark, "server", BIND_TRANSCEIVER | RESPONSE, status=0)
    sent_and_delivered(world)


class Kannel:
    """Kannel as a peer of the run."""

    name = "kannel"
    tools = ("smpp", "kannel")
    scenarios = {
        "bind transceiver": bind_transceiver,
        "bind transmitter + receiver": bind_transmitter_and_receiver,
        "bind 3.3": bind_3_3,
        "wrong password refused": wrong_password,
        "submit, receipt DELIVRD": receipt_delivered,
        "submit, receipt UNDELIV": receipt_failed,
        "special GSM characters": special_characters,
        "UCS-2 text": ucs2,
        "long text, UDH": long_udh,
        "long UCS-2 text, UDH": long_udh_ucs2,
        "window": window,
        "MO": mo,
        "MO in UCS-2": mo_ucs2,
        "long MO, UDH": mo_long,
        "MO waits for a bind": mo_waits,
        "enquire_link from the ESME": enquire_link,
        "enquire_link from us": enquire_link_from_gateway,
        "reconnect after unbind": reconnect_after_unbind,
        "reconnect after a cut, receipts due": reconnect_after_cut,
        "shutdown unbinds, restart": shutdown,
    }

    def open(self, tools, gateway):
        world = KannelWorld(self.name, gateway, tools)
        world.start()
        world.start_boxes()
        return world
