"""What tshark makes of a capture: nothing malformed, and the values that the peers logged."""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict

from install import command
from processes import Failure, expect
from world import CARRIER_SIDE, DELIVERED, ESME_SIDE, UNCHANGED, unchanged

LIMIT = 60.0

# Octets that tshark puts into XML although XML has no place for them.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def number(field):
    return int(field.get("unmaskedvalue") or field.get("value"), 16)


def text(field):
    return bytes.fromhex(field.get("value")).rstrip(b"\0").decode("latin-1")


def octets(field):
    return field.get("value")


# The name of a field in the peers' logs, its name in tshark, and how its value is read.
FIELDS = {
    name: (f"smpp.{shown or name}", read)
    for read, names in {
        number: {
            "sequence": "sequence_number",
            "status": "command_status",
            "interface_version": None,
            "sc_interface_version": "SC_interface_version",
            "addr_ton": None,
            "addr_npi": None,
            "source_addr_ton": None,
            "source_addr_npi": None,
            "dest_addr_ton": None,
            "dest_addr_npi": None,
            "esm_class": "esm.submit.msg_mode",
            "registered_delivery": "regdel.receipt",
            "protocol_id": None,
            "priority_flag": None,
            "data_coding": None,
            "replace_if_present_flag": None,
            "sm_default_msg_id": None,
            "sm_length": None,
            "message_state": None,
            "user_message_reference": None,
            "sar_msg_ref_num": None,
            "sar_total_segments": None,
            "sar_segment_seqnum": None,
        },
        text: {
            "system_id": None,
            "password": None,
            "system_type": None,
            "address_range": None,
            "service_type": None,
            "source_addr": None,
            "destination_addr": None,
            "message_id": None,
            "receipted_message_id": None,
        },
        octets: {"short_message": "message", "message_payload": None, "vendor_1400": "vendor_op"},
    }.items()
    for name, shown in names.items()
}
TLVS = (
    "sc_interface_version message_payload receipted_message_id message_state user_message_reference "
    "sar_msg_ref_num sar_total_segments sar_segment_seqnum"
).split()
COMMANDS = {
    0x00000000: "generic_nack",
    0x00000001: "bind_receiver",
    0x00000002: "bind_transmitter",
    0x00000004: "submit_sm",
    0x00000005: "deliver_sm",
    0x00000006: "unbind",
    0x00000009: "bind_transceiver",
    0x00000015: "enquire_link",
    0x00000103: "data_sm",
}


class Dissected:
    """One PDU as tshark read it."""

    def __init__(self, packet, proto, ports):
        self.source, self.destination = ports
        self.frame = packet.find("proto[@name='geninfo']/field[@name='num']").get("show")
        found = {}
        for field in proto.iter("field"):
            found.setdefault(field.get("name"), field)
        identity = number(found["smpp.command_id"])
        name = COMMANDS.get(identity & 0x7FFFFFFF, f"{identity:#010x}")
        self.command = name if identity in COMMANDS else f"{name}_resp"
        self.length = number(found["smpp.command_length"])
        self.fields = {}
        for name, (shown, read) in FIELDS.items():
            if shown in found and found[shown].get("value"):
                self.fields[name] = read(found[shown])
        self.faults = [
            each.get("showname") or each.get("name")
            for each in (*packet.findall("proto"), *proto.iter("field"))
            if each.get("name", "").startswith(("_ws.malformed", "_ws.expert"))
        ]

    @property
    def ours(self):
        """The gateway is the server on the ESMEs' side and the client on the carrier's."""
        return self.source == ESME_SIDE or self.destination == CARRIER_SIDE

    @property
    def peer_port(self):
        return self.destination if self.source in (ESME_SIDE, CARRIER_SIDE) else self.source

    def __str__(self):
        return f"{self.command} {self.fields.get('sequence')} in frame {self.frame}"


def dissect(world, tools):
    """Every PDU of the world's capture; read once."""
    if world.dissected is None:
        tshark, env = tools.get("tshark")
        ports = [part for side in (ESME_SIDE, CARRIER_SIDE) for part in ("-d", f"tcp.port=={side},smpp")]
        argv = [tshark, "-n", "-r", world.pcap.path, *ports, "-Y", "smpp", "-T", "pdml"]
        printed = command(argv, limit=LIMIT, env={**os.environ, **env}, errors="replace")
        pdus = []
        for packet in ElementTree.fromstring(NOT_XML.sub("?", printed)).iter("packet"):
            tcp = packet.find("proto[@name='tcp']")
            ports = [int(tcp.find(f"field[@name='tcp.{side}port']").get("show")) for side in ("src", "dst")]
            pdus += [Dissected(packet, proto, ports) for proto in packet.findall("proto[@name='smpp']")]
        world.dissected = pdus
    return world.dissected


