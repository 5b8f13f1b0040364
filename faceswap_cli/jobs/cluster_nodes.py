"""Reaching a Ray cluster and its nodes; Ray's own talk is kept off our streams."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from faceswap_cli.errors import DeviceError, UsageError
from faceswap_cli.jobs import cluster_worker

CONNECT_S, _PROBE_S = 5.0, 120.0
_log = logging.getLogger(__name__)


def library() -> Any:
    """Ray itself; :class:`UsageError` where it cannot be used."""
    if sys.platform == "win32":
        raise UsageError("--cluster needs Linux or macOS; leave it out, or run in WSL")
    # Before the import: the program tells nobody that it is used.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            f"--cluster needs the extra 'ray' ({error}); install it with: pip install 'faceswap-cli[ray]'"
        ) from error
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, connected to ``address``; a connection that the caller's program has already is used as it is."""
    ray = library()
    if ray.is_initialized():
        yield ray
        return
    with _own_logging():
        _connect(ray, address)
        _talk_to_the_log()
        try:
            yield ray
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    if address != "auto":
        _check_port(address)
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        # Joining is silent; it takes the handlers away that were there.
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:  # Ray raises plain Exceptions here, too
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        hint = (
            "start one with 'ray start --head'"
            if address == "auto"
            else f"join it on this machine first: ray start --address={address}"
        )
        raise DeviceError(f"no Ray cluster at {address} from this machine ({reason}); {hint}") from error
    finally:
        if main and before is not None:
            signal.signal(signal.SIGTERM, before)


def _check_port(address: str) -> None:
    """A wrong address is reported at once; Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as error:
        raise DeviceError(
            f"nothing answers at {address} ({error.strerror or error}); check the address that "
            "'ray start --head' printed, and the firewall"
        ) from error


@contextmanager
def _own_logging() -> Iterator[None]:
    """Ray's logger is left as it was found."""
    logger = logging.getLogger("ray")
    before = logger.handlers[:], logger.propagate, logger.level
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before[:2]
        logger.setLevel(before[2])


def _talk_to_the_log() -> None:
    """What Ray logs goes to our log as detail (``--log-file``, -vv), not between our lines."""
    logger = logging.getLogger("ray")
    logger.handlers[:], logger.propagate = [_Forward()], False
    logger.setLevel(logging.INFO)


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _log.debug("ray: %s", record.getMessage())


def entrance() -> Callable[..., cluster_worker.Answer]:
    """The remote function.  Local, so that it travels by value and runs where this program is missing."""

    def enter(*arguments: Any) -> tuple[str, Any]:
        try:
            from faceswap_cli.jobs import cluster_worker as worker
        except ImportError as error:
            import socket as sockets

            return "unfit", f"node {sockets.gethostname()} lacks this version of faceswap ({error})"
        return worker.serve(*arguments)

    return enter


def alive(ray: Any) -> list[dict[str, Any]]:
    """Nodes that can take work; a head started with ``--num-cpus 0`` takes none."""
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0.0) >= 1]


def on_node(ray: Any, remote: Any, node_id: str) -> Any:
    """``remote`` bound to one node, beside whatever runs there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return remote.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False))


def on_this_node(ray: Any, remote: Any) -> Any:
    """``remote`` bound to the asking machine's node: it lives as long as the job."""
    return on_node(ray, remote, ray.get_runtime_context().get_node_id())


def check_nodes(ray: Any) -> None:
    """Every node has this program and the same versions; else :class:`DeviceError`."""
    nodes = alive(ray)
    if not nodes:
        raise DeviceError("no node of the cluster has a free core; see 'ray status'")
    look = ray.remote(entrance())
    asked = [on_node(ray, look, node["NodeID"]).remote(cluster_worker.kit()) for node in nodes]
    ready, late = ray.wait(asked, num_returns=len(asked), timeout=_PROBE_S)
    if late:
        raise DeviceError(f"{len(late)} of {len(nodes)} nodes do not answer; see 'ray status'")
    for ref in ready:
        try:
            kind, told = ray.get(ref)
        except ray.exceptions.RayError as error:
            raise DeviceError(
                f"a node does not respond ({type(error).__name__}); see 'ray status'"
            ) from error
        if kind != "fit":
            raise unfit(told)


def unfit(told: str) -> DeviceError:
    """The error for a node with other versions."""
    return DeviceError(f"{told}; install the same versions on every node")
