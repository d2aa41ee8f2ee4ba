"""The floods' command line: `python -m tests.abuse --servers uvloop --floods pings`."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from tests.abuse import report
from tests.abuse.broken_bounds import BOUNDS
from tests.abuse.floods import catalogue
from tests.abuse.report import Row
from tests.abuse.run import floods_for, run
from tests.abuse.setups import SETUPS

#: Seconds of a round: thorough, and with --quick.
_ROUND, _QUICK_ROUND = 2.0, 0.4


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="make abuse", description="Flood a server in every way, and see what others notice."
    )
    parser.add_argument("--quick", action="store_true", help="short rounds, as in make test")
    parser.add_argument("--servers", nargs="+", choices=SETUPS, default=list(SETUPS))
    parser.add_argument("--floods", nargs="+", metavar="NAME", help="only these")
    parser.add_argument(
        "--break",
        dest="broken",
        choices=sorted(BOUNDS),
        default="",
        help="a bound that is not kept",
    )
    parser.add_argument("--markdown", type=Path, help="write the table there")
    asked = parser.parse_args()
    unknown = set(asked.floods or ()) - set(catalogue())
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such flood; there are: {', '.join(catalogue())}")
    return asked


async def everything(asked: argparse.Namespace) -> list[Row]:
    """All rows, each told when it is there."""
    floods = [each for name, each in catalogue().items() if name in (asked.floods or catalogue())]
    setups = [SETUPS[name] for name in asked.servers]
    thorough = not asked.quick
    total = sum(len(floods_for(setup, floods, thorough=thorough)) for setup in setups)
    seconds = _QUICK_ROUND if asked.quick else _ROUND
    rows: list[Row] = []
    began = time.monotonic()
    for setup in setups:
        async for row in run(
            setup, floods, seconds=seconds, thorough=thorough, broken=asked.broken
        ):
            rows.append(row)
            left = (time.monotonic() - began) / len(rows) * (total - len(rows))
            print(f"[{len(rows):3}/{total}] {report.line(row)} · {left:.0f} s left", flush=True)
    return rows


def main() -> int:
    """Flood, print the table; 1 when anything did not hold."""
    asked = arguments()
    rows = asyncio.run(everything(asked))
    text = "\n".join(report.table(rows))
    print(f"\n{text}", flush=True)
    if asked.markdown is not None:
        asked.markdown.write_text(text + "\n")
    return 0 if rows and all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
