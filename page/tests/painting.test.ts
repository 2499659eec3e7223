import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cells, paintCells, tint } from '../src/grid/painting.ts';

const RED = tint('#ff0000'), GREEN = tint('#00ff00');

function painted(width: number, height: number, some: Partial<Cells>): string[] {
  const points = new Uint32Array(width * height).fill(7); // of the frame before
  const cells = { told: [], tints: [RED, GREEN], least: [2, 1], first: 0, perCell: 1, tasks: 100, columns: 2, size: 4, top: 0, ratio: 1, ...some };
  paintCells(points, width, height, cells);
  const names = new Map([[RED, 'r'], [GREEN, 'g'], [0, '.']]);
  return Array.from({ length: height }, (_, y) => Array.from(points.subarray(y * width, (y + 1) * width), (point) => names.get(point) ?? '?').join(''));
}

test('cells of one state each, with gaps between', () => {
  const told = [Float64Array.of(1, 0, 0), Float64Array.of(0, 1, 1)];
  assert.deepEqual(painted(8, 8, { told }), [...Array(3).fill('rrr.ggg.'), '........', ...Array(3).fill('ggg.....'), '........']);
});

test('of few among many some lines are left, and what is above the sight is cut', () => {
  const told = [Float64Array.of(1, 0), Float64Array.of(999, 1000)];
  const mixed = { told, perCell: 1000, tasks: 2000 };
  assert.deepEqual(painted(8, 4, mixed), ['rrr.ggg.', 'rrr.ggg.', 'ggg.ggg.', '........']);
  assert.deepEqual(painted(8, 3, { ...mixed, top: 1 }), ['rrr.ggg.', 'ggg.ggg.', '........']);
});

test('a cell that is not full, and one of which nothing is known', () => {
  assert.deepEqual(painted(8, 4, { told: [Float64Array.of(0, 0), Float64Array.of(0, 3)], perCell: 5, tasks: 8 }), [...Array(3).fill('....ggg.'), '........']);
});
