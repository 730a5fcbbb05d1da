"""What the caller sends to a process that it started, to make it a worker.

On POSIX the standard input of the process is one end of a socket, over which file descriptors travel too. On Windows it
is a pipe, and the order has names. The other end is held by the caller alone. So the end of the input means that the
caller is gone.
"""

import os
import pickle
import socket
import sys
from typing import Any, NamedTuple

from cnncli.engine.parallel.segments import Place

MOST_DESCRIPTORS = 200
"""What fits into one order; Linux allows 253."""

_CHUNK = 65_536


class Order(NamedTuple):
    """All that a worker has to know.

    Attributes:
        worker: its number, from 1.
        sizes: of the segments of shared memory.
        names: on Windows, of these segments and of the semaphores `go` and `arrived`. On POSIX None: the order comes
            with a descriptor for each.
        payload: where in them the pickles of the pool's state and function lie.
        payload_size: in bytes.
        spins: how often to try to take a semaphore before sleeping on it.
    """

    worker: int
    sizes: tuple[int, ...]
    names: tuple[str | None, ...]
    payload: Place
    payload_size: int
    spins: int

    def handles(self, descriptors: list[int]) -> list[int | str]:
        """Return what the segments and the semaphores are opened by."""
        received = iter(descriptors)
        return [next(received) if name is None else name for name in self.names]


def send_order(control: Any, order: Order, descriptors: list[int]) -> None:
    """In the caller: send an order.

    Args:
        control: the caller's end of the standard input of the process.
        order: for this process.
        descriptors: of the segments and the semaphores; none on Windows.

    Raises:
        OSError: the process has ended, or there are too many descriptors.
    """
    data = pickle.dumps(order)
    message = len(data).to_bytes(8, "little") + data
    if sys.platform == "win32":
        control.write(message)
        control.flush()
        return
    if len(descriptors) > MOST_DESCRIPTORS:
        raise OSError(f"{len(descriptors)} descriptors do not fit into one order")
    sent = socket.send_fds(control, [message], descriptors, getattr(socket, "MSG_NOSIGNAL", 0))
    control.sendall(message[sent:])


def receive_order(control: Any) -> tuple[Order, list[int]] | None:
    """In the process: wait for the order; None when the caller is gone."""
    message, descriptors = b"", list[int]()
    while len(message) < 8 or len(message) < 8 + int.from_bytes(message[:8], "little"):
        if sys.platform == "win32":
            received = os.read(control, _CHUNK)
        else:
            received, more, _, _ = socket.recv_fds(control, _CHUNK, MOST_DESCRIPTORS)
            descriptors += more
        if not received:
            return None
        message += received
    return pickle.loads(message[8:]), descriptors


def wait_for_the_end(control: Any) -> None:
    """In the process: return when the caller is gone."""
    while os.read(control if isinstance(control, int) else control.fileno(), 1):
        pass
