"""A Slurm cluster of two nodes on this machine, with its own daemons in a folder of its own."""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from command_line import environment, free_port

DAEMONS = 'munged', 'slurmctld', 'slurmd'
NODES = 'n1', 'n2'

# A requeued job waits until its credentials have expired, by default for two minutes.
_CONFIG = """
ClusterName=csnln
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmctldParameters=enable_configless
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
SlurmdTimeout=20
KillWait=30
MinJobAge=3600
ReturnToService=2
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/{task}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
GresTypes=gpu
{nodes}
PartitionName=batch Nodes=ALL Default=YES PriorityTier=1 GraceTime=0 MaxTime=60
PartitionName=grace Nodes=ALL PriorityTier=1 GraceTime=30 MaxTime=60
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60
"""


# Also when these tests are killed: it waits for the end of its input. Every process of the cluster,
# jobs included, has its configuration in its environment.
_REAPER = """
trap '' INT TERM HUP
cat >/dev/null
timeout 20 env SLURM_CONF="$1/slurm.conf" scancel --signal=KILL --full -u "$(id -un)"
for _ in $(seq 100); do
    [ -n "$(timeout 5 env SLURM_CONF="$1/slurm.conf" squeue -h)" ] || break
    sleep 0.2
done
for signal in TERM KILL; do
    for process in /proc/[0-9]*; do
        grep -qsa "SLURM_CONF=$1/" "$process/environ" && kill -$signal "${process#/proc/}"
    done
    sleep 1
done
rm -rf "$1"
"""


def why_not():
    """Why there can be no cluster here; empty if there can."""
    search = f'{os.environ["PATH"]}{os.pathsep}/usr/sbin'
    missing = [name for name in DAEMONS if not shutil.which(name, path=search)]
    if missing:
        return f'{", ".join(missing)} not found (on Debian: apt-get install slurm-wlm munge)'
    return ''


class SlurmCluster:
    """Within, Slurm's commands in :attr:`environment` reach this cluster.

    Attributes:
        folder: configuration, state and logs.
        environment: of a process that uses it.
    """

    def __enter__(self):
        # Not below pytest's folder: munge wants one that all may enter, and a short socket path.
        self.folder = Path(tempfile.mkdtemp(prefix='csnln-slurm-'))
        self.folder.chmod(0o755)
        self.processes = {}
        self.reaper = subprocess.Popen(
            ['bash', '-c', _REAPER, 'reaper', str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        ports = [free_port() for _ in range(3)]
        cgroups = os.access('/sys/fs/cgroup/freezer', os.W_OK)
        nodes = [
            f'NodeName={node} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} '
            'CPUs=40 RealMemory=8000 Gres=gpu:8'
            for node, port in zip(NODES, ports)
        ]
        (self.folder / 'state').mkdir()
        (self.folder / 'slurm.conf').write_text(
            _CONFIG.format(
                host=socket.gethostname(),
                controller_port=ports[2],
                folder=self.folder,
                user=getpass.getuser(),
                proctrack='cgroup' if cgroups else 'linuxproc',
                task='cgroup' if cgroups else 'none',
                nodes='\n'.join(nodes),
            )
        )
        (self.folder / 'cgroup.conf').write_text('CgroupPlugin=autodetect\n')
        # Slurm only looks whether a device's file is there.
        (self.folder / 'gres.conf').write_text(f'Name=gpu File={self.folder}/gpu[0-7]\n')
        for number in range(8):
            (self.folder / f'gpu{number}').touch()
        (self.folder / 'munge.key').write_bytes(os.urandom(128))
        (self.folder / 'munge.key').chmod(0o400)
        self.environment = environment(SLURM_CONF=str(self.folder / 'slurm.conf'))
        del self.environment['PORT']  # each run of a job chooses one of its own
        try:
            names = {'key-file': 'key', 'socket': 'socket', 'pid-file': 'pid', 'log-file': 'log'}
            names['seed-file'] = 'seed'
            options = [f'--{key}={self.folder}/munge.{name}' for key, name in names.items()]
            self._start('munged', '--foreground', '--force', *options)
            eventually(lambda: (self.folder / 'munge.socket').exists(), 10, 'munged does not start')
            self._start('slurmctld', '-D')
            for node in NODES:
                self.start_node(node)
            eventually(
                lambda: (
                    self.run('sinfo', '-hNp', 'batch', '-o', '%T', fails=True).split()
                    == ['idle'] * 2
                ),
                30,
                'the nodes do not come up',
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        self.reaper.stdin.close()
        self.reaper.wait()
        for process in self.processes.values():
            process.wait()

    def _start(self, name, *arguments, known_as=None):
        path = shutil.which(name, path=f'{os.environ["PATH"]}{os.pathsep}/usr/sbin')
        with open(self.folder / f'{known_as or name}.out', 'ab') as output:
            self.processes[known_as or name] = subprocess.Popen(
                [path, *arguments], env=self.environment, stdout=output, stderr=output
            )

    def start_node(self, node):
        """Start the daemon of a node, or start it again."""
        self._start('slurmd', '-D', '-N', node, known_as=node)

    def kill_node(self, node):
        """As if the machine had lost its network: what runs there goes on."""
        self.processes[node].send_signal(signal.SIGKILL)
        self.processes[node].wait()

    def run(self, *command, fails=False, seconds=60, **options):
        """What a command printed."""
        done = subprocess.run(
            [str(word) for word in command],
            env=options.pop('env', self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            **options,
        )
        assert fails or done.returncode == 0, f'{command}: {done.stdout}'
        return done.stdout

    def submit(self, *words, cwd):
        """The id of a job that sbatch has queued."""
        return self.run('sbatch', '--parsable', *words, cwd=cwd).split()[-1]

    def job(self, number):
        """What ``scontrol show job`` tells, as a dict."""
        shown = self.run('scontrol', '--oneliner', 'show', 'job', number)
        return dict(re.findall(r'(\S+?)=(\S*)', shown))

    def preempt(self, number):
        """Have a short job of another partition take the place of one."""
        nodes = self.job(number)['NodeList']
        urgent = self.submit(
            '--partition=urgent',
            f'--nodelist={nodes}',
            '--exclusive',
            '--output=/dev/null',
            '--wrap=true',
            cwd=self.folder,
        )
        self.wait_for(urgent, JobState='COMPLETED')

    def wait_for(self, number, seconds=180, **wanted):
        """All of a job's values, when some match, such as ``JobState='RUNNING'``."""
        end = time.monotonic() + seconds
        while True:
            job = self.job(number)
            if all(re.fullmatch(value, job.get(key, '')) for key, value in wanted.items()):
                return job
            assert time.monotonic() < end, f'waited for {wanted}: {job}'
            time.sleep(0.2)


def eventually(condition, seconds, complaint=''):
    """Wait until a condition holds; the complaint is text, or a function that returns it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint() if callable(complaint) else complaint
        time.sleep(0.1)
