import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOKS } from '../src/grid/states.ts';
import { TasksMap, inWords, numberOf } from '../src/grid/tasks_map.ts';
import { GridPlace, levels } from '../src/grid/zoom.ts';
import { lanes } from '../src/grid/lanes.ts';

const answer = (per_cell: number, states: [string, number[]][], first = 0, count = 10) => ({
  job: 1, tasks: 100, first, count, per_cell,
  states: states.map(([state, pieces]) => ({ state, tasks: 0, ranges: per_cell ? [] : pieces, cells: per_cell ? pieces : [] })),
});

test('ranges are counted for any tasks', () => {
  const map = new TasksMap(answer(0, [['TASK_STATE_FAILED', [2, 3, 1, 1]], ['TASK_STATE_READY', [0, 2, 3, 1, 1, 3]]]));
  assert.deepEqual(map.counts(0, 10), { failed: 4, ready: 6 });
  assert.deepEqual(map.counts(3, 6), { failed: 2, ready: 1 });
  assert.deepEqual(map.counts(6, 7), { failed: 1 });
  assert.deepEqual(map.counts(7, 7), {});
  assert.deepEqual(map.ranges('failed', 1), { ranges: [[2, 5]], more: 1 });
  const truth = 'RRFFFRFRRR';
  for (let from = 0; from < 10; from++) {
    for (let stop = from; stop <= 10; stop++) {
      const counted = map.counts(from, stop), part = truth.slice(from, stop);
      assert.equal(counted.failed ?? 0, part.split('F').length - 1);
      assert.equal(counted.ready ?? 0, part.split('R').length - 1);
    }
  }
});

test('cells are counted, evenly within each', () => {
  const map = new TasksMap(answer(4, [['TASK_STATE_FAILED', [4, 0, 2]], ['TASK_STATE_NEW', [1, 1, 1]]], 20, 10));
  assert.deepEqual(map.counts(20, 30), { failed: 6 });
  assert.deepEqual(map.counts(22, 26), { failed: 2 });
  assert.equal(map.ranges('failed', 5), null);
});

test('numbers are those that people type', () => {
  const array = [{ first: '5', last: '9', step: '2' }, { first: '100', last: '200', step: '1' }];
  assert.deepEqual([0, 2, 3, 103].map((at) => numberOf(array, at)), [5, 9, 100, 200]);
  assert.deepEqual([numberOf([], 0), numberOf([], 4, true)], [0, 5]);
  assert.equal(inWords({ failed: 1200, succeeded: 0.3 }, (state) => LOOKS[state].word), '1,200 failed, 1 succeeded');
});

test('a million tasks are in sight at once, and one of them when near', () => {
  const place = new GridPlace(1_000_000, 1200, 500);
  assert.deepEqual(place.inSight(), [0, 1_000_000]);
  assert.ok(place.contentHeight <= 500);
  assert.ok(place.now.perCell <= 128, 'as near as it fits');
  place.zoom(99, 654_321);
  assert.equal(place.now.perCell, 1);
  const [x, y] = place.pointOf(654_321);
  assert.equal(place.taskAt(x + 1, y + 1), 654_321);
  assert.ok(y >= 0 && y < 500);
  place.zoom(-99, 654_321);
  assert.deepEqual([place.top, place.level], [0, place.levels.length - 1]);
});

test('what was at the pointer stays near it', () => {
  const place = new GridPlace(1_000_000, 1000, 500);
  for (let step = 0; step < place.levels.length - 1; step++) {
    const task = place.taskAt(400, 250);
    place.zoom(1, task);
    const [, y] = place.pointOf(task);
    assert.ok(y >= 0 && y + place.now.size <= 500 + place.now.size, `${y}`);
  }
});

test('no place is out of reach, however small', () => {
  for (const [tasks, width, height] of [[1, 300, 200], [3, 5, 5], [1000, 1, 1], [0, 100, 100]] as const) {
    const place = new GridPlace(tasks, width, height);
    assert.ok(place.columns >= 1 && place.levels.length >= 1);
    place.zoom(99, 0);
    place.show(Math.max(0, tasks - 1));
    assert.ok(place.taskAt(0, 0) >= 0);
    place.resize(tasks * 2, width * 3, height);
  }
  assert.equal(levels(4, 400, 400).length, 1);
});

test('attempts that overlap lie in lanes of their own', () => {
  const at = (worker: string, start: number, end: number) => ({ task: 0, attempt: 1, worker, start, end, state: 'running' as const });
  const drawn = lanes([at('b', 0, 5), at('a', 4, 6), at('b', 5, 9), at('b', 3, 4), at('a', 5, 0)], 10);
  assert.deepEqual(drawn.workers.map(({ worker, first, lanes: count }) => [worker, first, count]), [['a', 0, 2], ['b', 2, 2]]);
  assert.deepEqual(drawn.bars.map(({ lane, attempt: { start } }) => [lane, start]), [[0, 4], [1, 5], [2, 0], [3, 3], [2, 5]]);
  assert.deepEqual([drawn.from, drawn.to, drawn.lanes], [0, 10, 4]);
});

test('cells say the same as counts', () => {
  const map = new TasksMap(answer(0, [['TASK_STATE_FAILED', [2, 3, 1, 1]], ['TASK_STATE_READY', [0, 2, 3, 1, 1, 3]]]));
  assert.deepEqual(map.cells(1, 4, 3).map(([state, counts]) => [state, [...counts]]), [['failed', [3, 1, 0]], ['ready', [1, 3, 1]]]);
});
