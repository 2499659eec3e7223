// Dark or light: as the system is, or as somebody has chosen in this browser.

import { useState } from "preact/hooks";

const KEY = "cluster-theme"; // in localStorage
const CHOICES = ["system", "light", "dark"];

function kept(): string {
  try {
    const found = localStorage.getItem(KEY) ?? "";
    return CHOICES.includes(found) ? found : "system";
  } catch {
    return "system"; // this browser keeps nothing
  }
}

/** Shows the theme that was chosen. Whoever draws by itself hears of another by the event `theme`. */
export function showTheme(chosen = kept()): void {
  const root = document.documentElement;
  if (chosen === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = chosen;
  dispatchEvent(new Event("theme"));
}

export function ThemeChoice() {
  const [chosen, setChosen] = useState(kept());
  const choose = (theme: string) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It is chosen until the page is closed.
    }
    setChosen(theme);
    showTheme(theme);
  };
  return (
    <select class="quiet" aria-label="Dark or light" value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
      {CHOICES.map((choice) => <option value={choice}>{choice} colours</option>)}
    </select>
  );
}
