"""The page on two phones in a real browser, with stock laravel-echo and pusher-js."""

from pathlib import Path

from tests.examples.phone import Phone
from tests.examples.programs import Browser, RunningBackend, pusher_environment
from tests.support.serving import RunningServer

SEEDED = 3


def test_a_comment_appears_live_and_once(phones: tuple[Phone, Phone]) -> None:
    """A posts: B sees it without reloading, A sees it once."""
    amina, bruno = phones
    amina.write("Do you see this?")
    bruno.wait_for_comment("Do you see this?")
    amina.wait_for_comment("Do you see this?")
    bruno.write("Yes, at once.")  # when this one is there, an echo of the first would be too
    amina.wait_for_comment("Yes, at once.")
    bruno.wait_for_comment("Yes, at once.")
    assert amina.texts()[SEEDED:] == ["Do you see this?", "Yes, at once."]
    assert bruno.texts()[SEEDED:] == ["Do you see this?", "Yes, at once."]


def test_an_edit_and_a_deletion_appear_live(phones: tuple[Phone, Phone]) -> None:
    """B sees a comment change its text, be marked as edited, and then be deleted."""
    amina, bruno = phones
    amina.write("with a tpyo")
    bruno.wait_for_comment("with a tpyo")
    amina.wait_for_comment("with a tpyo")
    amina.choose("with a tpyo", "edit")
    amina.write("with a typo")
    bruno.wait_for_comment("with a typo")
    meta = bruno.do("return page.locator('.comment .meta').last().textContent();")
    assert "edited" in meta
    assert "with a tpyo" not in bruno.texts()

    amina.choose("with a typo", "delete")
    bruno.wait_for_comment("This comment was deleted", state="deleted")
    amina.wait_for_comment("This comment was deleted", state="deleted")
    assert bruno.texts()[SEEDED:] == ["This comment was deleted"]


def test_typing_is_whispered(phones: tuple[Phone, Phone]) -> None:
    """The other sees who is typing, until the comment is there."""
    amina, bruno = phones
    bruno.type("Hm")
    amina.wait_for_typing("Bruno is typing")
    bruno.write("Hm, yes")
    amina.wait_for_comment("Hm, yes")
    amina.wait_for_typing("")
    bruno.wait_for_typing("")


def test_presence_follows_who_is_there(phones: tuple[Phone, Phone]) -> None:
    """Both are listed, one leaves, one comes back."""
    amina, bruno = phones
    amina.wait_for_people("You", "Bruno")
    bruno.wait_for_people("You", "Amina")
    bruno.close()
    amina.wait_for_people("You")
    bruno.open()
    amina.wait_for_people("You", "Bruno")


def test_nothing_is_lost_over_a_restart(
    phones: tuple[Phone, Phone], server: RunningServer, backend: RunningBackend
) -> None:
    """Both come back by themselves and catch up with what was posted, edited and deleted."""
    amina, bruno = phones
    amina.write("to be deleted")
    bruno.wait_for_comment("to be deleted")
    amina.wait_for_comment("to be deleted")

    server.stop()
    bruno.wait_for_state("Reconnecting|Offline")
    amina.wait_for_state("Reconnecting|Offline")
    amina.write("posted while the server was away")
    amina.wait_for_comment("posted while the server was away")  # saved: the API is another server
    amina.choose("to be deleted", "delete")
    backend.wait_for_log("comment.deleted FAILED")
    assert "posted while the server was away" not in bruno.texts()

    server.start()
    for phone in phones:
        phone.wait_for_state("Live")
        phone.wait_for_comment("posted while the server was away")
        phone.wait_for_comment("This comment was deleted", state="deleted")
    bruno.write("and it works again")
    amina.wait_for_comment("and it works again")
    expected = [
        "This comment was deleted",
        "posted while the server was away",
        "and it works again",
    ]
    assert amina.texts()[SEEDED:] == expected
    assert bruno.texts()[SEEDED:] == expected


def test_an_unsent_comment_can_be_sent_again(phones: tuple[Phone, Phone]) -> None:
    """Without network the bubble says so, and one tap sends it."""
    amina, bruno = phones
    amina.do("await page.route('**/api/sessions/**', (route) => route.abort());")
    amina.write("written in a tunnel")
    amina.wait_for_comment("written in a tunnel", state="failed")
    amina.do(
        "await page.unroute('**/api/sessions/**'); await page.locator('.retry:visible').click();"
    )
    bruno.wait_for_comment("written in a tunnel")
    amina.wait_for_comment("written in a tunnel")
    assert amina.texts()[SEEDED:] == ["written in a tunnel"]


def test_text_is_never_markup(phones: tuple[Phone, Phone]) -> None:
    """A comment with HTML in it is shown as it was typed."""
    amina, bruno = phones
    amina.write("<img src=x onerror=alert(1)> & <b>bold</b>")
    bruno.wait_for_comment("<img src=x onerror=alert(1)> & <b>bold</b>")
    assert bruno.do("return page.locator('.comment img, .comment b').count();") == 0


def test_the_page_names_its_controls_and_fits_a_small_phone(phones: tuple[Phone, Phone]) -> None:
    """Every button and field has a name; nothing is wider than the screen."""
    amina, _ = phones
    nameless = amina.do(
        """
        await page.setViewportSize({ width: 320, height: 568 });
        return page.locator('button:visible, textarea').evaluateAll((controls) => controls
          .filter((control) => !(control.ariaLabel || control.textContent.trim()
            || control.labels?.length)).length);
        """
    )
    assert nameless == 0
    assert amina.do("return page.evaluate(() => document.documentElement.scrollWidth);") <= 320


def test_duo_shows_two_phones(browser: Browser, backend: RunningBackend) -> None:
    """One page with both participants, each in a session of its own: a comment crosses over."""
    texts = browser.run(
        """
        const page = await browser.newPage({ viewport: { width: 944, height: 836 } });
        page.setDefaultTimeout(20_000);
        await page.goto(`${values.url}/duo`);
        const [amina, bruno] = ['amina', 'bruno'].map(
          (user) => page.frameLocator(`iframe[src*=${user}]`));
        for (const phone of [amina, bruno]) await phone.locator('.badge[data-state=live]').waitFor();
        await amina.locator('#text').fill('from the left');
        await amina.locator('#text').press('Enter');
        await bruno.getByText('from the left').waitFor();
        const texts = await bruno.locator('.comment .content').allTextContents();
        await page.close();
        return texts;
        """,
        url=backend.url,
    )
    assert texts[SEEDED:] == ["from the left"]


def test_missing_libraries_are_named(
    browser: Browser, directory: Path, server: RunningServer
) -> None:
    """Without pusher-js the page says what to run."""
    nothing = ("--libraries", str(directory / "nothing"))
    with RunningBackend(directory, pusher_environment(server.port), nothing) as backend:
        notice = browser.run(
            """
            const page = await browser.newPage();
            await page.goto(`${values.url}/?user=amina`);
            await page.locator('#notice').waitFor();
            const text = await page.locator('#notice').textContent();
            await page.close();
            return text;
            """,
            url=backend.url,
        )
        assert "npm install" in backend.log
    assert 'run "npm install" in examples/comments' in notice
