import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BOX, type Edge, layout, pathOf } from '../src/dag/layout.ts';
import { dagOf, short } from '../src/dag/tree.ts';

const then = (from: number, to: number): Edge => ({ from, to, kind: 'then' });

function noneOverlap(ids: number[], edges: Edge[]): ReturnType<typeof layout> {
  const drawn = layout(ids, edges), places = [...drawn.places.values()];
  assert.equal(places.length, ids.length);
  for (const one of places) {
    assert.ok(one.x >= 0 && one.y >= -0.001 && one.x + BOX.width <= drawn.width + 0.001 && one.y + BOX.height <= drawn.height + 0.001);
    for (const other of places) {
      if (one.id >= other.id || one.x !== other.x) continue;
      assert.ok(Math.abs(one.y - other.y) >= BOX.height, `${one.id} and ${other.id} overlap`);
    }
  }
  return drawn;
}

test('every job stands after those that it waits for', () => {
  const drawn = noneOverlap([1, 2, 3, 4], [then(1, 2), then(1, 3), then(2, 4), then(3, 4), then(1, 4)]);
  assert.deepEqual([1, 2, 3, 4].map((id) => drawn.places.get(id)!.layer), [0, 1, 1, 2]);
  const [, long] = drawn.routes.find(([edge]) => edge.from === 1 && edge.to === 4)!;
  assert.equal(long.length, 4); // it goes by the layer between
  assert.match(pathOf(long), /^M168 /);
});

test('circles, edges to nowhere and nothing at all are drawn as well as can be', () => {
  const drawn = noneOverlap([1, 2, 3], [then(1, 2), then(2, 3), then(3, 1), then(1, 9), then(2, 2), then(1, 2)]);
  assert.equal(drawn.routes.length, 2);
  assert.equal(layout([], []).places.size, 0);
  assert.equal(noneOverlap([7], []).height, BOX.height + BOX.down / 2);
});

test('random trees of 200 jobs lie apart', () => {
  let seed = 11;
  const dice = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 5; round++) {
    const ids = Array.from({ length: 200 }, (_, i) => i + 1);
    const edges = ids.slice(1).flatMap((id) => [then(1 + dice(id - 1), id), then(Math.max(1, id - 1 - dice(12)), id)]);
    const drawn = noneOverlap(ids, edges);
    for (const [edge] of drawn.routes) assert.ok(drawn.places.get(edge.from)!.layer < drawn.places.get(edge.to)!.layer);
  }
});

test('a tree that comes in has callers and dependencies', () => {
  const job = (number: number, spec: object, more: object = {}) => ({ number, id: `id-${number}`, state: 'TASK_STATE_READY', spec, ...more });
  const dag = dagOf([
    job(3, { argv: ['sum', 'it'], after: ['first'], after_any: ['id-2', '2', '99'] }, { counts: { succeeded: 3, ready: 7 } }),
    job(1, { name: 'first' }, { state: 'TASK_STATE_SUCCEEDED', counts: { succeeded: 1 } }),
    job(2, { name: 'x' }, { callers: [{ job: 1 }] }),
  ]);
  assert.deepEqual(dag.jobs.map(({ number, name, state, progress }) => [number, name, state, progress]), [
    [1, 'first', 'succeeded', ''], [2, 'x', 'ready', ''], [3, 'sum it', 'ready', '3 of 10'],
  ]);
  assert.deepEqual(dag.edges, [{ from: 1, to: 2, kind: 'calls' }, then(1, 3), then(2, 3)]);
  assert.equal(short('👩‍👩‍👧‍👦'.repeat(1000), 5), '👩‍👩‍👧‍👦'.repeat(4) + '…');
});
