"""`smpp` as the carrier that the gateway binds to: what concerns that link. The ESME is `smpp`, too."""

import scenarios
from install import HERE
from processes import PASSWORD, expect, until
from scenarios import RECEIPT, as_text
from texts import PLAIN
from world import World

WINDOW = 5
# The gateway pauses for 30 to 36 s.
REFUSED_PAUSE = 60.0
RTHROTTLED, RBINDFAIL, RINVDSTADR = 0x58, 0x0D, 0x0B


def bind_transceiver(world):
    """The bind says what the configuration says."""
    bind = world.carrier.wait_for(command="bind_transceiver")
    wanted = {
        "system_id": "tidegate",
        "password": PASSWORD,
        "system_type": "interop",
        "interface_version": 0x34,
        "addr_ton": 1,
        "addr_npi": 1,
        "address_range": "^44",
    }
    expect("the bind", wanted, {name: bind.get(name) for name in wanted})


def with_configuration(world, commands, version, **carrier):
    """The same gateway with another way of binding: a message, its receipt and an MO pass."""
    there = world.carrier.mark()
    world.reconfigure(**carrier)
    for command in commands:
        bind = world.carrier.wait_for(there, command=command)
        expect("interface_version", version, bind["interface_version"])
    scenarios.receipt_delivered(world)
    scenarios.mo(world)
    there = world.carrier.mark()
    world.reconfigure()
    world.carrier.wait_for(there, command="bind_transceiver")


def bind_transmitter_and_receiver(world):
    with_configuration(world, ("bind_transmitter", "bind_receiver"), 0x34, binds="tx+rx")


def bind_3_3(world):
    commands = ("bind_transmitter", "bind_receiver")
    with_configuration(world, commands, 0x33, binds="tx+rx", interface_version="3.3")


def bind_5_0(world):
    with_configuration(world, ("bind_transceiver",), 0x50, interface_version="5.0")


def binds_refused(world):
    """It does not hammer a carrier that refuses it, and binds half a minute later."""
    mark = world.carrier.mark()
    world.carrier.order("policy", bind=RBINDFAIL)
    world.to_carrier.cut()
    world.carrier.wait_for(mark, event="out", command="bind_transceiver_resp", status=RBINDFAIL)
    world.carrier.order("policy", bind=0)
    world.carrier.wait_for(
        mark, patience=REFUSED_PAUSE, event="out", command="bind_transceiver_resp", status=0
    )
    expect("binds", 2, len(world.carrier.seen(mark, command="bind_transceiver")))
    scenarios.receipt_delivered(world)


def window(world):
    """Never more unanswered than agreed; what waits follows the answers."""
    count = 4 * WINDOW
    world.carrier.order("policy", hold=True)
    with world.bound():
        number, there = world.number(), world.carrier.mark()
        for index in range(count):
            world.esme.order(
                "submit", source_addr="1", destination_addr=number, **as_text(f"message {index}")
            )
        world.carrier.seen_all(there, WINDOW, command="submit_sm", destination_addr=number)
        # An enquire_link later, whatever would have come has come.
        world.carrier.wait_for(world.carrier.mark(), command="enquire_link")
        expect("unanswered submits", WINDOW, len(world.carrier.seen(there, command="submit_sm")))
        world.carrier.order("release")
        arrived = world.carrier.seen_all(there, count, command="submit_sm", destination_addr=number)
        expect(
            "the order", [f"message {index}" for index in range(count)], [each["text"] for each in arrived]
        )


def submit_one(world):
    """Submits a message with a receipt, and returns it with its answer; the carrier is not waited for."""
    mark, number = world.esme.mark(), world.number()
    address = {
        "source_addr_ton": 0,
        "source_addr_npi": 1,
        "source_addr": "78001",
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
    }
    world.esme.order("submit", destination_addr=number, **address, **as_text(PLAIN), **RECEIPT)
    answer = world.esme.wait_for(mark, command="submit_sm_resp")
    expect("the submit's status", 0, answer["status"])
    return world.esme.wait_for(mark, event="out", command="submit_sm"), answer


def throttled(world):
    """A carrier that is full gets the message again, and takes it."""
    with world.bound():
        there = world.carrier.mark()
        world.carrier.order("policy", submit=RTHROTTLED)
        sent, answer = submit_one(world)
        number = sent["destination_addr"]
        world.carrier.wait_for(there, event="out", command="submit_sm_resp", status=RTHROTTLED)
        there = world.carrier.mark()
        world.carrier.order("policy", submit=0)
        arrived = taken_by_carrier(world, there, number)
        world.receipt((sent, answer, arrived))
        world.expect_receipt((sent, answer, arrived))


