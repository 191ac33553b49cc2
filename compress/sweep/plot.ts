// Scores of a sweep as a picture: each variant's cost against its loss, the frontier as a line. SVG.
import { escapeXml, figure, round, ticks } from "../../src/svg.ts";

export interface PlotPoint {
  readonly label: string;
  readonly family: string;
  readonly cost: number;
  readonly loss: number;
  /** Standard error of the loss. */
  readonly stderr?: number | undefined;
  readonly onFrontier: boolean;
}

export interface Plot {
  readonly title: string;
  readonly subtitle: string;
  readonly cost: string;
  readonly loss: string;
  readonly points: readonly PlotPoint[];
}

const WIDTH = 820;
const HEIGHT = 520;
const MARGIN = { top: 64, right: 190, bottom: 52, left: 76 };
const INNER = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
/** Told apart by people who do not see all colours (Okabe and Ito). */
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f"];

const STYLE = `
  .plot { --ink: #24292f; --soft: #6e7781; --line: #d0d7de; --paper: #ffffff; font: 12px system-ui, sans-serif; }
  @media (prefers-color-scheme: dark) { .plot { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117; } }
  .plot .paper { fill: var(--paper); } .plot text { fill: var(--soft); } .plot .heading { fill: var(--ink); font-weight: 600; font-size: 15px; }
  .plot .grid { stroke: var(--line); } .plot .frontier { fill: none; stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 6 3; }
  .plot .name { fill: var(--ink); font-size: 11px; }
`;

/** The axis of the loss is logarithmic: a perplexity ten times as high is one step, wherever it is. */
export function plot({ title, subtitle, cost, loss, points }: Plot): string {
  const costs = points.map((point) => point.cost);
  const room = (Math.max(...costs) - Math.min(...costs)) * 0.06 || 1;
  const [low, high] = [Math.min(...costs) - room, Math.max(...costs) + room];
  const ends = points.flatMap((point) => [point.loss - (point.stderr ?? 0), point.loss + (point.stderr ?? 0)]);
  const positive = ends.filter((value) => value > 0);
  const [least, most] = [Math.min(...positive) / 1.08, Math.max(...positive) * 1.08];
  const x = (value: number): number => round(MARGIN.left + ((value - low) / (high - low)) * INNER.width);
  const y = (value: number): number =>
    round(MARGIN.top + (1 - Math.log(Math.max(value, least) / least) / Math.log(most / least)) * INNER.height);
  const families = [...new Set(points.map(({ family }) => family))];
  const colorOf = (family: string): string => COLORS[families.indexOf(family) % COLORS.length] as string;

  const grid = [
    ...logTicks(least, most).map(
      (tick) =>
        `<line class="grid" x1="${MARGIN.left}" x2="${MARGIN.left + INNER.width}" y1="${y(tick)}" y2="${y(tick)}"/><text x="${MARGIN.left - 8}" y="${y(tick) + 4}" text-anchor="end">${figure(tick)}</text>`,
    ),
    ...ticks(low, high).map(
      (tick) =>
        `<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${MARGIN.top}" y2="${MARGIN.top + INNER.height}"/><text x="${x(tick)}" y="${MARGIN.top + INNER.height + 18}" text-anchor="middle">${figure(tick)}</text>`,
    ),
  ];
  const best = points.filter(({ onFrontier }) => onFrontier).toSorted((a, b) => a.cost - b.cost);
  // From one to the next first along the cost: what costs more and loses less than one of them is no better than the frontier.
  const steps = best.flatMap((point, i) => [
    [point.cost, (best[i - 1] ?? point).loss] as const,
    [point.cost, point.loss] as const,
  ]);
  const marks = points.map((point) => {
    const color = colorOf(point.family);
    const [cx, cy] = [x(point.cost), y(point.loss)];
    const bar = point.stderr
      ? `<line x1="${cx}" x2="${cx}" y1="${y(point.loss - point.stderr)}" y2="${y(point.loss + point.stderr)}" stroke="${color}" stroke-width="1.5"/>`
      : "";
    const fill = point.onFrontier ? color : "none";
    const name = point.onFrontier
      ? `<text class="name" x="${cx + 8}" y="${cy - 7}">${escapeXml(point.label)}</text>`
      : "";
    const about = `<title>${escapeXml(`${point.label}: ${figure(point.cost)}, ${figure(point.loss)}`)}</title>`;
    return `${bar}<circle cx="${cx}" cy="${cy}" r="5" fill="${fill}" stroke="${color}" stroke-width="2">${about}</circle>${name}`;
  });
  const key = families.map((family, i) => {
    const top = MARGIN.top + 10 + i * 20;
    const left = WIDTH - MARGIN.right + 18;
    return `<circle cx="${left}" cy="${top}" r="5" fill="${colorOf(family)}"/><text x="${left + 12}" y="${top + 4}">${escapeXml(family)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" class="plot" role="img" aria-label="${escapeXml(title)}">
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>
<text class="heading" x="${MARGIN.left}" y="24">${escapeXml(title)}</text>
<text x="${MARGIN.left}" y="42">${escapeXml(subtitle)}</text>
${grid.join("\n")}
<polyline class="frontier" points="${steps.map(([atCost, atLoss]) => `${x(atCost)},${y(atLoss)}`).join(" ")}"/>
${marks.join("\n")}
${key.join("\n")}
<text x="${MARGIN.left + INNER.width / 2}" y="${HEIGHT - 12}" text-anchor="middle">${escapeXml(cost)}</text>
<text transform="translate(18 ${MARGIN.top + INNER.height / 2}) rotate(-90)" text-anchor="middle">${escapeXml(loss)}</text>
</svg>
`;
}

/** 1, 2 and 5 times powers of ten; all whole multiples where those are too few. */
function logTicks(least: number, most: number): number[] {
  const powers = Array.from({ length: 40 }, (_, i) => 10 ** (i - 15));
  const within = (values: readonly number[]): number[] => values.filter((value) => value >= least && value <= most);
  const coarse = within(powers.flatMap((power) => [power, 2 * power, 5 * power]));
  return coarse.length > 2 ? coarse : ticks(least, most).filter((value) => value > 0);
}
