"""A browser for login pages: keeps cookies, follows redirects, fills in forms. It runs no scripts."""

from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests


class Form(HTMLParser):
    """The first form of a page, and its labels."""

    def __init__(self, page: requests.Response) -> None:
        super().__init__()
        self.url = page.url
        self.action = ""
        self.values: dict[str, str] = {}
        self.labels: set[str] = set()
        self.inputs: set[str] = set()
        self.buttons: list[str] = []
        self.done = False
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.done:
            return
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert attributes["method"] == "post"
            self.action = urljoin(self.url, attributes["action"])
        elif tag == "label":
            self.labels.add(attributes["for"])
        elif tag == "input" and attributes["type"] == "hidden":
            self.values[attributes["name"]] = attributes["value"]
        elif tag == "input":
            self.inputs.add(attributes["id"])
        elif tag == "button":
            self.buttons.append(attributes["value"])

    def handle_endtag(self, tag: str) -> None:
        self.done = self.done or tag == "form"


class Browser:
    def __init__(self) -> None:
        self.session = requests.Session()

    def open(self, url: str) -> requests.Response:
        return self.session.get(url, timeout=30)

    def submit(self, page: requests.Response, decision: str, **fields: str) -> requests.Response:
        """Presses a button of the page's first form. Stops at the redirect, if that is the answer."""
        form = Form(page)
        assert decision in form.buttons, (decision, form.buttons)
        assert form.inputs <= form.labels, "each field has a label"
        data = form.values | fields | {"decision": decision}
        return self.session.post(form.action, data=data, timeout=30, allow_redirects=False)

    def allow(self, url: str, username: str, password: str) -> str:
        """Signs in and consents; where the browser is sent then."""
        answer = self.submit(self.open(url), "allow", username=username, password=password)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
