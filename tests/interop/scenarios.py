"""What every ESME peer is put through. A scenario takes a World, and fails by raising Failure."""

from processes import Failure, expect
from texts import LONG, LONG_UNICODE, PLAIN, SPECIAL, UCS2, UNICODE, cut, encode

# The gateway does not tell a wrong password from an unknown name.
RBINDFAIL, RINVBNDSTS = 0x0D, 0x04
RECEIPT = {"registered_delivery": 1}


def as_text(text, coding=0):
    """A text for the peer to encode."""
    return {"text": text, "data_coding": coding}


def bind_transceiver(world):
    with world.bound("transceiver") as answer:
        expect("sc_interface_version", 0x34, answer.get("sc_interface_version"))


def bind_transmitter_and_receiver(world):
    with world.bound("transmitter", "tx"), world.bound("receiver", "rx"):
        (submitted,) = world.submit({**as_text(PLAIN), **RECEIPT}, link="tx")
        world.receipt(submitted)
        world.expect_receipt(submitted, link="rx")


def bind_3_3(world):
    """3.3 knows no TLV and no id of more than 8 hexadecimal digits."""
    with world.bound("transmitter", "tx", version=0x33) as tx, world.bound(
        "receiver", "rx", version=0x33
    ) as rx:
        for answer in (tx, rx):
            expect("sc_interface_version", None, answer.get("sc_interface_version"))
        (submitted,) = world.submit({**as_text(PLAIN), **RECEIPT}, link="tx")
        identity = submitted[1]["message_id"]
        if len(identity) > 8 or set(identity.lower()) - set("0123456789abcdef"):
            raise Failure("a message_id of at most 8 hexadecimal digits", identity)
        world.receipt(submitted)
        world.expect_receipt(submitted, link="rx", tlvs=False)


def bind_5_0(world):
    with world.bound(version=0x50) as answer:
        expect("sc_interface_version", 0x50, answer.get("sc_interface_version"))
        (submitted,) = world.submit({**as_text(PLAIN), **RECEIPT})
        world.receipt(submitted)
        world.expect_receipt(submitted)


def wrong_password(world):
    world.bind(password="wrong", status=RBINDFAIL)
    world.bind(system_id="nobody", status=RBINDFAIL)
    with world.bound():
        world.submit(as_text(PLAIN))


def submit_on_a_receiver(world):
    with world.bound("receiver"):
        mark = world.esme.mark()
        world.esme.order("submit", source_addr="1", destination_addr=world.number(), short_message="41")
        answer = world.esme.wait_for(mark, command="submit_sm_resp")
        expect("the submit's status", RINVBNDSTS, answer["status"])


def receipt_delivered(world):
    with world.bound():
        (submitted,) = world.submit({**as_text(PLAIN), **RECEIPT})
        expect("the octets", encode(PLAIN, 0).hex(), submitted[2]["short_message"])
        world.receipt(submitted)
        world.expect_receipt(submitted)


def receipt_failed(world):
    with world.bound():
        (submitted,) = world.submit({**as_text(PLAIN), **RECEIPT})
        world.receipt(submitted, "UNDELIV", 5, "069")
        got = world.expect_receipt(submitted, "UNDELIV", 5)
        if " err:069" not in bytes.fromhex(got["short_message"]).decode():
            raise Failure("err:069 in the receipt", bytes.fromhex(got["short_message"]))


def receipt_as_text_only(world):
    """The carrier sends no TLVs; what the ESME gets has them."""
    with world.bound():
        (submitted,) = world.submit({**as_text(PLAIN), **RECEIPT})
        world.receipt(submitted, tlvs=False)
        world.expect_receipt(submitted)


def no_receipt_unless_asked(world):
    with world.bound():
        quiet, asked = world.submit(
            as_text(PLAIN), {**as_text(PLAIN), **RECEIPT, "destination_addr": world.number()}
        )
        world.receipt(quiet)
        world.receipt(asked)
        world.expect_receipt(asked)
        number = quiet[0]["destination_addr"]
        expect(
            "receipts that nobody asked for", [], world.esme.seen(command="deliver_sm", source_addr=number)
        )


def receipt_on_failure(world):
    """registered_delivery 2: nothing of what was delivered, the receipt of what was not."""
    wish = {**as_text(PLAIN), "registered_delivery": 2}
    with world.bound():
        delivered, failed = world.submit(wish, {**wish, "destination_addr": world.number()})
        world.receipt(delivered)
        world.receipt(failed, "UNDELIV", 5)
        world.expect_receipt(failed, "UNDELIV", 5)
        number = delivered[0]["destination_addr"]
        expect("receipts of a success", [], world.esme.seen(command="deliver_sm", source_addr=number))


