import assert from 'node:assert/strict';
import { test } from 'node:test';
import { numbersOf } from '../src/words.ts';

test("numbers as the scheduler writes them are read, and where it does not tell all that is seen", () => {
  assert.deepEqual(numbersOf("1-3,8"), [1, 2, 3, 8]);
  assert.deepEqual(numbersOf(""), []);
  assert.equal(numbersOf("1-3,…"), null);
  assert.equal(numbersOf("1-100000000"), null);
});
