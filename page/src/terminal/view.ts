/**
 * Output as a terminal shows it, in the page: only the rows in sight are elements, and text is only ever text.
 *
 * Its box is the caller's element, of any size. It follows the end until somebody scrolls away from there.
 */

import { Folding } from './rows.ts';
import type { Segment } from './line.ts';
import { BOLD, DIM, HIDDEN, INVERSE, ITALIC, STRUCK, UNDERLINE, readable, rgbOf } from './style.ts';
import { type Bounds, Terminal } from './terminal.ts';

const PIECE = 64 * 1024; // bytes that are taken at once
const TURN = 8, MOST_OF_TURN = 40; // milliseconds of taking before others have theirs
const MOST_COLOURS = 4096; // that are kept as they are drawn
const BEYOND = 10; // rows that are drawn above and below those in sight
const CLASSES: readonly [number, string][] = [
  [BOLD, 'term-bold'], [ITALIC, 'term-italic'], [UNDERLINE, 'term-underline'],
  [STRUCK, 'term-struck'], [HIDDEN, 'term-hidden'],
];

export interface ViewOptions {
  /** What it is, for those who do not see it. */
  label: string;
  bounds?: Partial<Bounds>;
  /** Told when following the end begins or ceases. */
  onFollow?: (following: boolean) => void;
}

export class TerminalView {
  readonly terminal: Terminal;
  following = true;
  private readonly folding = new Folding();
  private readonly note = element('p', 'term-note');
  private readonly scroller = element('div', 'term-scroller');
  private readonly rows = element('div', 'term-rows');
  private readonly probe = element('span', 'term-probe');
  private readonly resizing = new ResizeObserver(() => this.measure());
  private readonly theme = matchMedia('(prefers-color-scheme: dark)');
  private readonly repaint = (): void => this.measure();
  private waiting: Uint8Array[] = [];
  private taking = false;
  private frame = 0;
  private width = 8;
  private height = 18;
  private columns = 80;
  private cost = 0;
  private drawnAt = 0;
  private readonly colours = new Map<string, { color: string; back: string }>();
  private background: number[] = [255, 255, 255];
  private text: number[] = [0, 0, 0];
  private ended: (() => void)[] = [];

  constructor(private readonly box: HTMLElement, private readonly options: ViewOptions) {
    this.terminal = new Terminal(options.bounds);
    box.classList.add('term');
    this.scroller.tabIndex = 0;
    this.scroller.setAttribute('role', 'log');
    this.scroller.setAttribute('aria-live', 'off');
    this.scroller.setAttribute('aria-label', options.label);
    this.note.hidden = true;
    this.probe.textContent = '0'.repeat(100);
    this.probe.setAttribute('aria-hidden', 'true');
    this.scroller.append(this.rows, this.probe);
    box.append(this.note, this.scroller);
    this.scroller.addEventListener('scroll', () => this.scrolled(), { passive: true });
    this.resizing.observe(this.scroller);
    this.theme.addEventListener('change', this.repaint);
    addEventListener('theme', this.repaint);
    this.measure();
  }

