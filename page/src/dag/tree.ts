/** What GET /v1/jobs/{job}/tree tells, as jobs and edges. No DOM. */

import type { Edge } from './layout.ts';
import { type State, stateOf } from '../grid/states.ts';

/** As much of a job of /v1 as is needed here. */
export interface TreeJob {
  number: number;
  id?: string;
  state: string;
  reason?: string;
  callers?: { job: number }[];
  counts?: Record<string, number>;
  spec: { name?: string; argv?: string[]; after?: string[]; after_any?: string[]; after_fail?: string[]; after_each?: string[] };
}

export interface DagJob {
  number: number;
  name: string;
  state: State;
  /** 3 of 10, for arrays; empty for single tasks. */
  progress: string;
  calledBy: number;
  after: number[];
}

export interface Dag {
  jobs: DagJob[];
  edges: Edge[];
}

/** By what others may name it. */
export const namesOf = (job: TreeJob): string[] => [String(job.number), job.id ?? '', job.spec.name ?? ''].filter(Boolean);

/** The jobs by their numbers, who called whom, and what waits for what: dependencies are named by number, UUID or name. */
export function dagOf(found: readonly TreeJob[]): Dag {
  const by = new Map<string, number>();
  for (const job of [...found].sort((a, b) => a.number - b.number)) {
    if (job.spec.name) by.set(job.spec.name, job.number);
  }
  for (const job of found) {
    by.set(String(job.number), job.number);
    if (job.id) by.set(job.id, job.number);
  }
  const jobs: DagJob[] = [], edges: Edge[] = [];
  for (const job of [...found].sort((a, b) => a.number - b.number)) {
    const { after = [], after_any = [], after_fail = [], after_each = [] } = job.spec;
    const waits = [...after, ...after_any, ...after_fail, ...after_each].map((name) => by.get(name) ?? by.get(name.split('.')[0]!) ?? 0);
    const caller = job.callers?.length ? job.callers[job.callers.length - 1]!.job : 0;
    const known = [...new Set(waits.filter((number) => number && number !== job.number))];
    jobs.push({
      number: job.number,
      name: job.spec.name || job.spec.argv?.join(' ') || '',
      state: stateOf(job.state) ?? 'waiting',
      progress: progressOf(job.counts ?? {}),
      calledBy: caller,
      after: known,
    });
    if (caller) edges.push({ from: caller, to: job.number, kind: 'calls' });
    for (const number of known) edges.push({ from: number, to: job.number, kind: 'then' });
  }
  return { jobs, edges };
}

function progressOf(counts: Record<string, number>): string {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const ended = (counts['succeeded'] ?? 0) + (counts['failed'] ?? 0) + (counts['cancelled'] ?? 0);
  return all > 1 ? `${ended.toLocaleString('en')} of ${all.toLocaleString('en')}` : '';
}

/** Text of at most so many characters, however they are made up. */
export function short(text: string, most: number): string {
  const parts = typeof Intl.Segmenter === 'function' ? [...new Intl.Segmenter().segment(text.slice(0, 400))].map((part) => part.segment) : [...text.slice(0, 400)];
  return parts.length > most ? `${parts.slice(0, most - 1).join('')}…` : parts.join('');
}
