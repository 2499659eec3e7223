// The jobs that have to do with one, as a picture and as a table. Their states are those that the page knows already;
// the tree is asked for anew when a job has come that names one of it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api";
import { DagTable, DagView } from "../dag/dag_view";
import { dagOf, namesOf, type TreeJob } from "../dag/tree";
import type { Job, Live } from "../live";
import { Turns } from "../turns";

const REST = 1000; // ms from one question to the next

export function Tree({ live, number }: { live: Live; number: number }) {
  const [jobs, setJobs] = useState<TreeJob[]>([]);
  const turns = useRef<Turns | null>(null);
  useEffect(() => {
    const load = async () => {
      const found = await call<any>("GET", `/v1/jobs/${number}/tree`).catch(() => null);
      if (found) setJobs(found.jobs ?? []);
      return true;
    };
    const asking = new Turns(load, REST);
    turns.current = asking;
    asking.ask();
    return () => asking.close();
  }, [number]);
  const known = useMemo(() => new Set(jobs.flatMap(namesOf)), [jobs]);
  const newest = live.newest()[0]?.number ?? 0;
  const seen = useRef(newest);
  useEffect(() => {
    const come = live.newest().filter((job) => job.number > seen.current);
    seen.current = newest;
    if (come.some((job) => isOf(job, known, number))) turns.current?.ask();
  }, [newest]);
  const now = jobs.map((job) => live.jobs.get(job.number));
  const dag = useMemo(() => dagOf(jobs.map((job, at) => ({ ...job, ...now[at] }))), [jobs, ...[now.map((job) => job && `${job.state} ${JSON.stringify(job.counts)}`).join()]]);
  if (jobs.length < 2) return null;
  return (
    <>
      <h2>Jobs around it</h2>
      <div class="tree"><DagView dag={dag} current={number} open={open} /></div>
      <details><summary>As a table</summary><DagTable dag={dag} open={open} /></details>
    </>
  );
}

const open = (job: number) => void (location.hash = `#/jobs/${job}`);

/** Whether that job was called by one of these, or waits for one. */
function isOf(job: Job, known: ReadonlySet<string>, number: number): boolean {
  const { after = [], after_any = [], after_fail = [], after_each = [] } = job.spec ?? {};
  const named: string[] = [...after, ...after_any, ...after_fail, ...after_each].map((name) => String(name).split(".")[0]!);
  const callers = (job["callers"] ?? []).map((each: any) => String(each.job));
  return [...named, ...callers].some((name) => name === String(number) || known.has(name));
}
