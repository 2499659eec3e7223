// A question that is asked again when something has happened: never twice at once, and not too often.

export class Turns {
  private isAsking = false;
  private isStale = false;
  private timer = 0;
  private isClosed = false;

  /** `ask` answers whether the next question has to wait for `rest` milliseconds. */
  constructor(private readonly does: () => Promise<boolean>, private readonly rest: number) {}

  /** Asks now, or once that is possible. */
  ask = (): void => {
    this.isStale = true;
    if (!this.isAsking && !this.timer) void this.turn();
  };

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  private async turn(): Promise<void> {
    this.isAsking = true;
    this.isStale = false;
    const waits = await this.does();
    this.isAsking = false;
    if (this.isClosed) return;
    if (!waits) {
      if (this.isStale) void this.turn();
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = 0;
      if (this.isStale) void this.turn();
    }, this.rest) as unknown as number;
  }
}
