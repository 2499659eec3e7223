import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BOLD, INVERSE, RGB, UNDERLINE, contrast, readable, rgbOf } from '../src/terminal/style.ts';
import { Terminal, WIDEST } from '../src/terminal/terminal.ts';

const encoder = new TextEncoder();

function shown(text: string, cut = 0): Terminal {
  const terminal = new Terminal(), bytes = encoder.encode(text);
  if (!cut) terminal.feed(bytes);
  else for (let at = 0; at < bytes.length; at += cut) terminal.feed(bytes.subarray(at, at + cut));
  return terminal;
}

const CASES: [string, string, string][] = [
  ['lines', 'a\nb\r\nc', 'a\nb\nc'],
  ['a progress bar', '10%\r20%\r100%\n', '100%\n'],
  ['a shorter one, erased', 'a long one\r\x1b[Kshort', 'short'],
  ['erased to the cursor', 'abcdef\x1b[3D\x1b[1K', '    ef'],
  ['a whole line erased', 'abc\x1b[2Kd', '   d'],
  ['backspaces', 'spin |\b/\b-', 'spin -'],
  ['tabs', 'a\tb\t\tc', 'a       b               c'],
  ['up and over', 'one\ntwo\x1b[1A\r\x1b[2KONE\x1b[1B\rTWO', 'ONE\nTWO'],
  ['beyond the top', '\x1b[99Aa', 'a'],
  ['to a column', 'abc\x1b[2GX', 'aXc'],
  ['to a place', 'a\nb\nc\x1b[2;2HX', 'a\nbX\nc'],
  ['deleted characters', 'abcdef\x1b[4G\x1b[2P', 'abcf'],
  ['blanked characters', 'abcdef\x1b[2G\x1b[2X', 'a  def'],
  ['cleared, and nothing is lost', 'old\n\x1b[2J\x1b[Hnew', 'old\nnew'],
  ['erased below', 'a\nb\nc\x1b[2A\x1b[J', 'a\n\n'],
  ['kept and found again', 'ab\x1b7cd\x1b8X', 'abXd'],
  ['a title and a link', '\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\', 'alink'],
  ['a device string', 'a\x1bPq#0~~\x1b\\b', 'ab'],
  ['unknown ones', 'a\x1b[?25l\x1b[5n\x1b[>4;2m\x1b(Bb', 'ab'],
  ['one broken off by a line', 'a\x1b[31\nb', 'a\nb'],
  ['other controls', 'a\x00b\x01\x7f\x07', 'a␀b␁␡'],
  ['a C1 control', 'a\u0085b', 'a<U+0085>b'],
  ['what turns text around', 'a\u202eb', 'a<U+202E>b'],
  ['HTML', '<script>alert(1)</script>&amp;', '<script>alert(1)</script>&amp;'],
  ['wide ones', '日本\r\x1b[2Cx', '日x '],
  ['half of a wide one', '日\rx', 'x '],
  ['combined', 'e\u0301x\r\x1b[1CY', 'e\u0301Y'],
  ['emoji', '👍👍\b\bx', '👍x '],
];

for (const [name, text, expected] of CASES) {
  test(`shows ${name}, however it comes`, () => {
    for (const cut of [0, 1, 2, 3, 7]) assert.equal(shown(text, cut).text(), expected, `in pieces of ${cut}`);
  });
}

test('bytes that are no UTF-8 are shown as such', () => {
  const terminal = new Terminal();
  terminal.feed(new Uint8Array([0x61, 0xff, 0xc3]));
  terminal.feed(new Uint8Array([0xa9]));
  assert.equal(terminal.text(), 'a\ufffdé');
});

test('what was begun is shown at the end', () => {
  const terminal = shown('a\x1b[3');
  assert.equal(terminal.text(), 'a');
  terminal.end();
  assert.equal(terminal.text(), 'a␛[3');
});

test('styles', () => {
  const text = '\x1b[1;31mred\x1b[22;4;38;5;208m256\x1b[0;7;48;2;1;2;3mtrue\x1b[m\x1b[38:2::9:8:7mcolon\x1b[39m.';
  for (const cut of [0, 1]) {
    const [line] = shown(text, cut).lines;
    assert.deepEqual(
      line!.segments().map(({ text, fg, bg, attributes }) => [text, fg, bg, attributes]),
      [
        ['red', 2, 0, BOLD],
        ['256', 209, 0, UNDERLINE],
        ['true', 0, RGB | 0x010203, INVERSE],
        ['colon', RGB | 0x090807, 0, 0],
        ['.', 0, 0, 0],
      ],
    );
  }
  assert.deepEqual(shown('\x1b[31mabcdef\r\x1b[3C\x1b[32mX').lines[0]!.segments().map((s) => [s.text, s.fg]), [
    ['abc', 2], ['X', 3], ['ef', 2],
  ]);
  assert.deepEqual(shown('\x1b[31m日本\r\x1b[0mab').lines[0]!.segments().map((s) => [s.text, s.fg]), [
    ['ab', 0], ['本', 2],
  ]);
  assert.equal(shown('\x1b[38;5;999;48;2;1m;x').lines[0]!.segments()[0]!.bg, 0);
});

test('runs cover each column once', () => {
  let seed = 7;
  const dice = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 300; round++) {
    let text = '';
    for (let i = 0; i < 60; i++) {
      text += ['abc', '日', 'e\u0301', '\r', '\b', '\t', '\x1b[3D', '\x1b[2C', '\x1b[K', '\x1b[1K', '\x1b[2P', '\x1b[2X',
        `\x1b[${30 + dice(8)}m`, '\x1b[0m', '👍'][dice(15)];
    }
    for (const line of shown(text).lines) {
      assert.equal(line.segments().map((s) => s.text).join(''), line.toString());
      for (let at = 0; at < line.columns; at += 5) {
        const parts = [...line.segments(0, at), ...line.segments(at)];
        assert.equal(parts.map((s) => s.text).join(''), line.toString());
      }
    }
  }
});

test('colours can be read', () => {
  assert.deepEqual(rgbOf(17), [0, 0, 0]);
  assert.deepEqual(rgbOf(209), [255, 135, 0]);
  assert.deepEqual(rgbOf(256), [238, 238, 238]);
  assert.equal(rgbOf(2), null);
  for (const background of [[255, 255, 255], [13, 17, 23]]) {
    for (let colour = 17; colour <= 256; colour++) {
      assert.ok(contrast(readable(rgbOf(colour)!, background), background) >= 4.5);
    }
  }
});

test('a line of 10 MB goes on in several, and no more is kept than the bounds say', () => {
  const terminal = new Terminal({ lines: 100 });
  const piece = new Uint8Array(65536).fill(120);
  for (let i = 0; i < 160; i++) terminal.feed(piece);
  assert.ok(terminal.lines.length <= 160);
  assert.ok(terminal.lines.every((line) => line.columns <= WIDEST));
  const kept = terminal.lines.reduce((sum, line) => sum + line.columns, 0);
  assert.equal(kept + terminal.droppedCharacters - terminal.dropped, 160 * 65536);
});

test('a million codes take bounded memory', () => {
  const terminal = new Terminal({ weight: 4 * 1024 * 1024 });
  const piece = encoder.encode(Array.from({ length: 1000 }, (_, i) => `\x1b[38;2;${i % 256};0;9mx`).join(''));
  for (let i = 0; i < 1000; i++) terminal.feed(piece);
  const weight = terminal.lines.reduce((sum, line) => sum + line.weight, 0);
  assert.ok(weight < 24 * 1024 * 1024, `${weight}`);
  assert.ok(terminal.dropped > 0);
});
