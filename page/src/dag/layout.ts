/** Where the jobs of a tree stand: in layers from left to right, with few crossings. No DOM. */

export interface Edge {
  from: number;
  to: number;
  kind: 'calls' | 'then';
}

export interface Place {
  id: number;
  layer: number;
  x: number;
  y: number;
}

export interface Layout {
  places: Map<number, Place>;
  /** Points that each edge goes by, beginning and end included. */
  routes: [Edge, [number, number][]][];
  width: number;
  height: number;
}

export const BOX = { width: 168, height: 44, across: 72, down: 14 };
const SWEEPS = 8;

interface Node {
  id: number; // below 0: a bend of an edge
  layer: number;
  order: number;
  before: Node[];
  after: Node[];
  y: number;
}

/** Lays out jobs by their numbers. Edges to jobs that are not among them, and those that close a circle, are left out. */
export function layout(ids: readonly number[], edges: readonly Edge[]): Layout {
  const nodes = new Map<number, Node>(ids.map((id) => [id, { id, layer: 0, order: 0, before: [], after: [], y: 0 }]));
  const kept = withoutCircles(nodes, edges);
  setLayers(nodes, kept);
  const bends = new Map<Edge, Node[]>(), all = [...nodes.values()];
  for (const edge of kept) {
    const from = nodes.get(edge.from)!, to = nodes.get(edge.to)!, chain: Node[] = [];
    for (let layer = from.layer + 1; layer < to.layer; layer++) {
      chain.push({ id: -1 - all.length, layer, order: 0, before: [], after: [], y: 0 });
      all.push(chain[chain.length - 1]!);
    }
    bends.set(edge, chain);
    [from, ...chain].forEach((node, at) => {
      const next = chain[at] ?? to;
      node.after.push(next);
      next.before.push(node);
    });
  }
  const layers = inLayers(all);
  order(layers);
  setHeights(layers);
  return placed(nodes, kept, bends, layers);
}

/** Those of the edges that are among the nodes, once each, without any that leads back. */
function withoutCircles(nodes: Map<number, Node>, edges: readonly Edge[]): Edge[] {
  const out = new Map<number, Edge[]>(), seen = new Set<string>(), kept: Edge[] = [];
  for (const edge of edges) {
    const key = `${edge.from}>${edge.to}`;
    if (edge.from === edge.to || !nodes.has(edge.from) || !nodes.has(edge.to) || seen.has(key)) continue;
    seen.add(key);
    const its = out.get(edge.from);
    if (its) its.push(edge);
    else out.set(edge.from, [edge]);
  }
  const state = new Map<number, 1 | 2>(); // under way, done
  for (const root of nodes.keys()) {
    const path: [number, number][] = state.has(root) ? [] : [[root, 0]];
    if (path.length) state.set(root, 1);
    while (path.length) {
      const top = path[path.length - 1]!, edge = out.get(top[0])?.[top[1]++];
      if (!edge) {
        state.set(top[0], 2);
        path.pop();
      } else if (state.get(edge.to) !== 1) {
        kept.push(edge);
        if (!state.has(edge.to)) {
          state.set(edge.to, 1);
          path.push([edge.to, 0]);
        }
      }
    }
  }
  return kept;
}

/** Each node one layer after the last that leads to it. */
function setLayers(nodes: Map<number, Node>, edges: readonly Edge[]): void {
  const into = new Map<number, number>(), out = new Map<number, number[]>();
  for (const { from, to } of edges) {
    into.set(to, (into.get(to) ?? 0) + 1);
    (out.get(from) ?? out.set(from, []).get(from)!).push(to);
  }
  const ready = [...nodes.keys()].filter((id) => !into.get(id));
  for (let id = ready.pop(); id !== undefined; id = ready.pop()) {
    for (const next of out.get(id) ?? []) {
      nodes.get(next)!.layer = Math.max(nodes.get(next)!.layer, nodes.get(id)!.layer + 1);
      into.set(next, into.get(next)! - 1);
      if (!into.get(next)) ready.push(next);
    }
  }
}

function inLayers(all: Node[]): Node[][] {
  const layers: Node[][] = [];
  for (const node of all) (layers[node.layer] ??= []).push(node);
  for (const layer of layers) layer.forEach((node, at) => (node.order = at));
  return layers;
}

