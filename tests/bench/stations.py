"""Two thousand stations as bare sockets in a process of their own, cheap enough to share a machine with what they load.

`python -m tests.bench.stations PORT COUNT SECONDS` connects them one after the other, prints `ready`, and waits for a
line on its standard input. Then each sends its MeterValues once a second, spread evenly over it, and answers every call
at once, until its standard input ends. What it saw is printed as JSON. Frames are made beforehand and masked with zeros, which RFC 6455 allows; nothing
is parsed that need not be.
"""

import gc
import json
import os
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

HANDSHAKE: Final = (
    "GET /ocpp/B-{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp2.1\r\n\r\n"
)
NO_MASK: Final = bytes(4)
TEXT, PING, PONG, CLOSE = 0x81, 0x89, 0x8A, 0x88
PATIENCE_S: Final = 60.0
SHORT: Final = 126
POLL_S: Final = 0.001


@dataclass(slots=True)
class Station:
    """One connection."""

    name: str
    socket: socket.socket
    pending: bytes = b""
    sent_at: dict[bytes, float] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """What the driver saw: seconds from when a reading was due until it was sent, and until it was answered."""

    sending: list[float] = field(default_factory=list)
    answering: list[float] = field(default_factory=list)
    unanswered: int = 0


def framed(payload: bytes, kind: int = TEXT) -> bytes:
    """A client's frame."""
    length = len(payload)
    head = bytes((kind, 0x80 | length)) if length < SHORT else bytes((kind, 0x80 | SHORT)) + length.to_bytes(2, "big")
    return head + NO_MASK + payload


def connected(port: int, number: int) -> Station:
    """A station after its handshake."""
    one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.sendall(HANDSHAKE.format(name=number).encode())
    said = b""
    while b"\r\n\r\n" not in said:
        more = one.recv(4096)
        if not more:
            raise SystemExit(f"station {number} was turned away")
        said += more
    if not said.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"station {number} was answered {said[:60]!r}")
    one.setblocking(False)
    return Station(str(number), one, said.partition(b"\r\n\r\n")[2])


class Driver:
    """All stations on one selector; `run` plays so many seconds."""

    def __init__(self, port: int, count: int) -> None:
        self.seen = Seen()
        self._selector = selectors.DefaultSelector()
        self._stations = []
        for number in range(count):
            station = connected(port, number)
            self._stations.append(station)
            self._selector.register(station.socket, selectors.EVENT_READ, station)

    def run(self, seconds: int) -> None:
        """The n-th of all readings is due n / count seconds after the beginning; until standard input ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        count = len(self._stations)
        begin, number, total = time.monotonic() + 0.2, 0, count * seconds
        stamped_at, tail = -1, b""
        is_told_to_end = False
        while not is_told_to_end or number < total:
            now = time.monotonic()
            while number < total and begin + number / count <= now:
                if int(now) != stamped_at:
                    stamped_at, tail = int(now), _tail()
                self._send(self._stations[number % count], number // count, tail, due_at=begin + number / count)
                number += 1
            for key, _ in self._selector.select(POLL_S):
                if key.data is None:
                    is_told_to_end = True
                    self._selector.unregister(key.fileobj)
                else:
                    self._read(key.data)
        self.seen.unanswered = sum(len(station.sent_at) for station in self._stations)

    def _send(self, station: Station, number: int, tail: bytes, *, due_at: float) -> None:
        message_id = b"%s-%d" % (station.name.encode(), number)
        station.sent_at[message_id] = due_at
        station.socket.send(framed(b'[2,"' + message_id + tail))
        self.seen.sending.append(time.monotonic() - due_at)

    def _read(self, station: Station) -> None:
        data = station.pending + station.socket.recv(1 << 16)
        while len(data) >= 2:
            length, start = data[1], 2
            if length == SHORT:
                length, start = int.from_bytes(data[2:4], "big"), 4
            if len(data) < start + length:
                break
            self._take(station, data[0], data[start : start + length])
            data = data[start + length :]
        station.pending = data

    def _take(self, station: Station, kind: int, payload: bytes) -> None:
        if kind == PING:
            station.socket.send(framed(payload, PONG))
        elif kind == CLOSE:
            raise SystemExit(f"station {station.name} was closed: {payload[2:]!r}")
        elif payload.startswith(b"[3,"):
            due_at = station.sent_at.pop(payload.split(b'"', 2)[1])
            self.seen.answering.append(time.monotonic() - due_at)
        elif payload.startswith(b"[2,"):
            message_id = payload.split(b'"', 2)[1]
            # Nobody charges here, so there is no transaction to tell of.
            status = b"Rejected" if b'"TriggerMessage"' in payload else b"Accepted"
            station.socket.send(framed(b'[3,"' + message_id + b'",{"status":"' + status + b'"}]'))
        else:
            raise SystemExit(f"station {station.name} was sent {payload[:80]!r}")


def _tail() -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return (
        f'","MeterValues",{{"evseId":1,"meterValue":[{{"timestamp":"{stamp}","sampledValue":['
        '{"value":7000,"measurand":"Power.Active.Import","unitOfMeasure":{"unit":"W"}},'
        '{"value":49.98,"measurand":"Frequency","unitOfMeasure":{"unit":"Hz"}}]}]}]'
    ).encode()


def said(seen: Seen) -> dict[str, Any]:
    """What the backend's process is told."""
    return {
        "sent": len(seen.sending),
        "answered": len(seen.answering),
        "unanswered": seen.unanswered,
        "sending_max_s": max(seen.sending),
        "answering_p99_s": sorted(seen.answering)[len(seen.answering) * 99 // 100],
        "answering_max_s": max(seen.answering),
        "cpu_s": time.process_time(),
    }


def main(port: int, count: int, seconds: int, core: int | None) -> None:
    """See the module."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    driver = Driver(port, count)
    gc.freeze()
    print("ready", flush=True)
    sys.stdin.readline()
    driver.run(seconds)
    print(json.dumps(said(driver.seen)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else None)
