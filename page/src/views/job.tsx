import { useEffect, useRef, useState } from "preact/hooks";
import { bytes, call, isPassing } from "../api";
import { Turns } from "../turns";
import { isLive, type Job, type Live } from "../live";
import { Act } from "../parts/act";
import { Output } from "../parts/output";
import { TasksGrid } from "../parts/tasks_grid";
import { Timeline } from "../parts/timeline";
import { Tree } from "../parts/tree";
import { State } from "../parts/state";
import { Why } from "../parts/why";
import { age, clock, command, count, ended, harmless, inPath, plain, size, total } from "../words";

const TASKS = 50; // that are listed
const DRAWN = 500; // whose attempts are drawn over time
const REST = 1000; // ms from one question about an array to the next

export function JobView({ live, number }: { live: Live; number: number }) {
  const [job, setJob] = useState<Job | null>(live.jobs.get(number) ?? null);
  const [tasks, setTasks] = useState<any[]>([]);
  const [files, setFiles] = useState<any[]>([]);
  const [why, setWhy] = useState("");
  const shown = useRef({ asked: 0, ended: -1 });
  const heading = useRef<HTMLHeadingElement>(null); // of the output
  const [chosen, setChosen] = useState<number | null>(null); // the task whose output alone is shown
  const load = async () => {
    const asked = live.ask();
    try {
      const found = await call<any>("GET", `/v1/jobs/${number}?max_tasks=${DRAWN}&attempts=true`);
      if (asked < shown.current.asked) return false; // a later question was answered before
      const before = shown.current.ended, now = ended(found.job.counts);
      shown.current = { asked, ended: now };
      setJob(found.job);
      setTasks(found.tasks ?? []);
      setWhy("");
      live.took([found.job], asked);
      if (found.job.spec?.out?.length && now !== before) setFiles(filesOf(await call<any>("GET", `/v1/jobs/${number}/files`)));
      return total(found.job.counts) > 1;
    } catch (error) {
      if (!isPassing(error)) shown.current.asked = asked;
      setWhy(isPassing(error) ? `${(error as Error).message}. What you see may be old.` : (error as Error).message);
      return true;
    }
  };
  useEffect(() => {
    const asking = new Turns(load, REST);
    const stop = live.watch(number, asking.ask);
    asking.ask();
    return () => {
      stop();
      asking.close();
    };
  }, [number]);
  if (!job) return <section><h1>Job {number}</h1><p role="status">{why || "Loading…"}</p></section>;
  const open = (task: number) => {
    setChosen(task);
    heading.current?.scrollIntoView();
  };
  const act = (verb: string) => async () => {
    const asked = live.ask();
    const answer = await call<any>("POST", `/v1/jobs/${number}/${verb}`, {});
    live.took(answer.jobs ?? [], asked);
    await load();
  };
  const again = async () => {
    const made = await call<any>("POST", `/v1/jobs/${number}/rerun`, {});
    location.hash = `#/jobs/${made.number}`;
  };
  return (
    <section>
      <h1>Job {number} {job.spec?.name && <small>{harmless(job.spec.name)}</small>}</h1>
      {why && <p class="trouble">{why}</p>}
      <p class="headline"><State state={job.pause && isLive(job) ? "paused" : job.state} /> <code>{command(job)}</code></p>
      <div class="bar">
        {isLive(job) && <Act name="Cancel" kind="danger" does={act("cancel")} asks={`Cancel job ${number}?`} />}
        {isLive(job) && !job.pause && <Act name="Pause" does={act("pause")} />}
        {job.pause && <Act name="Resume" does={act("resume")} />}
        {["failed", "cancelled"].includes(plain(job.state)) && <Act name="Retry" does={act("retry")} />}
        <Act name="Run again" does={again} />
      </div>
      <dl class="facts">
        <dt>Owner</dt><dd>{harmless(job.owner ?? "")}</dd>
        <dt>Submitted</dt><dd>{clock(job.submitted_at)}</dd>
        <dt>Started</dt><dd>{clock(job.started_at)}</dd>
        {isLive(job) && Boolean(job.started_at) && <><dt>Goes on for</dt><dd>{age(live.since(job.started_at!))}</dd></>}
        {total(job.counts) > 1 && <><dt>Progress</dt><dd>{progress(job, live)}</dd></>}
        <dt>Ended</dt><dd>{clock(job.ended_at)}{job.ended_at && job.started_at ? `, after ${age(job.ended_at - job.started_at)}` : ""}</dd>
        {!isLive(job) && <><dt>Exit code</dt><dd>{job.exit_code ?? 0}</dd></>}
      </dl>
      <Why job={job} tasks={tasks} open={open} />
      <Tree live={live} number={number} />
      {total(job.counts) > 1 && <><h2>All tasks</h2><TasksGrid job={job} live={live} open={open} /></>}
      <h2 ref={heading}>Output{chosen !== null && ` of task ${chosen}`}</h2>
      {chosen !== null && <p><button class="quiet" onClick={() => setChosen(null)}>Show the output of all</button></p>}
      <Output path={`/v1/jobs/${number}${chosen === null ? "" : `.${chosen}`}/logs`} />
      <Timeline job={number} tasks={tasks} now={Date.now() / 1000 + live.skew} open={open} />
      {files.length > 0 && <Files number={number} files={files} isArray={total(job.counts) > 1} />}
      <h2>Tasks</h2>
      <table>
        <thead><tr><th scope="col">Task</th><th scope="col">State</th><th scope="col">Why</th><th scope="col">Worker</th><th scope="col">Took</th><th scope="col" class="wide">Memory</th></tr></thead>
        <tbody>
          {tasks.slice(0, TASKS).map((task) => (
            <tr key={task.index ?? 0}>
              <td class="number">{total(job.counts) > 1 ? <button class="quiet" aria-label={`Output of task ${task.number ?? 0}`} onClick={() => open(Number(task.number ?? 0))}>{String(task.number ?? 0)}</button> : String(task.number ?? 0)}</td>
              <td><State state={task.state} /></td>
              <td>{task.reason === "ok" ? "" : harmless(task.reason ?? "")}</td>
              <td>{harmless(task.worker_name ?? "")}</td>
              <td class="number">{took(task, live)}</td>
              <td class="number wide">{Number(task.peak_memory_bytes) ? size(Number(task.peak_memory_bytes)) : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {total(job.counts) > TASKS && <p class="note">The first {count(TASKS)} of {count(total(job.counts))} tasks.</p>}
    </section>
  );
}

function took(task: any, live: Live): string {
  if (!task.started_at) return "–";
  return task.ended_at ? `${(task.ended_at - task.started_at).toFixed(2)} s` : `${age(live.since(task.started_at))} so far`;
}

/** How far an array has come, and how long the rest takes if it goes on as since it started. */
function progress(job: Job, live: Live): string {
  const all = total(job.counts), done = ended(job.counts);
  const since = job.started_at ? live.since(job.started_at) : 0;
  const left = isLive(job) && !job.pause && done > 0 && since > 0 ? (since / done) * (all - done) : 0;
  return `${count(done)} of ${count(all)} tasks have ended${left ? `; about ${age(Math.max(1, left))} left at this pace` : ""}`;
}

function filesOf(found: any): any[] {
  return (found.tasks ?? []).flatMap((task: any) => (task.files ?? []).map((file: any) => ({ ...file, task: task.task ?? 0 }))
    .filter((file: any) => file.kind === "file"));
}

function Files({ number, files, isArray }: { number: number; files: any[]; isArray: boolean }) {
  const fetchOne = (file: any) => async () => {
    const at = URL.createObjectURL(await bytes(`/v1/jobs/${number}${isArray ? `.${file.task}` : ""}/files/${inPath(file.path)}`));
    const link = document.createElement("a");
    link.href = at;
    link.download = file.path.split("/").pop();
    link.click();
    URL.revokeObjectURL(at);
  };
  return (
    <>
      <h2>Files</h2>
      <ul class="short">
        {files.slice(0, 200).map((file) => <li><span class="what">{isArray && <span class="note">task {file.task} </span>}{harmless(file.path)}</span> <span class="note number">{size(Number(file.size ?? 0))}</span> <Act name="Fetch" does={fetchOne(file)} /></li>)}
      </ul>
    </>
  );
}
