// What tasks write, as it comes, on a terminal of the page's own.

import { useEffect, useRef, useState } from "preact/hooks";
import { stream } from "../api";
import { TerminalView } from "../terminal/view";

const PAUSE = 1000; // ms before a stream that broke is asked for again, from where it was
const TRIES = 20;

/** Base64 as bytes: by a loop, since what looks shorter calls a function for each. */
function bytesOf(text: string): Uint8Array {
  const found = atob(text), bytes = new Uint8Array(found.length);
  for (let at = 0; at < found.length; at++) bytes[at] = found.charCodeAt(at);
  return bytes;
}

export function Output({ path }: { path: string }) {
  const [state, setState] = useState("waiting for output");
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const stopping = new AbortController();
    const view = new TerminalView(box.current!, { label: "Output" });
    const { signal } = stopping;
    let last = "";
    const take = (kind: string, id: string, data: any): boolean => {
      if (kind === "problem") setState(data.detail ?? "the stream has ended before its end");
      if (kind === "output") {
        last = id || last;
        view.feed(bytesOf(data.data ?? ""));
        if (data.note) view.feed(new TextEncoder().encode(`\r\n[${data.note}]\r\n`));
      }
      return kind === "end";
    };
    const follow = async () => {
      for (let tries = 0; tries < TRIES && !signal.aborted; tries++) {
        try {
          for await (const page of stream(path, last, signal)) {
            if (page.some(({ kind, id, data }) => take(kind, id, data))) {
              view.end();
              return setState(last ? "" : "nothing was written");
            }
            setState("following");
            tries = 0;
          }
        } catch (error) {
          if (!signal.aborted) setState((error as Error).message);
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
      if (!signal.aborted) setState(`no output for ${TRIES} tries: load the page anew`);
    };
    void follow();
    return () => {
      stopping.abort();
      view.close();
    };
  }, [path]);
  return (
    <>
      <div class="output" ref={box} />
      {state && <p class="note" role="status">{state}</p>}
    </>
  );
}