def nothing_malformed(world, tools):
    pdus = [pdu for pdu in dissect(world, tools) if pdu.ours]
    if not pdus:
        raise Failure("PDUs of ours in the capture", "none")
    faults = [f"{pdu}: {', '.join(pdu.faults)}" for pdu in pdus if pdu.faults]
    if faults:
        raise Failure("no malformed PDU of ours", "; ".join(faults[:5]))
    # What tshark could not read as a PDU at all is missing from the sum.
    read = defaultdict(int)
    for pdu in pdus:
        read[pdu.source, pdu.destination] += pdu.length
    cut = world.to_gateway.cut_ports | world.to_carrier.cut_ports
    for ports, written in world.pcap.octets.items():
        ours = ports[0] == ESME_SIDE or ports[1] == CARRIER_SIDE
        if ours and not cut & set(ports):
            expect(f"octets in PDUs of ours from port {ports[0]} to {ports[1]}", written, read[ports])


def same_as_logged(world, tools):
    """Each PDU of ours as tshark reads it, against the same PDU as the peer that got it reads it."""
    logged = defaultdict(list)
    for peer in world.peers():
        for event in peer.events:
            if event["event"] == "in" and "port" in event:
                logged[event["port"], event["command"]].append(event)
    shown = defaultdict(list)
    for pdu in dissect(world, tools):
        if pdu.ours and pdu.peer_port in world.logged_ports():
            shown[pdu.peer_port, pdu.command].append(pdu)
    cut = world.to_gateway.cut_ports | world.to_carrier.cut_ports
    compared = 0
    for (port, name), pdus in shown.items():
        events = logged[port, name]
        if port not in cut and len(events) != len(pdus):
            raise Failure(
                f"{len(pdus)} {name} in the log of the peer on port {port}, as dissected", len(events)
            )
        for pdu, event in zip(pdus, events):
            compare(pdu, event)
            compared += 1
    if not compared:
        raise Failure("PDUs to compare", "none")


def compare(pdu, event):
    for name, value in event.items():
        if name in FIELDS and value is not None:
            empty = "" if isinstance(value, str) else 0
            expect(f"{name} of {pdu}, as the peer logged it", value, pdu.fields.get(name, empty))
    for name in TLVS:
        if name in pdu.fields and event.get(name) is None:
            raise Failure(f"{name} of {pdu} in the peer's log, too", event)
    message = pdu.fields.get("short_message", "")
    if "sm_length" in pdu.fields:
        expect(f"sm_length of {pdu}", len(message) // 2, pdu.fields["sm_length"])


def same_on_both_sides(world, tools):
    """What came in at one side, as tshark reads it, against what went out at the other."""
    pdus = dissect(world, tools)
    for name, came, went, names in (
        ("submit_sm", ("destination", ESME_SIDE), ("destination", CARRIER_SIDE), UNCHANGED),
        ("deliver_sm", ("source", CARRIER_SIDE), ("source", ESME_SIDE), DELIVERED),
    ):
        out = defaultdict(list)
        for pdu in pdus:
            if pdu.command == name and getattr(pdu, went[0]) == went[1]:
                out[key(pdu)].append(pdu)
        answers = (pdu for pdu in pdus if pdu.command == f"{name}_resp" and not pdu.fields["status"])
        answered = {(pdu.peer_port, pdu.fields["sequence"]) for pdu in answers}
        for pdu in pdus:
            receipt = pdu.fields.get("esm_class", 0) & 0x3C == 0x04
            if pdu.command != name or getattr(pdu, came[0]) != came[1] or receipt:
                continue
            if (pdu.peer_port, pdu.fields["sequence"]) not in answered:
                continue
            if not out[key(pdu)]:
                raise Failure(f"{pdu} on the other side, too", "nothing like it")
            unchanged(names, pdu.fields, out[key(pdu)].pop(0).fields, f"of {pdu}")


def key(pdu):
    return tuple(
        pdu.fields.get(name)
        for name in ("source_addr", "destination_addr", "short_message", "message_payload")
    )


CHECKS = {
    "no malformed PDU of ours": nothing_malformed,
    "same values as in the peers' logs": same_as_logged,
    "same values on both sides": same_on_both_sides,
}


def titles(peer):
    return {f"{title}: {peer}": check for title, check in CHECKS.items()}
