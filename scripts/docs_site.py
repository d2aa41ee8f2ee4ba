"""MkDocs' hook: the repository's pages as one site, with the links that they have on GitHub.

Every file keeps its path in the repository as its name, so relative links need no translation. Pages are
those of `docs/` and of the top folder, and what they link to: a Markdown file as it is, another text file
in a code block, a folder as a list of its files, an image as a file.

`llms.txt` stands at the top of the site, with the addresses that its pages have there.

After the build, each resource that a page would load from elsewhere is a warning, which `--strict` makes
an error; so is a list that the Markdown of MkDocs does not take for one, though GitHub does.
"""

import logging
import posixpath
import re
import subprocess
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

TOP = Path(__file__).resolve().parent.parent
STYLE = "scripts/docs_site.css"
LLMS = "llms.txt"

#: Of text files that are shown in a code block; others are shown without colours.
LANGUAGES = {
    ".conf": "nginx",
    ".js": "js",
    ".json": "json",
    ".php": "php",
    ".py": "python",
    ".service": "ini",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
}
IMAGES = {".png", ".svg"}
#: Shown text that the search is to find; of the rest it would only find noise.
SEARCHED = {"config.example.toml"}

#: Values of `rel` whose address a browser does not ask for.
NAMED_ONLY = {"canonical", "next", "prev", "alternate", "license", "author"}

logger = logging.getLogger("mkdocs.hooks.docs_site")


class Shown(File):
    """A page made from a file that is no Markdown, or from a folder."""

    def is_documentation_page(self) -> bool:
        """It is one."""
        return True


