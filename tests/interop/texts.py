"""Texts as octets, made here and not by a peer: what the peers' own encoders are held against."""

GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = {"\f": 10, "^": 20, "{": 40, "}": 41, "\\": 47, "[": 60, "~": 61, "]": 62, "|": 64, "€": 101}

DEFAULT, UCS2 = 0, 8

PLAIN = "hello from an ESME"
SPECIAL = "@ £ $ ñ Ü à _ € [ ] { } \\ ^ ~ | é Δ"
UNICODE = "Привет, 世界 🌊"
LONG = "".join(f"{number:04d} all the parts of it, " for number in range(20))
LONG_UNICODE = "".join(f"{number:03d} Привет, " for number in range(14))


def gsm(text):
    octets = bytearray()
    for character in text:
        if character in GSM_EXTENDED:
            octets += bytes((0x1B, GSM_EXTENDED[character]))
        else:
            octets.append(GSM.index(character))
    return bytes(octets)


def encode(text, coding):
    return text.encode("utf-16-be") if coding == UCS2 else gsm(text)


def cut(octets, coding, reference):
    """Parts with a user data header for concatenation (8-bit reference)."""
    size = 134 if coding == UCS2 else 153
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    head = bytes((5, 0, 3, reference, len(pieces)))
    return [head + bytes((number,)) + piece for number, piece in enumerate(pieces, 1)]
