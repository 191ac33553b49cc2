// What pictures have in common: round numbers on an axis, and numbers and texts as SVG takes them.

/** Some five round numbers from `low` to `high`. */
export function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) as number;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

export const figure = (value: number): string => `${Number(value.toPrecision(4))}`;
export const round = (value: number): number => Math.round(value * 10) / 10;
export const escapeXml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
