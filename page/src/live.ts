// What the page knows of the cluster. One stream tells it what changes, with the jobs and workers as they are then.

import { call, clockSkew, Refused, stream, token, type Told } from "./api";
import { Known } from "./known";
import { ended, numbersOf, plain } from "./words";

export type TaskCounts = Record<string, number>;

export interface Job {
  number: number;
  id: string;
  owner: string;
  spec: any;
  state: string;
  reason?: string;
  counts?: TaskCounts;
  submitted_at?: number;
  started_at?: number;
  ended_at?: number;
  exit_code?: number;
  pending_because?: string[];
  pause?: any;
  [more: string]: any;
}

export interface Worker {
  id: string;
  name: string;
  state: string;
  capacity_millicpus?: number;
  used_millicpus?: number;
  running?: number;
  assigned?: number;
  [more: string]: any;
}

export interface Sample {
  at: number; // seconds, of the browser's clock
  running: number; // tasks
  ended: number; // tasks since the sample before
}

const PAUSES = [250, 500, 1000, 2000, 5000]; // ms before each further try to connect, or to ask
const PAGE = 200; // jobs that are asked for at once
const FARTHER = 1000; // the same of older ones
const KEPT = 2000; // jobs that are kept, besides those that somebody has gone back to
const SAMPLES = 180;
export const SAMPLE_EVERY = 2000; // ms

export class Live {
  jobs = new Map<number, Job>();
  next = 0; // the number below which there are older jobs; 0: none
  workers: Worker[] = []; // all, by their names
  queue: any = {};
  who: any = null;
  recent: Told[] = [];
  samples: Sample[] = [];
  skew = 0; // seconds that the cluster's clock is ahead of the browser's
  version = 0; // rises whenever anything of this has changed
  trouble = ""; // why the page does not know what happens now
  isRefused = false;
  private known = new Known();
  private ended = 0;
  private kept = KEPT;
  private isAsking = false; // for older jobs
  private isTold = false; // something has changed, and the next frame says so
  private listeners = new Set<() => void>();
  private watched = new Map<number, Set<() => void>>();
  private stopping = new AbortController();
  private ordered: Job[] | null = null;

  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Calls back when something happens to that job. */
  watch(job: number, listener: () => void): () => void {
    const all = this.watched.get(job) ?? new Set();
    this.watched.set(job, all.add(listener));
    return () => {
      all.delete(listener);
      if (!all.size) this.watched.delete(job);
    };
  }

  start(): void {
    void this.follow();
    const sampling = setInterval(() => this.sample(), SAMPLE_EVERY);
    this.stopping.signal.addEventListener("abort", () => clearInterval(sampling));
  }

  stop(): void {
    this.stopping.abort();
  }

  /** The jobs, the newest first. */
  newest(): Job[] {
    return (this.ordered ??= [...this.jobs.values()].sort((a, b) => b.number - a.number));
  }

  /** Seconds from that moment of the cluster's clock until now. */
  since = (moment: number): number => Date.now() / 1000 + this.skew - moment;

  /** Asks for a page of older jobs. */
  async older(): Promise<void> {
    if (!this.next || this.isAsking) return;
    this.isAsking = true;
    const asked = this.known.ask();
    try {
      const page = await call<any>("GET", `/v1/jobs?limit=${FARTHER}&below=${this.next}`);
      this.take(page.jobs ?? [], asked);
      this.next = page.next ?? 0;
      this.kept = Math.max(KEPT, this.jobs.size + FARTHER);
    } finally {
      this.isAsking = false;
    }
    this.tell();
  }

  /** What an action of this page has answered, or a view has asked for since `asked`: jobs as they are now. */
  took(jobs: Job[], asked: number): void {
    this.take(jobs, asked);
    this.tell();
  }

  /** The same of workers. */
  tookWorkers(workers: Worker[]): void {
    this.takeWorkers(workers, []);
    this.tell();
  }

  /** The number of a question that begins now: an answer to an older one says nothing new. */
  ask = (): number => this.known.ask();

