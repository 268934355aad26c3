#!/usr/bin/env python3
"""Create an environment with the pinned versions, or return at once if it exists already.

This needs no compiler. An unfinished environment is continued, an outdated one is recreated.
"""

import argparse
import ctypes
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO, Dict, List, NoReturn, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[1]
MARKER, CHECKOUT, LOG = '.csnln-env', '.csnln-checkout', 'make_env.log'
INTEGRATIONS = '.csnln-integrations'
UNFINISHED = 'unfinished '
# Newest first. torch 2.1.2, the oldest, has no wheels for Python 3.12.
PYTHONS: Dict[str, Sequence[str]] = {
    'newest': ('3.13', '3.12', '3.11', '3.10'),
    'oldest': ('3.11', '3.10'),
}
GIGABYTES_NEEDED = 8
SECONDS_BETWEEN_LINES = 30
SECONDS_TO_END = 5
PYTORCH = ('torch', 'triton', 'nvidia-', 'cuda-')
LINES_SHOWN, CHARACTERS_SHOWN = 8, 300
PR_SET_PDEATHSIG = 1
PIP_INSTALL = '-m pip install --progress-bar off --disable-pip-version-check --no-input'.split()
TRY = 'import csnln_mm.compatibility, mmagic.models, mmagic.datasets'
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What is found in the output of a step, and what it means for the user.
ADVICE = (
    (
        r'No space left|Errno 28|Disk quota',
        'The disk is full. Free some space (pip also fills its cache and the folder for temporary '
        'files:\n`pip cache purge`, TMPDIR=dir), then run the same command again to continue.',
    ),
    (
        r'Name or service not known|name resolution|NewConnectionError|ConnectionError|'
        r'NameResolutionError|ProxyError|Read timed out|ReadTimeout|ConnectTimeout|Network is unreach|'
        r'from versions: none',
        'The package index cannot be reached. Check the network (pip takes a proxy from HTTPS_PROXY, '
        'another\nindex from PIP_INDEX_URL), then run the same command again to continue.',
    ),
    (
        r'No matching distribution|Could not find a version',
        'The package index of this machine has no wheel of this version for this Python. See '
        '`pip config list`\nfor another index or a constraint; another Python: PYTHON=/path/to/python.',
    ),
    (
        r'Permission denied|Errno 13|Read-only file system',
        'The folder cannot be written. Name another one: VENV=dir',
    ),
    (
        r'ensurepip',
        'This Python cannot make environments. On Debian and Ubuntu install its -venv package, or name '
        'another\nPython: PYTHON=/path/to/python',
    ),
    (
        r'libGL|libgthread|cannot open shared object',
        'A library of the system is missing; install the package that holds the file named above.',
    ),
)
DESCRIBE_PYTHON = """
import json, sys, sysconfig
try:
    import ensurepip, venv
    has_venv = True
except ImportError:
    has_venv = False
print(json.dumps([list(sys.version_info[:2]), sys.version, has_venv,
                  getattr(sys, '_base_executable', sys.executable)]))
"""


class Failure(Exception):
    """The environment cannot be made; the message says why and what to do."""


class Interrupted(BaseException):
    """A signal, whose number it has, asked this program to end."""


def main() -> int:
    arguments = parse_arguments()
    for number in SIGNALS:
        signal.signal(number, interrupt)
    folder = Path(arguments.folder).absolute()
    try:
        make_environment(folder, arguments.versions, arguments.integrations)
    except Failure as failure:
        say(str(failure), file=sys.stderr)
        return 1
    except OSError as error:
        say(f'{error}\n{advice(str(error))}', file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        say('interrupted; the same command continues from here', file=sys.stderr)
        return 128 + interrupted.args[0]
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='environment variables:\n'
        '  PYTHON   the Python to make it with (default: the newest that fits)',
    )
    parser.add_argument('folder', help='where the environment is or shall be')
    parser.add_argument(
        '--versions',
        choices=sorted(PYTHONS),
        default='newest',
        help='which file of requirements/ it follows (default: %(default)s)',
    )
    parser.add_argument(
        '--integrations',
        action='store_true',
        help='add requirements/integrations.txt: what the whole test suite needs',
    )
    return parser.parse_args()


def interrupt(number: int, frame: Optional[FrameType]) -> NoReturn:
    """Ends what is running, once: a second signal must not cut the cleaning short."""
    # Not SIG_IGN: Python complains of a signal that came just before that.
    for other in SIGNALS:
        signal.signal(other, lambda number, frame: None)
    raise Interrupted(number)


def say(text: str, file: Optional[IO[str]] = None) -> None:
    print(f'make_env: {text}', file=file or sys.stdout, flush=True)


