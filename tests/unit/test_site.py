"""The documents are a site that builds without a warning, whose links lead somewhere, and that a
browser shows."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import plib_cache

ROOT = Path(__file__).parents[2]
HANGS = 240  # seconds; only for what never ends
WIDTHS = (360, 1400)  # of a telephone and of a screen, in pixels


class Page(HTMLParser):
    """What a page links to, shows, and can be linked to at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        given = dict(attrs)
        self.names.update(filter(None, [given.get("id"), given.get("name")]))
        self.links += filter(None, [given.get({"a": "href", "img": "src"}.get(tag, "-"))])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html",
         "-d", folder / "doctrees", ROOT / "docs", folder / "html"],
        capture_output=True, text=True, timeout=HANGS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_link_leads_somewhere(site: Path) -> None:
    """Also to a heading of another page, and every picture is there."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    broken, followed = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            followed += 1
            if not to.exists() or (to in pages and unquote(parts.fragment) not in pages[to].names):
                broken.append(f"{path.name}: {link}")
    assert followed > 500
    assert not broken


def test_everything_public_is_described(site: Path) -> None:
    """The page of the API has each name that the package exports."""
    names = Page((site / "api.html").read_text(encoding="utf-8")).names
    described = {name.rpartition(".")[2] for name in names if name.startswith("plib_cache.")}
    assert set(plib_cache.__all__) - {"__version__"} <= described
    methods = {name for name in vars(plib_cache.Cache) if not name.startswith("_")}
    assert methods <= described


def test_every_page_is_in_the_menu(site: Path) -> None:
    """Whoever is on one page finds all others."""
    links = {urlsplit(link).path for link in Page((site / "index.html").read_text("utf-8")).links}
    written = {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} - {"index.html"}
    assert written <= links


@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_shows_it(site: Path, browser: Any, width: int) -> None:
    """Every page, with its drawings, without an error, and no wider than the screen."""
    tab = browser.new_page(viewport={"width": width, "height": 900})
    troubles: list[str] = []
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("requestfailed", lambda request: troubles.append(request.url))
    for path in [site / f"{page.stem}.html" for page in sorted((ROOT / "docs").glob("*.md"))]:
        tab.goto(path.as_uri())
        assert tab.locator("h1").first.is_visible(), path.name
        drawn = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        assert tab.evaluate(drawn), path.name
        over = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert over <= 0, f"{path.name} is {over} pixels wider than {width}"
    tab.close()
    assert not troubles
