// Results as a picture: for each treatment and metric how the limits closed in over the units, beside the lines that make the verdict.
import { escapeXml, round, ticks } from "../svg.ts";
import type { MetricResult, Results } from "./analysis.ts";
import { figure } from "./report.ts";

const WIDTH = 720;
const PANEL = { height: 250, top: 48, bottom: 46, left: 72, right: 110 };

/** Plain rules, one theme and then the other: many programs that show or convert an SVG know no variables. */
const theme = (ink: string, soft: string, line: string, band: string, paper: string): string =>
  `.paper { fill: ${paper}; } text { fill: ${soft}; } .heading { fill: ${ink}; } .band { fill: ${band}; }
.estimate, .zero, .margin { stroke: ${ink}; } .grid { stroke: ${line}; }`;
const STYLE = `
text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; } .heading { font-weight: 600; font-size: 14px; }
.band { fill-opacity: 0.35; } .estimate { fill: none; stroke-width: 1.5; } .margin { stroke-dasharray: 5 4; }
${theme("#24292f", "#57606a", "#d0d7de", "#6e9bd1", "#ffffff")}
@media (prefers-color-scheme: dark) { ${theme("#e6edf3", "#9198a1", "#3d444d", "#6e9bd1", "#0d1117")} }
`;

/** An SVG with one panel per comparison. */
export function reportSvg({ experiment, epoch, metrics }: Results): string {
  const id = `report-${escapeXml(experiment)}`;
  const height = Math.max(1, metrics.length) * PANEL.height;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="${id}-title ${id}-description">
<title id="${id}-title">Experiment ${escapeXml(experiment)}, epoch ${epoch}: confidence sequences</title>
<desc id="${id}-description">${escapeXml(metrics.map(describe).join(" ") || "Nothing was measured.")}</desc>
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${height}"/>
${metrics.map((result, index) => panel(result, index)).join("\n")}
</svg>
`;
}

function describe({ title, metric, treatment, control, verdict, margin, series }: MetricResult): string {
  const last = series.at(-1);
  const limits = last
    ? `between ${edge(last.lower)} and ${edge(last.upper)} after ${last.units} units`
    : "not measured yet";
  return `${title} (${metric}), ${treatment} against ${control}: the difference is ${limits}; with a margin of ${figure(margin)}: ${verdict}.`;
}

function panel(result: MetricResult, index: number): string {
  const { metric, treatment, control, margin, verdict, is_log, series } = result;
  const inner = { width: WIDTH - PANEL.left - PANEL.right, height: PANEL.height - PANEL.top - PANEL.bottom };
  const units = Math.max(1, series.at(-1)?.units ?? 1);
  const [low, high] = bounds(result);
  const x = (at: number): number => round((at / units) * inner.width);
  // Limits beyond the picture end at its edge.
  const y = (at: number | null, none: number): number =>
    round((1 - (Math.min(Math.max(at ?? none, low), high) - low) / (high - low)) * inner.height);
  const upper = series.map((point) => `${x(point.units)},${y(point.upper, high)}`);
  const lower = series.map((point) => `${x(point.units)},${y(point.lower, low)}`).reverse();
  const estimate = series.flatMap(({ units, estimate }) =>
    estimate === null ? [] : [`${x(units)},${y(estimate, 0)}`],
  );
  // The labels keep apart even where the lines do not.
  const across = (at: number, kind: string, label: string, labelY: number): string =>
    `<line class="${kind}" x1="0" x2="${inner.width}" y1="${y(at, 0)}" y2="${y(at, 0)}"/><text x="${inner.width + 6}" y="${labelY + 4}">${label}</text>`;
  const yTicks = ticks(low, high).map(
    (tick) =>
      `<line class="grid" x1="0" x2="${inner.width}" y1="${y(tick, 0)}" y2="${y(tick, 0)}"/><text x="-8" y="${y(tick, 0) + 4}" text-anchor="end">${figure(tick)}</text>`,
  );
  const xTicks = ticks(0, units).map(
    (tick) => `<text x="${x(tick)}" y="${inner.height + 18}" text-anchor="middle">${tick.toLocaleString("en")}</text>`,
  );
  return `<g transform="translate(${PANEL.left} ${index * PANEL.height + PANEL.top})">
<text class="heading" x="0" y="-24">${escapeXml(`${metric}: ${treatment} against ${control}: ${verdict}`)}</text>
<text x="0" y="-8">difference${is_log ? " of logarithms (0.1 is about 10 %)" : ""}, positive is better</text>
${yTicks.join("")}${xTicks.join("")}
<text x="${inner.width / 2}" y="${inner.height + 36}" text-anchor="middle">units observed${period(series)}</text>
<polygon class="band" points="${[...upper, ...lower].join(" ")}"/>
<polyline class="estimate" points="${estimate.join(" ")}"/>
${across(0, "zero", "no difference", y(0, 0))}
${across(-margin, "margin", "accepted loss", Math.max(y(-margin, 0), y(0, 0) + 14))}
</g>`;
}

/** From when to when, as far as it is known. */
function period(series: MetricResult["series"]): string {
  const [first, last] = [series[0], series.at(-1)];
  const minute = (at: number): string => new Date(at).toISOString().slice(0, 16).replace("T", " ");
  return first && last ? `, ${minute(first.at)} to ${minute(last.at)} UTC` : "";
}

/** The part of the axis that shows the last limits, both lines, and something of the way there. */
function bounds({ margin, series }: MetricResult): readonly [number, number] {
  const last = series.at(-1);
  const shown = [0, -margin, last?.lower, last?.upper, last?.estimate].filter((value) => typeof value === "number");
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  const room = (high - low) * 0.5;
  return [low - room, high + room];
}

const edge = (limit: number | null): string => (limit === null ? "no limit yet" : figure(limit));