def make_environment(folder: Path, versions: str, integrations: bool) -> None:
    """Makes what is missing, while no other process does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f'{folder} cannot be made: {error.strerror}.\nName another folder: VENV=dir')
    with locked(folder):
        pins = ROOT / 'requirements' / f'{versions}.txt'
        python, version = find_python(folder, PYTHONS[versions])
        made_of = f'{pins.read_text()}{version}{platform.machine()}'
        key = hashlib.sha256(made_of.encode()).hexdigest()
        state = read(folder / MARKER)
        if state != key:
            prepare_folder(folder, state, key)
            install(folder, python, pins)
        install_checkout(folder)
        if state != key:
            Step(folder, 'trying it').run([bin_python(folder), '-c', TRY])
            (folder / MARKER).write_text(key)
        if (integrations and install_integrations(folder)) or state != key:
            say(f'done; activate it with: . {folder}/bin/activate')


def locked(folder: Path) -> IO[str]:
    """An open file that holds the lock of the folder."""
    # It stays: removing it would let two processes hold two locks of one name.
    path = folder.with_name(folder.name + '.lock')
    lock = open(path, 'a+')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = read(path) or 'unknown'
        say(f'process {holder} is making {folder}; waiting until it is done')
        fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def read(path: Path) -> str:
    """The text of a small file, empty if there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ''


def bin_python(folder: Path) -> str:
    return str(folder / 'bin' / 'python')


def find_python(folder: Path, supported: Sequence[str]) -> Tuple[str, str]:
    """The Python to use, and its full version: PYTHON, or the environment's own, or the newest."""
    asked = os.environ.get('PYTHON')
    candidates = [bin_python(folder), *(f'python{x}' for x in supported), 'python3', 'python']
    if asked:
        candidates = [asked]
    reasons = []
    for candidate in candidates:
        about = describe_python(candidate)
        if about is None:
            continue
        version, full, has_venv, base = about
        name = '.'.join(map(str, version))
        if name not in supported:
            reasons.append(f'{candidate} is Python {name}')
        elif not has_venv:
            reasons.append(
                f'{candidate} has no venv module (on Debian and Ubuntu: '
                f'apt-get install python{name}-venv)'
            )
        else:
            return base, full
    if asked and not reasons:
        reasons.append(f'{asked} cannot be run')
    raise Failure(
        f'Python {supported[-1]} to {supported[0]} with its venv module is needed; '
        f'{"; ".join(dict.fromkeys(reasons)) or "none was found"}.\n'
        f'Install one, or name it: PYTHON=/path/to/python{supported[0]}'
    )


