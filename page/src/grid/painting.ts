/** Cells as points of an image: a hundredth of what as many rectangles would take. No DOM. */

import { GAP } from './zoom.ts';

export interface Cells {
  /** How many tasks of each state are in each cell, and the point of that state; of few among many `least` lines are left. */
  told: readonly Float64Array[];
  tints: readonly number[];
  least: readonly number[];
  /** The first task, how many a cell has, and how many there are. */
  first: number;
  perCell: number;
  tasks: number;
  /** Of the grid: cells in a row, pixels from one to the next, pixels above what is in sight, points of a pixel. */
  columns: number;
  size: number;
  top: number;
  ratio: number;
}

/** Paints over all of the image. A row of cells that have one state each is painted once, and copied downwards. */
export function paintCells(points: Uint32Array, width: number, height: number, cells: Cells): void {
  const { told, first, perCell, columns, size, top, ratio } = cells, count = told[0]?.length ?? 0, firstRow = Math.floor(first / perCell / columns);
  points.fill(0);
  for (let at = 0; at < count; at += columns) {
    const y = (firstRow + at / columns) * size - top;
    const from = Math.round(y * ratio), to = Math.round((y + size - GAP) * ratio), seen = Math.max(0, from), end = Math.min(height, to);
    if (seen >= end) continue;
    const isMixed = paintRow(points, width, cells, at, Math.min(count, at + columns), from, to, height);
    if (!isMixed) for (let line = seen + 1; line < end; line++) points.copyWithin(line * width, seen * width, (seen + 1) * width);
  }
}

/** Whether it has painted all lines of the row, since a cell of it has several states; else the first in sight. */
function paintRow(points: Uint32Array, width: number, cells: Cells, begin: number, stop: number, from: number, to: number, height: number): boolean {
  const { told, tints, least, first, perCell, tasks, size, ratio } = cells, seen = Math.max(0, from), end = Math.min(height, to);
  const only = new Int8Array(stop - begin).fill(-1);
  let isMixed = false;
  for (let cell = begin; cell < stop; cell++) {
    const all = Math.min(perCell, tasks - first - cell * perCell);
    for (let i = 0; i < told.length; i++) {
      const has = told[i]![cell]!;
      if (has <= 0) continue;
      only[cell - begin] = i;
      isMixed ||= has < all;
      break;
    }
  }
  for (let cell = begin; cell < stop; cell++) {
    const i = only[cell - begin]!, column = cell - begin;
    if (i < 0) continue;
    const left = Math.round(column * size * ratio), right = Math.min(width, Math.round((column * size + size - GAP) * ratio));
    if (!isMixed) {
      points.fill(tints[i]!, seen * width + left, seen * width + right);
      continue;
    }
    const all = Math.min(perCell, tasks - first - cell * perCell);
    for (let state = i, y = from; state < told.length && y < to; state++) {
      const has = told[state]![cell]!;
      if (has <= 0) continue;
      const until = Math.min(to, y + (has >= all ? to - y : Math.max(least[state]!, Math.round(((to - from) * has) / all))));
      for (let line = Math.max(seen, y); line < Math.min(end, until); line++) points.fill(tints[state]!, line * width + left, line * width + right);
      y = until;
    }
  }
  return isMixed;
}

/** A colour of six hexadecimal digits as one point of an image. */
export function tint(colour: string): number {
  const rgb = parseInt(colour.slice(1), 16);
  return (0xff000000 | ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}
