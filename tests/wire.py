# SPDX-License-Identifier: BSD-3-Clause
"""The wire between the machines of ``machines.py``: a hub that can lose frames, and be cut.

A program of its own, in a network namespace of its own.  Kernels that can drop packets by rule
(netem) are not to be had everywhere; a raw socket is.

    python wire.py SEED INTERFACE...     carries frames between them; orders are lines of standard
                                         input: "loss 0.2", "cut 1", "join 1"; each is answered
    python wire.py plain INTERFACE       has the kernel send whole, finished packets there
"""

from __future__ import annotations

import ctypes
import fcntl
import random
import selectors
import socket
import struct
import sys

_ALL = 0x0003
_OUTGOING = 4
_SIOCETHTOOL = 0x8946
_OFF = (0x15, 0x17, 0x1F, 0x24, 0x2C)  # receive and send checksums, TSO, GSO, GRO
_FRAME_MAX = 1 << 16


def plain(interface: str) -> None:
    """Have nothing left to the hardware, which is not there: the wire carries what it is given."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in _OFF:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
            except OSError:
                if command != _OFF[0]:
                    raise


class Wire:
    """Carries each frame to all other interfaces."""

    def __init__(self, seed: int, interfaces: list[str]) -> None:
        self.chance = random.Random(seed)
        self.loss = 0.0
        self.cut: set[int] = set()
        self.ends = [self._end(name) for name in interfaces]

    def _end(self, interface: str) -> socket.socket:
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        end.bind((interface, 0))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        end.setblocking(False)
        return end

    def carry(self, at: int) -> None:
        """Carry what waits at an end."""
        while True:
            try:
                frame, whence = self.ends[at].recvfrom(_FRAME_MAX)
            except OSError:
                return
            if whence[2] == _OUTGOING or at in self.cut:
                continue
            for other, end in enumerate(self.ends):
                if other == at or other in self.cut or self.chance.random() < self.loss:
                    continue
                try:
                    end.send(frame)
                except OSError:
                    continue  # a full queue loses, as a wire does

    def obey(self, order: str) -> None:
        """Do what a line says."""
        word, value = order.split()
        if word == "loss":
            self.loss = float(value)
        elif word == "cut":
            self.cut.add(int(value))
        else:
            self.cut.discard(int(value))

    def run(self) -> None:
        """Carry and obey until standard input ends."""
        waiting = selectors.DefaultSelector()
        waiting.register(sys.stdin, selectors.EVENT_READ)
        for at, end in enumerate(self.ends):
            waiting.register(end, selectors.EVENT_READ, at)
        print("ready", flush=True)
        while True:
            for key, _ in waiting.select():
                if key.data is not None:
                    self.carry(key.data)
                    continue
                order = sys.stdin.readline()
                if not order:
                    return
                self.obey(order)
                print("done", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "plain":
        plain(sys.argv[2])
    elif sys.argv[1] == "wait":
        sys.stdin.read()
    else:
        Wire(int(sys.argv[1]), sys.argv[2:]).run()
