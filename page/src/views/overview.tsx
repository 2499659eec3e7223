import { newest, SAMPLE_EVERY, type Live } from "../live";
import { Line } from "../parts/line";
import { State } from "../parts/state";
import { age, command, count, harmless, plain } from "../words";

export function Overview({ live }: { live: Live }) {
  const jobs = newest(live);
  const all = (...names: string[]) =>
    jobs.reduce((sum, job) => sum + names.reduce((part, name) => part + Number(job.counts?.[name] ?? 0), 0), 0);
  const failed = jobs.filter((job) => plain(job.state) === "failed");
  const running = live.workers.reduce((sum, worker) => sum + (worker.running ?? 0), 0);
  const seconds = SAMPLE_EVERY / 1000;
  const rates = live.samples.map((sample) => sample.ended / seconds);
  return (
    <section>
      <h1>Overview</h1>
      {live.queue.pause && <p class="trouble">The queue is paused{live.queue.pause.by && ` by ${live.queue.pause.by}`}: nothing starts.</p>}
      <dl class="figures">
        <div><dt>Running tasks</dt><dd>{count(running)}</dd></div>
        <div><dt>Waiting tasks</dt><dd>{count(all("ready", "waiting", "backoff"))}</dd></div>
        <div><dt>Failed jobs</dt><dd class={failed.length ? "bad" : ""}>{count(failed.length)}</dd></div>
        <div><dt>Workers online</dt><dd>{count(live.workers.filter((each) => plain(each.state) === "online").length)}</dd></div>
      </dl>
      {live.next > 0 && <p class="note">Waiting and failed count the newest {count(jobs.length)} jobs.</p>}
      <div class="pair">
        <figure><figcaption>Tasks that run</figcaption><Line name="Tasks that run" values={live.samples.map((each) => each.running)} /></figure>
        <figure><figcaption>Tasks that end with their jobs, a second</figcaption><Line name="Tasks that end a second" values={rates} /></figure>
      </div>
      <h2>Workers</h2>
      {live.workers.length === 0 && <p>No worker has joined. <code>cluster token create --role worker</code> makes the line that one pastes.</p>}
      <ul class="loads">
        {live.workers.slice(0, 60).map((worker) => (
          <li key={worker.id}>
            <span>{harmless(worker.name)}</span>
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
                <span class="note">{age(Date.now() / 1000 - data.at)}</span>
                <span class="what">{kind.replace(".", " ")} {data.job ? <a href={`#/jobs/${data.job}`}>{data.job}</a> : harmless(data.worker ?? "")} {harmless(data.reason ?? "")}</span>
              </li>
            ))}
          </ul>
        </div>
      </div>
    </section>
  );
}
