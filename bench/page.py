"""What the page costs: whoever serves it, for one page and for many; and the browser, for what it draws.

    python3 -m bench.page [--pages 200] [--rate 50] [--seconds 10] [--jobs 100000] [--minutes 0] [--only pages,...]

`pages`: cpu of the process that serves the page (`cluster ui`, which is a gateway) and of the scheduler, while that
many pages are open and events come at that rate; beside it the same of one page. `view`: the first view, with the cpu
of the page's main thread, and how soon an event is on the page. `frames`: a list of so many jobs that is scrolled and
filtered, the grid of a million tasks that is zoomed, a drawing of 200 jobs that is moved: frames a second, and
milliseconds of cpu of the page's main thread for each. `--minutes`: how the memory of two pages grows under 100 jobs a
second. It needs chromium, and playwright of the development environment.
"""

import argparse
import asyncio
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlsplit

from playwright.sync_api import CDPSession, Page, ViewportSize, sync_playwright

from bench.harness import call, cluster, command, cpu_seconds, resident_mib, scheduler_pid
from cluster.client.aio import AsyncClient
from tools import page as bundle

SIZE: ViewportSize = {"width": 1440, "height": 900}
HANDS = 8  # that submit at once: one alone waits for each answer
FRAMES = """(seconds) => new Promise((done) => {
  let frames = 0, longest = 0, last = performance.now();
  const began = last;
  const frame = (now) => {
    frames++;
    longest = Math.max(longest, now - last);
    last = now;
    if (now - began < seconds * 1000) requestAnimationFrame(frame);
    else done([frames / ((now - began) / 1000), longest, frames]);
  };
  requestAnimationFrame(frame);
})"""


