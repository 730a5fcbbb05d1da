"""The program of a worker that is a process of its own; it never runs the main script of the caller.

The caller starts it, and it imports what a worker needs while the caller prepares the rest. Then it waits for its
order. It ends as soon as the caller is gone.
"""

import gc
import os
import signal
import socket
import sys
import threading
from typing import Any, NoReturn

from cnncli.engine.parallel import shard  # noqa: F401 - imported while the caller prepares the order
from cnncli.engine.parallel.group_signals import ignore_signals
from cnncli.engine.parallel.order import receive_order, wait_for_the_end
from cnncli.engine.parallel.references import Receiver
from cnncli.engine.parallel.segments import Segment
from cnncli.engine.parallel.semaphores import open_semaphore
from cnncli.engine.parallel.serving import ServingWorker


def main() -> NoReturn:
    """Work for the process that holds the other end of the standard input."""
    ignore_signals()
    work(_take_input())


if sys.platform != "win32":

    def serve_forks() -> NoReturn:
        """Fork a worker for each socket that comes in over the standard input, and answer with its process number."""
        ignore_signals()
        # the system reaps the workers
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        control = _take_input()
        while True:
            asked, (*sockets,), _, _ = socket.recv_fds(control, 1, 1)
            if not asked:
                os._exit(0)
            try:
                process = os.fork()
            except OSError:
                process = -1
            if process == 0:
                control.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                work(socket.socket(fileno=sockets[0]))
            os.close(sockets[0])
            control.sendall(process.to_bytes(8, "little", signed=True))


def work(control: Any) -> NoReturn:
    """Wait for the order, serve until the caller closes the pool, and end the process.

    Args:
        control: the socket, or on Windows the descriptor, over which the order comes.
    """
    received = receive_order(control)
    if received is None:
        os._exit(1)
    threading.Thread(target=_end_with_the_caller, args=(control,), name="cnn-lifeline", daemon=True).start()
    order, descriptors = received
    *handles, go, arrived = order.handles(descriptors)
    segments = [Segment(size, handle) for size, handle in zip(order.sizes, handles, strict=True)]
    pages = segments[order.payload.segment].pages
    receiver = Receiver(pages[order.payload.offset : order.payload.offset + order.payload_size], segments)
    serving = ServingWorker(
        worker=order.worker,
        state=receiver.load(),
        go=open_semaphore(acquiring=go),
        arrived=open_semaphore(releasing=arrived),
        spins=order.spins,
        # the other thread ends the process when the caller is gone
        caller_alive=lambda: True,
    )
    try:
        function = receiver.load()
    except BaseException as error:
        serving.report(error)
        os._exit(1)
    gc.freeze()
    serving.report_finished()
    serving.serve(function)
    os._exit(0)


def _take_input() -> Any:
    """Return the socket or descriptor of the standard input, in whose place comes the null device.

    On Windows, to load a library may wait for a pending read of the standard input.
    """
    taken = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(taken, os.O_BINARY)
        return taken
    return socket.socket(fileno=taken)


def _end_with_the_caller(control: Any) -> None:
    wait_for_the_end(control)
    os._exit(1)