def links_in(text: str) -> Iterator[str]:
    """The relative links of a page, without their anchors; those in code are none."""
    prose = re.sub(r"^(```+|~~~+).*?^\1|`[^`\n]*`", "", text, flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:|[/#]", link):
            yield link.partition("#")[0]


def tracked() -> list[str]:
    """Every file of the repository that exists, also what is new and not ignored."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in listed.split("\0") if name and (TOP / name).is_file())


def reached(files: Iterable[str]) -> set[str]:
    """The paths that the site has: the pages of `docs/` and of the top folder, and what they link to."""
    known = set(files)
    folders = {str(parent) for name in known for parent in Path(name).parents} - {"."}
    waiting = [name for name in known if re.fullmatch(r"(docs/.*|[^/]*)\.md|LICENSE", name)]
    found = set(waiting)
    while waiting:
        path = waiting.pop()
        if path in folders:
            linked = [name for name in known if name.startswith(f"{path}/")]
        elif path.endswith(".md"):
            beside = posixpath.dirname(path)
            links = links_in((TOP / path).read_text("utf-8"))
            linked = [posixpath.normpath(posixpath.join(beside, link)) for link in links]
        else:
            linked = []
        new = (set(linked) & (known | folders)) - found
        found |= new
        waiting += new
    return found


def address(path: str) -> str:
    """Where a page of this path stands in the site: `docs/` is left out, the top folder's are in `project/`."""
    if path == "README.md":
        return "index.html"
    stem = re.sub(r"(^|/)README\.md$", r"\1index", path).removesuffix(".md")
    if "/" not in stem and stem.isupper():
        return f"project/{stem.lower()}.html"
    return stem.removeprefix("docs/") + ".html"


def text_page(path: str) -> str:
    """The Markdown that shows a text file, with a link to the file itself."""
    text = (TOP / path).read_text("utf-8")
    name = posixpath.basename(path)
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", text))])
    language = LANGUAGES.get(posixpath.splitext(path)[1], "text")
    raw = posixpath.relpath(f"raw/{path}", posixpath.dirname(path) or ".")
    search = "" if path in SEARCHED else "search:\n  exclude: true\n"
    head = f"---\ntitle: {path}\n{search}---\n\n# {name}\n\n[The file itself]({raw})\n"
    return f"{head}\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def folder_page(path: str, files: Iterable[str]) -> str:
    """The Markdown that lists a folder."""
    beside = posixpath.dirname(path) or "."
    rows = [
        f"- [{posixpath.relpath(name, path)}]({posixpath.relpath(name, beside)})"
        for name in files
        if name.startswith(f"{path}/")
    ]
    return "\n".join([f"---\ntitle: {path}\n---\n\n# {path}\n", *rows, ""])


def llms_text() -> str:
    """`llms.txt` with the addresses of the site's pages instead of paths in the repository."""
    text = (TOP / LLMS).read_text("utf-8")
    return re.sub(r"\]\(([^)\s]+)\)", lambda link: f"]({address(link[1])})", text)


def site_files(config: MkDocsConfig) -> Iterator[File]:
    """Everything in the site but what the theme brings."""
    yield File.generated(config, LLMS, content=llms_text(), inclusion=InclusionLevel.INCLUDED)
    files = tracked()
    named = _named_in(config.nav or [])
    theme = {STYLE, str(config.theme["logo"]), str(config.theme["favicon"])}
    for path in sorted(reached(files) | theme | named & set(files)):
        if path.endswith(".md"):
            page = _copied(config, path)
            page.dest_uri = address(path)
            yield page
        elif Path(path).suffix in IMAGES or path == STYLE:
            yield _copied(config, path)
        else:
            is_folder = (TOP / path).is_dir()
            text = folder_page(path, files) if is_folder else text_page(path)
            level = InclusionLevel.INCLUDED if path in named else InclusionLevel.NOT_IN_NAV
            shown = Shown.generated(config, path, content=text, inclusion=level)
            shown.dest_uri = address(path)
            yield shown
            if not is_folder:
                yield _copied(config, path, f"raw/{path}")


def _copied(config: MkDocsConfig, path: str, name: str = "") -> File:
    """A file of the repository, also one that begins with a dot."""
    source = str(TOP / path)
    level = InclusionLevel.INCLUDED
    return File.generated(config, name or path, abs_src_path=source, inclusion=level)


def _named_in(entries: object) -> set[str]:
    """The paths in a navigation."""
    if isinstance(entries, str):
        return {entries}
    parts = entries.values() if isinstance(entries, dict) else entries
    assert isinstance(parts, Iterable)
    return {path for part in parts for path in _named_in(part)}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """MkDocs' event: the site's files instead of those that it found in `docs/`; the theme's stay."""
    theme = [file for file in files if file.src_dir != config.docs_dir]
    return Files([*theme, *site_files(config)])


class Resources(HTMLParser):
    """What a browser would load or contact by itself for one page, and lists that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.broken_lists: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what the element loads."""
        given = {name: value or "" for name, value in attributes}
        self._open.append(tag)
        if tag == "link" and not set(given.get("rel", "").split()) <= NAMED_ONLY:
            self.loaded.append(given.get("href", ""))
        if tag not in {"a", "link", "area", "base"}:
            self.loaded += [
                given[name]
                for name in ("src", "data", "poster", "href", "xlink:href")
                if name in given
            ]
            self.loaded += [
                each.split()[0] for each in given.get("srcset", "").split(",") if each.strip()
            ]
        self.loaded += in_css(given.get("style", ""))
        if tag == "form":
            self.loaded.append(given.get("action", ""))
        if "mermaid" in given.get("class", "").split():
            self.loaded.append("https://unpkg.com/mermaid")  # the theme would fetch it

    def handle_endtag(self, tag: str) -> None:
        """Leave the element, and those within it that have no end."""
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Look into style sheets and prose."""
        if self._open and self._open[-1] == "style":
            self.loaded += in_css(data)
        if "p" in self._open and not {"code", "pre"} & set(self._open):
            self.broken_lists += re.findall(r"^ *(?:[-*]|\d+\.) .*", data, re.M)


def in_css(text: str) -> list[str]:
    """What a style sheet loads."""
    found = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text)
    return [first or second for first, second in found]


def is_elsewhere(url: str) -> bool:
    """Whether another host is asked for it."""
    return (
        re.match(r"\s*(?:(?!data:|about:|javascript:)[a-z][a-z0-9+.-]*:|//)", url, re.I) is not None
    )


def on_post_build(*, config: MkDocsConfig) -> None:
    """MkDocs' event: look at what was built."""
    site = Path(config.site_dir)
    for path in sorted(site.rglob("*")):
        name = path.relative_to(site)
        if name.parts[0] == "raw":
            continue
        if path.suffix == ".html":
            page = Resources()
            page.feed(path.read_text("utf-8"))
            loaded, broken = page.loaded, page.broken_lists
        elif path.suffix == ".css":
            loaded, broken = in_css(path.read_text("utf-8")), []
        else:
            continue
        for url in filter(is_elsewhere, loaded):
            logger.warning("%s would load %s from elsewhere; keep a copy in the site", name, url)
        for line in broken:
            logger.warning("%s: write a blank line before the list that begins with %r", name, line)
