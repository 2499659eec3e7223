"""The page on which people run code: one document with its style and script, and nothing from elsewhere.

A token is asked for, and kept in the field alone: with the page it is gone. Without one the browser asks by itself,
for HTTP Basic.
"""

from base64 import b64encode
from hashlib import sha256

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
textarea, pre, input { font: 14px/1.45 ui-monospace, monospace; box-sizing: border-box; width: 100%; }
textarea, input { padding: 0.6rem; border: 1px solid #999; border-radius: 4px; background: inherit; color: inherit; }
textarea { min-height: 16rem; resize: vertical; } label { display: block; margin: 0.8rem 0 0.2rem; }
button { font: inherit; padding: 0.4rem 1.6rem; margin: 0.8rem 0.8rem 0 0; }
pre { background: #f4f4f4; padding: 0.7rem; overflow-x: auto; white-space: pre-wrap; min-height: 1.5em; }
#problem { color: #a00; } [hidden] { display: none; }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #ddd; } pre { background: #1d1d1d; } a { color: #8cf; } #problem { color: #f88; }
}
"""
_SCRIPT = """
"use strict";
const at = (id) => document.getElementById(id);
let running = null;
function show(status, output, problem) {
  at("status").textContent = status;
  at("output").textContent = output;
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
}
function told(problem) {
  const lines = [problem.detail];
  if (problem.stderr) lines.push("", problem.stderr);
  return lines.join("\\n");
}
async function run(event) {
  event.preventDefault();
  if (running) { running.abort(); return; }
  running = new AbortController();
  at("run").textContent = "Stop";
  show("It runs.", "", "");
  const began = performance.now();
  const headers = at("token").value ? { Authorization: "Bearer " + at("token").value.trim() } : {};
  const body = new URLSearchParams({ code: at("code").value });
  try {
    const answer = await fetch("/execute", { method: "POST", headers, body, signal: running.signal });
    const took = Math.round(performance.now() - began) + " ms";
    const job = answer.headers.get("Cluster-Job");
    const status = (job ? "Job " + job + ", " : "") + answer.status + ", " + took;
    const text = await answer.text();
    const json = (answer.headers.get("Content-Type") || "").includes("json");
    if (answer.ok) show(status, json ? JSON.stringify(JSON.parse(text), null, 2) : text, "");
    else show(status, "", json ? told(JSON.parse(text)) : text);
  } catch (error) {
    show("", "", error.name === "AbortError" ? "It was stopped." : "The gateway does not answer: " + error.message);
  } finally {
    running = null;
    at("run").textContent = "Run";
  }
}
at("form").addEventListener("submit", run);
at("code").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
"""


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; connect-src 'self'; "
    f"script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}"
)
PAGE = f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>cluster: run Python</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>Run Python</h1>
<form id="form">
<label for="code">Code; it runs on a worker of this cluster, shut in</label>
<textarea id="code" name="code" spellcheck="false" autocapitalize="off" required autofocus>print(1)</textarea>
<label for="token">Token, of <code>cluster token create --for http</code>; it stays in this page alone</label>
<input id="token" type="password" autocomplete="off" spellcheck="false">
<button id="run">Run</button><span id="status" role="status"></span>
</form>
<h2>Output</h2><pre id="output"></pre><pre id="problem" role="alert" hidden></pre>
<p><a href="/v1/docs">All calls</a></p>
<script>{_SCRIPT}</script></body></html>
"""
