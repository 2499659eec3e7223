import { useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api";
import { isLive, newest, type Job, type Live } from "../live";
import { Act } from "../parts/act";
import { State } from "../parts/state";
import { age, command, count, harmless, plain, total } from "../words";

const ROW = 40; // px, as in app.css
const SPARE = 12; // rows beyond what is seen
const CHOICES = ["running", "ready", "waiting", "failed", "succeeded", "cancelled"];

export function Jobs({ live }: { live: Live }) {
  const [text, setText] = useState("");
  const [state, setState] = useState("");
  const [chosen, setChosen] = useState(new Set<number>());
  const [top, setTop] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const jobs = useMemo(() => newest(live).filter((job) => fits(job, text, state)), [live.version, text, state]);
  const height = box.current?.clientHeight ?? 600;
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const shown = jobs.slice(first, first + Math.ceil(height / ROW) + 2 * SPARE);
  const scrolled = (event: Event) => {
    const { scrollTop, scrollHeight, clientHeight } = event.currentTarget as HTMLElement;
    setTop(scrollTop);
    if (scrollTop + clientHeight > scrollHeight - 40 * ROW) void live.older().catch(() => undefined);
  };
  const choose = (number: number) => {
    const next = new Set(chosen);
    if (!next.delete(number)) next.add(number);
    setChosen(next);
  };
  const each = (verb: string) => async () => {
    const failed: string[] = [];
    for (const number of chosen) {
      await call("POST", `/v1/jobs/${number}/${verb}`, {}).catch((error) => failed.push((error as Error).message));
    }
    live.refresh(...chosen);
    setChosen(new Set());
    if (failed.length) throw new Error(failed[0]);
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
        <span class="note" role="status">{count(jobs.length)} shown{live.next ? ", older ones follow" : ""}</span>
        {live.next > 0 && (text || state) && <Act name="Look further back" does={() => live.older()} />}
      </form>
      {chosen.size > 0 && (
        <div class="bar">
          <span>{many} chosen</span>
          <Act name="Cancel" kind="danger" does={each("cancel")} asks={`Cancel ${many} jobs?`} />
          <Act name="Retry" does={each("retry")} /> <Act name="Pause" does={each("pause")} /> <Act name="Resume" does={each("resume")} />
          <button class="quiet" onClick={() => setChosen(new Set())}>Choose none</button>
        </div>
      )}
      <div class="rows" ref={box} onScroll={scrolled} tabIndex={0} role="region" aria-label="Jobs">
        {jobs.length === 0 && <p class="empty">{live.jobs.size ? "No job here is like that." : "No job yet."}</p>}
        <div class="space" ref={(space) => space && (space.style.height = `${jobs.length * ROW}px`)}>
          {shown.map((job, at) => (
            <div class="row" key={job.number} ref={(row) => row && (row.style.top = `${(first + at) * ROW}px`)}>
              <input type="checkbox" aria-label={`Choose job ${job.number}`} checked={chosen.has(job.number)} onChange={() => choose(job.number)} />
              <a data-row class="number" href={`#/jobs/${job.number}`}>{job.number}</a>
              <State state={job.pause && isLive(job) ? "paused" : job.state} />
              <span class="what">{job.spec?.name ? <b>{harmless(job.spec.name)} </b> : null}{command(job)}</span>
              <span class="note wide">{harmless(job.owner ?? "")}</span>
              <span class="note wide number">{progress(job)}</span>
              <span class="note number">{age(Date.now() / 1000 - (job.submitted_at ?? 0))}</span>
            </div>
          ))}
        </div>
      </div>
    </section>
  );
}

function fits(job: Job, text: string, state: string): boolean {
  if (state && plain(job.state) !== state) return false;
  const words = `${job.number} ${job.spec?.name ?? ""} ${job.owner} ${command(job)}`.toLowerCase();
  return words.includes(text.trim().toLowerCase());
}

function progress(job: Job): string {
  const all = total(job.counts);
  const done = ["succeeded", "failed", "cancelled"].reduce((sum, name) => sum + Number(job.counts?.[name] ?? 0), 0);
  return all > 1 ? `${count(done)} of ${count(all)}` : "";
}
