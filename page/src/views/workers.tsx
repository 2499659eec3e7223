import { useEffect, useMemo, useState } from "preact/hooks";
import { call } from "../api";
import type { Live, Worker } from "../live";
import { Act } from "../parts/act";
import { free, Spaces, useRoom } from "../parts/room";
import { State } from "../parts/state";
import { age, clock, count, harmless, plain, size } from "../words";

const PAGE = 100; // workers that are shown at once
const AGAIN = 5000; // ms from one look at a worker's tasks and disk to the next
const DISKS_AGAIN = 30_000; // the same of all disks

const path = (worker: Worker): string => `#/workers/${encodeURIComponent(worker.name)}`;
const cpus = (worker: Worker): string => `${((worker.used_millicpus ?? 0) / 1000).toFixed(1)} of ${((worker.capacity_millicpus ?? 0) / 1000).toFixed(0)}`;

function memory(worker: Worker): string {
  const all = Number(worker.offer?.sums?.mem ?? 0);
  return all ? `${size(Number(worker.taken?.mem ?? 0))} of ${size(all)}` : "–";
}

/** While it is connected that changes with each beat, and is told to nobody. */
function heard(worker: Worker, live: Live): string {
  if (!["unreachable", "offline"].includes(plain(worker.state))) return "now";
  return worker.last_heard_at ? `${age(live.since(worker.last_heard_at))} ago` : "–";
}

function Drain({ worker, live }: { worker: Worker; live: Live }) {
  const act = (verb: string) => async () => {
    const answer = await call<any>("POST", `/v1/workers/${worker.id}/${verb}`, {});
    live.tookWorkers(answer.workers ?? []);
  };
  if (worker.drain) return <Act name="Resume" does={act("resume")} />;
  if (!["online", "full"].includes(plain(worker.state))) return null;
  return <Act name="Drain" does={act("drain")} asks={`Give ${harmless(worker.name)} nothing more?`} />;
}