/** Puts each node near the middle of those it is tied to, layer by layer, forth and back. */
function order(layers: Node[][]): void {
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : [...layers].reverse()) {
      const middle = new Map(layer.map((node) => {
        const near = forth ? node.before : node.after;
        return [node, near.length ? near.reduce((sum, each) => sum + each.order, 0) / near.length : node.order];
      }));
      layer.sort((a, b) => middle.get(a)! - middle.get(b)! || a.order - b.order);
      layer.forEach((node, at) => (node.order = at));
    }
  }
}

/** Heights: as near to the middle of those it is tied to as the others of the layer let it. */
function setHeights(layers: Node[][]): void {
  const room = (node: Node): number => (node.id < 0 ? BOX.down : BOX.height + BOX.down);
  for (const layer of layers) {
    let y = 0;
    for (const node of layer) {
      node.y = y + room(node) / 2;
      y += room(node);
    }
  }
  const tallest = Math.max(0, ...layers.map((layer) => (layer.length ? layer[layer.length - 1]!.y : 0)));
  for (const layer of layers) {
    const shift = (tallest - (layer[layer.length - 1]?.y ?? 0)) / 2;
    for (const node of layer) node.y += shift;
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
      const wished = layer.map((node) => {
        const near = sweep % 2 ? node.after : node.before;
        return near.length ? near.reduce((sum, each) => sum + each.y, 0) / near.length : node.y;
      });
      spread(layer, wished, room);
    }
  }
  const top = Math.min(...layers.flat().map((node) => node.y - room(node) / 2), Infinity);
  for (const layer of layers) for (const node of layer) node.y -= Number.isFinite(top) ? top : 0;
}

/** The nodes of one layer at their wished heights, moved apart: groups that touch move together to their mean. */
function spread(layer: Node[], wished: number[], room: (node: Node) => number): void {
  const groups: { nodes: Node[]; offsets: number[]; sum: number; size: number }[] = [];
  const start = (group: (typeof groups)[number]): number => group.sum / group.nodes.length;
  layer.forEach((node, at) => {
    let group = { nodes: [node], offsets: [room(node) / 2], sum: wished[at]! - room(node) / 2, size: room(node) };
    for (let last = groups[groups.length - 1]; last && start(last) + last.size > start(group); last = groups[groups.length - 1]) {
      groups.pop();
      group = {
        nodes: [...last.nodes, ...group.nodes],
        offsets: [...last.offsets, ...group.offsets.map((offset) => offset + last!.size)],
        sum: last.sum + group.sum - group.nodes.length * last.size,
        size: last.size + group.size,
      };
    }
    groups.push(group);
  });
  for (const group of groups) group.nodes.forEach((node, at) => (node.y = start(group) + group.offsets[at]!));
}

function placed(nodes: Map<number, Node>, edges: Edge[], bends: Map<Edge, Node[]>, layers: Node[][]): Layout {
  const x = (layer: number): number => layer * (BOX.width + BOX.across);
  const places = new Map([...nodes.values()].map(({ id, layer, y }) => [id, { id, layer, x: x(layer), y: y - BOX.height / 2 }]));
  const routes = edges.map((edge): [Edge, [number, number][]] => {
    const from = nodes.get(edge.from)!, to = nodes.get(edge.to)!;
    const between = bends.get(edge)!.flatMap(({ layer, y }): [number, number][] => [[x(layer), y], [x(layer) + BOX.width, y]]);
    return [edge, [[x(from.layer) + BOX.width, from.y], ...between, [x(to.layer), to.y]]];
  });
  const low = Math.max(0, ...layers.flat().map((node) => node.y + BOX.height / 2));
  return { places, routes, width: Math.max(0, x(layers.length) - BOX.across), height: low };
}

/** A smooth line by the points, as the data of an SVG path. */
export function pathOf(points: readonly [number, number][]): string {
  let path = `M${points[0]![0]} ${points[0]![1]}`;
  for (let i = 1; i < points.length; i++) {
    const [x, y] = points[i - 1]!, [nextX, nextY] = points[i]!, middle = (x + nextX) / 2;
    path += y === nextY ? `H${nextX}` : `C${middle} ${y} ${middle} ${nextY} ${nextX} ${nextY}`;
  }
  return path;
}
