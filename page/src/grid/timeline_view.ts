/** When attempts ran, and on which worker: bars on a canvas, some thousands of them. */

import { type Attempt, type Bar, type Lanes, lanes } from './lanes.ts';
import { LOOKS } from './states.ts';

const LANE = 16, HEAD = 22, LEFT = 110;

export interface TimelineOptions {
  label: string;
  open: (attempt: Attempt) => void;
}

export class TimelineView {
  private shown: Lanes = lanes([], 0);
  private from = 0;
  private to = 1;
  private focus = 0;
  private frame = 0;
  private readonly scroller = document.createElement('div');
  private readonly canvas = document.createElement('canvas');
  private readonly said = document.createElement('p');
  private readonly resizing = new ResizeObserver(() => this.draw());
  private readonly theme = matchMedia('(prefers-color-scheme: dark)');
  private readonly rethemed = (): void => this.draw();

  constructor(private readonly box: HTMLElement, private readonly options: TimelineOptions) {
    box.classList.add('timeline');
    this.scroller.className = 'timeline-scroller';
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute('role', 'application');
    this.canvas.setAttribute('aria-label', `${options.label}. Left and right go from attempt to attempt, plus and minus zoom, Enter opens one.`);
    this.said.className = 'grid-said';
    this.said.setAttribute('role', 'status');
    this.scroller.append(this.canvas);
    box.append(this.scroller, this.said);
    this.canvas.addEventListener('keydown', (event) => this.keyed(event));
    this.canvas.addEventListener('wheel', (event) => this.wheeled(event), { passive: false });
    this.canvas.addEventListener('pointermove', (event) => this.pointed(event));
    this.canvas.addEventListener('click', (event) => {
      const found = this.at(event.offsetX, event.offsetY);
      if (found >= 0) this.options.open(this.shown.bars[found]!.attempt);
    });
    for (const kind of ['focus', 'blur']) this.canvas.addEventListener(kind, () => this.draw());
    this.resizing.observe(this.scroller);
    this.theme.addEventListener('change', this.rethemed);
    addEventListener('theme', this.rethemed);
  }

  /** Shows these attempts; `now` in Unix seconds. What was zoomed stays so. */
  set(attempts: readonly Attempt[], now: number): void {
    const whole = this.from === this.shown.from && this.to === this.shown.to;
    this.shown = lanes(attempts, now);
    if (whole || this.to <= this.shown.from || !this.from) [this.from, this.to] = [this.shown.from, this.shown.to];
    this.focus = Math.min(this.focus, Math.max(0, attempts.length - 1));
    this.draw();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    this.resizing.disconnect();
    this.theme.removeEventListener('change', this.rethemed);
    removeEventListener('theme', this.rethemed);
    this.box.replaceChildren();
  }

  private get width(): number {
    return Math.max(1, this.canvas.clientWidth - LEFT - 8);
  }

  private x(time: number): number {
    return LEFT + ((time - this.from) / Math.max(1e-6, this.to - this.from)) * this.width;
  }

  private at(x: number, y: number): number {
    const lane = Math.floor((y - HEAD) / LANE);
    return this.shown.bars.findIndex((bar) => bar.lane === lane && x >= this.x(bar.attempt.start) - 2 && x <= this.x(this.endOf(bar)) + 2);
  }

  private endOf(bar: Bar): number {
    return bar.attempt.end || this.shown.to;
  }

