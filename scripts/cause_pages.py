"""Writes into docs/ what is made of the rules' data: the tables of causes, and which causes a step has.

`python -m scripts.cause_pages` after a change of `diagnosis/causes.py` or of `doctor/`. Tests compare.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import fill

from pusher_server.diagnosis.causes import CAUSES as WHY
from pusher_server.diagnosis.causes import Cause
from pusher_server.doctor.backend_causes import BACKEND
from pusher_server.doctor.causes import CAUSES as DOCTOR
from pusher_server.doctor.connection_causes import CONNECTION
from pusher_server.doctor.laravel_causes import LARAVEL
from pusher_server.doctor.steps import STEPS, Step

TOP = Path(__file__).resolve().parents[1]
DEPLOYMENT = TOP / "docs" / "deployment.md"
DOCTOR_PAGE = TOP / "docs" / "doctor.md"
WHY_PAGE = TOP / "docs" / "troubleshooting.md"
#: Causes of a step that its line names, and the pages that have all.
_SHOWN = 12
_MORE = {"doctor": f"{DOCTOR_PAGE.name}#the-checks", "why": f"{WHY_PAGE.name}#all-causes"}
#: The name of a table's marks, and its rows.
_TABLES: Mapping[str, Iterable[Cause]] = {
    "connection": CONNECTION,
    "backend": BACKEND,
    "laravel": LARAVEL,
}


def shown(template: str) -> str:
    """Return a template with `…` for what a rule fills in."""
    text = re.sub(r"\{\w+\}", "…", template.replace("{{", "\0").replace("}}", "\1"))
    return text.replace("\0", "{").replace("\1", "}").replace("|", "\\|")


def row_of_why(cause: Cause) -> str:
    """Return the row of a cause of `why`."""
    return f"| {cause.title} | `{cause.name}` | {shown(cause.sentence)} | {shown(cause.fix)} |"


def row_of_doctor(cause: Cause) -> str:
    """Return the row of a cause of `doctor`, with its mark."""
    mark = "✗" if cause.is_fault else "?"
    return f"| {mark} | `{cause.name}` | {shown(cause.sentence)} | {shown(cause.fix)} |"


def doctor_page(text: str) -> str:
    """Return docs/doctor.md with its tables."""
    for name, causes in _TABLES.items():
        table = ["| | `cause` | The sentence | What to change |", "|---|---|---|---|"]
        table += [row_of_doctor(cause) for cause in causes]
        text = _between(text, f"{name} causes", table)
    return text


def why_page(text: str) -> str:
    """Return docs/troubleshooting.md with its table."""
    table = ["| Cause | `cause` | The sentence | What to change |", "|---|---|---|---|"]
    return _between(text, "causes", table + [row_of_why(cause) for cause in WHY.values()])


def deployment_page(text: str) -> str:
    """Return docs/deployment.md, whose steps have the causes that the two commands know."""
    start, list_mark, rest = text.partition("<!-- steps: -->\n")
    steps, end_mark, end = rest.partition("<!-- end of steps -->\n")
    if not list_mark or not end_mark:
        raise SystemExit(f"{DEPLOYMENT.name} has no marks of the steps")
    prose = re.sub(r"^   - `(?:doctor|why)`: .*\n(?:     .*\n)*", "", steps, flags=re.M)
    items = re.split(r"^(?=\d+\. )", prose, flags=re.M)[1:]
    if [_title(item) for item in items] != [step.title for step in STEPS]:
        raise SystemExit(f"the steps of {DEPLOYMENT.name} have other titles than doctor/steps.py")
    made = "".join(
        item.rstrip("\n") + "\n" + _known(step) for item, step in zip(items, STEPS, strict=True)
    )
    return f"{start}{list_mark}\n{made}\n{end_mark}{end}"


def _title(item: str) -> str:
    match = re.match(r"\d+\. \*\*(.+?)\*\*", item)
    return match[1] if match else ""


def _known(step: Step) -> str:
    """Return the lines of a step that say which causes are known."""
    lines = ""
    for command, names, causes in (("doctor", step.doctor, DOCTOR), ("why", step.why, WHY)):
        if names:
            titles = [causes[name].title for name in names]
            lowered = [
                title[0].lower() + title[1:] if _is_word(title) else title for title in titles
            ]
            more = len(lowered) - _SHOWN
            rest = f"; and {more} [more]({_MORE[command]})" if more > 0 else ""
            text = f"- `{command}`: {'; '.join(lowered[:_SHOWN])}{rest}."
            lines += (
                fill(
                    text,
                    118,
                    initial_indent="   ",
                    subsequent_indent="     ",
                    break_on_hyphens=False,
                    break_long_words=False,
                )
                + "\n"
            )
    return lines


def _is_word(title: str) -> bool:
    """Whether a title begins with an ordinary word, and not with a name such as Laravel or TLS."""
    first = title.split()[0]
    return first == "A" or (first not in ("Laravel", "Echo") and not first.isupper())


def _between(text: str, name: str, lines: list[str]) -> str:
    start, mark, rest = text.partition(f"<!-- {name}: -->\n")
    _, end_mark, end = rest.partition(f"<!-- end of {name} -->\n")
    if not mark or not end_mark:
        raise SystemExit(f"a page has no marks `{name}`")
    return f"{start}{mark}" + "\n".join(lines) + f"\n{end_mark}{end}"


PAGES = {DEPLOYMENT: deployment_page, DOCTOR_PAGE: doctor_page, WHY_PAGE: why_page}


def main() -> None:
    """Write the pages."""
    for path, made in PAGES.items():
        path.write_text(made(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
