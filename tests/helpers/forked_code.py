"""Python code in new processes that have PyTorch imported, and little else."""

import json
import subprocess
import sys

# What takes seconds to import, of what MMagic imports.
_SERVER = """
import gc, json, os, sys, traceback
import scipy.signal, torch, torch.distributed.fsdp, torchvision

exec(sys.argv[1])
gc.freeze()  # MMEngine's data sets collect all garbage
for line in sys.stdin:
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    try:
        code, output = json.loads(line)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        torch.set_num_threads(1)
        exec(code, dict(__name__='__main__'))
        status = 0
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
"""


class ForkServer:
    """Forks a process for each piece of code.

    Args:
        folder: for the file that takes the output.
        imports: code that the server runs before.
    """

    def __init__(self, folder, imports=''):
        self.imports = imports
        self.output = folder / 'output.txt'

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', _SERVER, self.imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self, code):
        """What it prints; it must end with status 0."""
        self.process.stdin.write(json.dumps([code, str(self.output)]) + '\n')
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        output = self.output.read_text()
        assert status == 0, output[-10000:]
        return output