  private async follow(): Promise<void> {
    const { signal } = this.stopping;
    for (let tries = 0; !signal.aborted; tries++) {
      const trying = new AbortController(); // a stream that is left open would keep one of the browser's few connections
      try {
        for await (const told of stream("/v1/live", "", AbortSignal.any([signal, trying.signal]))) {
          for (const each of told) await this.heard(each);
          tries = 0;
        }
        this.trouble = "The cluster ended the connection. Trying again…";
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
          this.isRefused = true;
          this.trouble = error.message;
          this.tell();
          return;
        }
        const why = error instanceof Refused ? error.message : "The cluster cannot be reached";
        this.trouble = `${why}. What you see may be old. Trying again…`;
      } finally {
        trying.abort();
      }
      this.tell();
      await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(tries, PAUSES.length - 1)]));
    }
  }

  private async heard({ kind, data }: Told): Promise<void> {
    if (kind === "problem") throw new Refused(data.detail ?? data.title ?? "The cluster ended the connection", data.status ?? 503);
    if (kind === "begin") {
      await this.load();
      this.trouble = "";
      this.isRefused = false;
      for (const listeners of this.watched.values()) for (const listener of listeners) listener();
    }
    if (kind === "changes") await this.happened(data);
    this.tell();
  }

  /** All that is shown, asked for anew. It begins after the stream, so that nothing is missed between. */
  private async load(): Promise<void> {
    const asked = this.known.ask();
    const [jobs, workers, queue, who] = await Promise.all([
      call<any>("GET", `/v1/jobs?limit=${PAGE}`),
      allWorkers(),
      call<any>("GET", "/v1/queue").catch(() => ({})),
      call<any>("GET", "/v1/whoami"),
    ]);
    this.skew = clockSkew();
    this.jobs = new Map([...this.jobs].filter(([number]) => this.known.isNewer(number, asked)));
    this.ordered = null;
    this.take(jobs.jobs ?? [], asked);
    this.next = jobs.next ?? 0;
    this.workers = workers;
    this.queue = queue;
    this.who = who;
    if (!this.samples.length) this.sample();
  }

  private async happened({ events = [], jobs = [], workers = [], left = [], queue }: any): Promise<void> {
    for (const job of jobs as Job[]) {
      const before = this.jobs.get(job.number);
      if (before || job.number > this.next) this.ended += Math.max(0, ended(job.counts) - ended(before?.counts));
    }
    this.take(jobs, this.known.ask());
    this.takeWorkers(workers, left);
    if (queue) this.queue = queue;
    if (events.length) {
      const told = events.map((data: any) => ({ kind: data.kind, id: String(data.sequence), data }));
      this.recent = [...told.reverse(), ...this.recent].slice(0, 100);
    }
    const deleted = events.filter((event: any) => event.kind === "jobs.deleted").map((event: any) => numbersOf(event.tasks ?? ""));
    const gone: number[] = deleted.flatMap((each: any) => each ?? this.newest().map((job) => job.number));
    if (deleted.includes(null)) await this.load();
    else this.forget(gone);
    this.forgetOldest();
    const numbers = new Set<number>([...gone, ...[...events, ...jobs].map((each: any) => each.job ?? each.number)]);
    for (const number of numbers) for (const listener of this.watched.get(number) ?? []) listener();
  }

  private take(jobs: Job[], asked: number): void {
    for (const job of jobs) {
      if (!this.known.isFresh(job.number, asked)) continue;
      this.jobs.set(job.number, job);
      this.ordered = null;
    }
  }

  private takeWorkers(changed: Worker[], left: string[]): void {
    if (!changed.length && !left.length) return;
    const all = new Map(this.workers.map((worker) => [worker.id, worker]));
    for (const worker of changed) all.set(worker.id, worker);
    for (const id of left) all.delete(id);
    this.workers = [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Jobs that were deleted: no answer to an older question brings them back. */
  private forget(numbers: number[]): void {
    if (!numbers.length) return;
    const asked = this.known.ask();
    for (const number of numbers) {
      this.known.isFresh(number, asked);
      this.jobs.delete(number);
    }
    this.ordered = null;
  }

  /** Of a page that is open for days: what is left out is asked for again like all that is older. */
  private forgetOldest(): void {
    if (this.jobs.size <= this.kept + PAGE) return;
    const kept = this.newest().slice(0, this.kept);
    this.jobs = new Map(kept.map((job) => [job.number, job]));
    this.ordered = kept;
    this.next = Math.max(this.next, kept[kept.length - 1]!.number);
    this.known.keep(this.jobs);
  }

  private sample(): void {
    const running = this.workers.reduce((sum, worker) => sum + (worker.running ?? 0), 0);
    this.samples = [...this.samples, { at: Date.now() / 1000, running, ended: this.ended }].slice(-SAMPLES);
    this.ended = 0;
    this.tell();
  }

  /** Once a frame at most; where no frames are drawn, nobody needs it. */
  private tell(): void {
    this.version++;
    if (this.isTold) return;
    this.isTold = true;
    requestAnimationFrame(() => {
      this.isTold = false;
      for (const listener of this.listeners) listener();
    });
  }
}

async function allWorkers(): Promise<Worker[]> {
  const found: Worker[] = [];
  for (let after = ""; ; ) {
    const page = await call<any>("GET", `/v1/workers?after=${encodeURIComponent(after)}`);
    found.push(...(page.workers ?? []));
    if (!page.next) return found;
    after = page.next;
  }
}

const ENDED = ["succeeded", "failed", "cancelled"];

export const isLive = (job: Job): boolean => !ENDED.includes(plain(job.state));
export const mayStart = (): boolean => token() !== "";
