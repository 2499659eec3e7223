/** What GET /v1/jobs/{job}/states tells: which tasks are in which state. No DOM. */

import { STATES, type State, stateOf } from './states.ts';

export interface StatesAnswer {
  job: number;
  tasks: number;
  first: number;
  count: number;
  per_cell: number;
  states: { state: string; tasks: number; ranges: number[]; cells: number[] }[];
}

export type Counts = Partial<Record<State, number>>;

/** How many are in each state, among any of the tasks. Answers take log n for n ranges or cells. */
export class TasksMap {
  readonly tasks: number;
  readonly first: number;
  readonly stop: number;
  /** 0: each task is known. */
  readonly perCell: number;
  private readonly sets = new Map<State, { edges: Float64Array; sums: Float64Array }>();

  constructor(answer: StatesAnswer) {
    this.tasks = answer.tasks;
    this.first = answer.first;
    this.stop = answer.first + answer.count;
    this.perCell = answer.per_cell;
    for (const each of answer.states) {
      const state = stateOf(each.state);
      if (state) this.sets.set(state, this.perCell ? this.ofCells(each.cells) : this.ofRanges(each.ranges));
    }
  }

  /** Starts and stops in turn; and how many members there are before each start. */
  private ofRanges(ranges: number[]): { edges: Float64Array; sums: Float64Array } {
    const edges = new Float64Array(ranges.length), sums = new Float64Array(ranges.length / 2 + 1);
    let at = this.first;
    for (let i = 0; i < ranges.length; i++) {
      at += ranges[i]!;
      edges[i] = at;
      if (i & 1) sums[(i + 1) / 2] = sums[(i - 1) / 2]! + ranges[i]!;
    }
    return { edges, sums };
  }

  private ofCells(cells: number[]): { edges: Float64Array; sums: Float64Array } {
    const sums = new Float64Array(cells.length + 1);
    cells.forEach((count, i) => (sums[i + 1] = sums[i]! + count));
    return { edges: new Float64Array(0), sums };
  }

  /** Of the tasks from one to before another. Within a cell it is taken to be even. */
  counts(from: number, stop: number): Counts {
    const found: Counts = {};
    for (const state of STATES) {
      const set = this.sets.get(state);
      if (!set) continue;
      const count = this.before(set, stop) - this.before(set, from);
      if (count > 0) found[state] = count;
    }
    return found;
  }

  /** How many are in each state in each of several cells of so many tasks, from one task on; states that none is in are
   * left out. */
  cells(from: number, perCell: number, cells: number): [State, Float64Array][] {
    const found: [State, Float64Array][] = [];
    for (const state of STATES) {
      const set = this.sets.get(state);
      if (!set) continue;
      const counts = new Float64Array(cells);
      let before = this.before(set, from);
      for (let cell = 0; cell < cells; cell++) {
        const next = this.before(set, Math.min(this.stop, from + (cell + 1) * perCell));
        counts[cell] = Math.max(0, next - before);
        before = next;
      }
      found.push([state, counts]);
    }
    return found;
  }

  private before(set: { edges: Float64Array; sums: Float64Array }, task: number): number {
    const { edges, sums } = set;
    if (this.perCell) {
      if (task >= this.stop) return sums[sums.length - 1]!;
      const place = Math.max(0, task - this.first), cell = Math.floor(place / this.perCell), start = cell * this.perCell;
      const size = Math.min(this.perCell, this.stop - this.first - start); // of the last one it may be less
      return sums[cell]! + ((place - start) / size) * (sums[cell + 1]! - sums[cell]!);
    }
    let low = 0, high = edges.length / 2; // ranges that start before the task
    while (low < high) {
      const middle = (low + high) >> 1;
      if (edges[2 * middle]! < task) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : sums[low - 1]! + Math.min(task, edges[2 * low - 1]!) - edges[2 * low - 2]!;
  }

  /** The first ranges of tasks in a state, and how many more there are; null: single tasks are not known. */
  ranges(state: State, most: number): { ranges: [number, number][]; more: number } | null {
    if (this.perCell) return null;
    const edges = this.sets.get(state)?.edges ?? [], found: [number, number][] = [];
    for (let i = 0; i < edges.length && found.length < most; i += 2) found.push([edges[i]!, edges[i + 1]!]);
    return { ranges: found, more: edges.length / 2 - found.length };
  }
}

export interface Segment {
  first: string | number;
  last: string | number;
  step: string | number;
}

/** The number that people type for the task at a position: of a job with that array, or with lines (from 1). */
export function numberOf(array: readonly Segment[], position: number, hasLines = false): number {
  if (!array.length) return hasLines ? position + 1 : 0;
  let left = position;
  for (const { first, last, step } of array) {
    const each = Math.max(1, Number(step)), size = Math.floor((Number(last) - Number(first)) / each) + 1;
    if (left < size) return Number(first) + left * each;
    left -= size;
  }
  return position;
}

/** What the counts say, in words: `1,000 succeeded, 24 failed`. Parts of a task that were only estimated are rounded. */
export function inWords(counts: Counts, words: (state: State) => string): string {
  const parts = STATES.filter((state) => counts[state]).map(
    (state) => `${Math.max(1, Math.round(counts[state]!)).toLocaleString('en')} ${words(state)}`,
  );
  return parts.join(', ') || 'not known yet';
}
