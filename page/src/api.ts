// Calls of /v1 with the caller's token, and streams of events that go on where they broke.

const KEY = "cluster-token"; // in sessionStorage: gone with its tab
const SILENCE = 40_000; // ms without a byte after which a stream counts as broken: the gateway says something each 15 s
const HURRY = 20_000; // ms for the head of a stream
const PATIENCE = 65_000; // ms for the head of any other answer: the scheduler has 60 s

let skew = 0;

/** Seconds that the cluster's clock is ahead of this browser's, as the last answer told; below 2 s nobody can tell. */
export const clockSkew = (): number => (Math.abs(skew) < 2 ? 0 : skew);

/** The answer's head. TypeError where nobody answers. */
async function ask(path: string, options: RequestInit, hurry = PATIENCE): Promise<Response> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), hurry);
  const signals = [patience.signal, ...(options.signal ? [options.signal] : [])];
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.any(signals) });
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (date) skew = date / 1000 + 0.5 - Date.now() / 1000;
    return response;
  } catch (error) {
    throw patience.signal.aborted ? new TypeError("nobody answers") : error;
  } finally {
    clearTimeout(timer);
  }
}

export class Refused extends Error {
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

/** Whether the same may be answered a little later: nobody answered, or who did was too busy. */
export const isPassing = (error: unknown): boolean =>
  !(error instanceof Refused) || error.status === 429 || error.status >= 500;

/** Takes a token that came in the address (`#secret=…`, of `cluster ui`) and hides it there. No link of others' may
 * bring one to a gateway: whoever followed it would act as somebody else. */
export function takeToken(): void {
  const found = /^#secret=(.+)$/.exec(location.hash);
  if (found) history.replaceState(null, "", "#/");
  if (found && ["127.0.0.1", "localhost"].includes(location.hostname)) {
    sessionStorage.setItem(KEY, decodeURIComponent(found[1]!));
  }
}

export const token = (): string => sessionStorage.getItem(KEY) ?? "";
export const setToken = (value: string): void => sessionStorage.setItem(KEY, value);
export const forgetToken = (): void => sessionStorage.removeItem(KEY);

function headers(more: Record<string, string> = {}): Record<string, string> {
  return { Authorization: `Bearer ${token()}`, ...more };
}

async function refused(response: Response): Promise<Refused> {
  let words = `${response.status} ${response.statusText}`;
  try {
    const problem = await response.json();
    words = problem.detail ?? problem.title ?? words;
  } catch {
    // It is no JSON: the status says enough.
  }
  return new Refused(words, response.status);
}

/** One call; its JSON. Refused with the server's own words, TypeError where nobody answers. */
export async function call<T>(verb: string, path: string, body?: unknown): Promise<T> {
  const options: RequestInit = { method: verb, headers: headers() };
  if (body !== undefined) {
    options.headers = headers({ "Content-Type": "application/json" });
    options.body = JSON.stringify(body);
  }
  const response = await ask(path, options);
  if (!response.ok) throw await refused(response);
  return response.status === 204 ? (undefined as T) : response.json();
}

export async function bytes(path: string): Promise<Blob> {
  const response = await ask(path, { headers: headers() });
  if (!response.ok) throw await refused(response);
  return response.blob();
}

export interface Told {
  kind: string;
  id: string;
  data: any;
}

/** Events of one stream until it ends; `last` is where an earlier one broke off. */
export async function* stream(path: string, last: string, signal: AbortSignal): AsyncGenerator<Told[]> {
  const more: Record<string, string> = { Accept: "text/event-stream" };
  if (last) more["Last-Event-ID"] = last;
  const response = await ask(path, { headers: headers(more), signal }, HURRY);
  if (!response.ok) throw await refused(response);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await orSilence(reader.read());
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop()!;
    const told = parts.map(parse).filter((each): each is Told => each !== null);
    if (told.length) yield told;
  }
}

/** TypeError where nothing comes for too long: a connection that has gone quietly would stand for ever. */
async function orSilence<T>(reading: Promise<T>): Promise<T> {
  let timer = 0;
  const silence = new Promise<never>((_, fail) => {
    timer = window.setTimeout(() => fail(new TypeError("the connection is silent")), SILENCE);
  });
  try {
    return await Promise.race([reading, silence]);
  } finally {
    clearTimeout(timer);
  }
}

function parse(text: string): Told | null {
  const told: Told = { kind: "", id: "", data: null };
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) told.kind = line.slice(7);
    else if (line.startsWith("id: ")) told.id = line.slice(4);
    else if (line.startsWith("data: ")) told.data = JSON.parse(line.slice(6));
  }
  return told.kind || told.id ? told : null;
}
