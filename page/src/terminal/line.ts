/** One line of a terminal: its characters in columns, and runs of the same style. */

import type { Style } from './style.ts';

/** Numbers of one run: columns, fg, bg, attributes. */
export const RUN = 4;

export interface Segment extends Style {
  text: string;
}

const ZERO_WIDTH = /^[\p{Mn}\p{Me}\u200b-\u200d\ufe00-\ufe0f]/u;
const WIDE = new RegExp(
  '^[\\u1100-\\u115f\\u2e80-\\u303e\\u3041-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe4f\\uff00-\\uff60' +
    '\\uffe0-\\uffe6\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}\\u{1f900}-\\u{1faff}\\u{20000}-\\u{3fffd}]', 'u',
);
// Each of these characters takes one column.
export const SIMPLE = /^[\x20-\x7e\u00a0-\u02ff\u0370-\u0482\u048a-\u058f\u2010-\u2027\u2190-\u230f\u2400-\u25ff]*$/;

/** The columns that one character takes: 0, 1 or 2. */
export function widthOf(character: string): number {
  return ZERO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}

export class Line {
  /** Another line goes on with the text of this one. */
  goesOn = false;
  private text = '';
  /** Where characters are wide or combined: what stands in each column, '' after a wide one. */
  private cells: string[] | null = null;
  private runs: number[] = [];

  get columns(): number {
    return this.cells ? this.cells.length : this.text.length;
  }

  /** About how many bytes it takes. */
  get weight(): number {
    return 100 + (this.cells ? 16 * this.cells.length : 2 * this.text.length) + 8 * this.runs.length;
  }

  toString(): string {
    return this.cells ? this.cells.join('') : this.text;
  }

  /** Writes text over what stands at that column, or after blanks; returns the column after it. */
  write(column: number, text: string, style: Style): number {
    if (column > this.columns) this.append(' '.repeat(column - this.columns), { fg: 0, bg: 0, attributes: 0 });
    if (SIMPLE.test(text) && !this.cells) {
      if (column === this.text.length) this.append(text, style);
      else {
        this.restyle(column, text.length, style);
        this.text = this.text.slice(0, column) + text + this.text.slice(column + text.length);
      }
      return column + text.length;
    }
    return this.writeCells(column, text, style);
  }

  private append(text: string, style: Style): void {
    if (!text) return;
    if (this.cells) for (const each of text) this.cells.push(each);
    else this.text += text;
    this.push(text.length, style);
  }

  private push(columns: number, { fg, bg, attributes }: Style): void {
    const runs = this.runs, last = runs.length - RUN;
    if (last >= 0 && runs[last + 1] === fg && runs[last + 2] === bg && runs[last + 3] === attributes) {
      runs[last]! += columns;
    } else runs.push(columns, fg, bg, attributes);
  }

  private writeCells(column: number, text: string, style: Style): number {
    const cells = (this.cells ??= [...this.text]);
    this.text = '';
    const first = column;
    let known = cells.length;
    for (const character of text) {
      const width = widthOf(character);
      if (width === 0) {
        const before = column - 1 - (column > 1 && cells[column - 1] === '' ? 1 : 0);
        if (before >= 0 && cells[before]!.length < 32) cells[before] += character;
        continue;
      }
      if (cells[column] === '' && column > 0) cells[column - 1] = ' '; // half of a wide one is overwritten
      if (cells[column + width] === '') cells[column + width] = ' ';
      cells[column] = character;
      if (width === 2) cells[column + 1] = '';
      column += width;
    }
    if (first < known) this.restyle(first, Math.min(column, known) - first, style);
    if (column > known) this.push(column - Math.max(first, known), style);
    return column;
  }

  /** Gives columns that are there another style. */
  private restyle(column: number, count: number, style: Style): void {
    const old = this.runs, end = column + count;
    this.runs = [];
    let at = 0, done = false;
    for (let i = 0; i < old.length; i += RUN) {
      const stop = at + old[i]!, its = { fg: old[i + 1]!, bg: old[i + 2]!, attributes: old[i + 3]! };
      if (at < column) this.push(Math.min(stop, column) - at, its);
      if (!done && stop > column) {
        this.push(Math.max(0, Math.min(end, this.columns) - column), style);
        done = true;
      }
      if (stop > end) this.push(stop - Math.max(at, end), its);
      at = stop;
    }
  }

  /** Forgets all from that column on. */
  cut(column: number): void {
    if (column >= this.columns) return;
    if (this.cells) {
      this.cells.length = column;
    } else this.text = this.text.slice(0, column);
    const old = this.runs;
    this.runs = [];
    for (let i = 0, left = column; i < old.length && left > 0; i += RUN) {
      const some = Math.min(old[i]!, left);
      this.push(some, { fg: old[i + 1]!, bg: old[i + 2]!, attributes: old[i + 3]! });
      left -= some;
    }
  }

  /** Puts blanks of a style in columns that are there. */
  blank(from: number, to: number, style: Style): void {
    const end = Math.min(to, this.columns);
    if (from < end) this.write(from, ' '.repeat(end - from), { fg: 0, bg: style.bg, attributes: 0 });
  }

  /** Takes out columns; what follows moves to the left. */
  remove(column: number, count: number): void {
    const rest = this.segments(column + count);
    this.cut(column);
    for (const part of rest) column = this.write(column, part.text, part);
  }

  /** What stands in the columns, piece by piece in one style. */
  segments(from = 0, to = this.columns): Segment[] {
    const found: Segment[] = [];
    const end = Math.min(to, this.columns);
    for (let i = 0, at = 0; i < this.runs.length && at < end; i += RUN) {
      const stop = at + this.runs[i]!, start = Math.max(at, from), last = Math.min(stop, end);
      if (start < last) {
        const text = this.cells ? this.cells.slice(start, last).join('') : this.text.slice(start, last);
        found.push({ text, fg: this.runs[i + 1]!, bg: this.runs[i + 2]!, attributes: this.runs[i + 3]! });
      }
      at = stop;
    }
    return found;
  }
}
