// What the page knows of the cluster, kept up to date by its events. Views are told at most five times a second.

import { call, Refused, stream, token, type Told } from "./api";
import { plain } from "./words";

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

const GATHER = 200; // ms in which events are gathered before anything is asked
const PAUSES = [250, 500, 1000, 2000, 5000]; // ms before each further try to connect
const PAGE = 200; // jobs that are asked for at once
const KEPT = 2000; // jobs that are kept, besides those that somebody has gone back to
const SAMPLES = 180;
export const SAMPLE_EVERY = 2000; // ms

export class Live {
  jobs = new Map<number, Job>();
  next = 0; // the number below which there are older jobs; 0: none
  workers: Worker[] = [];
  queue: any = {};
  who: any = null;
  recent: Told[] = [];
  samples: Sample[] = [];
  version = 0; // rises whenever anything of this has changed
  trouble = ""; // why the page does not know what happens now
  isRefused = false;
  private dirty = new Set<number>();
  private workersDirty = false;
  private timer = 0;
  private ended = 0;
  private kept = KEPT;
  private isAsking = false; // for older jobs
  private listeners = new Set<() => void>();
  private watched = new Map<number, Set<() => void>>();
  private stopping = new AbortController();

  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Calls back when something happens to that job. */
  watch(job: number, listener: () => void): () => void {
    const all = this.watched.get(job) ?? new Set();
    this.watched.set(job, all.add(listener));
    return () => all.delete(listener);
  }

  start(): void {
    void this.follow();
    const sampling = setInterval(() => this.sample(), SAMPLE_EVERY);
    this.stopping.signal.addEventListener("abort", () => clearInterval(sampling));
  }

  stop(): void {
    this.stopping.abort();
  }

  async older(): Promise<void> {
    if (!this.next || this.isAsking) return;
    this.isAsking = true;
    try {
      const page = await call<any>("GET", `/v1/jobs?limit=${PAGE}&below=${this.next}`);
      for (const job of page.jobs ?? []) this.jobs.set(job.number, job);
      this.next = page.next ?? 0;
      this.kept = Math.max(KEPT, this.jobs.size + PAGE);
    } finally {
      this.isAsking = false;
    }
    this.tell();
  }

  refresh(...jobs: number[]): void {
    for (const job of jobs) this.dirty.add(job);
    this.gather();
  }

  private async follow(): Promise<void> {
    const { signal } = this.stopping;
    let last = "";
    for (let tries = 0; !signal.aborted; tries++) {
      const trying = new AbortController(); // a stream that is left open would keep one of the browser's few connections
      try {
        const told = stream("/v1/events", last, AbortSignal.any([signal, trying.signal]));
        const first = told.next();
        first.catch(() => undefined); // it is waited for below, unless the load fails before
        await this.load();
        this.trouble = "";
        this.isRefused = false;
        tries = 0;
        this.tell();
        for (let page = await first; !page.done; page = await told.next()) {
          last = page.value[page.value.length - 1]!.id || last;
          this.happened(page.value);
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

  private async load(): Promise<void> {
    const [jobs, workers, queue, who] = await Promise.all([
      call<any>("GET", `/v1/jobs?limit=${PAGE}`),
      call<any>("GET", "/v1/workers"),
      call<any>("GET", "/v1/queue").catch(() => ({})),
      call<any>("GET", "/v1/whoami"),
    ]);
    this.jobs = new Map((jobs.jobs ?? []).map((job: Job) => [job.number, job]));
    this.next = jobs.next ?? 0;
    this.workers = workers.workers ?? [];
    this.queue = queue;
    this.who = who;
    if (!this.samples.length) this.sample();
  }

  private happened(events: Told[]): void {
    for (const { kind, data } of events) {
      if (!data) continue;
      if (data.job) this.dirty.add(data.job);
      if (kind === "job.ended") this.ended += Number(data.count ?? 1);
      if (kind.startsWith("worker.") || kind.startsWith("job.")) this.workersDirty = true;
    }
    this.recent = [...events.filter((each) => each.data).reverse(), ...this.recent].slice(0, 100);
    this.gather();
  }

  private gather(): void {
    this.timer ||= window.setTimeout(() => void this.update(), GATHER);
  }

  private async update(): Promise<void> {
    const dirty = [...this.dirty].sort((a, b) => b - a);
    const numbers = dirty.slice(0, PAGE);
    const workersDirty = this.workersDirty;
    this.dirty = new Set(dirty.slice(PAGE));
    this.workersDirty = false;
    try {
      if (numbers.length) {
        const query = numbers.map((number) => `selectors=${number}`).join("&");
        const page = await call<any>("GET", `/v1/jobs?${query}`);
        for (const job of page.jobs ?? []) this.jobs.set(job.number, job);
      }
      if (workersDirty) this.workers = (await call<any>("GET", "/v1/workers")).workers ?? [];
    } catch (error) {
      // One that is gone makes the whole list fail: the first page tells what there is.
      if (error instanceof Refused && error.status === 404) await this.load().catch(() => undefined);
    }
    this.timer = 0;
    this.forgetOldest();
    this.tell();
    for (const number of numbers) for (const listener of this.watched.get(number) ?? []) listener();
    if (this.dirty.size || this.workersDirty) this.gather();
  }

  /** Of a page that is open for days: what is left out is asked for again like all that is older. */
  private forgetOldest(): void {
    if (this.jobs.size <= this.kept + PAGE) return;
    const kept = newest(this).slice(0, this.kept);
    this.jobs = new Map(kept.map((job) => [job.number, job]));
    this.next = Math.max(this.next, kept[kept.length - 1]!.number);
  }

  private sample(): void {
    const running = this.workers.reduce((sum, worker) => sum + (worker.running ?? 0), 0);
    this.samples = [...this.samples, { at: Date.now() / 1000, running, ended: this.ended }].slice(-SAMPLES);
    this.ended = 0;
    this.tell();
  }

  private tell(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}

export const newest = (live: Live): Job[] => [...live.jobs.values()].sort((a, b) => b.number - a.number);
export const isLive = (job: Job): boolean => !["succeeded", "failed", "cancelled"].includes(plain(job.state));
export const mayStart = (): boolean => token() !== "";
