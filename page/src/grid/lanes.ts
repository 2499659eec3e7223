/** Attempts over time, by worker: those that ran at once lie in lanes of their own. No DOM. */

import type { State } from './states.ts';

export interface Attempt {
  task: number;
  attempt: number;
  worker: string;
  /** Unix seconds. */
  start: number;
  /** 0: it is under way. */
  end: number;
  state: State;
}

export interface Bar {
  lane: number;
  attempt: Attempt;
}

export interface Lanes {
  bars: Bar[];
  workers: { worker: string; first: number; lanes: number }[];
  lanes: number;
  from: number;
  to: number;
}

/** Each worker's attempts in as few lanes as hold them, workers by name. `now`: Unix seconds. */
export function lanes(attempts: readonly Attempt[], now: number): Lanes {
  const by = new Map<string, Attempt[]>();
  for (const attempt of attempts) {
    const its = by.get(attempt.worker);
    if (its) its.push(attempt);
    else by.set(attempt.worker, [attempt]);
  }
  const found: Lanes = { bars: [], workers: [], lanes: 0, from: Infinity, to: -Infinity };
  for (const worker of [...by.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))) {
    const ends: number[] = [];
    for (const attempt of by.get(worker)!.sort((a, b) => a.start - b.start)) {
      const end = attempt.end || Math.max(now, attempt.start);
      let lane = ends.findIndex((until) => until <= attempt.start);
      if (lane < 0) lane = ends.length;
      ends[lane] = end;
      found.bars.push({ lane: found.lanes + lane, attempt });
      found.from = Math.min(found.from, attempt.start);
      found.to = Math.max(found.to, end);
    }
    found.workers.push({ worker, first: found.lanes, lanes: ends.length });
    found.lanes += ends.length;
  }
  if (!found.bars.length) [found.from, found.to] = [now - 1, now];
  return found;
}
