// All tasks of an array: as a grid, and the same as a table.

import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import { call } from "../api";
import { GridView } from "../grid/grid_view";
import { stateRows } from "../grid/states_table";
import { numberOf, type StatesAnswer } from "../grid/tasks_map";
import type { Job, Live } from "../live";
import { count } from "../words";

export function TasksGrid({ job, live, open }: { job: Job; live: Live; open: (task: number) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<GridView | null>(null);
  const [said, setSaid] = useState<string | null>(null);
  const [, again] = useReducer((n: number) => n + 1, 0);
  const number = (position: number) => numberOf(job.spec.array?.ranges ?? job.spec.array ?? [], position, Boolean(job.spec.lines));
  useEffect(() => {
    const ask = (first: number, tasks: number, most: number): Promise<StatesAnswer> =>
      call("GET", `/v1/jobs/${job.number}/states?first=${first}&count=${tasks}&most=${most}`);
    const grid = new GridView(box.current!, {
      label: `Tasks of job ${job.number}`, fetch: ask, number, open: (position) => open(number(position)), problem: setSaid,
    });
    view.current = grid;
    const refresh = () => void grid.refresh().then(() => again(0));
    refresh();
    const stop = live.watch(job.number, refresh);
    return () => {
      stop();
      grid.close();
    };
  }, [job.number]);
  const whole = view.current?.whole;
  return (
    <>
      <div class="tasks-grid" ref={box} />
      {said && <p class="said" role="alert">{said}</p>}
      {whole && (
        <details>
          <summary>As a table</summary>
          <table>
            <thead><tr><th scope="col">State</th><th scope="col">Tasks</th><th scope="col">Which</th></tr></thead>
            <tbody>{stateRows(whole, number).map((row) => <tr><td>{row.state}</td><td class="number">{count(row.count)}</td><td>{row.tasks}</td></tr>)}</tbody>
          </table>
        </details>
      )}
    </>
  );
}
