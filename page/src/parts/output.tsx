// What tasks write, as it comes: at most the last bytes of it, as text that acts on nothing.

import { useEffect, useRef, useState } from "preact/hooks";
import { stream } from "../api";

const MOST = 400_000; // characters that are shown
const DRAW = 100; // ms between two drawings
const SEQUENCE = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

export function Output({ path }: { path: string }) {
  const [text, setText] = useState("");
  const [left, setLeft] = useState(0); // characters that are not shown any more
  const [state, setState] = useState("waiting for output");
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const stopping = new AbortController();
    let all = "", dropped = 0, timer = 0, last = "";
    const decoder = new TextDecoder();
    const draw = () => {
      timer = 0;
      const pre = box.current;
      const wasAtEnd = !pre || pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 40;
      setText(readable(all));
      setLeft(dropped);
      if (wasAtEnd) requestAnimationFrame(() => pre && (pre.scrollTop = pre.scrollHeight));
    };
    const follow = async () => {
      for (let tries = 0; !stopping.signal.aborted; tries++) {
        try {
          for await (const page of stream(path, last, stopping.signal)) {
            for (const { kind, id, data } of page) {
              if (kind === "end") return setState("");
              if (kind === "problem") return setState(data.detail ?? "the stream has ended before its end");
              if (kind !== "output") continue;
              last = id || last;
              all += decoder.decode(Uint8Array.from(atob(data.data ?? ""), (each) => each.charCodeAt(0)), { stream: true });
              if (data.note) all += `\n[${data.note}]\n`;
              if (all.length > MOST) {
                dropped += all.length - MOST;
                all = all.slice(-MOST);
              }
            }
            setState("following");
            timer ||= window.setTimeout(draw, DRAW);
          }
        } catch (error) {
          setState((error as Error).message);
        }
        if (tries > 20) return;
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    };
    void follow().finally(() => stopping.signal.aborted || draw());
    return () => {
      stopping.abort();
      clearTimeout(timer);
    };
  }, [path]);
  return (
    <>
      {left > 0 && <p class="note">{left.toLocaleString("en")} characters before this are left out; <code>cluster job logs</code> has all.</p>}
      <pre class="output" ref={box} tabIndex={0} role="log" aria-label="Output">{text}</pre>
      {state && <p class="note" role="status">{state}</p>}
    </>
  );
}

/** Without what a terminal would act on; of a line that was written over by carriage returns, what stayed. */
function readable(text: string): string {
  const lines = text.replace(SEQUENCE, "").replace(/\r+\n/g, "\n").split("\n");
  return lines.map((line) => line.slice(line.lastIndexOf("\r", line.length - 2) + 1).replace(CONTROL, "")).join("\n");
}
