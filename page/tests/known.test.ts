import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Known } from '../src/known.ts';

test('an answer to an older question overwrites nothing', () => {
  const known = new Known();
  const first = known.ask(), second = known.ask();
  assert.equal(known.isFresh(5, second), true);
  assert.equal(known.isFresh(5, first), false, 'it came late');
  assert.equal(known.isFresh(6, first), true, 'of another job nothing newer is known');
  assert.equal(known.isFresh(5, second), true, 'one answer may come in parts');
  assert.equal(known.isNewer(5, first), true);
  assert.equal(known.isNewer(6, first), false);
});

test('what is forgotten is known anew by any answer', () => {
  const known = new Known();
  const first = known.ask(), second = known.ask();
  known.isFresh(5, second);
  known.keep(new Map([[7, null]]));
  assert.equal(known.isFresh(5, first), true);
});