def text_arrives(world, text, coding=0):
    """Octets as this run encodes the text, and the text as the carrier decodes it."""
    order = as_text(text, coding)
    if not world.beyond_bmp and max(text) > "\uffff":
        order = {"short_message": encode(text, coding).hex(), "data_coding": coding}
    with world.bound():
        (submitted,) = world.submit(order)
        arrived = submitted[2]
        expect("data_coding", coding, arrived["data_coding"])
        expect("the octets", encode(text, coding).hex(), arrived["short_message"])
        expect("the text that the carrier reads", text, arrived["text"])


def special_characters(world):
    text_arrives(world, SPECIAL)


def ucs2(world):
    text_arrives(world, UNICODE, UCS2)


def other_codings(world):
    """Octets that are no text to the gateway: Latin-1, 8-bit, flash, and a message class in 8-bit."""
    octets = bytes(range(256))[116:]
    with world.bound():
        world.submit(
            *({"short_message": octets.hex(), "data_coding": coding} for coding in (3, 4, 0x10, 0xF5))
        )


def long_text(world, text, coding=0):
    """Concatenated parts, cut by the peer where it can; each has its own receipt."""
    with world.bound():
        if world.cuts:
            submitted = world.submit({**as_text(text, coding), **RECEIPT})
        else:
            pieces = cut(encode(text, coding), coding, 7)
            orders = [
                {"short_message": piece.hex(), "esm_class": 0x40, "data_coding": coding} for piece in pieces
            ]
            submitted = world.submit(*({**order, **RECEIPT} for order in orders))
        expect("parts", len(cut(encode(text, coding), coding, 7)), len(submitted))
        expect("esm_class", {0x40}, {each[2]["esm_class"] for each in submitted})
        expect("the text that the carrier reads", text, "".join(each[2]["text"] for each in submitted))
        for each in submitted:
            mark = world.esme.mark()
            world.receipt(each)
            world.expect_receipt(each, mark=mark)


def long_udh(world):
    long_text(world, LONG)


def long_udh_ucs2(world):
    long_text(world, LONG_UNICODE, UCS2)


def long_sar(world):
    octets = encode(LONG, 0)
    pieces = [octets[at : at + 153] for at in range(0, len(octets), 153)]
    with world.bound():
        world.submit(
            *(
                {
                    "short_message": piece.hex(),
                    "sar_msg_ref_num": 4711,
                    "sar_total_segments": len(pieces),
                    "sar_segment_seqnum": number,
                }
                for number, piece in enumerate(pieces, 1)
            )
        )


def message_payload(world):
    octets = encode(LONG, 0)
    with world.bound():
        (submitted,) = world.submit({"message_payload": octets.hex(), **RECEIPT})
        expect("message_payload", octets.hex(), submitted[2]["message_payload"])
        world.receipt(submitted)
        world.expect_receipt(submitted)


def tlvs(world):
    order = {**as_text(PLAIN), "user_message_reference": 0x1234}
    if world.vendor_tlvs:
        order["vendor_1400"] = "00ff41"
    with world.bound():
        (submitted,) = world.submit(order)
        expect("user_message_reference", 0x1234, submitted[2].get("user_message_reference"))
        expect("the vendor's TLV", order.get("vendor_1400"), submitted[2].get("vendor_1400"))


def data_sm(world):
    """It is answered as a data_sm, and reaches the carrier."""
    octets = encode(LONG, 0).hex()
    with world.bound():
        mark, there, number = world.esme.mark(), world.carrier.mark(), world.number()
        world.esme.order("data_sm", source_addr="78001", destination_addr=number, message_payload=octets)
        answer = world.esme.wait_for(mark, command="data_sm_resp")
        expect("the status", 0, answer["status"])
        arrived = world.carrier.wait_for(there, destination_addr=number)
        expect("message_payload", octets, arrived["message_payload"])


def window(world):
    """Many submits before the first answer is read: all are answered, all arrive, in order."""
    count = 50
    with world.bound():
        number = world.number()
        mark, there = world.esme.mark(), world.carrier.mark()
        for index in range(count):
            world.esme.order(
                "submit", source_addr="1", destination_addr=number, **as_text(f"message {index}")
            )
        answers = world.esme.seen_all(mark, count, command="submit_sm_resp")
        expect("statuses", {0}, {each["status"] for each in answers})
        expect("different ids", count, len({each["message_id"] for each in answers}))
        arrived = world.carrier.seen_all(there, count, command="submit_sm", destination_addr=number)
        expect(
            "the order", [f"message {index}" for index in range(count)], [each["text"] for each in arrived]
        )


