// When the attempts of a job's tasks ran, and on which worker.

import { useEffect, useRef } from "preact/hooks";
import type { Attempt } from "../grid/lanes";
import { stateOf } from "../grid/states";
import { TimelineView } from "../grid/timeline_view";
import { harmless } from "../words";

interface Props {
  job: number;
  tasks: any[];
  now: number; // Unix seconds of the cluster's clock
  open: (task: number) => void;
}

export function Timeline({ job, tasks, now, open }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<TimelineView | null>(null);
  const attempts = attemptsOf(tasks);
  const isShown = attempts.length > 1;
  useEffect(() => {
    if (!isShown) return;
    const made = new TimelineView(box.current!, { label: `Attempts of job ${job} over time`, open: ({ task }) => open(task) });
    view.current = made;
    return () => {
      view.current = null;
      made.close();
    };
  }, [job, isShown]);
  useEffect(() => view.current?.set(attempts, now), [tasks, isShown]);
  if (!isShown) return null;
  return (
    <>
      <h2>Attempts over time</h2>
      <div class="attempts" ref={box} />
    </>
  );
}

function attemptsOf(tasks: any[]): Attempt[] {
  const found: Attempt[] = [];
  for (const task of tasks) {
    for (const each of task.attempts?.length ? task.attempts : [task]) {
      const state = stateOf(each.state ?? "");
      if (!state || !each.started_at) continue;
      found.push({
        task: Number(task.number ?? 0), attempt: each.attempt ?? 1, worker: harmless(each.worker_name || "a worker that is gone"),
        start: each.started_at, end: each.ended_at ?? 0, state,
      });
    }
  }
  return found;
}