  private draw(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.drawNow();
    });
  }

  private drawNow(): void {
    const ratio = devicePixelRatio, width = this.scroller.clientWidth;
    const height = Math.min(16_000, HEAD + this.shown.lanes * LANE + 4);
    this.canvas.style.height = `${height}px`;
    if (this.canvas.width !== Math.round(width * ratio)) this.canvas.width = Math.round(width * ratio);
    if (this.canvas.height !== Math.round(height * ratio)) this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext('2d'), chosen = document.documentElement.dataset['theme'];
    const theme = (chosen ? chosen === 'dark' : this.theme.matches) ? 'dark' : 'light', text = theme === 'dark' ? '#e6edf3' : '#1f2328';
    if (!context) {
      this.said.textContent = 'This browser draws no pictures: the table of tasks tells when each ran.';
      return;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = '12px system-ui, sans-serif';
    context.textBaseline = 'middle';
    this.drawFrame(context, width, height, text, theme === 'dark' ? '#30363d' : '#d8dee4');
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width, height);
    context.clip();
    this.shown.bars.forEach((bar, place) => {
      const left = this.x(bar.attempt.start), wide = Math.max(2, this.x(this.endOf(bar)) - left - 0.5);
      if (left > width || left + wide < LEFT) return;
      context.fillStyle = LOOKS[bar.attempt.state][theme];
      context.fillRect(left, HEAD + bar.lane * LANE + 1, wide, LANE - 3);
      if (place !== this.focus || document.activeElement !== this.canvas) return;
      context.strokeStyle = text;
      context.lineWidth = 2;
      context.strokeRect(left - 1, HEAD + bar.lane * LANE, wide + 2, LANE - 1);
    });
    context.restore();
  }

  private drawFrame(context: CanvasRenderingContext2D, width: number, height: number, text: string, line: string): void {
    const seconds = this.to - this.from, step = niceStep(seconds / Math.max(1, this.width / 90));
    context.fillStyle = text;
    context.strokeStyle = line;
    context.lineWidth = 1;
    context.textAlign = 'left';
    const begin = this.shown.from;
    for (let n = Math.ceil((this.from - begin) / step); n * step + begin <= this.to; n++) {
      const x = Math.round(this.x(begin + n * step)) + 0.5;
      context.beginPath();
      context.moveTo(x, 14);
      context.lineTo(x, height);
      context.stroke();
      context.fillText(`+${inWords(n * step)}`, Math.min(x + 3, width - 34), 8);
    }
    for (const { worker, first, lanes: count } of this.shown.workers) {
      const top = HEAD + first * LANE;
      context.fillText(worker, 4, top + LANE / 2, LEFT - 12);
      context.beginPath();
      context.moveTo(0, top + count * LANE - 0.5);
      context.lineTo(width, top + count * LANE - 0.5);
      context.stroke();
    }
  }

  private zoom(by: number, time: number): void {
    const { from, to } = this.shown, span = Math.max(0.001, Math.min(to - from, (this.to - this.from) * by));
    const part = (time - this.from) / Math.max(1e-6, this.to - this.from);
    this.from = Math.max(from, Math.min(to - span, time - part * span));
    this.to = this.from + span;
    this.draw();
  }

  private wheeled(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return; // the page scrolls
    event.preventDefault();
    const span = this.to - this.from;
    if (event.shiftKey) {
      const move = Math.max(this.shown.from - this.from, Math.min(this.shown.to - this.to, (span * (event.deltaY || event.deltaX)) / 1000));
      this.from += move;
      this.to += move;
      this.draw();
    } else this.zoom(event.deltaY < 0 ? 0.8 : 1.25, this.from + ((event.offsetX - LEFT) / this.width) * span);
  }

  private keyed(event: KeyboardEvent): void {
    const bars = this.shown.bars, step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -bars.length, End: bars.length }[event.key];
    const focused = bars[this.focus];
    if (step !== undefined && bars.length) {
      this.focus = Math.max(0, Math.min(bars.length - 1, this.focus + step));
      this.said.textContent = this.wordsOf(bars[this.focus]!);
      const y = HEAD + bars[this.focus]!.lane * LANE, { scrollTop, clientHeight } = this.scroller;
      if (y < scrollTop || y + LANE > scrollTop + clientHeight) this.scroller.scrollTop = y - clientHeight / 2;
      this.draw();
    } else if (focused && (event.key === '+' || event.key === '=')) this.zoom(0.5, focused.attempt.start);
    else if (focused && event.key === '-') this.zoom(2, focused.attempt.start);
    else if (focused && event.key === 'Enter') this.options.open(focused.attempt);
    else return;
    event.preventDefault();
  }

  private pointed(event: PointerEvent): void {
    const found = this.at(event.offsetX, event.offsetY);
    this.canvas.title = found < 0 ? '' : this.wordsOf(this.shown.bars[found]!);
  }

  private wordsOf(bar: Bar): string {
    const { task, attempt, worker, start, end, state } = bar.attempt;
    const took = end ? `took ${inWords(end - start)}` : `for ${inWords(this.shown.to - start)} so far`;
    return `Task ${task}, attempt ${attempt} on ${worker}: ${LOOKS[state].word}, began at +${inWords(start - this.shown.from)}, ${took}`;
  }
}

/** 1, 2 or 5 of a power of ten seconds; or minutes, hours that people count in. */
function niceStep(seconds: number): number {
  for (const step of [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400]) {
    if (step >= seconds) return step;
  }
  return Math.ceil(seconds / 86400) * 86400;
}

export function inWords(seconds: number): string {
  if (seconds < 1) return seconds ? `${Math.round(seconds * 1000)}ms` : '0';
  if (seconds < 60) return `${Number(seconds.toFixed(1))}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60 >= 1 ? `${Math.round(seconds % 60)}s` : ''}`;
  return `${Math.floor(seconds / 3600)}h${Math.round((seconds % 3600) / 60)}m`;
}
