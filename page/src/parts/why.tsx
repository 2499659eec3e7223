// Why a job waits, or what ended it: of an array, the first task that failed with its last words.

import { useEffect, useState } from "preact/hooks";
import { call } from "../api";
import type { Job } from "../live";
import { harmless, plain, total } from "../words";

const LINES = 5; // of what it wrote last to stderr

export function Why({ job, tasks, open }: { job: Job; tasks: any[]; open: (task: number) => void }) {
  const isArray = total(job.counts) > 1;
  const failed = tasks.find((task) => plain(task.state) === "failed");
  const words = useLastWords(job.number, isArray && failed ? Number(failed.number) : null, failed);
  const lines = [...(job.pending_because ?? [])];
  const isOfTask = isArray && failed && failed.reason === job.reason;
  if (job.reason && job.reason !== "ok") lines.push(isOfTask ? `task ${failed.number}: ${job.reason}` : job.reason);
  if (failed?.detail) lines.push(failed.detail);
  const raised = words?.exception;
  if (raised?.type) lines.push(`${raised.type}: ${raised.message}, ${raised.file} line ${raised.line}`);
  if (job.cancelled_by) lines.push(`cancelled by ${job.cancelled_by}${job.cancel_reason ? `: ${job.cancel_reason}` : ""}`);
  if (!lines.length) return null;
  const last = isArray && words && !raised?.type ? lastLines(words.stderr_tail ?? "") : "";
  return (
    <>
      <h2>Why</h2>
      <ul class="why">{lines.map((line) => <li>{harmless(line)}</li>)}</ul>
      {last && <p class="note">What task {String(failed.number)} wrote last to stderr:</p>}
      {last && <pre class="last-words">{last}</pre>}
      {isArray && failed && <p><button class="quiet" onClick={() => open(Number(failed.number))}>Show the output of task {String(failed.number)}</button></p>}
    </>
  );
}

/** A task as it is shown alone: only there its last words are looked for. Of a job of one task that is `known` already. */
function useLastWords(job: number, task: number | null, known: any): any {
  const [words, setWords] = useState<any>(null);
  useEffect(() => {
    let isOpen = true;
    setWords(null);
    if (task === null) return;
    const asked = call<any>("GET", `/v1/jobs/${job}.${task}?max_tasks=1`).catch(() => null);
    void asked.then((found) => isOpen && setWords(found?.tasks?.[0] ?? null));
    return () => void (isOpen = false);
  }, [job, task, known?.attempt]);
  return task === null ? known : words;
}

/** The last lines of Base64 of bytes, each without what would act on a screen. */
function lastLines(tail: string): string {
  const bytes = Uint8Array.from(atob(tail), (character) => character.charCodeAt(0));
  const lines = new TextDecoder().decode(bytes).trimEnd().split("\n");
  return lines.slice(-LINES).map(harmless).join("\n");
}
