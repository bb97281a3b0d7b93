"""A TCP proxy on loopback that writes what passes through it as a pcap file, with no privilege needed.

The packets are made here: IPv4 and TCP headers with ports, sequence numbers and checksums around the octets
as they were read. Loopback itself cannot be captured everywhere; this can.
"""

import socket
import struct
import threading
import time

HOST = "127.0.0.1"
LINKTYPE_RAW = 101
SEGMENT = 16_000
SYN, ACK, FIN, RST, PSH = 0x02, 0x10, 0x01, 0x04, 0x08


def checksum(octets):
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Pcap:
    """A pcap file that several proxies may write to."""

    def __init__(self, path):
        self.path = path
        self.octets = {}
        self._links = 0
        self._lock = threading.Lock()
        self._file = open(path, "wb")
        self._file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, LINKTYPE_RAW))

    def packet(self, source, destination, seq, ack, flags, payload=b""):
        address = socket.inet_aton(HOST)
        seq, ack = seq & 0xFFFFFFFF, ack & 0xFFFFFFFF
        tcp = struct.pack(">HHIIBBHHH", source, destination, seq, ack, 5 << 4, flags, 0xFFFF, 0, 0)
        pseudo = address + address + struct.pack(">BBH", 0, socket.IPPROTO_TCP, len(tcp) + len(payload))
        tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp + payload)) + tcp[18:]
        length = 20 + len(tcp) + len(payload)
        ip = (
            struct.pack(">BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, socket.IPPROTO_TCP, 0)
            + address
            + address
        )
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        now = time.time()
        head = struct.pack("=IIII", int(now), int(now % 1 * 1_000_000), length, length)
        with self._lock:
            if not self._file.closed:
                ports = source, destination
                self.octets[ports] = self.octets.get(ports, 0) + len(payload)
                self._file.write(head + ip + tcp + payload)

    def first_number(self):
        """Where a connection's sequence numbers begin: far from all before it. The system gives a port again, and a reader
        takes octets with the numbers of an earlier connection for some that were sent again."""
        with self._lock:
            self._links += 1
            return self._links << 22

    def close(self):
        with self._lock:
            self._file.close()


class Link:
    """One connection through the proxy, with the two sequence numbers of its packets."""

    def __init__(self, proxy, client, server, port):
        self.proxy, self.client, self.server, self.port = proxy, client, server, port
        self._lock = threading.Lock()
        first = proxy.pcap.first_number()
        self._next = {client: first, server: first}
        self._write(client, SYN, offset=-1)
        self._write(server, SYN | ACK, offset=-1)
        self._write(client, ACK)

    def _write(self, sender, flags, payload=b"", offset=0):
        ports = (self.port, self.proxy.shown) if sender is self.client else (self.proxy.shown, self.port)
        receiver = self.server if sender is self.client else self.client
        seq, ack = self._next[sender] + offset, self._next[receiver]
        self.proxy.pcap.packet(*ports, seq, ack if flags & ACK else 0, flags, payload)

    def pump(self, sender, receiver):
        """Copies one direction until it ends; the packet is written before the octets go on."""
        unread = b""
        try:
            while octets := sender.recv(SEGMENT):
                with self._lock:
                    self._write(sender, PSH | ACK, octets)
                    self._next[sender] += len(octets)
                unread = self._note(sender, unread + octets)
                receiver.sendall(octets)
            with self._lock:
                self._write(sender, FIN | ACK)
                self._next[sender] += 1
            receiver.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()

    def _note(self, sender, octets):
        """Notes the PDUs in these octets by their headers; returns what is not a whole PDU yet."""
        name = "client" if sender is self.client else "server"
        while len(octets) >= 16:
            length, command, status, _ = struct.unpack(">IIII", octets[:16])
            if not 16 <= length <= len(octets):
                break
            self.proxy.pdus.append((name, command, status))
            octets = octets[length:]
        return octets

    def run(self):
        back = threading.Thread(target=self.pump, args=(self.server, self.client), daemon=True)
        back.start()
        self.pump(self.client, self.server)
        back.join()
        self.client.close()
        self.server.close()
        self.proxy.links.discard(self)

    def cut(self):
        """Ends the connection on both sides with a reset, as a lost network does."""
        for end in (self.client, self.server):
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Proxy:
    """Listens on a free port, connects on to `target`; in the capture the server's port is `shown`.

    The client's port in the capture is the one that the outer peer's log names: of the accepted connection
    when the client is the peer, of the outgoing one when the server is (`peer_is_server`).
    """

    def __init__(self, target, pcap, shown, peer_is_server=False):
        self.target, self.pcap, self.shown, self.peer_is_server = target, pcap, shown, peer_is_server
        self.links = set()
        self.cut_ports = set()
        # (client or server, command_id, command_status) of every PDU.
        self.pdus = []
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, (_, accepted) = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self.target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            port = server.getsockname()[1] if self.peer_is_server else accepted
            link = Link(self, client, server, port)
            self.links.add(link)
            threading.Thread(target=link.run, daemon=True).start()

    def cut(self):
        """Cuts every connection off."""
        for link in list(self.links):
            self.cut_ports.add(link.port)
            link.cut()

    def close(self):
        self.cut()
        self._listener.close()
