"""10 MB to argv[2] with the library argv[1]; prints status and text."""

import contextlib
import http.client
import sys
from urllib.parse import urlsplit

import httpx
import requests
import urllib3

BODY = b" " * 10_485_760


def main() -> None:
    """One request."""
    library, url = sys.argv[1:]
    match library:
        case "requests":
            sync = requests.post(url, data=BODY, timeout=20)
            print(sync.status_code, sync.text, end="")
        case "httpx":
            other = httpx.post(url, content=BODY, timeout=20)
            print(other.status_code, other.text, end="")
        case "urllib3":
            third = urllib3.request("POST", url, body=BODY, timeout=20, retries=False)
            print(third.status, third.data.decode(), end="")
        case _:
            # As urllib3 does it: whoever cannot send on may still read.
            parts = urlsplit(url)
            connection = http.client.HTTPConnection(parts.netloc, timeout=20)
            with contextlib.suppress(ConnectionError):
                connection.request("POST", f"{parts.path}?{parts.query}", BODY)
            answer = connection.getresponse()
            print(answer.status, answer.read().decode(), end="")


if __name__ == "__main__":
    main()
