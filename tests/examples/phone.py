"""A phone in the hands of a test: what a person would do with the page, and see on it."""

from typing import Any

from tests.examples.programs import Browser

OPEN = """
const context = await browser.newContext({
  viewport: { width: 390, height: 800 }, locale: 'en-GB', isMobile: true, hasTouch: true,
});
const page = await context.newPage();
page.setDefaultTimeout(20_000);
const problems = [];
page.on('pageerror', (error) => problems.push(String(error)));
await page.goto(`${values.url}/?user=${values.user}`);
state[values.user] = { context, page, problems };
await page.locator('.badge[data-state=live]').waitFor();
"""


class Phone:
    """One user's phone: a browser context of its own, so nothing is shared with the other."""

    def __init__(self, browser: Browser, user: str, url: str) -> None:
        self.user = user
        self._browser = browser
        self._url = url

    def do(self, code: str, **values: object) -> Any:
        """Run JavaScript that sees this phone's `page`; a wait that fails, fails the test."""
        return self._browser.run(
            f"const {{ context, page, problems }} = state[values.user];\n{code}",
            user=self.user,
            **values,
        )

    def open(self) -> None:
        """Open the page and wait until it says that it is live."""
        self._browser.run(OPEN, user=self.user, url=self._url)

    def close(self) -> list[str]:
        """Close it; returns the script errors that the page had."""
        problems: list[str] = self.do("await context.close(); return problems;")
        return problems

    def write(self, text: str) -> None:
        self.do(
            "await page.locator('#text').fill(values.text);"
            "await page.locator('#text').press('Enter');",
            text=text,
        )

    def type(self, text: str) -> None:
        """Press keys without sending."""
        self.do("await page.locator('#text').pressSequentially(values.text);", text=text)

    def choose(self, text: str, action: str) -> None:
        """Open the actions of an own comment and take one."""
        self.do(
            "await page.locator('.comment', { hasText: values.text }).locator('.more').click();"
            "await page.locator(`#sheet button[value=${values.action}]`).click();"
            "if (values.action === 'edit') await page.locator('#editing').waitFor();",
            text=text,
            action=action,
        )

    def wait_for_comment(self, text: str, state: str = "sent") -> None:
        self.do(
            "await page.locator(`.comment[data-state=${values.state}]`, { hasText: values.text })"
            ".waitFor();",
            text=text,
            state=state,
        )

    def wait_for_state(self, words: str) -> None:
        """Wait until the badge says so."""
        self.do(
            "await page.locator('#badge', { hasText: new RegExp(values.words) }).waitFor();",
            words=words,
        )

    def wait_for_typing(self, text: str) -> None:
        self.do(
            "await page.waitForFunction("
            "(text) => document.getElementById('typing').textContent === text, values.text);",
            text=text,
        )

    def wait_for_people(self, *names: str) -> None:
        """Wait until exactly these are shown as online, in this order."""
        self.do(
            "await page.waitForFunction((names) => JSON.stringify([...document.querySelectorAll("
            "'#people li')].map((item) => item.lastChild.textContent)) === names, values.names);",
            names="[" + ",".join(f'"{name}"' for name in names) + "]",
        )

    def texts(self) -> list[str]:
        """All comments on the screen, top to bottom."""
        texts: list[str] = self.do("return page.locator('.comment .content').allTextContents();")
        return texts
