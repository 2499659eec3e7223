// The jobs that have to do with one, as a picture and as a table. Their states follow the page's events.

import { useEffect, useState } from "preact/hooks";
import { call } from "../api";
import { DagTable, DagView } from "../dag/dag_view";
import { dagOf, type TreeJob } from "../dag/tree";
import type { Live } from "../live";

export function Tree({ live, number }: { live: Live; number: number }) {
  const [jobs, setJobs] = useState<TreeJob[]>([]);
  useEffect(() => {
    const load = () => void call<any>("GET", `/v1/jobs/${number}/tree`).then((found) => setJobs(found.jobs ?? []), () => undefined);
    load();
    return live.watch(number, load);
  }, [number]);
  if (jobs.length < 2) return null;
  const dag = dagOf(jobs.map((job) => ({ ...job, ...live.jobs.get(job.number) })));
  const open = (job: number) => (location.hash = `#/jobs/${job}`);
  return (
    <>
      <h2>Jobs around it</h2>
      <div class="tree"><DagView dag={dag} current={number} open={open} /></div>
      <details><summary>As a table</summary><DagTable dag={dag} open={open} /></details>
    </>
  );
}
