/** How lines fold into rows of a width, and which of them are in sight. */

import type { Line } from './line.ts';

export interface Row {
  line: number;
  from: number;
  to: number;
}

/** Rows before each line: `starts[i]` of line i, and one more for all. */
export class Folding {
  private starts: number[] = [0];
  private columns = 80;
  private dropped = 0;

  get rows(): number {
    return this.starts[this.starts.length - 1]!;
  }

  /** Counts anew, from a line on (counted from the first of all) where nothing else has changed. Returns how many rows
   * are gone at the front. */
  update(lines: readonly Line[], dropped: number, columns: number, changedFrom: number): number {
    let away = 0, from = Math.max(0, changedFrom - dropped);
    if (columns !== this.columns) from = 0;
    else if (dropped !== this.dropped) {
      const gone = Math.min(dropped - this.dropped, this.starts.length - 1);
      away = this.starts[gone]!;
      this.starts = this.starts.slice(gone);
      for (let i = 0; i < this.starts.length; i++) this.starts[i]! -= away;
    }
    [this.columns, this.dropped] = [columns, dropped];
    from = Math.min(from, this.starts.length - 1);
    this.starts.length = from + 1;
    for (let i = from; i < lines.length; i++) {
      this.starts.push(this.starts[i]! + Math.max(1, Math.ceil(lines[i]!.columns / columns)));
    }
    return away;
  }

  /** The rows from one number to before another. */
  between(first: number, stop: number): Row[] {
    const found: Row[] = [];
    let line = this.lineOf(first);
    for (let row = first; row < Math.min(stop, this.rows); row++) {
      while (this.starts[line + 1]! <= row) line++;
      const from = (row - this.starts[line]!) * this.columns;
      found.push({ line, from, to: from + this.columns });
    }
    return found;
  }

  lineOf(row: number): number {
    let low = 0, high = this.starts.length - 1;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle]! <= row) low = middle;
      else high = middle;
    }
    return low;
  }
}
