// A bar chart as SVG: a value for each unit of a model.
import { escapeXml, figure, round, ticks } from "../../src/svg.ts";

export interface BarChart {
  readonly title: string;
  /** Lines under the title. */
  readonly subtitle: readonly string[];
  readonly bars: readonly { readonly label: string; readonly value: number; readonly marked: boolean }[];
  /** What marked bars are. */
  readonly legend: string;
}

const BAR = 22;
const PLOT = { height: 260, top: 94, bottom: 40, left: 76, right: 20 };
const LEAST_WIDTH = 640;

const STYLE = `
  .chart { --ink: #24292f; --soft: #6e7781; --line: #d0d7de; --bar: #8c959f; --marked: #0969da; --paper: #ffffff; font: 12px system-ui, sans-serif; }
  @media (prefers-color-scheme: dark) { .chart { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --bar: #656c76; --marked: #4493f8; --paper: #0d1117; } }
  .chart .paper { fill: var(--paper); } .chart text { fill: var(--soft); } .chart .heading { fill: var(--ink); font-weight: 600; font-size: 15px; }
  .chart .grid { stroke: var(--line); } .chart .bar { fill: var(--bar); } .chart .marked { fill: var(--marked); }
`;

export function barChart({ title, subtitle, bars, legend }: BarChart): string {
  const inner = Math.max(LEAST_WIDTH, bars.length * BAR);
  const width = PLOT.left + inner + PLOT.right;
  const height = PLOT.top + PLOT.height + PLOT.bottom;
  const { low, high, log } = rangeOf(bars.map(({ value }) => value));
  const scale = (value: number): number => (log ? Math.log10(value) : value);
  const y = (value: number): number =>
    round(PLOT.top + PLOT.height * (1 - (scale(value) - scale(low)) / (scale(high) - scale(low))));
  const slot = inner / Math.max(1, bars.length);
  const columns = bars.map(({ label, value, marked }, i) => {
    const x = round(PLOT.left + i * slot);
    const top = y(Math.min(high, Math.max(low, value)));
    const name = escapeXml(`${label}: ${figure(value)}`);
    // A bar beyond the axis says its value.
    const beyond =
      value < low || value > high
        ? `<text x="${round(x + slot / 2)}" y="${value < low ? top - 4 : top + 12}" text-anchor="middle" font-size="9">${Number(value.toPrecision(2))}</text>`
        : "";
    return `<rect class="${marked ? "marked" : "bar"}" x="${round(x + slot * 0.12)}" y="${top}" width="${round(slot * 0.76)}" height="${round(PLOT.top + PLOT.height - top)}"><title>${name}</title></rect><text x="${round(x + slot / 2)}" y="${PLOT.top + PLOT.height + 16}" text-anchor="middle" font-size="10">${escapeXml(label)}</text>${beyond}`;
  });
  const grid = axisTicks(low, high, log).map(
    (tick) =>
      `<line class="grid" x1="${PLOT.left}" x2="${width - PLOT.right}" y1="${y(tick)}" y2="${y(tick)}"/><text x="${PLOT.left - 8}" y="${y(tick) + 4}" text-anchor="end">${figure(tick)}</text>`,
  );
  const key = `<rect class="marked" x="${PLOT.left}" y="${PLOT.top - 20}" width="10" height="10"/><text x="${PLOT.left + 16}" y="${PLOT.top - 11}">${escapeXml(legend)}${log ? "; logarithmic axis" : ""}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" class="chart" role="img" aria-label="${escapeXml(title)}">
<style>${STYLE}</style>
<rect class="paper" width="${width}" height="${height}"/>
<text class="heading" x="${PLOT.left}" y="24">${escapeXml(title)}</text>
${subtitle.map((line, i) => `<text x="${PLOT.left}" y="${42 + 16 * i}">${escapeXml(line)}</text>`).join("\n")}
${key}
${grid.join("\n")}
${columns.join("\n")}
<text x="${PLOT.left + inner / 2}" y="${height - 6}" text-anchor="middle">layer</text>
</svg>
`;
}

/**
 * An axis on which values that are much alike are told apart: it ends three quartile distances beyond the middle half (Tukey's far-out
 * values are beyond it), or at the values' own ends. Logarithmic where even those are two decades apart.
 */
function rangeOf(values: readonly number[]): { low: number; high: number; log: boolean } {
  const sorted = values.filter(Number.isFinite).toSorted((a, b) => a - b);
  if (sorted.length === 0) return { low: 0, high: 1, log: false };
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] as number;
  const reach = 3 * (at(0.75) - at(0.25));
  const least = Math.max(at(0), at(0.25) - reach);
  const most = Math.min(at(1), at(0.75) + reach);
  if (least > 0 && most / least > 100) return { low: least * 0.8, high: most * 1.2, log: true };
  const room = (most - least) * 0.08 || Math.abs(most) * 0.08 || 1;
  const low = least >= 0 && least < (most - least) / 2 ? 0 : least - room;
  return { low, high: most + room, log: false };
}

/** Round numbers on the axis. */
function axisTicks(low: number, high: number, log: boolean): number[] {
  if (log) {
    const first = Math.ceil(Math.log10(low));
    return Array.from({ length: Math.floor(Math.log10(high)) - first + 1 }, (_, i) => 10 ** (first + i));
  }
  return ticks(low, high);
}
