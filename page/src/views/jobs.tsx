import { memo } from "../parts/memo";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api";
import { isLive, type Job, type Live } from "../live";
import { Act } from "../parts/act";
import { State } from "../parts/state";
import { age, command, count, ended, harmless, plain, total } from "../words";

const ROW = 40; // px, as in app.css
const SPARE = 8; // rows beyond what is seen
const FILLED = 60; // rows that fill any screen: a search that finds fewer looks further back by itself
const CHOICES = ["running", "ready", "waiting", "failed", "succeeded", "cancelled"];

export function Jobs({ live, only = "" }: { live: Live; only?: string }) {
  const [text, setText] = useState("");
  const [state, setState] = useState(CHOICES.includes(only) ? only : "");
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const [first, setFirst] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const jobs = useMemo(() => found(live.newest(), text, state), [live.version, text, state]);
  const isSearching = Boolean(text || state) && jobs.length < FILLED && live.next > 0;
  useEffect(() => {
    if (isSearching && !live.trouble) void live.older().catch(() => undefined);
  }, [isSearching, live.next, live.trouble]);
  const height = box.current?.clientHeight ?? 900;
  const shown = jobs.slice(first, first + Math.ceil(height / ROW) + 2 * SPARE);
  const scrolled = (event: Event) => {
    const { scrollTop, scrollHeight, clientHeight } = event.currentTarget as HTMLElement;
    const at = Math.max(0, Math.floor(scrollTop / ROW) - SPARE);
    setFirst(at - (at % 4)); // most frames draw no row anew
    if (scrollTop + clientHeight > scrollHeight - 40 * ROW) void live.older().catch(() => undefined);
  };
  const choose = (number: number) =>
    setChosen((now) => {
      const next = new Set(now);
      if (!next.delete(number)) next.add(number);
      return next;
    });
  const chooser = useRef(choose);
  const all = (verb: string) => async () => {
    const asked = live.ask();
    const selectors = [...chosen].map((number) => ({ text: String(number) }));
    const answer = await call<any>("POST", `/v1/${verb}-jobs`, { selectors });
    live.took(answer.jobs ?? [], asked);
    setChosen(new Set());
  };
  const many = count(chosen.size);
  return (
    <section class="tall">
      <h1>Jobs</h1>
      <form class="bar" role="search" onSubmit={(event) => event.preventDefault()}>
        <input type="search" aria-label="Search jobs by number, name, owner or command" placeholder="Number, name, owner, command" value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <select aria-label="State" value={state} onChange={(e) => setState(e.currentTarget.value)}>
          <option value="">any state</option>
          {CHOICES.map((choice) => <option value={choice}>{choice}</option>)}
        </select>
        <span class="note" role="status">{count(jobs.length)} shown{isSearching ? `, looked through ${count(live.jobs.size)} so far…` : live.next ? ", older ones follow" : ""}</span>
      </form>
      <div class="bar">
        <span class="number">{many} chosen</span>
        <button class="quiet" onClick={() => setChosen(new Set(jobs.map((job) => job.number)))} disabled={!jobs.length}>Choose the {count(jobs.length)} shown</button>
        {chosen.size > 0 && (
          <>
            <button class="quiet" onClick={() => setChosen(new Set())}>Choose none</button>
            <Act name="Cancel" kind="danger" does={all("cancel")} asks={`Cancel ${many} jobs?`} />
            <Act name="Retry" does={all("retry")} /> <Act name="Pause" does={all("pause")} /> <Act name="Resume" does={all("resume")} />
          </>
        )}
      </div>
      <div class="rows" ref={box} onScroll={scrolled} tabIndex={0} role="region" aria-label="Jobs">
        {jobs.length === 0 && <p class="empty">{live.jobs.size ? "No job here is like that." : live.who ? "No job yet." : "Loading…"}</p>}
        <div class="space" style={{ height: `${jobs.length * ROW}px` }}>
          {shown.map((job, at) => (
            <Row key={job.number} job={job} top={(first + at) * ROW} isChosen={chosen.has(job.number)} choose={chooser.current} ago={age(live.since(job.submitted_at ?? 0))} />
          ))}
        </div>
      </div>
    </section>
  );
}

interface RowProps {
  job: Job;
  top: number;
  isChosen: boolean;
  choose: (number: number) => void;
  ago: string;
}

const Row = memo(({ job, top, isChosen, choose, ago }: RowProps) => (
  <div class="row" style={{ transform: `translateY(${top}px)` }}>
    <input type="checkbox" aria-label={`Choose job ${job.number}`} checked={isChosen} onChange={() => choose(job.number)} />
    <a data-row class="number" href={`#/jobs/${job.number}`}>{job.number}</a>
    <State state={job.pause && isLive(job) ? "paused" : job.state} />
    <span class="what">{job.spec?.name ? <b>{harmless(job.spec.name)} </b> : null}{command(job)}</span>
    <span class="note wide what">{harmless(job.owner ?? "")}</span>
    <span class="note wide number what">{progress(job)}</span>
    <span class="note number ago">{ago}</span>
  </div>
));

const searched = new WeakMap<Job, string>(); // a job's words, as they are searched; a job that changes is another object

function found(jobs: Job[], text: string, state: string): Job[] {
  const wanted = text.trim().toLowerCase();
  if (!wanted && !state) return jobs;
  return jobs.filter((job) => {
    if (state && plain(job.state) !== state) return false;
    if (!wanted) return true;
    let words = searched.get(job);
    if (words === undefined) {
      words = `${job.number} ${job.spec?.name ?? ""} ${job.owner} ${command(job)}`.toLowerCase();
      searched.set(job, words);
    }
    return words.includes(wanted);
  });
}

function progress(job: Job): string {
  const all = total(job.counts);
  const why = job.reason && job.reason !== "ok" ? job.reason : isLive(job) ? job["waits_for"] : "";
  return [all > 1 && `${count(ended(job.counts))} of ${count(all)}`, harmless(why ?? "")].filter(Boolean).join(" · ");
}
