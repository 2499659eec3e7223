// A button that makes a call, and says what came of it.

import { useState } from "preact/hooks";

export function Act({ name, does, asks, kind = "" }: { name: string; does: () => Promise<unknown>; asks?: string; kind?: string }) {
  const [isBusy, setBusy] = useState(false);
  const [said, setSaid] = useState("");
  const act = async () => {
    if (asks && !confirm(asks)) return;
    setBusy(true);
    setSaid("");
    try {
      await does();
    } catch (error) {
      setSaid((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <>
      <button class={kind} disabled={isBusy} onClick={act}>{name}</button>
      {said && <span role="alert" class="said">{said}</span>}
    </>
  );
}
