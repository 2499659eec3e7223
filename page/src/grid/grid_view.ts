/**
 * The tasks of a job as a grid on a canvas: zoomed by wheel, keys, pinch and buttons; a million tasks are as quick as ten.
 *
 * The whole job is asked for once and again when it has changed; what is in sight is asked for more closely when the whole
 * is only known in cells that are larger than those that are drawn.
 */

import { LOOKS, STATES, type State } from './states.ts';
import { type StatesAnswer, TasksMap, inWords } from './tasks_map.ts';
import { paintCells, tint } from './painting.ts';
import { GAP, GridPlace } from './zoom.ts';

const MOST = 10_000; // ranges or cells of one answer
const PALE = new Set<State>(['ready', 'waiting', 'assigned']); // of colours on which dark text is read
export const NO_CANVAS = 'This browser draws no pictures: the table tells the same.';
const SOON = 120; // milliseconds of rest before what is in sight is asked for

export interface GridOptions {
  label: string;
  /** Asks GET /v1/jobs/{job}/states. */
  fetch: (first: number, count: number, most: number, signal: AbortSignal) => Promise<StatesAnswer>;
  /** The number that people type for the task at a position. */
  number: (position: number) => number;
  open: (position: number) => void;
  /** Told what cannot be shown, and null once it can be. */
  problem?: (words: string | null) => void;
}

export class GridView {
  /** How many times it was drawn: for measuring. */
  drawn = 0;
  whole: TasksMap | null = null;
  readonly place = new GridPlace(0, 300, 200);
  private near: TasksMap | null = null;
  private focus = 0;
  private hover = -1;
  private tipSize: [number, number] = [0, 0];
  private frame = 0;
  private image: ImageData | null = null;
  private sprite: { key: string; canvas: HTMLCanvasElement } | null = null;
  private timer = 0;
  private asking: AbortController | null = null;
  private pinch = 0;
  private readonly pointers = new Map<number, PointerEvent>();
  private readonly canvas = document.createElement('canvas');
  private readonly tip = part('div', 'grid-tip');
  private readonly legend = part('ul', 'grid-legend');
  private readonly said = part('p', 'grid-said');
  private readonly resizing = new ResizeObserver(() => this.measure());
  private readonly theme = matchMedia('(prefers-color-scheme: dark)');
  private readonly rethemed = (): void => this.draw();

  constructor(private readonly box: HTMLElement, private readonly options: GridOptions) {
    box.classList.add('grid');
    const stage = part('div', 'grid-stage');
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute('role', 'application');
    this.canvas.setAttribute('aria-roledescription', 'grid of tasks');
    this.canvas.setAttribute('aria-label', `${options.label}. Arrow keys move, plus and minus zoom, Enter opens a task.`);
    this.said.setAttribute('role', 'status');
    this.tip.setAttribute('aria-hidden', 'true');
    this.tip.hidden = true;
    stage.append(this.canvas, this.tip);
    const bar = part('div', 'grid-bar');
    bar.append(this.legend, this.button('−', 'Zoom out', -1), this.button('+', 'Zoom in', 1), this.button('All', 'Show all tasks', -99));
    box.append(bar, stage, this.said);
    this.listen();
    this.resizing.observe(stage);
    this.theme.addEventListener('change', this.rethemed);
    addEventListener('theme', this.rethemed);
  }

