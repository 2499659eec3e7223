/** How tasks lie in a grid: rows of cells of 1, 2, 4, … tasks, and how it is zoomed. No DOM. */

const SIZES = [10, 16, 26, 40]; // pixels of a cell of one task, the last ones with its number
const SMALL = 7; // of a cell of several
export const GAP = 1;

export interface Level {
  perCell: number;
  /** Pixels from one cell to the next. */
  size: number;
}

/** From the nearest to the farthest, in which all tasks are in sight if that is possible. */
export function levels(tasks: number, width: number, height: number): Level[] {
  const found: Level[] = [...SIZES].reverse().map((size) => ({ perCell: 1, size }));
  for (let perCell = 1; ; perCell *= 2) {
    found.push({ perCell, size: SMALL });
    const columns = Math.max(1, Math.floor(width / SMALL));
    if (Math.ceil(Math.ceil(tasks / perCell) / columns) * SMALL <= height || perCell >= tasks) break;
  }
  // What is farther away than needed is no use to anybody.
  const fits = found.findIndex(({ perCell, size }) => {
    const columns = Math.max(1, Math.floor(width / size));
    return Math.ceil(Math.ceil(tasks / perCell) / columns) * size <= height;
  });
  return fits < 0 ? found : found.slice(0, fits + 1);
}

export class GridPlace {
  level = 0;
  /** Pixels above what is in sight. */
  top = 0;
  levels: Level[] = [{ perCell: 1, size: SMALL }];

  constructor(public tasks: number, public width: number, public height: number) {
    this.resize(tasks, width, height);
    this.level = this.levels.length - 1;
  }

  get now(): Level {
    return this.levels[this.level]!;
  }

  get columns(): number {
    return Math.max(1, Math.floor(this.width / this.now.size));
  }

  get cells(): number {
    return Math.ceil(this.tasks / this.now.perCell);
  }

  get contentHeight(): number {
    return Math.ceil(this.cells / this.columns) * this.now.size;
  }

  /** The whole stays the whole; else the task in the middle stays there. */
  resize(tasks: number, width: number, height: number): void {
    const whole = this.level === this.levels.length - 1;
    const task = this.taskAt(this.width / 2, this.height / 2);
    Object.assign(this, { tasks, width, height });
    const before = this.now;
    this.levels = levels(tasks, width, height);
    const same = this.levels.findIndex((level) => level.perCell === before.perCell && level.size >= before.size);
    this.level = whole || same < 0 ? this.levels.length - 1 : same;
    this.show(task);
  }

  /** The task at a point of what is in sight: the first of its cell; beyond the last: that. */
  taskAt(x: number, y: number): number {
    return Math.min(Math.max(0, this.tasks - 1), Math.max(0, this.cellAt(x, y)) * this.now.perCell);
  }

  /** The cell at a point; -1: there is none. */
  cellAt(x: number, y: number): number {
    const column = Math.floor(x / this.now.size), row = Math.floor((y + this.top) / this.now.size);
    const cell = row * this.columns + column;
    return column < 0 || column >= this.columns || row < 0 || cell >= this.cells ? -1 : cell;
  }

  /** Where a task's cell is in sight: the corner above and to the left. */
  pointOf(task: number): [number, number] {
    const cell = Math.floor(task / this.now.perCell), { size } = this.now;
    return [(cell % this.columns) * size, Math.floor(cell / this.columns) * size - this.top];
  }

  /** Nearer (1) or farther (-1), so that the task stays at about the same height. */
  zoom(steps: number, task: number): void {
    const y = Math.min(this.height - this.now.size, Math.max(0, this.pointOf(task)[1]));
    this.level = Math.max(0, Math.min(this.levels.length - 1, this.level - steps));
    this.top = 0;
    this.scroll(this.pointOf(task)[1] - y);
  }

  scroll(pixels: number): void {
    this.top = Math.max(0, Math.min(this.top + pixels, this.contentHeight - this.height));
  }

  /** Scrolls no farther than is needed to have the task in sight. */
  show(task: number): void {
    const y = this.pointOf(task)[1];
    this.scroll(y < 0 ? y : Math.max(0, y + this.now.size - this.height));
  }

  /** The tasks in sight, from the first to before the last. */
  inSight(): [number, number] {
    const { size, perCell } = this.now;
    const first = Math.floor(this.top / size) * this.columns * perCell;
    const stop = Math.ceil((this.top + this.height) / size) * this.columns * perCell;
    return [first, Math.min(this.tasks, stop)];
  }

  /** The tasks of a cell, from the first to before the last. */
  tasksOf(cell: number): [number, number] {
    return [cell * this.now.perCell, Math.min(this.tasks, (cell + 1) * this.now.perCell)];
  }
}
