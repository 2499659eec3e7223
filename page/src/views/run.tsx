import { useState } from "preact/hooks";
import { call } from "../api";

const LANGUAGES: Record<string, (text: string) => string[]> = {
  "a shell command": (text) => ["sh", "-c", text],
  "Python": (text) => ["python3", "-c", text],
};

const EXAMPLES: Record<string, string> = { "a shell command": "echo hello from task $CLUSTER_TASK", "Python": "print('hello')" };

export function RunForm() {
  const [text, setText] = useState("");
  const [language, setLanguage] = useState("a shell command");
  const [name, setName] = useState("");
  const [tasks, setTasks] = useState("1");
  const [cpus, setCpus] = useState("1");
  const [said, setSaid] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    setSaid("");
    const spec: any = { argv: LANGUAGES[language]!(text), millicpus: Math.round(Number(cpus) * 1000) };
    if (name) spec.name = name;
    if (Number(tasks) > 1) spec.array = [{ first: "1", last: tasks, step: "1" }];
    try {
      const made = await call<any>("POST", "/v1/jobs", spec);
      location.hash = `#/jobs/${made.number}`;
    } catch (error) {
      setSaid((error as Error).message);
    }
  };
  return (
    <section>
      <h1>Run</h1>
      <form class="fields" onSubmit={submit}>
        <label for="kind">What</label>
        <select id="kind" value={language} onChange={(e) => setLanguage(e.currentTarget.value)}>
          {Object.keys(LANGUAGES).map((each) => <option>{each}</option>)}
        </select>
        <label for="text">Text</label>
        <textarea id="text" rows={8} spellcheck={false} required placeholder={EXAMPLES[language]} value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <label for="name">Name</label>
        <input id="name" value={name} onInput={(e) => setName(e.currentTarget.value)} />
        <label for="tasks">Tasks</label>
        <input id="tasks" type="number" min="1" max="1000000" value={tasks} onInput={(e) => setTasks(e.currentTarget.value)} />
        <label for="cpus">Cpus each</label>
        <input id="cpus" type="number" min="0" step="0.1" value={cpus} onInput={(e) => setCpus(e.currentTarget.value)} />
        <button class="main">Submit</button>
      </form>
      <p role="alert" class="said">{said}</p>
    </section>
  );
}
