// The page: who is there, where one is, and what of the cluster is shown.

import { render } from "preact";
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { age, harmless } from "./words";
import { forgetToken, setToken, takeToken } from "./api";
import { Live, mayStart } from "./live";
import { Jobs } from "./views/jobs";
import { JobView } from "./views/job";
import { Overview } from "./views/overview";
import { RunForm } from "./views/run";
import { SignIn } from "./views/sign_in";
import { Workers, WorkerView } from "./views/workers";
import { Keys } from "./parts/keys";
import { Boundary } from "./parts/boundary";
import { ThemeChoice, showTheme } from "./parts/theme";

const PLACES: [string, string, string][] = [
  ["#/", "Overview", "o"],
  ["#/jobs", "Jobs", "j"],
  ["#/workers", "Workers", "w"],
  ["#/run", "Run", "r"],
];

function usePlace(): string {
  const [place, setPlace] = useState(location.hash || "#/");
  useEffect(() => {
    const changed = () => setPlace(location.hash || "#/");
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return place;
}

function App() {
  const [isIn, setIn] = useState(mayStart());
  const [said, setSaid] = useState("");
  if (!isIn) {
    const enter = (value: string) => {
      setToken(value);
      setSaid("");
      setIn(true);
    };
    return <SignIn said={said} enter={enter} />;
  }
  const leave = (why: string) => {
    forgetToken();
    setSaid(why);
    setIn(false);
  };
  return <Inside leave={leave} />;
}

function Inside({ leave }: { leave: (why: string) => void }) {
  const live = useMemo(() => new Live(), []);
  const [, again] = useReducer((n: number) => n + 1, 0);
  const place = usePlace();
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    const stop = live.listen(() => (live.isRefused ? leave(live.trouble) : again(0)));
    live.start();
    return () => {
      stop();
      live.stop();
    };
  }, []);
  useLayoutEffect(() => {
    document.title = `${title(place)} · cluster`;
    main.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [place]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the content
      </a>
      <header>
        <a class="brand" href="#/">cluster</a>
        <nav aria-label="Views">
          {PLACES.map(([to, name]) => (
            <a href={to} aria-current={isAt(place, to) ? "page" : undefined}>{name}</a>
          ))}
        </nav>
        <span class="who">{live.who ? `${live.who.name ?? live.who.user ?? ""}` : ""}</span>
        <ThemeChoice />
        <button class="quiet" onClick={() => leave("")}>Sign out</button>
      </header>
      <div role="status" aria-live="polite">{live.trouble && <p class="trouble">{live.trouble}</p>}
        {live.skew !== 0 && <p class="note skew">This browser's clock is {age(Math.abs(live.skew))} {live.skew > 0 ? "behind" : "ahead of"} the cluster's: ages are told by the cluster's.</p>}</div>
      <main id="main" tabIndex={-1} ref={main}><Boundary key={place}>{view(place, live)}</Boundary></main>
      <Keys places={PLACES} />
    </>
  );
}

function title(place: string): string {
  const job = /^#\/jobs\/(.+)$/.exec(place);
  if (place.startsWith("#/jobs?")) return "Jobs";
  if (place.startsWith("#/workers/")) return `Worker ${harmless(decoded(place.slice(10)))}`;
  return job ? `Job ${job[1]}` : (PLACES.find(([to]) => to === place)?.[1] ?? "Not here");
}

const isAt = (place: string, to: string): boolean => (to === "#/" ? place === to : place.startsWith(to));

function view(place: string, live: Live) {
  const job = /^#\/jobs\/(\d+)$/.exec(place);
  if (job) return <JobView live={live} number={Number(job[1])} key={job[1]} />;
  const jobs = /^#\/jobs\?state=(\w+)$/.exec(place);
  if (jobs) return <Jobs live={live} only={jobs[1]} key={place} />;
  const worker = /^#\/workers\/(.+)$/.exec(place);
  if (worker) return <WorkerView live={live} name={decoded(worker[1]!)} key={worker[1]} />;
  switch (place) {
    case "#/": return <Overview live={live} />;
    case "#/jobs": return <Jobs live={live} />;
    case "#/workers": return <Workers live={live} />;
    case "#/run": return <RunForm />;
  }
  return <section><h1>There is nothing here</h1><p><a href="#/">To the overview</a></p></section>;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

takeToken();
showTheme();
const root = document.getElementById("page")!;
root.replaceChildren(); // what is said there until this runs
render(<Boundary><App /></Boundary>, root);
