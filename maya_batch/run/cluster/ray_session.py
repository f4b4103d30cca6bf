"""Starts Ray on this machine for one run, or connects to a cluster, and keeps its lines off the terminal."""

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from maya_batch.errors import MachineError, first_line
from maya_batch.interrupt import Interruption
from maya_batch.messages.install_hint import install_hint

log = logging.getLogger(__name__)

#: Bytes of shared memory for Ray's objects, about its least: codes travel in its messages. And for each GPU, whose
#: worker sends sound: two answers.
_OBJECT_STORE, _OBJECT_STORE_A_GPU = 100 * 2**20, 16 * 2**20

#: Ray of this machine alone: it listens on the loopback address only, though the name of the first variable says
#: Windows (`get_node_ip_address` of Ray reads it). No statistics are sent, and no Python processes are started in
#: advance.
_ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
_LOOPBACK = "127.0.0.1"

#: Ray gives up after 30 s, in which a machine that is busy with other programs does not start it.
_TRIES = 3

#: Seconds until an address counts as one where nothing answers.
_SECONDS_TO_ANSWER = 10.0


@contextmanager
def opened_ray(address: str | None, cpus: int, gpus: int) -> Iterator[Any]:
    """The module `ray`, connected: to the cluster at `address`, else to Ray started here with so many CPU shares and
    GPUs. At the end it is left, or stopped.

    Raises:
        MachineError: Ray is not installed, does not start, or nothing answers at the address.
        Interruption: a signal came while it started.
    """
    folder = None
    with _environment(address is None):
        ray = _imported()
        try:
            if address is None:
                folder = tempfile.mkdtemp(prefix="maya-batch-")
            _start(ray, address, cpus, gpus, folder)
            yield ray
        finally:
            with _quiet():
                ray.shutdown()
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


def _imported() -> Any:
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise MachineError(
            f"--workers needs Ray, which is not installed; to install it: `{install_hint('cluster')}`"
        ) from error
    # A thread of Ray prints messages of other machines to standard output, whatever `log_to_driver` says. What they
    # tell of lost workers, the run's own messages tell.
    ray._private.worker._worker_logs_enabled = False
    return ray


def _start(ray: Any, address: str | None, cpus: int, gpus: int, folder: str | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "namespace": "maya-batch"}
    options |= {"job_config": _job_config()}
    if address is None:
        options |= {"num_cpus": cpus, "num_gpus": gpus, "include_dashboard": False, "_temp_dir": folder}
        options |= {"object_store_memory": _OBJECT_STORE + gpus * _OBJECT_STORE_A_GPU}
    where = "Ray does not start"
    if address is not None:
        where = f"--ray-address {address}: no Ray cluster answers, or it has another token (RAY_AUTH_MODE=token)"
    try:
        if address is not None:
            _check_answers(address)
        with _our_signals(), _errors_to_log():
            _try_to_start(lambda: ray.init(address or "local", **options), 1 if address else _TRIES)
    except SystemExit as error:  # of Ray's handler of SIGTERM
        raise Interruption from error
    except Exception as error:
        raise MachineError(f"{where} ({first_line(error)})") from error
    if address is None and ray.util.get_node_ip_address() != _LOOPBACK:
        # It was imported before this run, with other settings.
        raise MachineError(f"{where} on {_LOOPBACK} alone; use --workers in another process")
    if address is not None and os.environ.get("RAY_AUTH_MODE") != "token":
        log.warning(
            "--ray-address %s: the cluster has no token (RAY_AUTH_MODE=token); all who reach it can run programs there",
            address,
        )


def _job_config() -> Any:
    """What Ray tells workers of this run, without the folders where Python looks for modules here.

    Ray adds the current folder to them. A book's folder may have a file yaml.py, which workers would then run, or a
    folder with the name of a package, which they would take for it.
    """
    from ray.job_config import JobConfig

    class WithoutFolders(JobConfig):  # type: ignore[misc]
        def _serialize(self) -> Any:
            self._py_driver_sys_path.clear()
            return super()._serialize()

    return WithoutFolders()


def _try_to_start(start: Callable[[], object], tries: int) -> None:
    for left in reversed(range(tries)):
        try:
            start()
            return
        except Exception as error:
            if not left:
                raise
            log.debug("Ray does not start (%s); trying again", first_line(error))


def _check_answers(address: str) -> None:
    """Raise an OSError if nothing listens there: Ray tries for minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_ANSWER).close()


@contextmanager
def _errors_to_log() -> Iterator[None]:
    """What is written to standard error goes to the log: Ray's library does so until it has a log file."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            for line in file.read().decode(errors="replace").splitlines():
                log.debug("Ray: %s", line)


@contextmanager
def _our_signals() -> Iterator[None]:
    """Ray replaces the handler of SIGTERM: it is ours again afterwards."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _environment(alone: bool) -> Iterator[None]:
    """The environment variables of a Ray of this machine alone, which is open only to those who know its token."""
    before = dict(os.environ)
    if alone:
        os.environ.update(_ALONE)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # it stays: Ray reads it once in a process
    try:
        yield
    finally:
        for name in _ALONE if alone else ():
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """What fails while Ray is stopped does not hide why the run ended."""
    with suppress(Exception):
        yield
