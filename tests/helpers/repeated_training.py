"""``csnln train`` again and again, in one process forked from the server of forked_tool."""

import os
import signal
from pathlib import Path

from forked_tool import PROCESSES, be_quick

from csnln_mm.cli import main


class RepeatedTraining:
    """A process for trainings one after another, and a new one once it was ended by a signal.

    Args:
        folder: to run in; ``output.txt`` there has what the last training printed.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.process = None

    def run(self, words, number=None, delay=0.0):
        """(exit status, whether the signal was sent) of a training.

        Args:
            words: arguments of ``csnln train``.
            number: signal to send, unless the training ends before.
            delay: seconds after which.
        """
        if self.process is None:
            self.connection, theirs = PROCESSES.Pipe()
            self.process = PROCESSES.Process(target=_serve, args=(theirs, str(self.folder)))
            self.process.start()
            theirs.close()
        self.connection.send(['train', *(str(word) for word in words)])
        assert self.connection.recv() == 'begins'
        sent = number is not None and not self.connection.poll(delay)
        if sent:
            os.kill(self.process.pid, number)
        try:
            status = self.connection.recv()
        except EOFError:
            self.process.join()
            status = self.process.exitcode
        if status < 0 or (sent and status == 0):  # the signal may have come too late for the run
            self.close()
        return status, sent

    def output(self):
        return (self.folder / 'output.txt').read_text()

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def _serve(connection, folder):
    os.chdir(folder)
    file = os.open('output.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    be_quick()
    while True:
        words = connection.recv()
        os.ftruncate(file, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        connection.send('begins')
        status = main(words)
        connection.send(status)
