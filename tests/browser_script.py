"""A person with Chromium at the login page; run by test_browser.py, in an environment with Playwright.

Arguments: the address that a client has opened, user name, password, and a folder for pictures. Uses the page
as a screen reader does, by labels and roles, with scripts switched off.
"""

import re
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright


def main() -> None:
    address, user, password, pictures = sys.argv[1:]
    with sync_playwright() as playwright:
        # Root's Chromium has no sandbox; it sees pages of our own server alone.
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = browser.new_context(java_script_enabled=False, viewport={"width": 800, "height": 600})
        page = context.new_page()
        trouble: list[str] = []
        page.on("console", lambda message: trouble.append(message.text))
        page.goto(address)
        page.screenshot(path=Path(pictures) / "login.png")
        wrong_password(page, user)
        page.screenshot(path=Path(pictures) / "refused.png")
        by_keyboard(page, user, password)
        # The SDKs' own page may never be complete.
        page.wait_for_url(re.compile(r"^http://localhost:\d+/.*code="), wait_until="commit")
        # A second request of the same browser asks for consent alone.
        page.goto(address)
        expect(page.get_by_text(f"You are signed in as {user}.")).to_be_visible()
        expect(page.get_by_label("Password")).to_have_count(0)
        page.screenshot(path=Path(pictures) / "consent.png")
        assert not [text for text in trouble if "Content Security Policy" in text], trouble
        browser.close()


def wrong_password(page: Page, user: str) -> None:
    expect(page.get_by_role("heading", name="Allow access")).to_be_visible()
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in and allow").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")


def by_keyboard(page: Page, user: str, password: str) -> None:
    page.get_by_label("User name").focus()
    page.keyboard.type(user)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


if __name__ == "__main__":
    main()