@contextmanager
def served(env: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """`cluster ui`: its pid, and the address that it prints."""
    argv = [*command(), "ui", "--no-open"]
    process = subprocess.Popen(argv, env=env, cwd=env["CLUSTER_HOME"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def ending(env: Mapping[str, str], rate: float) -> Iterator[None]:
    """Jobs that come, start and end meanwhile: `rate` events a second, three of each job."""
    stop = threading.Event()

    async def some(client: AsyncClient) -> None:
        began, jobs = time.monotonic(), 0
        while not stop.is_set():
            await client.submit(["/bin/true"])
            jobs += 1
            await asyncio.sleep(max(0.0, began + jobs * 3 * HANDS / rate - time.monotonic()))

    async def submit() -> None:
        async with AsyncClient.connect(home=env["CLUSTER_HOME"]) as client:
            await asyncio.gather(*(some(client) for _ in range(HANDS)))

    thread = threading.Thread(target=lambda: asyncio.run(submit()))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def readers(url: str, pages: int) -> "subprocess.Popen[str]":
    """A process that has so many streams open; it says how many messages and bytes came when its stdin is closed."""
    source = """
import selectors, socket, sys
host, port, token, count = sys.argv[1:5]
lines = ["GET /v1/live HTTP/1.1", f"Host: {host}:{port}", f"Authorization: Bearer {token}", "Accept: text/event-stream"]
head = "".join(line + "\\r\\n" for line in [*lines, ""])
select = selectors.DefaultSelector()
for _ in range(int(count)):
    sock = socket.create_connection((host, int(port)))
    sock.sendall(head.encode())
    assert sock.recv(4096).startswith(b"HTTP/1.1 200"), "refused"
    select.register(sock, selectors.EVENT_READ)
select.register(sys.stdin, selectors.EVENT_READ)
print("open", flush=True)
messages = size = 0
while True:
    for key, _ in select.select():
        if key.fileobj is sys.stdin:
            print(messages, size)
            sys.exit()
        data = key.fileobj.recv(1 << 20)
        messages += data.count(b"event: changes")
        size += len(data)
"""
    where = urlsplit(url)
    token = where.fragment.removeprefix("secret=")
    argv = [sys.executable, "-c", source, str(where.hostname), str(where.port), token, str(pages)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def pages(env: Mapping[str, str], url: str, pid: int, args: argparse.Namespace) -> None:
    scheduler = scheduler_pid(env)
    for count in (0, 1, args.pages):
        reading = readers(url, count) if count else None
        with ending(env, args.rate):
            time.sleep(2)
            before = cpu_seconds(pid), cpu_seconds(scheduler)
            time.sleep(args.seconds)
            used = [
                100 * (now - then) / args.seconds
                for now, then in zip((cpu_seconds(pid), cpu_seconds(scheduler)), before, strict=True)
            ]
        said = ""
        if reading is not None:
            said, _ = reading.communicate()
            messages, size = map(int, said.split())
            all_seconds = count * (args.seconds + 2)
            said = f"; each got {messages / all_seconds:.1f} messages, {size / all_seconds / 1000:.1f} kB a second"
        costs = f"gateway {used[0]:5.1f} %, scheduler {used[1]:5.1f} % of a core"
        print(f"{count:>4} pages, {args.rate:g} events/s: {costs}{said}")


# ── the browser ────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def opened(url: str) -> Iterator[tuple[Page, CDPSession]]:
    with browser_pages(url, 1) as (page,):
        yield page


@contextmanager
def browser_pages(url: str, count: int) -> Iterator[list[tuple[Page, CDPSession]]]:
    """So many of one browser, each with a process of its own."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        pages = []
        for _ in range(count):
            shown = browser.new_context(viewport=SIZE).new_page()
            tools = shown.context.new_cdp_session(shown)
            tools.send("Performance.enable", {"timeDomain": "threadTicks"})
            shown.goto(url)
            shown.locator("main h1").wait_for()
            pages.append((shown, tools))
        yield pages
        browser.close()


def main_thread(tools: CDPSession) -> float:
    """Milliseconds of cpu that the page's main thread has used."""
    found = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
    return 1000 * float(found["TaskDuration"])


def frames(what: str, shown: Page, tools: CDPSession, seconds: float, act: Callable[[], None], rest: float) -> None:
    """While it is acted upon, with so many seconds of rest between."""
    shown.evaluate(f"window.measured = ({FRAMES})({seconds})")
    used = main_thread(tools)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        act()
        time.sleep(rest)
    rate, longest, count = shown.evaluate("window.measured")
    each = (main_thread(tools) - used) / count
    print(f"{what:<40} {rate:5.1f} frames/s, longest {longest:4.0f} ms, {each:5.1f} ms of cpu a frame")


def view(env: Mapping[str, str], url: str) -> None:
    where = urlsplit(url)
    size = 0
    for path in ("/ui", "/ui/app.js", "/ui/app.css"):
        connection = http.client.HTTPConnection(where.netloc)
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        size += len(connection.getresponse().read())
        connection.close()
    with opened(url) as (shown, tools):
        took, spent = [], []
        for _ in range(5):
            shown.reload()  # from which on the page's main thread is counted anew
            shown.locator(".who:not(:empty)").wait_for()
            spent.append(main_thread(tools))
            took.append(shown.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        print(
            f"first view: {size:,} bytes compressed; first paint after {sorted(took)[2]:.0f} ms "
            f"(median of {len(took)}), all of it after {sorted(spent)[2]:.0f} ms of cpu"
        )
        shown.evaluate("location.hash = '#/jobs'")
        shown.evaluate("""window.rows = new Map(); new MutationObserver(() => {
          for (const row of document.querySelectorAll('.row')) {
            const key = row.querySelector('a').textContent + row.querySelector('.state').textContent;
            if (!window.rows.has(key)) window.rows.set(key, Date.now());
          }
        }).observe(document.body, {subtree: true, childList: true, characterData: true})""")
        late = []
        for _ in range(10):
            number = str(json.loads(call(env, "job", "submit", "--json", "--", "true"))["number"])
            call(env, "job", "wait", number)
            shown.wait_for_timeout(500)
            known = shown.evaluate("Object.fromEntries(window.rows)")
            ended = max(at for key, at in known.items() if key.startswith(number) and "succeeded" in key)
            told = call(env, "events", "--json", "--since", "1", "--job", number)
            last = [line for line in told.splitlines() if "job.ended" in line][-1]
            late.append(ended - 1000 * datetime.fromisoformat(json.loads(last)["time"]).timestamp())
        late.sort()
        middle = late[len(late) // 2]
        print(f"an event is on the page after {middle:.0f} ms (median of {len(late)}), {late[-1]:.0f} ms at most")


def drawn(env: Mapping[str, str], url: str, jobs: int) -> None:
    call(env, "queue", "pause")

    async def fill() -> tuple[int, int]:
        async with AsyncClient.connect(home=env["CLUSTER_HOME"]) as client:
            array = await client.submit(["/bin/true"], array="1-1000000", name="million")
            first = await client.submit(["/bin/true"], name="root")
            before = [first.number]
            for layer in range(20):
                made = [
                    await client.submit(
                        ["/bin/true"], name=f"layer-{layer}-{place}", after=[str(number) for number in before[:3]]
                    )
                    for place in range(10)
                ]
                before = [job.number for job in made]
            many = 0
            while many < jobs:
                await asyncio.gather(
                    *(
                        client.submit(["/bin/echo", f"job {many + place}"], name=f"name-{(many + place) % 97}")
                        for place in range(500)
                    )
                )
                many += 500
            return array.number, first.number

    began = time.monotonic()
    array, dag = asyncio.run(fill())
    print(f"{jobs:,} jobs handed in within {time.monotonic() - began:.0f} s", flush=True)
    with opened(url) as (shown, tools):
        shown.evaluate("location.hash = '#/jobs'")
        box = shown.locator(".rows")
        shown.locator(".row").first.wait_for()
        began = time.monotonic()
        while not shown.evaluate("document.querySelector('.bar .note').textContent.endsWith('shown')"):
            shown.evaluate("document.querySelector('.rows').scrollTop = 1e9")
            shown.wait_for_timeout(20)
        print(f"{shown.locator('.bar .note').inner_text()}: all of them here after {time.monotonic() - began:.1f} s")
        box.hover()
        shown.evaluate("document.querySelector('.rows').scrollTop = 0")
        frames("list, scrolled", shown, tools, 4, lambda: shown.mouse.wheel(0, 700), 0.016)
        words = iter("name-1 job 9 echo" * 50)
        search = shown.locator("input[type=search]")
        search.focus()
        frames("list, filtered as one types", shown, tools, 4, lambda: shown.keyboard.type(next(words)), 0.1)
        shown.evaluate(f"location.hash = '#/jobs/{array}'")
        grid = shown.locator(".tasks-grid canvas")
        grid.scroll_into_view_if_needed()
        shown.locator(".grid-legend li").first.wait_for()
        grid.hover()
        turn = iter(range(10**6))
        frames(
            "grid of a million tasks, zoomed",
            shown,
            tools,
            4,
            lambda: shown.mouse.wheel(0, -100 if next(turn) // 12 % 2 == 0 else 100),
            0.03,
        )
        frames(
            "grid of a million tasks, pointed at",
            shown,
            tools,
            3,
            lambda: shown.mouse.move(300 + next(turn) % 700, 500),
            0.016,
        )
        shown.evaluate(f"location.hash = '#/jobs/{dag}'")
        tree = shown.locator(".dag-frame")
        tree.wait_for()
        tree.scroll_into_view_if_needed()
        tree.hover()
        print(f"{shown.locator('.dag-job').count()} jobs drawn")
        frames(
            "drawing of 200 jobs, zoomed",
            shown,
            tools,
            4,
            lambda: shown.mouse.wheel(0, -100 if next(turn) // 12 % 2 == 0 else 100),
            0.03,
        )
        shown.mouse.down()
        frames(
            "drawing of 200 jobs, moved",
            shown,
            tools,
            3,
            lambda: shown.mouse.move(400 + next(turn) % 300, 500),
            0.016,
        )
        shown.mouse.up()
    call(env, "queue", "resume")


def growth(env: Mapping[str, str], url: str, minutes: float) -> None:
    """Of a page that stays in the list of jobs, and of one whose user goes round all views, meanwhile."""
    with browser_pages(url, 2) as ((stays, its), (goes, others)), ending(env, 300):
        stays.evaluate("location.hash = '#/jobs'")
        sizes: list[list[float]] = [[], []]
        began, before = time.monotonic(), newest(env)
        for turn in range(max(2, int(minutes * 2))):
            for view in ("#/jobs", f"#/jobs/{newest(env)}", "#/workers", "#/run", "#/"):
                goes.evaluate(f"location.hash = '{view}'")
                time.sleep(6)
            for told, tools in zip(sizes, (its, others), strict=True):
                tools.send("HeapProfiler.collectGarbage")
                found = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
                told.append(found["JSHeapUsedSize"] / 2**20)
            drawing = renderers(stays)
            print(
                f"{turn / 2 + 0.5:5.1f} min: heap {sizes[0][-1]:5.1f} MiB in the list, {sizes[1][-1]:5.1f} going "
                f"round; {drawing:.0f} MiB resident of both processes",
                flush=True,
            )
        rate = (newest(env) - before) / (time.monotonic() - began)
    for what, told in zip(("in the list", "going round"), sizes, strict=True):
        half = len(told) // 2
        rise = (told[-1] - told[half - 1]) / ((len(told) - half) / 2) * 60
        print(f"{what}: under {rate:.0f} jobs/s, in the second half it rose by {rise:.1f} MiB an hour")


def renderers(page: Page) -> float:
    """MiB that the processes which draw pages have in memory."""
    browser = page.context.browser
    assert browser is not None
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(resident_mib(each["id"]) for each in found if each["type"] == "renderer")


def newest(env: Mapping[str, str]) -> int:
    jobs = json.loads(call(env, "job", "list", "--json", "--limit", "1"))
    return int(jobs[0]["number"]) if jobs else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--only", default="pages,view,frames")
    args = parser.parse_args()
    bundle.make()
    wanted = set(args.only.split(","))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with cluster(CLUSTER_WORKER_RUNNER="null") as env, served(env) as (pid, url):
        if "pages" in wanted:
            pages(env, url, pid, args)
        if "view" in wanted:
            view(env, url)
        if args.minutes:
            growth(env, url, args.minutes)
        if "frames" in wanted:
            drawn(env, url, args.jobs)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
