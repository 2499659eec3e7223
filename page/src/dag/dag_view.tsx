/** The jobs of a tree, drawn: boxes in layers, lines for calls and for what waits for what; zoomed and moved by keys, too. */

import type { HTMLAttributes, JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { LOOKS } from '../grid/states.ts';
import { BOX, type Layout, layout, pathOf } from './layout.ts';
import { type Dag, type DagJob, short } from './tree.ts';

interface View {
  x: number;
  y: number;
  scale: number;
}

export interface DagProps {
  dag: Dag;
  /** The job whose tree it is. */
  current: number;
  open: (job: number) => void;
}

const LEAST = 0.1, MOST = 2.5, MARGIN = 24;
const REST = 200; // ms after the last move

export function DagView({ dag, current, open }: DagProps): JSX.Element {
  // Where jobs stand changes only when there are other jobs or edges; their states change all the time.
  const shape = dag.jobs.map((job) => job.number).join() + '|' + dag.edges.map((edge) => `${edge.from}>${edge.to}`).join();
  const drawn = useMemo(() => layout(dag.jobs.map((job) => job.number), dag.edges), [shape]);
  const frame = useRef<HTMLDivElement>(null);
  const picture = useRef<SVGSVGElement>(null);
  const setView = useMemo(() => moving(picture), []);
  const [focus, setFocus] = useState(current);
  useEffect(() => setView(() => fitting(drawn, frame.current)), [drawn]);
  useWheel(frame, setView);
  const focused = drawn.places.has(focus) ? focus : (dag.jobs[0]?.number ?? 0);
  const keyed = (event: KeyboardEvent): void => {
    const next = stepFrom(drawn, focused, event.key);
    if (next) {
      setFocus(next);
      setView((now) => showing(now, drawn, next, frame.current));
    } else if (event.key === '+' || event.key === '=') setView((now) => zoomed(now, 1.25, frame.current));
    else if (event.key === '-') setView((now) => zoomed(now, 0.8, frame.current));
    else if (event.key === '0') setView(() => fitting(drawn, frame.current));
    else if (event.key === 'Enter' && focused) open(focused);
    else return;
    event.preventDefault();
  };
  const inFocus = dag.jobs.find((job) => job.number === focused);
  return (
    <div class="dag">
      <div class="dag-bar">
        <span class="dag-key"><span class="dag-line dag-then" aria-hidden="true" /> waits for</span>
        <span class="dag-key"><span class="dag-line dag-calls" aria-hidden="true" /> calls</span>
        <span class="dag-space" />
        <button type="button" class="grid-button" aria-label="Zoom out" onClick={() => setView((now) => zoomed(now, 0.8, frame.current))}>−</button>
        <button type="button" class="grid-button" aria-label="Zoom in" onClick={() => setView((now) => zoomed(now, 1.25, frame.current))}>+</button>
        <button type="button" class="grid-button" aria-label="Show all jobs" onClick={() => setView(() => fitting(drawn, frame.current))}>All</button>
      </div>
      <div
        class="dag-frame"
        ref={frame}
        tabIndex={0}
        role="application"
        aria-label={`${dag.jobs.length} jobs, drawn. Arrow keys go from job to job, Enter opens one. A list of them follows.`}
        onKeyDown={keyed}
        {...dragging(setView)}
      >
        <svg class="dag-svg" aria-hidden="true" ref={picture} width={drawn.width + 2} height={drawn.height + 2}>
          <defs>
            <marker id="dag-end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M0 0 8 4 0 8z" class="dag-arrow" />
            </marker>
          </defs>
          <g>
            <Lines drawn={drawn} />
            {dag.jobs.map((job) => (
              <Box key={job.number} job={job} drawn={drawn} current={job.number === current} focused={job.number === focused} open={open} />
            ))}
          </g>
        </svg>
      </div>
      <p class="grid-said" role="status">{inFocus && wordsOf(inFocus)}</p>
    </div>
  );
}

function Lines({ drawn }: { drawn: Layout }): JSX.Element {
  return useMemo(
    () => (
      <g>
        {drawn.routes.map(([edge, points]) => (
          <path key={`${edge.from}>${edge.to}`} class={`dag-edge dag-${edge.kind}`} d={pathOf(points)} marker-end="url(#dag-end)" />
        ))}
      </g>
    ),
    [drawn],
  );
}

function Box({ job, drawn, current, focused, open }: { job: DagJob; drawn: Layout; current: boolean; focused: boolean; open: (job: number) => void }): JSX.Element | null {
  const place = drawn.places.get(job.number);
  if (!place) return null;
  const classes = `dag-job dag-${job.state}${current ? ' dag-current' : ''}${focused ? ' dag-focused' : ''}`;
  return useMemo(
    () => (
      <g class={classes} transform={`translate(${place.x} ${place.y})`} onClick={() => open(job.number)}>
        <title>{wordsOf(job)}</title>
        <rect class="dag-box" width={BOX.width} height={BOX.height} rx="7" />
        <rect class="dag-state" x="1" y="1" width="20" height={BOX.height - 2} rx="6" />
        <text class="dag-sign" x="11" y={BOX.height / 2 + 5}>{LOOKS[job.state].sign}</text>
        <text class="dag-name" x="28" y="18">{short(job.name || `job ${job.number}`, 20)}</text>
        <text class="dag-about" x="28" y="35">{`${job.number} · ${job.progress || LOOKS[job.state].word}`}</text>
      </g>
    ),
    [classes, place.x, place.y, job.name, job.progress, open],
  );
}

/** The same as a table, for who does not see the picture. */
export function DagTable({ dag, open }: { dag: Dag; open: (job: number) => void }): JSX.Element {
  return (
    <table class="dag-table">
      <caption>Jobs of this tree</caption>
      <thead>
        <tr><th scope="col">Job</th><th scope="col">State</th><th scope="col">Tasks ended</th><th scope="col">Called by</th><th scope="col">Waits for</th></tr>
      </thead>
      <tbody>
        {dag.jobs.map((job) => (
          <tr key={job.number}>
            <th scope="row"><button type="button" class="dag-link" onClick={() => open(job.number)}>{job.number} {short(job.name, 60)}</button></th>
            <td>{LOOKS[job.state].word}</td>
            <td>{job.progress}</td>
            <td>{job.calledBy || ''}</td>
            <td>{job.after.join(', ')}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function wordsOf(job: DagJob): string {
  const parts = [`Job ${job.number}`, short(job.name, 60), LOOKS[job.state].word, job.progress && `${job.progress} tasks ended`];
  parts.push(job.calledBy ? `called by ${job.calledBy}` : '', job.after.length ? `waits for ${job.after.join(', ')}` : '');
  return parts.filter(Boolean).join(', ');
}

function fitting(drawn: Layout, box: HTMLElement | null): View {
  const { clientWidth = 800, clientHeight = 500 } = box ?? {};
  const scale = Math.min(1, (clientWidth - 2 * MARGIN) / Math.max(1, drawn.width), (clientHeight - 2 * MARGIN) / Math.max(1, drawn.height));
  const kept = Math.max(LEAST, scale);
  return { scale: kept, x: Math.max(MARGIN, (clientWidth - drawn.width * kept) / 2), y: Math.max(MARGIN, (clientHeight - drawn.height * kept) / 2) };
}

function zoomed(view: View, by: number, box: HTMLElement | null, at?: [number, number]): View {
  const [x, y] = at ?? [(box?.clientWidth ?? 0) / 2, (box?.clientHeight ?? 0) / 2];
  const scale = Math.max(LEAST, Math.min(MOST, view.scale * by)), part = scale / view.scale;
  return { scale, x: x - (x - view.x) * part, y: y - (y - view.y) * part };
}

/** Moved no farther than is needed to have the job in sight. */
function showing(view: View, drawn: Layout, job: number, box: HTMLElement | null): View {
  const place = drawn.places.get(job);
  if (!place || !box) return view;
  const into = (at: number, size: number, room: number): number => (at < MARGIN ? MARGIN - at : Math.min(0, room - MARGIN - at - size));
  const x = into(view.x + place.x * view.scale, BOX.width * view.scale, box.clientWidth);
  const y = into(view.y + place.y * view.scale, BOX.height * view.scale, box.clientHeight);
  return { ...view, x: view.x + x, y: view.y + y };
}

/** The job that an arrow key leads to: of the next layer the nearest, or the next above or below; 0: none. */
export function stepFrom(drawn: Layout, from: number, key: string): number {
  const here = drawn.places.get(from), places = [...drawn.places.values()];
  if (!here) return 0;
  const side = { ArrowRight: 1, ArrowLeft: -1 }[key], along = { ArrowDown: 1, ArrowUp: -1 }[key];
  const among = side
    ? places.filter((place) => place.layer === here.layer + side)
    : along
      ? places.filter((place) => place.layer === here.layer && (place.y - here.y) * along > 0)
      : [];
  return among.sort((a, b) => Math.abs(a.y - here.y) - Math.abs(b.y - here.y))[0]?.id ?? 0;
}

type SetView = (change: (now: View) => View) => void;

/** Moves and scales the whole picture as one layer, once a frame: nothing of it is drawn anew until it rests. */
function moving(picture: { current: SVGSVGElement | null }): SetView {
  let view: View = { x: MARGIN, y: MARGIN, scale: 1 }, frame = 0, resting = 0;
  const show = (): void => {
    frame = 0;
    const svg = picture.current;
    if (!svg) return;
    svg.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    svg.style.willChange = 'transform';
    clearTimeout(resting);
    resting = window.setTimeout(() => (svg.style.willChange = ''), REST); // sharp again
  };
  return (change) => {
    view = change(view);
    frame ||= requestAnimationFrame(show);
  };
}

/** Wheel listeners of a framework are passive, and this one keeps the page from scrolling. */
function useWheel(frame: { current: HTMLDivElement | null }, setView: SetView): void {
  useEffect(() => {
    const box = frame.current!;
    const wheeled = (event: WheelEvent): void => {
      event.preventDefault();
      const { left, top } = box.getBoundingClientRect();
      setView((now) => zoomed(now, event.deltaY < 0 ? 1.15 : 1 / 1.15, box, [event.clientX - left, event.clientY - top]));
    };
    box.addEventListener('wheel', wheeled, { passive: false });
    return () => box.removeEventListener('wheel', wheeled);
  }, []);
}

/** Handlers with which one pointer moves the picture. */
function dragging(setView: SetView): HTMLAttributes<HTMLDivElement> {
  return {
    onPointerMove: (event: PointerEvent) => {
      if (!(event.buttons & 1)) return;
      const { movementX, movementY } = event;
      setView((now) => ({ ...now, x: now.x + movementX, y: now.y + movementY }));
    },
  };
}
