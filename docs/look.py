"""Pictures of every page of the site, as a browser shows it: wide and narrow, light and dark, into out/docs-look.

    python docs/look.py [PAGE ...]      # as in: python docs/look.py index start/learner

Ends with status 1 if a page scrolls sideways, asks for anything from outside or writes an error to the console.
"""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

_SITE, _PICTURES = Path("out/docs").resolve(), Path("out/docs-look")
_BROWSERS = "chromium", "chromium-browser", "google-chrome"
_WIDTHS, _HEIGHT, _HIGHEST = (1280, 390), 900, 16_000  # pixels
_NOT_OURS = "genindex", "py-modindex", "search"
_WAIT = 30  # seconds, for the browser to start


class Tab:
    """One page of a browser, spoken to in its own protocol."""

    def __init__(self, socket: WebSocketClientConnection):
        self.socket, self.numbers, self.events = socket, itertools.count(1), []

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have something done; what happens meanwhile is kept in ``events``."""
        number = next(self.numbers)
        await self.socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = await self._next()
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    async def wait_for(self, event: str) -> None:
        """Read on until it happens."""
        while not any(message["method"] == event for message in self.events):
            await self._next()

    async def _next(self) -> dict[str, Any]:
        received = await self.socket.read_message()
        if received is None:
            raise RuntimeError("The browser has closed the page.")
        message = json.loads(received)
        if "method" in message:
            self.events.append(message)
        return message


async def picture(tab: Tab, page: Path, width: int, mode: str) -> list[str]:
    """Take one; what is wrong with the page, in sentences."""
    tab.events.clear()
    await tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])
    screen = {"width": width, "deviceScaleFactor": 1, "mobile": False}
    await tab.ask("Emulation.setDeviceMetricsOverride", height=_HEIGHT, **screen)
    await tab.ask("Page.navigate", url=page.as_uri())
    await tab.wait_for("Page.loadEventFired")
    size = (await tab.ask("Page.getLayoutMetrics"))["cssContentSize"]
    await tab.ask("Emulation.setDeviceMetricsOverride", height=min(int(size["height"]), _HIGHEST), **screen)
    shot = await tab.ask("Page.captureScreenshot", format="png")
    name = page.relative_to(_SITE).with_suffix("")
    path = _PICTURES / f"{width}-{mode}" / f"{str(name).replace('/', '-')}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(shot["data"]))
    wrong = [f"is {size['width']} wide"] if size["width"] > width else []
    for event in tab.events:
        asked = event["params"].get("request", {}).get("url", "file:")
        if event["method"] == "Network.requestWillBeSent" and not asked.startswith(("file:", "data:")):
            wrong.append(f"asks for {asked}")
        if event["method"] == "Runtime.exceptionThrown":
            wrong.append(f"throws {event['params']['exceptionDetails']['text']}")
    return [f"{name} at {width}, {mode}: {what}." for what in wrong]


async def look(browser: str, pages: list[Path]) -> list[str]:
    """Start the browser and go through the pages."""
    with tempfile.TemporaryDirectory() as profile:
        options = "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"
        process = subprocess.Popen(
            [browser, *options, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            socket = await websocket_connect(f"ws://127.0.0.1:{port}", max_message_size=1 << 28)
            root = Tab(socket)
            target = (await root.ask("Target.createTarget", url="about:blank"))["targetId"]
            base = port.partition("/")[0]
            tab = Tab(
                await websocket_connect(f"ws://127.0.0.1:{base}/devtools/page/{target}", max_message_size=1 << 28)
            )
            for domain in ("Page", "Network", "Runtime"):
                await tab.ask(f"{domain}.enable")
            wrong = []
            for page in pages:
                for width, mode in itertools.product(_WIDTHS, ("light", "dark")):
                    wrong += await picture(tab, page, width, mode)
            return wrong
        finally:
            process.terminate()
            process.wait()


async def _tab(address: str) -> Tab:
    return Tab(await websocket_connect(f"ws://127.0.0.1:{address}", max_message_size=1 << 28))


async def _port(file: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the browser listens, as ``port/path``."""
    for _ in range(10 * _WAIT):
        if file.exists() and len(lines := file.read_text().split()) == 2:
            return "".join(lines)
        if process.poll() is not None:
            break
        await asyncio.sleep(0.1)
    raise RuntimeError("The browser did not start.")


def main(names: list[str]) -> int:
    """Look at the pages of these names, or at all."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print("To look at the pages, install chromium: on Debian, apt-get install chromium.", file=sys.stderr)
        return 2
    pages = [_SITE / f"{name}.html" for name in names] or [
        page for page in sorted(_SITE.rglob("*.html")) if page.parent.name != "_static" and page.stem not in _NOT_OURS
    ]
    if missing := [str(page) for page in pages if not page.exists()]:
        print(f"There is no {missing[0]}: make docs builds the pages.", file=sys.stderr)
        return 2
    shutil.rmtree(_PICTURES, ignore_errors=True)
    wrong = asyncio.run(look(browser, pages))
    print(*wrong, f"{len(pages)} pages, {len(_WIDTHS) * 2 * len(pages)} pictures in {_PICTURES}.", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
