/**
 * What a terminal would show of the bytes that a program has written, in bounded memory and without any DOM.
 *
 * It has no size: lines are as long as they are (but for WIDEST), and the cursor can go back among the last ROWS lines.
 * Sequences that it does not know do nothing, as in a terminal. Other control characters are shown as pictures.
 */

import { Line, SIMPLE } from './line.ts';
import { applyCodes, plain } from './style.ts';

export const ROWS = 60, WIDEST = 4096;
const TAB = 8, LONGEST_CODE = 256;

export interface Bounds {
  /** Lines that are kept, and about how many bytes they may take. */
  lines: number;
  weight: number;
}

const USUAL: Bounds = { lines: 50_000, weight: 48 * 1024 * 1024 };

const PRINTED = /[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/y;
const CODE = /[0-?]*[ -/]*/y;
const STRING_END = /[\x07\x18\x1a\x1b\x9c]/g;

export class Terminal {
  /** What is kept, the oldest first. */
  lines: Line[] = [new Line()];
  /** Lines before these that were left out, and their characters. */
  dropped = 0;
  droppedCharacters = 0;
  /** Counts changes, so that who draws sees whether there was one. */
  version = 0;
  /** The first of the lines that may have changed since somebody set this to Infinity, counted from the first of all. */
  changedFrom = 0;

  private readonly decoder = new TextDecoder('utf-8');
  private readonly bounds: Bounds;
  private weight = 0;
  private row = 0;
  private column = 0;
  private top = 0;
  private style = plain();
  private saved = { row: 0, column: 0, style: plain() };
  private rest = '';
  private inString = false;

  constructor(bounds: Partial<Bounds> = {}) {
    this.bounds = { ...USUAL, ...bounds };
  }

  /** Takes the next bytes; a character or code may go on in the next. */
  feed(bytes: Uint8Array): void {
    this.take(this.rest + this.decoder.decode(bytes, { stream: true }));
  }

  /** Nothing more comes: shows what was begun. */
  end(): void {
    const rest = this.rest + this.decoder.decode();
    this.rest = '';
    if (rest) this.print(rest.replace(/\x1b/g, '␛').replace(PICTURED, picture));
    this.trim();
  }

  /** All that is kept, as plain text. */
  text(): string {
    let text = '';
    this.lines.forEach((line, at) => (text += line + (line.goesOn || at === this.lines.length - 1 ? '' : '\n')));
    return text;
  }

  private take(text: string): void {
    this.version++;
    this.rest = '';
    let at = 0;
    while (at < text.length) {
      if (this.inString) {
        at = this.skipString(text, at);
        continue;
      }
      PRINTED.lastIndex = at;
      if (PRINTED.test(text)) {
        this.print(text.slice(at, PRINTED.lastIndex));
        at = PRINTED.lastIndex;
        continue;
      }
      const code = text.charCodeAt(at);
      if (code === 0x1b || code === 0x9b) {
        const after = this.escape(text, at);
        if (after < 0) {
          this.rest = text.slice(at);
          break;
        }
        at = after;
      } else {
        this.control(code);
        at++;
      }
    }
    this.trim();
  }

  /** A title, link or the like: nothing of it is shown. Returns where it ends, or where the text does. */
  private skipString(text: string, at: number): number {
    STRING_END.lastIndex = at;
    const end = STRING_END.exec(text);
    if (!end) return text.length;
    this.inString = false;
    // Of ESC \ the ESC is left, and does nothing with what follows.
    return end[0] === '\x1b' ? end.index : end.index + 1;
  }

  /** Does what a sequence says; returns where it ends, or -1 when more must come first. */
  private escape(text: string, at: number): number {
    let start = at + 1;
    if (text.charCodeAt(at) === 0x1b) {
      if (start >= text.length) return -1;
      const kind = text[start]!;
      if (kind !== '[') return this.shortEscape(text, start, kind);
      start++;
    }
    CODE.lastIndex = start;
    CODE.test(text);
    const end = CODE.lastIndex < start ? start : CODE.lastIndex;
    if (end >= text.length) return end - start > LONGEST_CODE ? text.length : -1;
    const final = text.charCodeAt(end);
    if (final < 0x40 || final > 0x7e) return end; // broken off by something else, which counts
    if (end - start <= LONGEST_CODE) this.command(text[end]!, text.slice(start, end));
    return end + 1;
  }

  private shortEscape(text: string, start: number, kind: string): number {
    if (']PX^_'.includes(kind)) {
      this.inString = true;
      return start + 1;
    }
    if (kind === '7') this.save();
    else if (kind === '8') this.restore();
    else if (kind === 'M') this.go(this.row - 1, this.column);
    else if (kind === 'D') this.go(this.row + 1, this.column);
    else if (kind === 'E') this.go(this.row + 1, 0);
    else if (kind === 'c') {
      this.style = plain();
      this.clear();
    } else if (kind >= ' ' && kind <= '/') {
      return start + 1 < text.length ? start + 2 : -1; // a set of characters
    } else if (kind < ' ' || kind > '~') return start;
    return start + 1;
  }

  private control(code: number): void {
    if (code === 0x0a || code === 0x0b || code === 0x0c) this.newLine();
    else if (code === 0x0d) this.column = 0;
    else if (code === 0x08) this.column = Math.max(0, this.column - 1);
    else if (code === 0x09) this.column = Math.min(WIDEST - 1, (Math.floor(this.column / TAB) + 1) * TAB);
    else if (code === 0x07 || code === 0x0e || code === 0x0f) return; // a bell, and sets of characters
    else this.print(picture(String.fromCharCode(code)));
  }

  private command(final: string, parameters: string): void {
    if (final === 'm') {
      if (!/[<-?]/.test(parameters)) applyCodes(this.style, parameters);
      return;
    }
    if (/[^0-9;]/.test(parameters)) return; // private modes
    const [first = 0, second = 0] = parameters.split(';').map(Number);
    const count = Math.max(1, first);
    switch (final) {
      case 'A': return this.go(this.row - count, this.column);
      case 'B': case 'e': return this.go(this.row + count, this.column);
      case 'C': case 'a': return this.go(this.row, this.column + count);
      case 'D': return this.go(this.row, this.column - count);
      case 'E': return this.go(this.row + count, 0);
      case 'F': return this.go(this.row - count, 0);
      case 'G': case '`': return this.go(this.row, count - 1);
      case 'd': return this.go(this.screen() + count - 1, this.column);
      case 'H': case 'f': return this.go(this.screen() + count - 1, Math.max(1, second) - 1);
      case 'J': return this.eraseScreen(first);
      case 'K': return this.eraseLine(first);
      case 'P': return this.change(() => this.line().remove(this.column, count));
      case 'X': return this.change(() => this.line().blank(this.column, this.column + count, this.style));
      case 's': return this.save();
      case 'u': return this.restore();
    }
  }

  private print(text: string): void {
    while (text) {
      const room = WIDEST - this.column;
      // Wide characters take two columns, so half as many fit for certain.
      let most = SIMPLE.test(text.length > room ? text.slice(0, room) : text) ? room : Math.max(1, room >> 1);
      if (most < text.length && /[\ud800-\udbff]/.test(text[most - 1]!)) most++;
      const piece = text.slice(0, most);
      this.change(() => (this.column = this.line().write(this.column, piece, this.style)));
      text = text.slice(most);
      if (this.column >= WIDEST) {
        this.line().goesOn = true;
        this.newLine();
      }
    }
  }

  private newLine(): void {
    this.column = 0;
    this.row++;
    this.reach();
    if (this.row - this.dropped > this.bounds.lines * 1.125 + ROWS) this.trim();
  }

  /** The line of the cursor. */
  private line(): Line {
    return this.lines[this.row - this.dropped]!;
  }

  private change(act: () => void): void {
    const line = this.line();
    this.weight -= line.weight;
    act();
    this.weight += line.weight;
    if (this.row < this.changedFrom) this.changedFrom = this.row;
  }

  /** The first line of the screen, which the cursor does not leave. */
  private screen(): number {
    return Math.max(this.top, this.dropped, this.dropped + this.lines.length - ROWS);
  }

  private go(row: number, column: number): void {
    const screen = this.screen();
    this.row = Math.max(screen, Math.min(row, screen + ROWS - 1));
    this.column = Math.max(0, Math.min(column, WIDEST - 1));
    this.reach();
  }

  private reach(): void {
    while (this.row - this.dropped >= this.lines.length) {
      const line = new Line();
      this.lines.push(line);
      this.weight += line.weight;
    }
  }

  private eraseLine(what: number): void {
    this.change(() => {
      if (what === 0) this.line().cut(this.column);
      else if (what === 1) this.line().blank(0, this.column + 1, this.style);
      else if (what === 2) this.line().cut(0);
    });
  }

  private eraseScreen(what: number): void {
    if (what >= 2) return what === 2 ? this.clear() : undefined;
    const row = this.row;
    const [from, to] = what === 0 ? [row + 1, this.dropped + this.lines.length] : [this.screen(), row];
    for (this.row = from; this.row < to; this.row++) this.change(() => this.line().cut(0));
    this.row = row;
    this.eraseLine(what);
  }

  /** An empty screen, below what there was: nothing that was written is lost. */
  private clear(): void {
    const last = this.lines[this.lines.length - 1]!;
    this.row = this.top = this.dropped + this.lines.length - (last.columns ? 0 : 1);
    this.column = 0;
    this.reach();
  }

  private save(): void {
    this.saved = { row: this.row - this.screen(), column: this.column, style: { ...this.style } };
  }

  private restore(): void {
    this.go(this.screen() + this.saved.row, this.saved.column);
    this.style = { ...this.saved.style };
  }

  /** Leaves out what is too much, at the front; never the screen. */
  private trim(): void {
    let gone = 0, weight = this.weight;
    const most = this.screen() - this.dropped;
    while (gone < most && (this.lines.length - gone > this.bounds.lines || weight > this.bounds.weight)) {
      const line = this.lines[gone++]!;
      weight -= line.weight;
      this.droppedCharacters += line.columns + 1;
    }
    if (!gone) return;
    this.lines.splice(0, gone);
    this.dropped += gone;
    this.weight = weight;
  }
}

const PICTURED = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** How a control character is shown: ␀ … ␟, ␡, or its number. */
function picture(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? '\u2421' : `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
}
