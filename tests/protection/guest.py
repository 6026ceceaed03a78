# SPDX-License-Identifier: BSD-3-Clause
"""Runs a command in a guest whose CPU has protection keys, which QEMU emulates: no KVM, no root.

    PYTHONPATH=tests .venv/bin/python -m protection.guest [--kernel 6.1|6.12] [--smp N] [--mem 1G]
        [--timeout S] [--rw DIR]... -- COMMAND...

The guest sees the host's own files, read-only below a layer of memory: the same interpreter, venv
and built extension, nothing is copied, what it writes is gone afterwards.  Of its own are /proc,
/sys, /dev, /dev/shm, /tmp and /run; the tree and the working folder are there even if they lie in
one of these.  DIR is shared, writable, at its own path (not for MAP_SHARED).  The command runs as
root, in this working folder, with this environment and without input.

Exit status: the command's; 125 when the guest died, or was ended after S seconds; 2 when the
arguments are wrong; 77 when this machine cannot have the guest.  Output comes as it is written.
Everything takes 3 to 35 times as long as on the host: see HANG_TIMES in CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .image import KERNELS, Image, UnavailableError, image
from .initramfs import initramfs

ROOT = Path(__file__).resolve().parents[2]
QEMU = "qemu-system-x86_64"
BUSYBOX = Path("/bin/busybox")
DIED, CANNOT = 125, 77
OWN = ("/tmp", "/dev/shm", "/run")
"""Where the guest has file systems of its own, writable for everybody."""
ITS_OWN_ENVIRONMENT = {"TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1", "PLIB_CACHE_GUEST": "1"}
ONLY_HERE = ("TMPDIR", "XDG_RUNTIME_DIR")
KERNEL_LINE = (
    "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr random.trust_cpu=on "
    "tsc=reliable no_timer_check nowatchdog audit=0 apparmor=0"
)
WHAT = (
    "protection keys in an emulated guest (NOT TESTED is then that the region is closed outside "
    "the library; it counts on every machine whose CPU has `pku`)"
)


class Guest(NamedTuple):
    """What machine it is, and what it may write."""

    kernel: str = KERNELS[-1]
    smp: int = 2
    memory: str = "1G"
    limit_s: float = 600
    writable: tuple[Path, ...] = ()


def provide() -> None:
    """Install QEMU and busybox if they are missing; ``UnavailableError`` if they cannot be had."""
    if platform.machine() != "x86_64":
        message = f"{WHAT}: needs x86-64, the guest runs the host's programs"
        if notes := os.environ.get("UNTESTED"):
            with Path(notes).open("a") as file:
                file.write(message + "\n")
        raise UnavailableError(message)
    probe = f"{QEMU} --version && {BUSYBOX} --list | grep -x insmod && ! ldd {BUSYBOX}"
    need = [str(ROOT / "scripts" / "need"), WHAT, probe, "qemu-system-x86", "busybox-static"]
    if subprocess.run(need).returncode != 0:
        raise UnavailableError(f"{WHAT}: QEMU is missing")


def kept(folders: Sequence[Path]) -> list[Path]:
    """Those that would be hidden by the guest's own file systems, without those inside others."""
    hidden = sorted(
        {folder for folder in folders if str(folder).startswith(tuple(f"{own}/" for own in OWN))}
    )
    return [one for one in hidden if not any(other in one.parents for other in hidden)]


def command_file(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """The script that the guest's shell runs."""
    given = {name: value for name, value in environment.items() if name.isidentifier()}
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in {**given, **ITS_OWN_ENVIRONMENT}.items()
        if name not in ONLY_HERE
    ]
    return "\n".join(
        [*lines, f"cd {shlex.quote(str(folder))} || exit", f"exec {shlex.join(command)}\n"]
    )


def share(tag: str, folder: Path, options: str = "") -> list[str]:
    """The arguments that share a folder of the host."""
    path = str(folder).replace(",", ",,")
    return [
        *("-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap{options}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ]  # fmt: skip


def machine(guest: Guest, kernel: Image, control: Path) -> list[str]:
    """QEMU's command line."""
    return [
        QEMU,
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35"),
        *("-smp", str(guest.smp), "-m", guest.memory),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"),
        *("-monitor", "none", "-serial", "stdio"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
        *("-kernel", str(kernel.kernel), "-initrd", str(control / "initramfs")),
        *("-append", KERNEL_LINE),
        *share("control", control),
        *share("host", Path("/"), ",readonly=on"),
        *(word for at, folder in enumerate(guest.writable) for word in share(f"rw{at}", folder)),
    ]


def prepare(guest: Guest, kernel: Image, command: Sequence[str], control: Path) -> None:
    """Write what ``init`` reads."""
    here = Path.cwd()
    (control / "initramfs").write_bytes(initramfs(BUSYBOX, kernel.modules))
    (control / "command").write_text(command_file(command, here, os.environ))
    keep = kept([ROOT, here, Path(sys.prefix), Path(sys.base_prefix)])
    (control / "keep").write_text("".join(f"{folder}\n" for folder in keep))
    rows = [f"rw{at} {folder}\n" for at, folder in enumerate(guest.writable)]
    (control / "writable").write_text("".join(rows))


def status_of(control: Path) -> int | None:
    """The command's exit status; None when the guest did not get so far."""
    try:
        return int((control / "status").read_text())
    except (FileNotFoundError, ValueError):
        return None


def run(guest: Guest, command: Sequence[str], output: int | None = None) -> int:
    """Boot, run, and return the exit status; raises ``UnavailableError``.

    Output goes to the file descriptor, or where this process's own goes.
    """
    kernel = image(guest.kernel)
    with tempfile.TemporaryDirectory(prefix="plib-cache-guest.") as folder:
        control = Path(folder)
        prepare(guest, kernel, command, control)
        with_us = ["setpriv", "--pdeathsig", "TERM"]  # it does not outlive this process
        limited = [*with_us, "timeout", "--foreground", "--kill-after=5", str(guest.limit_s)]
        qemu = subprocess.Popen(
            [*limited, *machine(guest, kernel, control)], stdin=subprocess.DEVNULL, stdout=output
        )
        try:
            ended = qemu.wait()
        except BaseException:
            qemu.terminate()
            qemu.wait()
            raise
        status = status_of(control)
    if status is None:
        how = f"was ended after {guest.limit_s:g} s" if ended == 124 else "died"
        print(f"the guest with kernel {guest.kernel} {how}", file=sys.stderr, flush=True)
        return DIED
    return status


def folder(text: str) -> Path:
    """An argument that names a folder that exists."""
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return path


def arguments(given: Sequence[str]) -> tuple[Guest, list[str]]:
    """What machine, and what to run in it."""
    parser = argparse.ArgumentParser(prog="protection.guest", description=__doc__.split("\n")[0])
    parser.add_argument("--kernel", choices=KERNELS, default=KERNELS[-1])
    parser.add_argument("--smp", type=int, default=2, help="processors")
    parser.add_argument("--mem", default="1G", help="memory, as QEMU writes it")
    parser.add_argument("--timeout", type=float, default=600, help="seconds, for what hangs")
    parser.add_argument("--rw", type=folder, action="append", default=[], help="writable folder")
    parser.add_argument("command", nargs="+", help="behind --")
    found = parser.parse_args(given)
    guest = Guest(found.kernel, found.smp, found.mem, found.timeout, tuple(found.rw))
    return guest, found.command


def main() -> int:
    guest, command = arguments(sys.argv[1:])
    try:
        provide()
        return run(guest, command)
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return CANNOT


if __name__ == "__main__":
    sys.exit(main())
