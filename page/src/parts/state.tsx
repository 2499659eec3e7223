// A state as a sign and a word: never by its colour alone.

import { plain } from "../words";

const SIGNS: Record<string, string> = {
  running: "▶", assigned: "▷", ready: "○", waiting: "◷", backoff: "↻", succeeded: "✓", failed: "✕", cancelled: "⊘",
  finishing: "◔", online: "●", draining: "◐", drained: "◌", unreachable: "!", offline: "–", full: "▣",
};

export function State({ state }: { state: string }) {
  const name = plain(state);
  return <span class={`state ${name}`}><span aria-hidden="true">{SIGNS[name] ?? "·"}</span> <span class="word">{name}</span></span>;
}