  /** Asks for the whole job anew: call it first, and when events say that tasks have changed. */
  async refresh(): Promise<void> {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      this.whole = new TasksMap(await this.options.fetch(0, 0, MOST, asking.signal));
      this.near = null;
      this.options.problem?.(null);
      if (this.whole.tasks !== this.place.tasks) this.measure();
      this.draw();
      this.askNear();
    } catch (error) {
      if (!asking.signal.aborted) this.options.problem?.(`The states of the tasks did not come: ${String((error as Error).message)}`);
    }
  }

  close(): void {
    this.asking?.abort();
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.resizing.disconnect();
    this.theme.removeEventListener('change', this.rethemed);
    removeEventListener('theme', this.rethemed);
    this.box.replaceChildren();
  }

  /** Nearer (1) or farther (-1), about a task. */
  zoom(steps: number, task = this.focus): void {
    this.place.zoom(steps, task);
    this.changed();
  }

  private button(text: string, label: string, steps: number): HTMLButtonElement {
    const button = part('button', 'grid-button');
    button.type = 'button';
    button.textContent = text;
    button.title = label;
    button.setAttribute('aria-label', label);
    button.addEventListener('click', () => this.zoom(steps));
    return button;
  }

  private measure(): void {
    const stage = this.canvas.parentElement!, { clientWidth, clientHeight } = stage;
    if (!clientWidth || !clientHeight) return;
    this.canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(clientHeight * devicePixelRatio);
    this.place.resize(this.whole?.tasks ?? 0, clientWidth, clientHeight);
    this.changed();
  }

  private changed(): void {
    this.draw();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.askNear(), SOON);
  }

  /** Asks for what is in sight where it is not known closely enough. */
  private async askNear(): Promise<void> {
    const whole = this.whole, [first, stop] = this.place.inSight(), { perCell } = this.place.now;
    if (!whole || whole.perCell <= perCell || stop <= first) return;
    if (this.near && this.near.first <= first && this.near.stop >= stop && this.near.perCell <= perCell) return;
    const asking = (this.asking = new AbortController());
    // Whole cells, and as much again above and below, so that a little scrolling asks for nothing.
    const around = stop - first, from = Math.floor(Math.max(0, first - around) / perCell) * perCell;
    try {
      const count = Math.min(whole.tasks, stop + around) - from;
      const near = new TasksMap(await this.options.fetch(from, count, MOST, asking.signal));
      if (asking.signal.aborted) return;
      this.near = near;
      this.draw();
    } catch (error) {
      if (!asking.signal.aborted) this.options.problem?.(`The states of these tasks did not come: ${String((error as Error).message)}`);
    }
  }

  private draw(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.drawNow();
    });
  }

  private mapOf(first: number, stop: number): TasksMap | null {
    return this.near && this.near.first <= first && this.near.stop >= stop ? this.near : this.whole;
  }

  private drawNow(): void {
    this.drawn++;
    const context = this.canvas.getContext('2d', { willReadFrequently: true }), place = this.place, { size, perCell } = place.now;
    if (!context) return this.options.problem?.(NO_CANVAS);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    const [first, stop] = place.inSight(), map = this.mapOf(first, stop);
    if (!map) return context.clearRect(0, 0, place.width, place.height);
    const colours = this.colours(), cells = Math.ceil((stop - first) / perCell);
    const told = map.cells(first, perCell, cells);
    this.paint(context, told, first, colours);
    if (perCell === 1 && size >= 16) this.drawSigns(context, told, first, stop);
    this.outline(context, this.focus, document.activeElement === this.canvas ? 2.5 : 0);
    this.drawLegend(colours);
  }

  private paint(context: CanvasRenderingContext2D, told: [State, Float64Array][], first: number, colours: Record<State, string>): void {
    const { width, height } = this.canvas;
    if (this.image?.width !== width || this.image.height !== height) this.image = context.createImageData(width, height);
    const { size, perCell } = this.place.now, { columns, tasks, top } = this.place;
    const tints = told.map(([state]) => tint(colours[state])), least = told.map(([state]) => (state === 'failed' ? 2 : 1));
    const points = new Uint32Array(this.image.data.buffer);
    paintCells(points, width, height, { told: told.map(([, counts]) => counts), tints, least, first, perCell, tasks, columns, size, top, ratio: devicePixelRatio });
    context.putImageData(this.image, 0, 0);
  }

  /** Copies of signs that were drawn once: a third of what the drawing of each takes. */
  private drawSigns(context: CanvasRenderingContext2D, told: [State, Float64Array][], first: number, stop: number): void {
    const { size } = this.place.now, numbers = size >= 40, side = size - GAP, sprite = this.signs(side, numbers);
    told.forEach(([state, counts]) => {
      const points = sprite.width, from = STATES.indexOf(state) * points;
      if (!LOOKS[state].sign) return;
      counts.forEach((count, cell) => {
        if (!count) return;
        const [x, y] = this.place.pointOf(first + cell);
        context.drawImage(sprite, 0, from, points, points, x, y, side, side);
      });
    });
    if (!numbers) return;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.font = '9px system-ui, sans-serif';
    const [pale, strong] = this.isDark() ? ['#e6edf3', '#0d1117'] : ['#1f2328', '#ffffff'];
    for (const [state, counts] of told) {
      context.fillStyle = PALE.has(state) ? pale! : strong!;
      counts.forEach((count, cell) => {
        if (!count || first + cell >= stop) return;
        const [x, y] = this.place.pointOf(first + cell);
        context.fillText(String(this.options.number(first + cell)), x + side / 2, y + size - 11, size - 4);
      });
    }
  }

  /** The sign of each state, one below the other, for cells of that many pixels. */
  private signs(side: number, numbers: boolean): HTMLCanvasElement {
    const key = `${side} ${this.isDark()} ${devicePixelRatio}`;
    if (this.sprite?.key === key) return this.sprite.canvas;
    const canvas = document.createElement('canvas'), context = canvas.getContext('2d')!, points = Math.round(side * devicePixelRatio);
    canvas.width = points;
    canvas.height = points * STATES.length;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillStyle = this.isDark() ? '#0d1117' : '#ffffff';
    context.font = `${(numbers ? 14 : Math.round(side * 0.62)) * devicePixelRatio}px system-ui, sans-serif`;
    STATES.forEach((state, place) => context.fillText(LOOKS[state].sign, points / 2, place * points + points / 2 - (numbers ? 6 * devicePixelRatio : 0)));
    this.sprite = { key, canvas };
    return canvas;
  }

  private outline(context: CanvasRenderingContext2D, task: number, width: number): void {
    const shown = this.hover >= 0 ? this.hover * this.place.now.perCell : width ? task : -1;
    if (shown < 0) return;
    const [x, y] = this.place.pointOf(shown), { size } = this.place.now;
    context.strokeStyle = this.isDark() ? '#ffffff' : '#000000';
    context.lineWidth = 2;
    context.strokeRect(x - 1, y - 1, size - GAP + 2, size - GAP + 2);
  }

  private isDark(): boolean {
    const chosen = document.documentElement.dataset['theme'];
    return chosen ? chosen === 'dark' : this.theme.matches;
  }

  private colours(): Record<State, string> {
    const theme = this.isDark() ? 'dark' : 'light';
    return Object.fromEntries(STATES.map((state) => [state, LOOKS[state][theme]])) as Record<State, string>;
  }

  private drawLegend(colours: Record<State, string>): void {
    const counts = this.whole?.counts(0, this.whole.tasks) ?? {};
    const key = JSON.stringify([counts, this.isDark()]);
    if (this.legend.dataset['key'] === key) return;
    this.legend.dataset['key'] = key;
    this.legend.replaceChildren(
      ...STATES.filter((state) => counts[state]).map((state) => {
        const item = part('li', 'grid-state'), swatch = part('span', 'grid-swatch');
        swatch.style.backgroundColor = colours[state];
        swatch.setAttribute('aria-hidden', 'true');
        item.append(swatch, `${counts[state]!.toLocaleString('en')} ${LOOKS[state].word}`);
        return item;
      }),
    );
  }

  /** What a cell is, in words. */
  wordsOf(cell: number): string {
    const [first, stop] = this.place.tasksOf(cell), map = this.mapOf(first, stop), number = this.options.number;
    const name = stop - first === 1 ? `Task ${number(first)}` : `Tasks ${number(first).toLocaleString('en')} to ${number(stop - 1).toLocaleString('en')}`;
    const counts = map?.counts(first, stop) ?? {}, only = STATES.filter((state) => counts[state]);
    if (stop - first === 1 && only.length === 1) return `${name}: ${LOOKS[only[0]!].word}`;
    return `${name}: ${inWords(counts, (state) => LOOKS[state].word)}`;
  }

  private listen(): void {
    const canvas = this.canvas;
    canvas.addEventListener('wheel', (event) => this.wheeled(event), { passive: false });
    canvas.addEventListener('keydown', (event) => this.keyed(event));
    canvas.addEventListener('focus', () => this.changed());
    canvas.addEventListener('blur', () => this.draw());
    canvas.addEventListener('pointerdown', (event) => this.pressed(event));
    canvas.addEventListener('pointermove', (event) => this.moved(event));
    for (const kind of ['pointerup', 'pointercancel'] as const) canvas.addEventListener(kind, (event) => this.released(event));
    canvas.addEventListener('pointerleave', () => this.tell(-1, 0, 0));
    canvas.addEventListener('dblclick', (event) => this.zoom(1, this.place.taskAt(event.offsetX, event.offsetY)));
  }

  private wheeled(event: WheelEvent): void {
    event.preventDefault();
    if (event.shiftKey) {
      this.place.scroll(event.deltaY || event.deltaX);
      this.changed();
    } else if (event.deltaY) {
      this.zoom(event.deltaY < 0 ? 1 : -1, this.place.taskAt(event.offsetX, event.offsetY));
      this.tell(this.place.cellAt(event.offsetX, event.offsetY), event.offsetX, event.offsetY);
    }
  }

  private keyed(event: KeyboardEvent): void {
    const { columns, now, cells, height } = this.place, rows = Math.max(1, Math.floor(height / now.size) - 1);
    const steps: Record<string, number> = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns,
      PageDown: columns * rows, PageUp: -columns * rows, Home: -cells, End: cells,
    };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const step = steps[event.key];
    if (step !== undefined) {
      const cell = Math.max(0, Math.min(cells - 1, Math.floor(this.focus / now.perCell) + step));
      this.focus = cell * now.perCell;
      this.place.show(this.focus);
      this.changed();
    } else if (event.key === '+' || event.key === '=') this.zoom(1);
    else if (event.key === '-') this.zoom(-1);
    else if (event.key === '0') this.zoom(-99);
    else if (event.key === 'Enter') this.enter(this.focus);
    else return;
    event.preventDefault();
    this.hover = -1;
    this.tip.hidden = true;
    this.said.textContent = this.wordsOf(Math.floor(this.focus / this.place.now.perCell));
  }

  private enter(task: number): void {
    if (this.place.now.perCell === 1) this.options.open(task);
    else this.zoom(1, task);
  }

  private pressed(event: PointerEvent): void {
    this.pointers.set(event.pointerId, event);
    this.canvas.setPointerCapture(event.pointerId);
    if (this.pointers.size === 2) this.pinch = this.spread();
  }

  private spread(): number {
    const [one, other] = [...this.pointers.values()];
    return one && other ? Math.hypot(one.offsetX - other.offsetX, one.offsetY - other.offsetY) : 0;
  }

  private moved(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (before) this.pointers.set(event.pointerId, event);
    if (this.pointers.size === 2) {
      const spread = this.spread();
      if (spread > this.pinch * 1.35 || spread < this.pinch / 1.35) {
        this.zoom(spread > this.pinch ? 1 : -1, this.place.taskAt(event.offsetX, event.offsetY));
        this.pinch = spread;
      }
    } else if (before) {
      this.place.scroll(before.offsetY - event.offsetY);
      this.changed();
    }
    if (this.pointers.size < 2) this.tell(this.place.cellAt(event.offsetX, event.offsetY), event.offsetX, event.offsetY);
  }

  private released(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    if (event.type === 'pointerup' && this.place.cellAt(event.offsetX, event.offsetY) >= 0) {
      this.focus = this.place.taskAt(event.offsetX, event.offsetY);
      this.said.textContent = this.wordsOf(this.place.cellAt(event.offsetX, event.offsetY));
      this.draw();
    }
  }

  private tell(cell: number, x: number, y: number): void {
    if (cell !== this.hover) {
      this.hover = cell;
      this.draw();
    }
    this.tip.hidden = cell < 0;
    if (cell < 0) return;
    const words = this.wordsOf(cell);
    if (this.tip.textContent !== words) {
      this.tip.textContent = words;
      this.tipSize = [this.tip.offsetWidth, this.tip.offsetHeight];
    }
    const [width, height] = this.tipSize, left = Math.max(4, Math.min(x + 14, this.place.width - width - 4));
    this.tip.style.transform = `translate(${left}px, ${y + 18 + height < this.place.height ? y + 18 : y - 10 - height}px)`;
  }
}

function part<K extends keyof HTMLElementTagNameMap>(kind: K, name: string): HTMLElementTagNameMap[K] {
  const made = document.createElement(kind);
  made.className = name;
  return made;
}
