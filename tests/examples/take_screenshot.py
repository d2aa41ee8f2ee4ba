"""Takes the README's picture of the two phones: `python -m tests.examples.take_screenshot`.

Starts server and backend of its own, plays a short conversation, and writes
docs/images/comments-duo.png. Needs what `make test` installs.
"""

import sys
import tempfile
from pathlib import Path

from tests.examples.programs import APP, TOP, Browser, RunningBackend, pusher_environment
from tests.support.serving import RunningServer

PICTURE = TOP / "docs" / "images" / "comments-duo.png"
#: Pictures are part of the repository: a larger one wants a smaller scene, not a larger limit.
LARGEST = 300_000

CONVERSATION = """
const context = await browser.newContext({
  viewport: { width: 944, height: 650 }, deviceScaleFactor: 2, locale: 'en-GB',
  reducedMotion: 'reduce',
});
const page = await context.newPage();
page.setDefaultTimeout(20_000);
await page.goto(`${values.url}/duo`);
const [amina, bruno] = ['amina', 'bruno'].map((user) => page.frameLocator(`iframe[src*=${user}]`));
for (const phone of [amina, bruno]) {
  await phone.locator('.badge[data-state=live]').waitFor();
  await phone.locator('#people li').nth(1).waitFor();
}
async function say(from, to, text) {
  await from.locator('#text').fill(text);
  await from.locator('#text').press('Enter');
  await to.getByText(text).waitFor();
  await from.locator('.comment[data-state=sent]', { hasText: text }).waitFor();
}
async function choose(phone, action) {
  await phone.locator('.comment.mine .more').last().click();
  await phone.locator(`#sheet button[value=${action}]`).click();
}
await say(bruno, amina, 'Trying it rihgt now');
await choose(bruno, 'edit');
await say(bruno, amina, 'Trying it right now');
await say(amina, bruno, 'oops, wrong chat');
await choose(amina, 'delete');
await bruno.getByText('was deleted').waitFor();
await say(amina, bruno, 'Here it appeared at once. Nothing reloaded.');
await bruno.locator('#text').pressSequentially('Perfect, ship');
await amina.locator('.dots').waitFor();
await page.screenshot({ path: values.path, animations: 'disabled' });
await context.close();
"""


def main() -> int:
    """Write the picture; 1 when it is too large for the repository."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with (
            RunningServer(directory, {"apps": [APP]}) as server,
            RunningBackend(directory, pusher_environment(server.port)) as backend,
            Browser() as browser,
        ):
            browser.run(CONVERSATION, url=backend.url, path=str(PICTURE))
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(TOP)}: {size} bytes")
    return int(size > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
