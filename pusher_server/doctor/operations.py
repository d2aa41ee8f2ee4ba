"""Checks over the operations listener: release, open files, and the faults that the server knows of."""

import asyncio

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from pusher_server import __version__
from pusher_server.diagnosis.explanation import Explanation
from pusher_server.diagnosis.printable import counted
from pusher_server.doctor.network import Answer, Network, Trouble
from pusher_server.doctor.results import Result, fault, good, left_out
from pusher_server.nesting import is_too_deep

_CHECK = "operations"
#: Bytes of the metrics' text: some 10,000 apps.
_METRICS = 8_388_608
#: A limit of files at or below it is the default of shells and services, and was never raised.
_FEW = 1_024
#: The part of its files beyond which a process runs out.
_NEARLY = 0.8


async def check_operations(network: Network, url: str, token: str) -> list[Result]:
    """Return the results of the metrics and of `/why`."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        metrics, why = await asyncio.gather(
            network.request("GET", f"{url}/metrics", headers=headers, most=_METRICS),
            network.request("GET", f"{url}/why", headers=headers, most=_METRICS),
        )
    except Trouble as trouble:
        return [fault(_CHECK, "operations_silent", reason=trouble.reason)]
    if metrics.status in (401, 403):
        return [fault(_CHECK, "operations_token", status=metrics.status)]
    if metrics.status != 200:
        return [fault(_CHECK, "operations_silent", reason=f"its status is {metrics.status}")]
    return [*_measured(metrics.text), *_known_faults(why)]


def _measured(text: str) -> list[Result]:
    """Return the results of the metrics' text."""
    version, most, used = "", 0.0, (0.0, 0.0)
    open_files: dict[str, float] = {}
    limits: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.endswith("build_info"):
                    version = sample.labels.get("version", "")
                elif sample.name.endswith("process_open_fds"):
                    open_files[sample.labels.get("worker", "")] = sample.value
                elif sample.name.endswith("process_max_fds"):
                    limits[sample.labels.get("worker", "")] = sample.value
    except (ValueError, KeyError, IndexError):
        return [fault(_CHECK, "operations_silent", reason="its metrics cannot be read")]
    results = [_version(version)]
    for worker, limit in limits.items():
        ratio = open_files.get(worker, 0.0) / limit if limit > 0 else 0.0
        if not most or limit < most:
            most = limit
        if ratio > (used[0] / used[1] if used[1] else 0.0):
            used = (open_files.get(worker, 0.0), limit)
    if not most:
        results.append(
            left_out("files", "the metrics have no limit of files", "Upgrade the server.")
        )
    elif used[1] and used[0] > _NEARLY * used[1]:
        results.append(
            fault("files", "files_used_up", open=_number(used[0]), most=_number(used[1]))
        )
    elif most <= _FEW:
        results.append(fault("files", "files_few", most=_number(most)))
    else:
        results.append(good("files", f"a process may open {_number(most)} files"))
    return results


def _version(version: str) -> Result:
    if not version:
        return left_out("versions", "the metrics have no version", "Upgrade the server.")
    if version != __version__:
        return fault("versions", "version_differs", server=version, own=__version__)
    return good("versions", f"server and doctor are {__version__}")


def _known_faults(answer: Answer) -> list[Result]:
    """Return whether the running server knows of a fault; nothing when it does not say."""
    body = answer.text.encode()
    if is_too_deep(body):
        return []
    try:
        explained = msgspec.json.decode(body, type=Explanation)
    except (msgspec.DecodeError, RecursionError):
        return []
    faults = sum(finding.is_fault for finding in explained.findings)
    if faults:
        return [fault("findings", "findings_wait", findings=counted(faults, "fault"))]
    return [good("findings", "the running server knows of no fault")]


def _number(value: float) -> str:
    return f"{int(value):,}" if value < 1e15 else "any number of"
