"""`make docs`: the site of the pages as they are, and everything that its strict build refuses."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts import docs_site

TOP = Path(__file__).parents[2]
#: What the site is made of.
PARTS = ("docs", "ops", "examples", "integrations", "scripts", "pusher_server",
         "config.example.toml", "compose.yaml", "LICENSE", "llms.txt", "mkdocs.yml")  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The parts in a repository of their own."""
    for name in docs_site.tracked():
        if name.split("/")[0] in PARTS or ("/" not in name and name.endswith(".md")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, tmp_path / name)
    subprocess.run(("git", "init", "--quiet", str(tmp_path)), check=True)
    return tmp_path


def build(top: Path, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """What MkDocs makes of it; `make docs` gives it the same arguments."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", *arguments],
        cwd=top,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


def test_every_page_is_there_with_its_links_and_the_search(copy: Path) -> None:
    run = build(copy)
    assert run.returncode == 0, run.stderr
    site = copy / "site"
    start = (site / "index.html").read_text()
    assert 'href="configuration.html"' in start
    assert 'href="sizing.html#what-a-core-carries"' in start
    assert 'href="project/architecture.html"' in start
    assert 'href="ops/alerts.yml.html"' in (site / "metrics.html").read_text()
    assert 'href="deploy/nginx.conf.html"' in (site / "deployment.html").read_text()
    assert (site / "raw/ops/grafana-dashboard.json").read_bytes() == (
        TOP / "ops/grafana-dashboard.json"
    ).read_bytes()
    assert "shutdown_grace" in (site / "search/search_index.json").read_text()
    assert (site / "llms.txt").read_text() == docs_site.llms_text()
    addresses = re.findall(r"\]\(([^)]+)\): ", docs_site.llms_text())
    assert [name for name in addresses if not (site / name).is_file()] == []


def test_what_is_wrong_is_named_and_fails_the_build(copy: Path) -> None:
    page = copy / "docs/sizing.md"
    page.write_text(
        page.read_text()
        + "\n[anchor](apps.md#no-such-part) [page](no_such_page.md) [folder](../no_such_folder/)\n"
        + "\n![picture](https://x.example/picture.png)\n\nThings:\n- one\n"
    )
    (copy / "docs/unlisted.md").write_text("# Not in the navigation\n")
    settings = copy / "mkdocs.yml"
    settings.write_text(
        settings.read_text().replace("docs/sizing.md", "docs/sizing.md\n      - docs/gone.md")
    )
    run = build(copy)
    assert run.returncode != 0
    for part in (
        "does not contain an anchor '#no-such-part'",
        "a link 'no_such_page.md'",
        "relative link '../no_such_folder/'",
        "sizing.html would load https://x.example/picture.png",
        "write a blank line before the list that begins with '- one'",
        "- docs/unlisted.md",
        "'docs/gone.md' is included in the 'nav' configuration",
    ):
        assert part in run.stderr


def test_the_site_has_the_pages_and_what_they_link_to() -> None:
    found = docs_site.reached(docs_site.tracked())
    assert {"README.md", "docs/clustering.md", "docs/performance/chaos.md", "LICENSE"} <= found
    assert {"docs/deploy", "docs/deploy/nginx.conf", "ops/alerts.yml"} <= found, "linked"
    assert "examples/comments/laravel/routes/api.php" in found, "listed in a folder that is linked"
    code = {path for path in found if path.startswith(("tests/", "pusher_server/"))}
    assert code == {"pusher_server/cli/pusher-server.service"}, "linked"


def test_no_two_pages_have_the_same_address() -> None:
    """Not even where upper and lower case are one."""
    addresses = [docs_site.address(path).lower() for path in docs_site.reached(docs_site.tracked())]
    assert len(addresses) == len(set(addresses))