def taken_by_carrier(world, mark, number):
    """Waits for the submit to this number that the carrier answered with 0 after the mark."""

    def look():
        answers = world.carrier.seen(mark, "out", command="submit_sm_resp", status=0)
        taken = {(each["port"], each["sequence"]) for each in answers}
        submits = world.carrier.seen(command="submit_sm", destination_addr=number)
        return next((each for each in submits if (each["port"], each["sequence"]) in taken), None)

    return until(look, f"the carrier to take the message to {number}")


def refused(world):
    """A message that the carrier refuses for good ends, and the ESME is told."""
    with world.bound():
        world.carrier.order("policy", submit=RINVDSTADR)
        sent, answer = submit_one(world)
        world.expect_receipt((sent, answer, None), "REJECTD", 8)
        world.carrier.order("policy", submit=0)


def enquire_link_from_us(world):
    world.carrier.seen_all(world.carrier.mark(), 2, command="enquire_link")


def enquire_link_from_carrier(world):
    mark = world.carrier.mark()
    world.carrier.order("enquire_link")
    answer = world.carrier.wait_for(mark, command="enquire_link_resp")
    expect("the status", 0, answer["status"])


def unbind_by_carrier(world):
    mark = world.carrier.mark()
    world.carrier.order("unbind")
    expect("the unbind's status", 0, world.carrier.wait_for(mark, command="unbind_resp")["status"])
    world.carrier.wait_for(mark, command="bind_transceiver")
    scenarios.receipt_delivered(world)


def reconnect_after_restart(world):
    """The carrier's server goes away and comes back; what was accepted meanwhile arrives."""
    with world.bound():
        mark = world.carrier.mark()
        world.carrier.order("close")
        world.carrier.wait_for(mark, event="stopped")
        sent, answer = submit_one(world)
        mark = world.carrier.mark()
        world.listen()
        world.carrier.wait_for(mark, command="bind_transceiver")
        arrived = world.carrier.wait_for(mark, command="submit_sm", destination_addr=sent["destination_addr"])
        world.receipt((sent, answer, arrived))
        world.expect_receipt((sent, answer, arrived))


def reconnect_after_cut(world):
    """The link is cut off with receipts outstanding; they come over the next one."""
    with world.bound():
        submitted = [world.submit({**as_text(PLAIN), **RECEIPT})[0] for _ in range(3)]
        mark = world.carrier.mark()
        world.to_carrier.cut()
        world.carrier.wait_for(mark, event="closed")
        world.carrier.wait_for(mark, event="out", command="bind_transceiver_resp")
        for each in submitted:
            world.receipt(each)
            world.expect_receipt(each)


def cut_unanswered(world):
    """The link is cut off with submits unanswered; they are sent again, and end well."""
    with world.bound():
        there = world.carrier.mark()
        world.carrier.order("policy", hold=True)
        sent = [submit_one(world) for _ in range(3)]
        world.carrier.seen_all(there, 3, command="submit_sm")
        world.to_carrier.cut()
        world.carrier.wait_for(there, event="closed")
        there = world.carrier.mark()
        world.carrier.order("release")
        for order, answer in sent:
            number = order["destination_addr"]
            arrived = taken_by_carrier(world, there, number)
            world.receipt((order, answer, arrived))
            world.expect_receipt((order, answer, arrived))


class Carrier:
    """The carrier as a peer of the run."""

    name = "smpp-carrier"
    tools = ("smpp",)
    scenarios = {
        "bind transceiver": bind_transceiver,
        "bind transmitter + receiver": bind_transmitter_and_receiver,
        "bind 3.3": bind_3_3,
        "bind 5.0": bind_5_0,
        "binds refused, bound later": binds_refused,
        "submit, receipt DELIVRD": scenarios.receipt_delivered,
        "submit, receipt UNDELIV": scenarios.receipt_failed,
        "submit throttled, sent again": throttled,
        "submit refused, receipt REJECTD": refused,
        "window": window,
        "MO": scenarios.mo,
        "enquire_link from us": enquire_link_from_us,
        "enquire_link from the carrier": enquire_link_from_carrier,
        "unbind by the carrier": unbind_by_carrier,
        "reconnect after its restart": reconnect_after_restart,
        "reconnect after a cut, receipts due": reconnect_after_cut,
        "reconnect after a cut, submits due": cut_unanswered,
        "shutdown unbinds, restart": scenarios.shutdown,
    }

    def open(self, tools, gateway):
        node, env = tools.get("smpp")
        world = World(self.name, gateway, tools)
        world.start()
        world.start_peer([*node, HERE / "peers/smpp_client.js"], env)
        return world