def mo(world):
    with world.bound():
        (got,) = world.mo({"short_message": encode("STOP", 0).hex()})
        expect("esm_class", 0, got["esm_class"])


def mo_ucs2(world):
    with world.bound():
        world.mo({"short_message": encode(UNICODE, UCS2).hex(), "data_coding": UCS2})


def mo_long(world):
    pieces = cut(encode(LONG, 0), 0, 9)
    with world.bound():
        world.mo(*({"short_message": piece.hex(), "esm_class": 0x40} for piece in pieces))


def mo_payload(world):
    with world.bound():
        world.mo({"short_message": "", "message_payload": encode(LONG, 0).hex()})


def mo_waits(world):
    """An MO that comes while nobody is bound is there after the next bind."""
    mark = world.esme.mark()
    text = encode("while you were out", 0).hex()
    world.mo({"short_message": text}, receive=False)
    with world.bound():
        world.esme.wait_for(mark, command="deliver_sm", short_message=text)


def enquire_link(world):
    with world.bound():
        mark = world.esme.mark()
        world.esme.order("enquire_link")
        answer = world.esme.wait_for(mark, command="enquire_link_resp")
        expect("the status", 0, answer["status"])


def enquire_link_from_gateway(world):
    """Asked again, so the answer was taken: one that is missing ends the link."""
    with world.bound():
        mark = world.esme.mark()
        world.esme.seen_all(mark, 2, command="enquire_link")


def reconnect_after_unbind(world):
    with world.bound():
        (submitted,) = world.submit({**as_text(PLAIN), **RECEIPT})
    world.receipt(submitted)
    mark = world.esme.mark()
    with world.bound():
        world.expect_receipt(submitted, mark=mark)


def reconnect_after_cut(world):
    """The connection is cut off with receipts outstanding; they come after the rebind, once each."""
    world.bind()
    submitted = [world.submit({**as_text(f"{PLAIN} {index}"), **RECEIPT})[0] for index in range(3)]
    mark = world.esme.mark()
    world.to_gateway.cut()
    world.esme.wait_for(mark, event="closed")
    for each in submitted:
        world.receipt(each)
    mark = world.esme.mark()
    with world.bound():
        for each in submitted:
            world.expect_receipt(each, mark=mark)
        world.submit(as_text(PLAIN))
        expect("receipts", 3, len(world.esme.seen(mark, command="deliver_sm", esm_class=4)))


def shutdown(world):
    """The gateway ends: it unbinds from the ESME and from the carrier, and comes back."""
    world.bind()
    (submitted,) = world.submit({**as_text(PLAIN), **RECEIPT})
    mark, there = world.esme.mark(), world.carrier.mark()
    world.gateway.stop()
    world.esme.wait_for(mark, command="unbind")
    world.esme.wait_for(mark, event="closed")
    world.carrier.wait_for(there, command="unbind")
    world.carrier.wait_for(there, event="closed")
    there = world.carrier.mark()
    world.gateway.start()
    world.carrier.wait_for(there, command="bind_transceiver")
    mark = world.esme.mark()
    with world.bound():
        world.receipt(submitted)
        world.expect_receipt(submitted, mark=mark)


# Every scenario with its name in the table.
ESME = {
    "bind transceiver": bind_transceiver,
    "bind transmitter + receiver": bind_transmitter_and_receiver,
    "bind 3.3": bind_3_3,
    "bind 5.0": bind_5_0,
    "wrong password refused": wrong_password,
    "submit on a receiver refused": submit_on_a_receiver,
    "submit, receipt DELIVRD": receipt_delivered,
    "submit, receipt UNDELIV": receipt_failed,
    "receipt without TLVs": receipt_as_text_only,
    "no receipt unless asked": no_receipt_unless_asked,
    "receipt on failure only": receipt_on_failure,
    "special GSM characters": special_characters,
    "UCS-2 text": ucs2,
    "other data codings": other_codings,
    "long text, UDH": long_udh,
    "long UCS-2 text, UDH": long_udh_ucs2,
    "long text, SAR TLVs": long_sar,
    "long text, message_payload": message_payload,
    "TLVs pass": tlvs,
    "data_sm": data_sm,
    "window": window,
    "MO": mo,
    "MO in UCS-2": mo_ucs2,
    "long MO, UDH": mo_long,
    "long MO, message_payload": mo_payload,
    "MO waits for a bind": mo_waits,
    "enquire_link from the ESME": enquire_link,
    "enquire_link from us": enquire_link_from_gateway,
    "reconnect after unbind": reconnect_after_unbind,
    "reconnect after a cut, receipts due": reconnect_after_cut,
    "shutdown unbinds, restart": shutdown,
}