  /** Takes the next bytes of the output. */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += PIECE) this.waiting.push(bytes.subarray(at, at + PIECE));
    if (!this.taking) {
      this.taking = true;
      queueMicrotask(() => this.take());
    }
  }

  /** Nothing more comes. */
  end(): void {
    if (this.taking) this.ended.push(() => this.end());
    else {
      this.terminal.end();
      this.draw();
    }
  }

  /** When all that came has been taken. */
  settled(): Promise<void> {
    return new Promise((done) => (this.taking ? this.ended.push(done) : done()));
  }

  follow(): void {
    this.following = true;
    this.options.onFollow?.(true);
    this.draw();
  }

  /** Reads the theme and the size anew, and draws. Call it when the page's theme was changed by hand. */
  measure(): void {
    const style = getComputedStyle(this.box);
    this.background = numbers(style.backgroundColor) ?? this.background;
    this.text = numbers(style.color) ?? this.text;
    const box = this.probe.getBoundingClientRect();
    if (box.width > 0) [this.width, this.height] = [box.width / 100, Math.max(1, Math.round(box.height))];
    this.columns = Math.max(20, Math.floor((this.scroller.clientWidth - 24) / this.width));
    this.terminal.changedFrom = 0;
    this.colours.clear();
    this.draw();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    this.resizing.disconnect();
    this.theme.removeEventListener('change', this.repaint);
    removeEventListener('theme', this.repaint);
    this.waiting = [];
    this.box.replaceChildren();
  }

  private take(): void {
    // What is costly to draw is drawn less often while much waits, or the drawing would take all of the time.
    const until = performance.now() + Math.max(TURN, Math.min(MOST_OF_TURN, this.cost));
    let taken = 0;
    while (taken < this.waiting.length && performance.now() < until) this.terminal.feed(this.waiting[taken++]!);
    this.waiting.splice(0, taken);
    if (!this.waiting.length || performance.now() - this.drawnAt > 4 * this.cost) this.draw();
    if (this.waiting.length) {
      setTimeout(() => this.take(), 0);
      return;
    }
    this.taking = false;
    for (const each of this.ended.splice(0)) each();
  }

  private draw(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      const began = performance.now();
      this.drawNow();
      this.drawnAt = Infinity; // until the browser has laid it out, too
      setTimeout(() => {
        this.drawnAt = performance.now();
        this.cost = this.drawnAt - began;
      }, 0);
    });
  }

  private drawNow(): void {
    const terminal = this.terminal, before = this.folding.rows;
    const away = this.folding.update(terminal.lines, terminal.dropped, this.columns, terminal.changedFrom);
    terminal.changedFrom = Infinity;
    if (this.folding.rows !== before) this.rows.style.height = `${this.folding.rows * this.height}px`;
    if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight;
    else if (away) this.scroller.scrollTop -= away * this.height; // what somebody reads stays in its place
    this.sayWhatIsLeftOut();
    this.drawRows();
  }

  private sayWhatIsLeftOut(): void {
    const { dropped, droppedCharacters } = this.terminal;
    this.note.hidden = !dropped;
    const size = droppedCharacters < 1e6 ? `${Math.ceil(droppedCharacters / 1e3)} KB` : `${(droppedCharacters / 1e6).toFixed(1)} MB`;
    const words = `${dropped.toLocaleString('en')} lines (${size}) before these are not kept in the page; the file has all of them.`;
    if (dropped && this.note.textContent !== words) this.note.textContent = words;
  }

  private drawRows(): void {
    const top = this.scroller.scrollTop, height = this.height;
    const first = Math.max(0, Math.floor(top / height) - BEYOND);
    const stop = Math.ceil((top + this.scroller.clientHeight) / height) + BEYOND;
    const drawn = document.createDocumentFragment();
    this.folding.between(first, stop).forEach(({ line, from, to }, place) => {
      const row = element('div', 'term-row');
      row.style.transform = `translateY(${(first + place) * height}px)`;
      for (const segment of this.terminal.lines[line]!.segments(from, to)) row.append(this.piece(segment));
      drawn.append(row);
    });
    this.rows.replaceChildren(drawn);
  }

  private piece(segment: Segment): Node {
    const { text, attributes } = segment;
    if (!segment.fg && !segment.bg && !attributes) return document.createTextNode(text);
    const span = element('span', CLASSES.filter(([bit]) => attributes & bit).map(([, name]) => name).join(' '));
    span.textContent = text;
    const { color, back } = this.drawnColours(segment);
    if (back) span.style.backgroundColor = back;
    if (color) span.style.color = color;
    return span;
  }

  private drawnColours(segment: Segment): { color: string; back: string } {
    const { attributes } = segment, key = `${segment.fg} ${segment.bg} ${attributes & (INVERSE | DIM)}`;
    const known = this.colours.get(key);
    if (known) return known;
    let fg = this.colour(segment.fg), bg = this.colour(segment.bg);
    if (attributes & INVERSE) [fg, bg] = [bg ?? this.background, fg ?? this.text];
    if (attributes & DIM) fg = mixed(fg ?? this.text, bg ?? this.background);
    const color = fg || bg ? css(readable(fg ?? this.text, bg ?? this.background)) : '', made = { color, back: bg ? css(bg) : '' };
    if (this.colours.size >= MOST_COLOURS) this.colours.clear();
    this.colours.set(key, made);
    return made;
  }

  private colour(colour: number): number[] | null {
    return colour ? (rgbOf(colour) ?? PALETTE[colour - 1]!) : null;
  }

  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const following = scrollTop + clientHeight >= scrollHeight - this.height;
    if (following !== this.following) {
      this.following = following;
      this.options.onFollow?.(following);
    }
    this.draw();
  }
}

// The sixteen colours, which `readable` then fits to the background.
const PALETTE: readonly number[][] = [
  [36, 41, 47], [207, 34, 46], [26, 127, 55], [154, 103, 0], [9, 105, 218], [130, 80, 223], [27, 124, 131], [175, 184, 193],
  [110, 119, 129], [255, 110, 100], [86, 211, 100], [227, 179, 65], [121, 192, 255], [210, 168, 255], [86, 212, 221], [255, 255, 255],
];

function element<K extends 'div' | 'span' | 'p'>(kind: K, name: string): HTMLElementTagNameMap[K] {
  const made = document.createElement(kind);
  if (name) made.className = name;
  return made;
}

function mixed(colour: readonly number[], other: readonly number[]): number[] {
  return colour.map((value, at) => Math.round(0.6 * value + 0.4 * other[at]!));
}

function css([r, g, b]: readonly number[]): string {
  return `rgb(${r} ${g} ${b})`;
}

function numbers(colour: string): number[] | null {
  const found = colour.match(/[\d.]+/g)?.map(Number);
  return found && found.length >= 3 && found[3] !== 0 ? found.slice(0, 3) : null;
}
