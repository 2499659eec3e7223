/** The same as the grid, as a table of counts and ranges: for screen readers, and for who wants to copy it. */

import { LOOKS, STATES } from './states.ts';
import type { TasksMap } from './tasks_map.ts';

const MOST = 12; // ranges that are told of each state

export interface StateRow {
  state: string;
  count: number;
  tasks: string;
}

/** A row for each state that tasks are in. `number`: what people type for the task at a position. */
export function stateRows(map: TasksMap, number: (position: number) => number): StateRow[] {
  const counts = map.counts(0, map.tasks);
  return STATES.filter((state) => counts[state]).map((state) => {
    const told = map.ranges(state, MOST);
    const ranges = told?.ranges.map(([from, stop]) => (stop - from === 1 ? `${number(from)}` : `${number(from)}–${number(stop - 1)}`));
    const more = told?.more ? ` and ${told.more.toLocaleString('en')} more ranges` : '';
    return { state: LOOKS[state].word, count: counts[state]!, tasks: ranges ? ranges.join(', ') + more : 'in too many ranges to tell' };
  });
}
