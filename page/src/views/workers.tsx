import { call } from "../api";
import type { Live } from "../live";
import { Act } from "../parts/act";
import { State } from "../parts/state";
import { age, harmless, plain } from "../words";

export function Workers({ live }: { live: Live }) {
  const act = (id: string, verb: string, body: unknown) => () => call("POST", `/v1/workers/${id}/${verb}`, body);
  return (
    <section>
      <h1>Workers</h1>
      {live.workers.length === 0 && <p>No worker has joined.</p>}
      <table>
        <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Cpus</th><th scope="col">Tasks</th><th scope="col" class="wide">Heard</th><th scope="col">Drain</th></tr></thead>
        <tbody>
          {live.workers.map((worker) => (
            <tr key={worker.id}>
              <td><span data-row tabIndex={-1}>{harmless(worker.name)}</span> {(worker.no_room || worker.trouble) && <small class="said">{harmless(worker.no_room || worker.trouble)}</small>}</td>
              <td><State state={worker.state} /></td>
              <td class="number">{((worker.used_millicpus ?? 0) / 1000).toFixed(1)} of {((worker.capacity_millicpus ?? 0) / 1000).toFixed(0)}</td>
              <td class="number">{worker.running ?? 0}</td>
              <td class="number wide">{worker.last_heard_at ? `${age(Date.now() / 1000 - worker.last_heard_at)} ago` : "–"}</td>
              <td>
                {worker.drain
                  ? <Act name="Resume" does={act(worker.id, "resume", {})} />
                  : ["online", "full"].includes(plain(worker.state)) && <Act name="Drain" does={act(worker.id, "drain", {})} asks={`Give ${worker.name} nothing more?`} />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
