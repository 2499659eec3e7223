// A line of numbers over time, in SVG.

export function Line({ values, name }: { values: number[]; name: string }) {
  const most = Math.max(1, ...values);
  const step = 300 / Math.max(1, values.length - 1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)},${(58 - (value / most) * 54).toFixed(1)}`).join(" ");
  const now = values[values.length - 1] ?? 0;
  return (
    <svg class="line" viewBox="0 0 300 60" preserveAspectRatio="none" role="img" aria-label={`${name}: ${now} now, ${most} at most`}>
      {values.length > 1 && <polygon points={`0,60 ${points} 300,60`} />}
      {values.length > 1 && <polyline points={points} />}
    </svg>
  );
}
