/** The states of tasks, in the order in which pictures stack them, with colours that colour-blind people tell apart. */

export type State =
  | 'failed' | 'cancelled' | 'backoff' | 'running' | 'assigned' | 'finishing' | 'succeeded' | 'ready' | 'waiting';

export interface Look {
  word: string;
  light: string;
  dark: string;
  /** Drawn on cells that are large enough, so that no colour is needed. */
  sign: string;
}

// Okabe and Ito's colours, with their lightness fitted to each background.
export const LOOKS: Readonly<Record<State, Look>> = {
  failed: { word: 'failed', light: '#c4420a', dark: '#f0743a', sign: '×' },
  cancelled: { word: 'cancelled', light: '#a8558a', dark: '#d68cb8', sign: '–' },
  backoff: { word: 'between attempts', light: '#c98500', dark: '#f0b429', sign: '↻' },
  running: { word: 'running', light: '#0069b0', dark: '#4aa8ee', sign: '▸' },
  assigned: { word: 'assigned', light: '#6db4e8', dark: '#2f6f9f', sign: '·' },
  finishing: { word: 'finishing', light: '#4a5fc1', dark: '#8f9df0', sign: '…' },
  succeeded: { word: 'succeeded', light: '#2aa37c', dark: '#1f9a72', sign: '✓' },
  ready: { word: 'ready', light: '#c3c9d1', dark: '#4b535d', sign: '' },
  waiting: { word: 'waiting', light: '#e2e6ea', dark: '#2c333b', sign: '' },
};

export const STATES = Object.keys(LOOKS) as State[];

/** The state in an answer of /v1; null for one that this page does not know. */
export function stateOf(name: string): State | null {
  const word = name.replace('TASK_STATE_', '').toLowerCase();
  return word in LOOKS ? (word as State) : null;
}
