"""What `attnprobe view` costs beside bertviz: time, peak memory, size of the page, and how soon one sees something.

Both without the steps of the computation, which bertviz does not have in these views; then attnprobe with them.

bertviz is installed into a folder of its own for this, and is no dependency. Each figure comes from a process of its
own with the model loaded and run once before: the same text, cut to the same tokens, on a CPU. Run it as
`python benchmarks/page.py`; `make bench` writes the table into docs/benchmarks.md. Chromium must be installed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path
from statistics import median

import torch
from corpora import lines
from playwright.sync_api import Browser, sync_playwright
from transformers import AutoModel

from attnprobe import load_encoder, view

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: benchmarks/page.py -->\n", "<!-- end: benchmarks/page.py -->\n"
LENGTHS = (60, 128, 512)
BERTVIZ = ["bertviz==1.4.1", "ipython<9"]
# Notes when the first line is in the document, and when the frame with it is on the screen.
WATCH = """
new MutationObserver((_, observer) => {
    if (!document.querySelector("#lines path")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => (window.firstView = performance.now())));
}).observe(document, { subtree: true, childList: true });
"""


encoder = cache(load_encoder)


@cache
def model() -> torch.nn.Module:
    return AutoModel.from_pretrained(encoder().location.folder, attn_implementation="eager").eval()


def attnprobe(text: str, length: int) -> str:
    """Head view, model view and the statistics of all heads, on one page."""
    return view(text, encoder(), max_length=length, steps=False).html


def steps(text: str, length: int) -> str:
    """The same page with the steps of the computation."""
    return view(text, encoder(), max_length=length).html


def bertviz(text: str, length: int) -> str:
    """Head view and model view."""
    from bertviz import head_view, model_view

    inputs = encoder().tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
    with torch.no_grad():
        attention = model()(**inputs, output_attentions=True).attentions
    tokens = encoder().tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
    views = [make(attention, tokens, html_action="return") for make in (head_view, model_view)]
    return "".join(its.data for its in views)


def measure(make: str, length: int, path: Path) -> None:
    """Makes one page and prints seconds, peak memory in MB and bytes."""
    text = " ".join(" ".join(lines(400)).split()[:length])  # a word is at least one token
    maker = {"attnprobe": attnprobe, "steps": steps, "bertviz": bertviz}[make]
    warnings.simplefilter("ignore")
    maker("warm up", 8)
    start = time.perf_counter()
    data = maker(text, length).encode()
    seconds = time.perf_counter() - start
    path.write_bytes(data)
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    print(json.dumps([seconds, peak, len(data)]))


def ask(make: str, length: int, path: Path, extra: str) -> list[float]:
    """What :func:`measure` says in a process of its own."""
    code = f"import sys; sys.path += [{str(Path(__file__).parent)!r}, {extra!r}]; import page; "
    code += f"page.measure({make!r}, {length}, page.Path({str(path)!r}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{make} on {length} tokens: {run.returncode}\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def first_view(browser: Browser, path: Path, rounds: int = 5) -> float:
    """Milliseconds from asking for the page to its first lines on the screen, the median of some fresh tabs."""
    found = []
    for _ in range(rounds):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(path.as_uri())
        while not (milliseconds := page.evaluate("window.firstView")):
            page.wait_for_timeout(50)
        found.append(milliseconds)
        page.close()
    return median(found)


def table() -> str:
    """The whole comparison in Markdown."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        extra = str(Path(folder) / "bertviz")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", extra]
        subprocess.run([*pip, "--no-deps", BERTVIZ[0]], check=True)
        subprocess.run([*pip, BERTVIZ[1]], check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for length in LENGTHS:
            path = Path(folder) / f"{length}.html"
            theirs = ask("bertviz", length, Path(folder) / "bertviz.html", extra)
            ours = ask("attnprobe", length, path, extra)
            pairs = [f"{ours[0]:.2f} / {theirs[0]:.2f}", f"{ours[1]:.0f} / {theirs[1]:.0f}"]
            size = f"{ours[2] / 1e6:.1f} / {theirs[2] / 1e6:.1f}"
            row = f"| {length} | {' | '.join(pairs)} | {size} | {first_view(browser, path) / 1000:.1f} |"
            walked = ask("steps", length, path, extra)
            added = f"{walked[0]:.2f} | {walked[2] / 1e6:.1f} | {first_view(browser, path) / 1000:.1f} |"
            rows.append(f"{row} {added}")
            print(rows[-1], flush=True)
        browser.close()
    names = "tokens | seconds | peak memory, MB | page, MB | attnprobe's first view, s"
    head = f"| {names} | with steps: seconds | page, MB | first view, s |\n|---|---|---|---|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[-1]
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")