def describe_python(command: str) -> Optional[Tuple[List[int], str, bool, str]]:
    """Version, full version, whether it has venv, and the interpreter below an environment."""
    try:
        done = subprocess.run([command, '-c', DESCRIBE_PYTHON], capture_output=True, timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def prepare_folder(folder: Path, state: str, key: str) -> None:
    """Empties an outdated environment; leaves what belongs to something else."""
    if not state and any(folder.iterdir()):
        raise Failure(
            f'{folder} is not empty and was not made by this script.\nName another folder: VENV=dir'
        )
    if state == UNFINISHED + key:
        say(f'continuing with {folder}')
        remove_interrupted(folder)
        return
    if state:
        other = read(folder / CHECKOUT)
        if other not in ('', str(ROOT)) and Path(other).exists():
            raise Failure(
                f'{folder} is the environment of {other}, with other versions.\n'
                'Name another folder (VENV=dir), or remove this one.'
            )
        say(f'removing what is outdated or damaged in {folder}')
        (folder / MARKER).write_text(UNFINISHED)  # Half removed, it must not pass for finished.
        empty(folder)
    free = shutil.disk_usage(folder).free / 1e9
    if free < GIGABYTES_NEEDED:
        raise Failure(
            f'{folder} needs {GIGABYTES_NEEDED} GB, and {free:.1f} GB are free there.\n'
            'Free some space, or name a folder on another disk: VENV=dir'
        )
    say(f'making {folder} (about 5 minutes, most of them for downloading PyTorch)')
    (folder / MARKER).write_text(UNFINISHED + key)


def remove_interrupted(folder: Path) -> None:
    """Has pip install again what it was interrupted in: it writes INSTALLER last."""
    for information in folder.glob('lib/python*/site-packages/*.dist-info'):
        if not (information / 'INSTALLER').exists():
            shutil.rmtree(information)


def empty(folder: Path) -> None:
    """Removes everything from the folder but the marker, which says that the folder is ours."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink()


def install(folder: Path, python: str, pins: Path) -> None:
    if not has_pip(folder):
        empty(folder)
        Step(folder, '1/3 virtual environment').run([python, '-m', 'venv', folder])
    lines = [line for line in pins.read_text().splitlines() if line and line[0] != '#']
    for name, wanted in ('2/3 PyTorch', True), ('3/3 MMagic and the rest', False):
        part = folder / f'pins-{"pytorch" if wanted else "rest"}.txt'
        part.write_text('\n'.join(x for x in lines if x.startswith(PYTORCH) == wanted) + '\n')
        Step(folder, name).pip_requirements(part)


def install_integrations(folder: Path) -> bool:
    """Adds what exports, other programs and the page need; whether anything was to do."""
    pins = ROOT / 'requirements' / 'integrations.txt'
    key = hashlib.sha256(pins.read_bytes()).hexdigest()
    if read(folder / INTEGRATIONS) == key:
        return False
    remove_interrupted(folder)
    Step(folder, 'packages for the tests').pip_requirements(pins)
    (folder / INTEGRATIONS).write_text(key)
    return True


def has_pip(folder: Path) -> bool:
    """Whether the virtual environment is there and complete enough to install packages."""
    command = [bin_python(folder), '-m', 'pip', '--version']
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def install_checkout(folder: Path) -> None:
    """Installs this checkout in the environment, if it is not the one that is there."""
    if read(folder / CHECKOUT) == str(ROOT):
        return
    Step(folder, 'this checkout').pip('--no-deps', '--no-build-isolation', '-e', ROOT)
    (folder / CHECKOUT).write_text(str(ROOT))


class Step:
    """One command, whose output goes to the log; the terminal shows how long it takes."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.log = folder / LOG
        self.start = time.monotonic()

    def pip(self, *arguments: object) -> None:
        """Installs something with the environment's pip."""
        self.run([bin_python(self.folder), *PIP_INSTALL, *arguments])

    def pip_requirements(self, pins: Path) -> None:
        """Installs a list of packages that is complete and has a wheel of each."""
        self.pip('--no-deps', '--only-binary', ':all:', '-r', pins)

    def run(self, command: Sequence[object]) -> None:
        """Runs the command, and raises :class:`Failure` with its last lines if it fails."""
        environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
        environment['PYTHONUNBUFFERED'] = '1'
        with open(str(self.log), 'ab') as log:
            begin = log.tell()
            # A signal between the start and `try` would leave the process to itself.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=str(ROOT),
                start_new_session=True,
                preexec_fn=in_the_child,
            )
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
                self.wait(process, begin)
            finally:
                signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
                end_group(process)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if process.returncode != 0:
            output = self.output(begin)
            shown = useful(output)[-LINES_SHOWN:]
            last = ''.join(f'    {line[:CHARACTERS_SHOWN]}\n' for line in shown)
            raise Failure(
                f'step "{self.name}" failed. The last lines of its output:\n{last}'
                f'(all of it: {self.log})\n{advice(output)}'
            )

    def wait(self, process: subprocess.Popen, begin: int) -> None:
        """Waits for the process, and shows what it does."""
        terminal = sys.stdout.isatty()
        every = 1 if terminal else SECONDS_BETWEEN_LINES
        if not terminal:
            say(self.name)
        try:
            while True:
                if terminal:
                    width = shutil.get_terminal_size().columns - 1
                    line = f'make_env: {self.progress(begin)}'
                    print(f'\r{line[:width]:{width}}', end='', flush=True)
                try:
                    process.wait(every)
                    break
                except subprocess.TimeoutExpired:
                    if not terminal:
                        say(self.progress(begin))
        finally:
            if terminal:
                print(flush=True)

    def progress(self, begin: int) -> str:
        """The step, the time that it has taken, and what pip downloads or installs."""
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        elapsed = f'{minutes} min {seconds:02d} s' if minutes else f'{seconds} s'
        activity = ''
        for line in useful(self.output(begin)):
            download = re.match(
                r'\s*Downloading (?:\S*/)?([^\s/]+?)(?:\.metadata)?( \(.*\))?$', line
            )
            if download:
                activity = f', downloading {download.group(1)}{download.group(2) or ""}'
            elif line.startswith('Installing collected packages'):
                activity = ', installing'
        return f'{self.name}, {elapsed}{activity}'

    def output(self, begin: int) -> str:
        with open(str(self.log), 'rb') as log:
            log.seek(begin)
            return log.read().decode(errors='replace')


def useful(output: str) -> List[str]:
    """The lines that say something about this step, without pip's warnings about settings."""
    return [
        line
        for line in output.splitlines()
        if line.strip()
        and not re.match(r'WARNING: (Location|Skipping)|\[notice\]|Ignoring \S+: markers', line)
    ]


def in_the_child() -> None:
    """Lets signals in, and has Linux end this child if its parent is killed outright."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):
        pass  # Another system.


def end_group(process: subprocess.Popen) -> None:
    """Ends the process and everything that it started, gently first."""
    for number, seconds in (signal.SIGTERM, SECONDS_TO_END), (signal.SIGKILL, 1):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        end = time.monotonic() + seconds
        while group_exists(process) and time.monotonic() < end:
            time.sleep(0.05)
    process.wait()


def group_exists(process: subprocess.Popen) -> bool:
    """Whether anything is left of a process group; a finished leader counts as gone."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def advice(output: str) -> str:
    """What to do about a failure, judged by what was printed."""
    for pattern, text in ADVICE:
        if re.search(pattern, output):
            return text
    return 'Run the same command again to continue.'


if __name__ == '__main__':
    sys.exit(main())
