// Results as a table to read in a terminal.
import type { MetricResult, Results } from "./analysis.ts";

const HEADINGS = ["metric", "treatment", "control", "difference (limits)", "margin", "units", "verdict"] as const;

/** A mean without bounds. */
interface ShownMean {
  readonly title: string;
  readonly unit: string;
  readonly treatment: string;
  readonly units: number;
  readonly value: number;
}
interface ReportedResults extends Results {
  readonly shown?: readonly ShownMean[];
}

/** The results as text: a line on the split, a table, what is only shown, and how to read it. Ends with a line feed. */
export function reportText({ experiment, epoch, sample_ratio: ratio, metrics, shown = [] }: ReportedResults): string {
  const rows = metrics.map(rowOf);
  const widths = HEADINGS.map((heading, column) => Math.max(heading.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd();
  const split = Object.entries(ratio.exposed)
    .map(([arm, count]) => `${arm} ${count} (expected ${Math.round(ratio.expected[arm] ?? 0)})`)
    .join(", ");
  const alarm = ratio.alarm
    ? `The split is broken (p = ${figure(ratio.p_value)}): find out why before you believe anything below.`
    : `The split is as the weights say (p = ${figure(ratio.p_value)}).`;
  return [
    `Experiment ${experiment}, epoch ${epoch}`,
    `Units exposed: ${split}`,
    alarm,
    "",
    line(HEADINGS),
    line(widths.map((width) => "-".repeat(width))),
    ...rows.map(line),
    ...(shown.length > 0 ? ["", "Shown, never judged, as it has no bounds:"] : []),
    ...shown.map(
      ({ title, unit, treatment, units, value }) =>
        `  ${treatment}: ${title} ${figure(value)} (${unit}; ${units} units)`,
    ),
    "",
    "Differences are treatment minus control, and positive is better; those marked log are of natural logarithms: 0.1 is about 10 %.",
    "All limits hold together and at all times: looking often, or stopping when they please, does not make them wrong more often.",
    "",
  ].join("\n");
}

function rowOf(result: MetricResult): readonly string[] {
  const last = result.series.at(-1);
  const limits = last ? `[${limit(last.lower)}, ${limit(last.upper)}]` : "[?, ?]";
  return [
    result.role === "primary" ? `${result.metric} (primary)` : result.metric,
    `${result.treatment} ${value(result.treatment_value)}`,
    `${result.control} ${value(result.control_value)}`,
    `${limit(last?.estimate ?? null)} ${limits}${result.is_log ? " log" : ""}`,
    figure(result.margin),
    String(last?.units ?? 0),
    result.verdict === "undecided" ? `undecided, ${neededText(result.units_needed)}` : result.verdict,
  ];
}

const neededText = (units: number | null): string =>
  units === null ? "no telling how many more units" : `about ${units.toLocaleString("en")} more units`;

const value = (number: number | null): string => (number === null ? "-" : figure(number));
const limit = (number: number | null): string => (number === null ? "?" : (number < 0 ? "" : "+") + figure(number));

/** Three significant digits, without an exponent where that is short. */
export function figure(number: number): string {
  if (number === 0) return "0";
  const size = Math.abs(number);
  return size < 1e-4 || size >= 1e6 ? number.toExponential(1) : String(Number(number.toPrecision(3)));
}
