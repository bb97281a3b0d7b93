"""One peer's world: a gateway, a carrier behind it, the peer before it, and recorders between them."""

from contextlib import contextmanager

from capture import Pcap, Proxy
from install import HERE
from processes import PASSWORD, Failure, Gateway, Peer, expect, free_port
from texts import DEFAULT

# How the two sides' ports are shown in a capture.
ESME_SIDE, CARRIER_SIDE = 2775, 2776

# What must reach the carrier, or the ESME, as it was given.
UNCHANGED = (
    "source_addr_ton source_addr_npi source_addr dest_addr_ton dest_addr_npi destination_addr esm_class "
    "protocol_id priority_flag registered_delivery data_coding short_message message_payload "
    "user_message_reference sar_msg_ref_num sar_total_segments sar_segment_seqnum vendor_1400"
).split()
DELIVERED = [name for name in UNCHANGED if name not in ("registered_delivery", "priority_flag")]


def unchanged(names, given, got, where):
    """Holds the named fields against each other; an absent number is 0, absent octets are none."""
    for name in names:
        before, after = given.get(name) or 0, got.get(name) or 0
        expect(f"{name} {where}", before, after)


class World:
    """Everything that one peer's scenarios share; `close` ends it."""

    def __init__(self, name, gateway, tools):
        self.name, self.tools = name, tools
        self.directory = tools.scratch / "run" / name
        self.directory.mkdir(parents=True)
        self.pcap = Pcap(self.directory / "capture.pcap")
        self.carrier_port = free_port()
        node, env = tools.get("smpp")
        self.carrier = Peer([*node, HERE / "peers/smpp_carrier.js"], self.directory, "carrier", env)
        self.to_carrier = Proxy(self.carrier_port, self.pcap, CARRIER_SIDE, peer_is_server=True)
        self.gateway = Gateway(gateway, self.directory, self.to_carrier.port, [name, "other"])
        self.to_gateway = Proxy(self.gateway.smpp, self.pcap, ESME_SIDE)
        self.esme = None
        self.dissected = None
        self._peer = None
        self._numbers = 0

    def start(self):
        self.listen()
        self.gateway.start()
        self.carrier.wait_for(command="bind_transceiver")

    def reconfigure(self, **carrier):
        """Starts the gateway again with another carrier configuration."""
        self.gateway.stop()
        self.gateway.configure(**carrier)
        self.gateway.start()

    def listen(self):
        mark = self.carrier.mark()
        self.carrier.order("listen", port=self.carrier_port)
        self.carrier.wait_for(mark, event="listening")

    def start_peer(self, argv, env=None):
        self._peer = (argv, env)
        self.esme = Peer(argv, self.directory, "esme", env)

    def reset(self):
        """After a failure: every link cut off, the peer as new, the carrier obliging, the gateway up."""
        self.to_gateway.cut()
        if self.esme:
            events = self.esme.events
            self.esme.stop(grace=1.0)
            self.start_peer(*self._peer)
            self.esme.events[:0] = events
        self.carrier.order("policy", bind=0, submit=0)
        self.carrier.order("release")
        if not self.gateway.process or self.gateway.process.child.poll() is not None:
            self.gateway.start()

    def peers(self):
        """The peers that log what they read."""
        return [peer for peer in (self.esme, self.carrier) if peer]

    def logged_ports(self):
        return {event["port"] for peer in self.peers() for event in peer.events if "port" in event}

    def close(self):
        try:
            self.gateway.stop()
        finally:
            for process in (self.esme, self.carrier):
                if process:
                    process.stop(grace=1.0)
            self.to_gateway.close()
            self.to_carrier.close()
            self.pcap.close()

    def number(self):
        """A destination that no other message of this world has."""
        self._numbers += 1
        return f"447700{self._numbers:06d}"

    # ===== the ESME =====

    def bind(
        self, kind="transceiver", link="main", status=0, version=0x34, password=PASSWORD, system_id=None
    ):
        """Binds, expects this status, and returns the answer."""
        mark = self.esme.mark()
        self.esme.order(
            "bind",
            link=link,
            port=self.to_gateway.port,
            kind=kind,
            system_id=system_id or self.name,
            password=password,
            interface_version=version,
        )
        answer = self.esme.wait_for(mark, command=f"bind_{kind}_resp", link=link)
        expect("the bind's status", status, answer["status"])
        return answer

    def unbind(self, link="main"):
        mark = self.esme.mark()
        self.esme.order("unbind", link=link)
        answer = self.esme.wait_for(mark, command="unbind_resp", link=link)
        expect("the unbind's status", 0, answer["status"])
        self.esme.wait_for(mark, event="closed", link=link)

    @contextmanager
    def bound(self, kind="transceiver", link="main", **more):
        yield self.bind(kind, link, **more)
        self.unbind(link)

    def submit(self, *orders, link="main"):
        """Submits, waits for the answers and for what the carrier gets, and holds both against each other.

        Returns (as submitted, answer, as the carrier got it) for every PDU.
        """
        base = {
            "source_addr_ton": 5,
            "source_addr_npi": 0,
            "source_addr": "Tidegate",
            "dest_addr_ton": 1,
            "dest_addr_npi": 1,
            "destination_addr": self.number(),
        }
        results = []
        for order in orders:
            mark, there = self.esme.mark(), self.carrier.mark()
            order = {**base, **order}
            self.esme.order("submit", link=link, **order)
            count = self.esme.wait_for(mark, event="submitted")["parts"]
            number = order["destination_addr"]
            sent = self.esme.seen_all(mark, count, event="out", command="submit_sm", destination_addr=number)
            answers = self.esme.seen_all(mark, count, command="submit_sm_resp", link=link)
            arrived = self.carrier.seen_all(there, count, command="submit_sm", destination_addr=number)
            for each in answers:
                expect("the submit's status", 0, each["status"])
            for given, got in zip(sent, arrived):
                unchanged(UNCHANGED, given, got, "at the carrier")
            results += zip(sent, answers, arrived)
        return results

    def receipt(self, submitted, stat="DELIVRD", state=2, err="000", tlvs=True):
        """Has the carrier deliver a receipt; returns it as the carrier sent it."""
        arrived = submitted[2]
        answer = self.carrier.wait_for(
            event="out", command="submit_sm_resp", port=arrived["port"], sequence=arrived["sequence"]
        )
        mark = self.carrier.mark()
        identity = answer["message_id"]
        text = (
            f"id:{identity} sub:001 dlvrd:{'001' if stat == 'DELIVRD' else '000'} submit date:2611260600 "
            f"done date:2611260601 stat:{stat} err:{err} text:"
        )
        more = {"receipted_message_id": identity, "message_state": state} if tlvs else {}
        self.carrier.order(
            "deliver",
            source_addr_ton=arrived["dest_addr_ton"],
            source_addr_npi=arrived["dest_addr_npi"],
            source_addr=arrived["destination_addr"],
            dest_addr_ton=arrived["source_addr_ton"],
            dest_addr_npi=arrived["source_addr_npi"],
            destination_addr=arrived["source_addr"],
            esm_class=4,
            data_coding=0,
            short_message=text.encode().hex(),
            **more,
        )
        return self.carrier_delivered(mark)

    def carrier_delivered(self, mark):
        """Waits until the gateway has taken what the carrier delivers after the mark."""
        sent = self.carrier.wait_for(mark, event="out", command="deliver_sm")
        answer = self.carrier.wait_for(
            mark, command="deliver_sm_resp", port=sent["port"], sequence=sent["sequence"]
        )
        expect("the answer to the carrier's deliver_sm", 0, answer["status"])
        return sent

    def expect_receipt(self, submitted, stat="DELIVRD", state=2, mark=0, link="main", tlvs=True):
        """Waits for the receipt at the ESME and checks all of it."""
        sent, answer, _ = submitted
        identity = answer["message_id"]
        got = self.esme.wait_for(
            mark, command="deliver_sm", link=link, source_addr=sent["destination_addr"], esm_class=4
        )
        text = bytes.fromhex(got["short_message"]).decode("ascii")
        for part in (f"id:{identity} ", f" stat:{stat} ", " submit date:", " done date:", " err:"):
            if part not in text:
                raise Failure(f"a receipt with {part!r}", text)
        expect("receipted_message_id", identity if tlvs else None, got.get("receipted_message_id"))
        expect("message_state", state if tlvs else None, got.get("message_state"))
        turned = {"source": "dest", "dest": "source"}
        for side, other in turned.items():
            for what in ("ton", "npi"):
                expect(f"{side}_addr_{what}", sent[f"{other}_addr_{what}"], got[f"{side}_addr_{what}"])
        expect("destination_addr", sent["source_addr"], got["destination_addr"])
        return got

    # ===== MO =====

    def mo(self, *orders, link="main", receive=True):
        """Has the carrier deliver to an ESME; returns what the ESME got."""
        received = []
        number = self.number()
        for order in orders:
            mark, here = self.carrier.mark(), self.esme.mark()
            order = {
                "source_addr_ton": 1,
                "source_addr_npi": 1,
                "source_addr": number,
                "dest_addr_ton": 3,
                "dest_addr_npi": 0,
                "destination_addr": "78001",
                "data_coding": DEFAULT,
                **order,
            }
            self.carrier.order("deliver", **order)
            sent = self.carrier_delivered(mark)
            if receive:
                got = self.esme.wait_for(here, command="deliver_sm", link=link, source_addr=number)
                unchanged(DELIVERED, sent, got, "at the ESME")
                received.append(got)
        return received
