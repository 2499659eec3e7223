// The keyboard: a key for each view, `/` for the search, `?` for what there is.

import { useEffect, useRef } from "preact/hooks";

const OTHERS: [string, string][] = [["/", "search"], ["j k", "down and up a list"], ["Enter", "open"], ["?", "this help"]];

export function Keys({ places }: { places: [string, string, string][] }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    let isGoing = false; // a `g` was typed
    const typed = (event: KeyboardEvent) => {
      const within = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA|SELECT/.test(within.tagName)) return;
      const to = isGoing && places.find(([, , key]) => key === event.key);
      isGoing = event.key === "g";
      if (to) location.hash = to[0];
      else if (event.key === "?") dialog.current?.showModal();
      else if (event.key === "/") document.querySelector<HTMLElement>("input[type=search]")?.focus();
      else if (event.key === "j" || event.key === "k") move(event.key === "j" ? 1 : -1);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", typed);
    return () => removeEventListener("keydown", typed);
  }, []);
  return (
    <dialog ref={dialog} aria-label="Keys">
      <h2>Keys</h2>
      <dl class="keys">
        {places.map(([, name, key]) => <><dt><kbd>g</kbd> <kbd>{key}</kbd></dt><dd>{name}</dd></>)}
        {OTHERS.map(([key, what]) => <><dt><kbd>{key}</kbd></dt><dd>{what}</dd></>)}
      </dl>
      <form method="dialog"><button>Close</button></form>
    </dialog>
  );
}

function move(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.focus();
}
