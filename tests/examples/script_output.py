"""What the validation script has printed."""

import re


def hints_of(output: str) -> dict[int, str]:
    """The numbered hints of the step that failed."""
    return {int(n): text for n, text in re.findall(r"^ +(?:check )?(\d+)\. (.*)$", output, re.M)}


def failed_step(output: str) -> str:
    """The title of the one step that failed."""
    failed = re.findall(r"^  ✗ (.{29})", output, re.M)
    assert len(failed) == 1, output
    return str(failed[0]).strip()


def first_hint(output: str, step: str = "WebSocket: connect") -> str:
    """The first hint below the step that failed."""
    match = re.search(r"^  ✗ (.{29}).*\n +check 1\. (.*)$", output, re.M)
    assert match, output
    assert match[1].strip() == step
    return match[2]
