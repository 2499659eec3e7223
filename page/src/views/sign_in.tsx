import { useEffect, useRef, useState } from "preact/hooks";

export function SignIn({ said, enter }: { said: string; enter: (token: string) => void }) {
  const [value, setValue] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []); // `autofocus` works once in the life of a document
  const go = (event: Event) => {
    event.preventDefault();
    if (value.trim()) enter(value.trim());
  };
  return (
    <main id="main" class="sign-in">
      <h1>cluster</h1>
      <p>Show a token of yours. <code>cluster token create --for http</code> makes one; <code>cluster ui</code> needs none.</p>
      <form onSubmit={go}>
        <label for="token">Token</label>
        <input id="token" type="password" autocomplete="off" value={value} onInput={(e) => setValue(e.currentTarget.value)} ref={field} />
        <button class="main">Enter</button>
      </form>
      <p role="alert" class="said">{said}</p>
      <p class="note">It is kept by this tab alone, and forgotten with it.</p>
    </main>
  );
}
