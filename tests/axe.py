"""Pages in a browser, light and wide or dark and narrow, and what axe finds on them.

axe-core, by Deque, looks for what keeps people from reading a page, by the rules of WCAG:
https://github.com/dequelabs/axe-core. One browser looks at all pages, in a frame each.
"""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from workflows.act import BUILD, from_npm

VERSION = "4.14.1"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# Opens each page in a frame, unfolds what is folded, and sends what axe finds.
HOST = """<!doctype html><title>Pages</title><body><script>
const frameOf = name => new Promise(done => {
  const frame = document.createElement("iframe");
  frame.style = "border: 0; height: 2000px; width: " + WIDTH + "px";
  frame.onload = () => done(frame);
  frame.src = name;
  document.body.append(frame);
});
const withAxe = inner => new Promise(done => {
  const script = inner.document.createElement("script");
  script.onload = done;
  script.src = "/axe.min.js";
  inner.document.head.append(script);
});
(async () => {
  const found = [];
  for (const name of PAGES) {
    const frame = await frameOf(name), inner = frame.contentWindow;
    for (const folded of inner.document.querySelectorAll("details")) folded.open = true;
    await withAxe(inner);
    const { violations } = await inner.axe.run({ resultTypes: ["violations"] });
    for (const { id, nodes } of violations) found.push(`${name}: ${id}: ${nodes[0].html}`);
    const wide = inner.document.scrollingElement.scrollWidth;
    if (wide > WIDTH) found.push(`${name}: ${wide} wide, on a screen of ${WIDTH}`);
    frame.remove();
  }
  return found;
})().catch(error => [String(error.stack)])
  .then(found => fetch("/found", { method: "POST", body: JSON.stringify(found) }));
</script>"""


@cache
def axe() -> Path:
    """Return axe-core, fetched once."""
    place = BUILD / f"axe-{VERSION}.js"
    return from_npm(f"axe-core@{VERSION}", "axe-core/axe.min.js", place)


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and takes what is found."""

    found: queue.Queue[list[str]]

    def do_POST(self) -> None:
        """Take what is found."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.found.put(json.loads(body))

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""


def findings(folder: Path, width: int, dark: bool) -> list[str]:
    """Return what axe finds on each HTML page of a folder, and which are too wide."""
    assert CHROMIUM, "install chromium"
    names = sorted(path.name for path in folder.glob("*.html"))
    assert names
    host = HOST.replace("PAGES", json.dumps(names)).replace("WIDTH", str(width))
    Handler.found = queue.Queue()
    with tempfile.TemporaryDirectory() as web, tempfile.TemporaryDirectory() as profile:
        shutil.copytree(folder, web, dirs_exist_ok=True)
        shutil.copy2(axe(), Path(web, "axe.min.js"))
        Path(web, "host.html").write_text(host, encoding="utf-8")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=web))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        options += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        address = f"http://127.0.0.1:{server.server_port}/host.html"
        browser = subprocess.Popen(
            [CHROMIUM, *options, "--remote-debugging-port=0", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return Handler.found.get(timeout=300)
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
            server.server_close()
