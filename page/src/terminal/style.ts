/** How characters look: the select-graphic-rendition codes of a terminal, without any DOM. */

/** Attributes, as bits. */
export const BOLD = 1, DIM = 2, ITALIC = 4, UNDERLINE = 8, INVERSE = 16, HIDDEN = 32, STRUCK = 64;

/** A colour: 0 the default one, 1–256 that of the palette (from 1), or RGB | this. */
export const RGB = 0x1000000;

export interface Style {
  fg: number;
  bg: number;
  attributes: number;
}

export const plain = (): Style => ({ fg: 0, bg: 0, attributes: 0 });

const SET: Readonly<Record<number, number>> = {
  1: BOLD, 2: DIM, 3: ITALIC, 4: UNDERLINE, 7: INVERSE, 8: HIDDEN, 9: STRUCK, 21: UNDERLINE,
};
const UNSET: Readonly<Record<number, number>> = {
  22: BOLD | DIM, 23: ITALIC, 24: UNDERLINE, 27: INVERSE, 28: HIDDEN, 29: STRUCK,
};

/** Changes the style as the parameters of one `m` say: `1;38;5;208`, with colons as well. What is unknown is left out. */
export function applyCodes(style: Style, parameters: string): void {
  const parts = parameters.split(';');
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (part.includes(':')) {
      applyColons(style, part.split(':').map(Number));
      continue;
    }
    const code = Number(part || 0);
    if (code === 38 || code === 48) {
      const [colour, used] = extended(parts.slice(i + 1, i + 5).map(Number));
      i += used;
      if (colour) style[code === 38 ? 'fg' : 'bg'] = colour;
    } else {
      applyCode(style, code);
    }
  }
}

function applyCode(style: Style, code: number): void {
  if (code === 0) Object.assign(style, plain());
  else if (SET[code]) style.attributes |= SET[code];
  else if (UNSET[code]) style.attributes &= ~UNSET[code];
  else if (code >= 30 && code <= 37) style.fg = code - 29;
  else if (code >= 90 && code <= 97) style.fg = code - 81;
  else if (code >= 40 && code <= 47) style.bg = code - 39;
  else if (code >= 100 && code <= 107) style.bg = code - 91;
  else if (code === 39) style.fg = 0;
  else if (code === 49) style.bg = 0;
}

function applyColons(style: Style, codes: number[]): void {
  const [code, kind] = codes;
  if (code === 4) {
    if (kind === 0) style.attributes &= ~UNDERLINE;
    else style.attributes |= UNDERLINE;
  } else if (code === 38 || code === 48) {
    // 38:2:SPACE:R:G:B, where the colour space may be missing.
    const rest = kind === 2 && codes.length > 5 ? [2, ...codes.slice(3)] : codes.slice(1);
    const [colour] = extended(rest);
    if (colour) style[code === 38 ? 'fg' : 'bg'] = colour;
  }
}

/** The colour that follows a 38 or 48 (0: none that is right), and how many parameters it takes. */
function extended(codes: number[]): [number, number] {
  const byte = (n: number | undefined): boolean => n !== undefined && n >= 0 && n <= 255;
  const [kind, a, b, c] = codes;
  if (kind === 5) return [byte(a) ? a! + 1 : 0, 2];
  if (kind === 2) return [byte(a) && byte(b) && byte(c) ? RGB | (a! << 16) | (b! << 8) | c! : 0, 4];
  return [0, 1];
}

/** Red, green and blue of a colour beyond the first sixteen of the palette; null for those, which a theme has. */
export function rgbOf(colour: number): [number, number, number] | null {
  if (colour & RGB) return [(colour >> 16) & 255, (colour >> 8) & 255, colour & 255];
  const place = colour - 1;
  if (place < 16) return null;
  if (place >= 232) {
    const grey = 8 + (place - 232) * 10;
    return [grey, grey, grey];
  }
  const level = (n: number): number => (n ? 55 + 40 * n : 0);
  const cube = place - 16;
  return [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
}

/** The colour, moved toward black or white until it can be read on a background: a contrast of 4.5 or more. */
export function readable(rgb: readonly number[], background: readonly number[]): [number, number, number] {
  const goal = luminance(background) > 0.18 ? 0 : 255;
  for (let part = 0; part <= 1; part += 0.1) {
    const moved = rgb.map((value) => Math.round(value + (goal - value) * part)) as [number, number, number];
    if (contrast(moved, background) >= 4.5) return moved;
  }
  return [goal, goal, goal];
}

export function contrast(one: readonly number[], other: readonly number[]): number {
  const [a, b] = [luminance(one), luminance(other)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

function luminance(rgb: readonly number[]): number {
  const [r, g, b] = rgb.map((value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}
