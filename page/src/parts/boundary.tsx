// A view that fails says so in its place; the rest of the page goes on.

import { Component, type ComponentChildren } from "preact";

interface Failed {
  error: Error | null;
}

export class Boundary extends Component<{ children?: ComponentChildren }, Failed> {
  override state: Failed = { error: null };

  override componentDidCatch(error: unknown): void {
    this.setState({ error: error instanceof Error ? error : new Error(String(error)) });
  }

  render({ children }: { children?: ComponentChildren }, { error }: Failed) {
    if (!error) return children;
    return (
      <section>
        <h1>This view has failed</h1>
        <p class="said" role="alert">{error.message}</p>
        <p>That is a fault of the page, or of an extension of this browser. The cluster goes on.</p>
        <button onClick={() => this.setState({ error: null })}>Show it again</button>
      </section>
    );
  }
}
