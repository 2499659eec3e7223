// Calls of /v1 with the caller's token, and streams of events that go on where they broke.

const KEY = "cluster-token"; // in sessionStorage: gone with its tab

export class Refused extends Error {
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

/** Takes a token that came in the address (`#secret=…`, of `cluster ui`) and hides it there. */
export function takeToken(): void {
  const found = /^#secret=(.+)$/.exec(location.hash);
  if (found) {
    sessionStorage.setItem(KEY, decodeURIComponent(found[1]!));
    history.replaceState(null, "", "#/");
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
  const response = await fetch(path, options);
  if (!response.ok) throw await refused(response);
  return response.status === 204 ? (undefined as T) : response.json();
}

export async function bytes(path: string): Promise<Blob> {
  const response = await fetch(path, { headers: headers() });
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
  const response = await fetch(path, { headers: headers(more), signal });
  if (!response.ok) throw await refused(response);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop()!;
    const told = parts.map(parse).filter((each): each is Told => each !== null);
    if (told.length) yield told;
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
