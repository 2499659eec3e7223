import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inPath, numbersOf } from '../src/words.ts';

test("numbers as the scheduler writes them are read, and where it does not tell all that is seen", () => {
  assert.deepEqual(numbersOf("1-3,8"), [1, 2, 3, 8]);
  assert.deepEqual(numbersOf(""), []);
  assert.equal(numbersOf("1-3,…"), null);
  assert.equal(numbersOf("1-100000000"), null);
});

test("a file's name is one part of an address, whatever its bytes are", () => {
  assert.equal(inPath("out/the 100% report?.txt"), "out%2Fthe%20100%25%20report%3F.txt");
  assert.equal(inPath("\udce9t\u00e9 \ud83d\ude00"), "%e9t%C3%A9%20%F0%9F%98%80");
});
