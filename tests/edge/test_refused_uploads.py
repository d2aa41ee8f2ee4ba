"""Real clients that send 10 MB without a signature read why they were refused.

Of these the server takes a megabyte at the most. A reset at the wrong moment would leave a client with "broken
pipe" instead of the reason. PHP's streams, Python and Java's HttpClient go on sending until it comes and read
then; the others read while they send. Java's HttpURLConnection alone never reads after a failed write, of any
server that ends early, so it is not here.

curl, Go, Java and PHP's ext-curl, which `make test` does not install, are tried where they are.
"""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.official.driver import node_executable
from tests.support.inprocess import APP_ID
from tests.support.wire import Address

HERE = Path(__file__).parent / "uploads"
PATIENCE = 60.0
SAID = "401 Missing parameter: auth_key\n"


def has_ext_curl() -> bool:
    """Whether PHP has it."""
    listed = subprocess.run(["php", "-m"], check=True, capture_output=True, text=True).stdout
    return "curl" in listed.split()


def programs(tmp_path: Path) -> dict[str, list[str]]:
    """Name -> command that takes a URL as its last argument."""
    php = ["php", "-d", "display_errors=0"]
    found = {
        "php": [*php, str(HERE / "upload.php")],
        "node http": [node_executable(), str(HERE / "upload_http.mjs")],
        "node fetch": [node_executable(), str(HERE / "upload_fetch.mjs")],
    }
    for library in ("requests", "httpx", "urllib3", "http.client"):
        found[library] = [sys.executable, str(HERE / "upload.py"), library]
    if has_ext_curl():
        found["ext-curl"] = [*php, str(HERE / "upload_curl.php")]
    if shutil.which("curl"):
        body = tmp_path / "body"
        body.write_bytes(b" " * 10_485_760)
        curl = ["curl", "-sS", "-o", "-", "-w", "%{stderr}%{http_code} "]
        found["curl"] = [*curl, "--data-binary", f"@{body}"]
        found["curl without expect"] = [*curl, "-H", "Expect:", "--data-binary", f"@{body}"]
    if shutil.which("java"):
        found["java"] = ["java", str(HERE / "Upload.java")]
    if shutil.which("go"):
        found["go"] = ["go", "run", str(HERE / "upload.go")]
    return found


async def said_to(command: list[str], url: str) -> str:
    """What the program printed: the status, then the text."""
    process = await asyncio.create_subprocess_exec(
        *command, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
    return (err if command[0] == "curl" else b"").decode() + out.decode() or err.decode()


async def test_the_reason_is_read(address: Address, tmp_path: Path) -> None:
    """By all of them, at the same time."""
    url = f"http://{address.host}:{address.port}/apps/{APP_ID}/events?x=1"
    commands = programs(tmp_path)
    said = await asyncio.gather(*(said_to(each, url) for each in commands.values()))
    wrong = {name: text for name, text in zip(commands, said, strict=True) if text != SAID}
    assert not wrong


@pytest.mark.parametrize("program", ["requests", "node http"])
async def test_another_reason(address: Address, tmp_path: Path, program: str) -> None:
    """The text is that of what is wrong, not of the size."""
    url = f"http://{address.host}:{address.port}/nowhere?x=1"
    assert await said_to(programs(tmp_path)[program], url) == "404 Not found\n"