export function Workers({ live }: { live: Live }) {
  const [text, setText] = useState("");
  const [state, setState] = useState("");
  const [page, setPage] = useState(0);
  const room = useRoom(DISKS_AGAIN);
  const disks = useMemo(() => new Map(room?.workers?.map((each) => [each.name, each])), [room]);
  const states = useMemo(() => [...new Set(live.workers.map((worker) => plain(worker.state)))].sort(), [live.workers]);
  const wanted = text.trim().toLowerCase();
  const found = live.workers.filter((worker) => (!state || plain(worker.state) === state) && (!wanted || worker.name.toLowerCase().includes(wanted)));
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  const at = Math.min(page, pages - 1);
  return (
    <section>
      <h1>Workers</h1>
      {live.workers.length === 0 && <p>{live.who ? "No worker has joined." : "Loading…"}</p>}
      {live.workers.length > 0 && (
        <form class="bar" role="search" onSubmit={(event) => event.preventDefault()}>
          <input type="search" aria-label="Search workers by name" placeholder="Name" value={text} onInput={(e) => setText(e.currentTarget.value)} />
          <select aria-label="State" value={state} onChange={(e) => setState(e.currentTarget.value)}>
            <option value="">any state</option>
            {states.map((choice) => <option value={choice}>{choice}</option>)}
          </select>
          <span class="note" role="status">{count(found.length)} of {count(live.workers.length)}</span>
          {pages > 1 && (
            <>
              <button type="button" onClick={() => setPage(at - 1)} disabled={at === 0}>Before</button>
              <span class="number">{at * PAGE + 1} to {Math.min(found.length, (at + 1) * PAGE)}</span>
              <button type="button" onClick={() => setPage(at + 1)} disabled={at === pages - 1}>Next</button>
            </>
          )}
        </form>
      )}
      {found.length > 0 && (
        <table>
          <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Cpus</th><th scope="col" class="wide">Memory</th><th scope="col" class="wide">Disk free</th><th scope="col">Tasks</th><th scope="col" class="wide">Heard</th><th scope="col">Drain</th></tr></thead>
          <tbody>
            {found.slice(at * PAGE, (at + 1) * PAGE).map((worker) => (
              <tr key={worker.id}>
                <td><a data-row href={path(worker)}>{harmless(worker.name)}</a> {(worker.no_room || worker.trouble) && <small class="said">{harmless(worker.no_room || worker.trouble)}</small>} {worker.drain?.reason && <small class="note">{harmless(worker.drain.reason)}</small>}</td>
                <td><State state={worker.state} /></td>
                <td class="number">{cpus(worker)}</td>
                <td class="number wide">{memory(worker)}</td>
                <td class="number wide">{free(disks.get(worker.name))}</td>
                <td class="number">{worker.running ?? 0}</td>
                <td class="number wide">{heard(worker, live)}</td>
                <td><Drain worker={worker} live={live} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {room && <><h2>The scheduler's disk</h2><Spaces room={room} /><p class="note">It keeps jobs {harmless(room.keep_jobs ?? "")} and output {harmless(room.keep_output ?? "")}. What a worker keeps stands with it.</p></>}
    </section>
  );
}

/** One worker: what it has, what runs there, and its disk. */
export function WorkerView({ live, name }: { live: Live; name: string }) {
  const [held, setHeld] = useState<any[]>([]);
  const room = useRoom(AGAIN)?.workers?.find((each) => each.name === name);
  const [said, setSaid] = useState("");
  const worker = live.workers.find((each) => each.name === name);
  useEffect(() => {
    let timer = 0, isOpen = true;
    const load = async () => {
      try {
        const found = await call<any>("GET", `/v1/workers?jobs=true&workers=${encodeURIComponent(name)}`);
        setHeld(found.workers?.[0]?.jobs ?? []);
        setSaid("");
      } catch (error) {
        setSaid((error as Error).message);
      }
      if (isOpen) timer = window.setTimeout(load, AGAIN);
    };
    void load();
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, [name]);
  if (!worker) return <section><h1>Worker {harmless(name)}</h1><p role="status">{live.who ? "There is no such worker: it has left the list." : "Loading…"}</p><p><a href="#/workers">All workers</a></p></section>;
  return (
    <section>
      <h1>Worker {harmless(name)}</h1>
      {said && <p class="trouble" role="status">{said}</p>}
      <p class="headline"><State state={worker.state} /> {harmless(worker.no_room || worker.trouble || worker.drain?.reason || "")}</p>
      <div class="bar"><Drain worker={worker} live={live} /></div>
      <dl class="facts">
        <dt>Cpus in use</dt><dd>{cpus(worker)}</dd>
        <dt>Memory in use</dt><dd>{memory(worker)}</dd>
        <dt>Tasks</dt><dd>{worker.running ?? 0} running, {worker.assigned ?? 0} about to start</dd>
        <dt>Labels</dt><dd>{Object.entries(worker.offer?.labels ?? {}).map(([key, value]) => harmless(`${key}=${value}`)).join(", ") || "–"}</dd>
        <dt>On the list since</dt><dd>{clock(worker.registered_at)}</dd>
        <dt>Version</dt><dd>{harmless(worker.version || "–")}</dd>
      </dl>
      <h2>Its tasks</h2>
      {held.length === 0 && <p class="note">None of jobs that you see.</p>}
      {held.length > 0 && (
        <table>
          <thead><tr><th scope="col">Job</th><th scope="col">Name</th><th scope="col">Running</th><th scope="col">About to start</th></tr></thead>
          <tbody>
            {held.map((job) => (
              <tr key={job.number}>
                <td class="number"><a data-row href={`#/jobs/${job.number}`}>{job.number}</a></td>
                <td>{harmless(live.jobs.get(job.number)?.spec?.name ?? "")}</td>
                <td class="number">{job.running ?? 0}</td>
                <td class="number">{job.assigned ?? 0}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <h2>Its disk</h2>
      {!room && <p class="note">It has not said yet, or it is away.</p>}
      {room && <Spaces room={room} />}
    </section>
  );
}
