import { useMemo } from "preact/hooks";
import { SAMPLE_EVERY, type Live, type Worker } from "../live";
import { Line } from "../parts/line";
import { State } from "../parts/state";
import { age, command, count, harmless, plain } from "../words";

const DRAWN = 60; // workers whose load is drawn: all, or the fullest
const LATELY = 3600; // seconds for which a failure counts

export function Overview({ live }: { live: Live }) {
  const jobs = live.newest();
  const tasks = live.queue.tasks ?? {};
  const waiting = ["ready", "waiting", "backoff", "assigned"].reduce((sum, name) => sum + Number(tasks[name] ?? 0), 0);
  const failed = useMemo(() => jobs.filter((job) => plain(job.state) === "failed" && live.since(job.ended_at ?? 0) < LATELY).length, [jobs]);
  const running = live.workers.reduce((sum, worker) => sum + (worker.running ?? 0), 0);
  const seconds = SAMPLE_EVERY / 1000;
  const rates = live.samples.map((sample) => sample.ended / seconds);
  const lately = `in the last ${age(Math.max(1, live.samples.length - 1) * seconds)}`;
  return (
    <section>
      <h1>Overview</h1>
      {live.queue.pause && <p class="trouble">The queue is paused{live.queue.pause.by && ` by ${live.queue.pause.by}`}: nothing starts.</p>}
      <dl class="figures">
        <div><dt>Running tasks</dt><dd>{running ? <a href="#/jobs?state=running">{count(running)}</a> : 0}</dd></div>
        <div><dt>Waiting tasks</dt><dd>{count(waiting)}</dd></div>
        <div><dt>Jobs that have not ended</dt><dd>{count(live.queue.jobs ?? 0)}</dd></div>
        <div><dt>Jobs that failed within an hour</dt><dd>{failed ? <a class="bad" href="#/jobs?state=failed">{count(failed)}</a> : 0}</dd></div>
        <div><dt>Workers online</dt><dd><a href="#/workers">{count(live.workers.filter((each) => plain(each.state) === "online").length)}</a></dd></div>
      </dl>
      <div class="pair">
        <figure><figcaption>Tasks that run: {count(running)}; {most(live.samples.map((each) => each.running))} at most {lately}</figcaption><Line name="Tasks that run" values={live.samples.map((each) => each.running)} /></figure>
        <figure><figcaption>Tasks that end, a second: {rates.at(-1) ?? 0}; {most(rates)} at most {lately}</figcaption><Line name="Tasks that end a second" values={rates} /></figure>
      </div>
      <h2>Workers</h2>
      {live.workers.length === 0 && <p>No worker has joined. <code>cluster token create --role worker</code> makes the line that one pastes.</p>}
      {live.workers.length > DRAWN && <p class="note">The {DRAWN} fullest of {count(live.workers.length)}. <a href="#/workers">All workers</a></p>}
      <ul class="loads">
        {fullest(live.workers).map((worker) => (
          <li key={worker.id}>
            <a href={`#/workers/${encodeURIComponent(worker.name)}`}>{harmless(worker.name)}</a>
            <meter min={0} max={worker.capacity_millicpus || 1} value={worker.used_millicpus ?? 0} aria-label={`Cpus in use on ${harmless(worker.name)}`} />
            <span class="number">{((worker.used_millicpus ?? 0) / 1000).toFixed(1)} of {((worker.capacity_millicpus ?? 0) / 1000).toFixed(0)} cpus</span>
            <State state={worker.state} />
          </li>
        ))}
      </ul>
      <div class="pair">
        <div>
          <h2>Newest jobs</h2>
          {jobs.length === 0 && <p>No job yet. <a href="#/run">Run a command</a>.</p>}
          <ul class="short">
            {jobs.slice(0, 8).map((job) => (
              <li key={job.number}>
                <a data-row href={`#/jobs/${job.number}`}>{job.number}</a> <State state={job.state} />
                <span class="what">{harmless(job.spec?.name || command(job))}</span>
              </li>
            ))}
          </ul>
        </div>
        <div>
          <h2>What happened</h2>
          {live.recent.length === 0 && <p class="note">Nothing since this page is open.</p>}
          <ul class="short">
            {live.recent.slice(0, 8).map(({ id, kind, data }) => (
              <li key={id}>
                <span class="note">{age(live.since(data.at))}</span>
                <span class="what">{kind.replace(".", " ")} {kind === "jobs.deleted" ? harmless(data.tasks ?? "") : data.job ? <a href={`#/jobs/${data.job}`}>{data.job}</a> : harmless(data.worker ?? "")} {harmless(data.reason || (kind === "jobs.deleted" && data.detail) || "")}</span>
              </li>
            ))}
          </ul>
        </div>
      </div>
    </section>
  );
}

const most = (values: number[]): string => count(Math.max(0, ...values));

function fullest(workers: Worker[]): Worker[] {
  if (workers.length <= DRAWN) return workers;
  const load = (worker: Worker) => (worker.used_millicpus ?? 0) / (worker.capacity_millicpus || 1);
  return [...workers].sort((a, b) => load(b) - load(a)).slice(0, DRAWN);
}
