"""A person logs in by browser through one version of the official SDK; run by test_oauth_u2m.py and
test_browser.py.

Needs DATABRICKS_HOST, the user's name in U2M_USER, and a HOME of its own, where the SDK keeps its tokens. With
the password in U2M_PASSWORD it signs in by itself; without, it prints the address that the SDK opens, for
somebody else to do so. Ends with the line "ok".
"""

import os
import threading
import time
import webbrowser

import requests
from databricks.sdk import WorkspaceClient

from kit.browser import Browser

OPENED: list[str] = []


def open_new(url: str) -> bool:
    """In place of the desktop's browser. The SDK starts to listen only after this has returned."""
    OPENED.append(url)
    password = os.environ.get("U2M_PASSWORD")
    if password is None:
        print(url, flush=True)
    else:
        threading.Thread(target=sign_in, args=[url, password], daemon=True).start()
    return True


def sign_in(url: str, password: str) -> None:
    answer = Browser().allow(url, os.environ["U2M_USER"], password)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            requests.get(answer, timeout=30)
            return
        except requests.ConnectionError:
            time.sleep(0.05)


def main() -> None:
    webbrowser.open_new = open_new
    host = os.environ["DATABRICKS_HOST"]
    w = WorkspaceClient(host=host, auth_type="external-browser")
    assert w.current_user.me().user_name == os.environ["U2M_USER"]
    assert len(OPENED) == 1, OPENED
    # The second client finds the tokens of the first.
    again = WorkspaceClient(host=host, auth_type="external-browser")
    assert again.current_user.me().user_name == os.environ["U2M_USER"]
    assert len(OPENED) == 1, OPENED
    print("ok")


if __name__ == "__main__":
    main()
