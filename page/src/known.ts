// Which answer knows a job best: the one to the question that was asked last. No DOM.

export class Known {
  private asks = 0;
  private by = new Map<number, number>(); // job: the question whose answer is known

  /** The number of a question that begins now. */
  ask(): number {
    return ++this.asks;
  }

  /** Whether an answer to that question tells something newer of the job than what is known; then it is known now. */
  isFresh(job: number, asked: number): boolean {
    if ((this.by.get(job) ?? 0) > asked) return false;
    this.by.set(job, asked);
    return true;
  }

  /** Whether what is known was asked for after that question. */
  isNewer(job: number, asked: number): boolean {
    return (this.by.get(job) ?? 0) > asked;
  }

  /** Forgets all but these. */
  keep(jobs: ReadonlyMap<number, unknown>): void {
    for (const job of this.by.keys()) if (!jobs.has(job)) this.by.delete(job);
  }
}
