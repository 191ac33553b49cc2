// Turns values of all rounds into the printed tables and the JSON document.
import type { Rates } from "./answer.ts";
import { type Machine, machineLine } from "./machine.ts";
import { COMPARISONS, MEASURES, type Measure } from "./measures.ts";
import type { Values } from "./rounds.ts";
import { digits, range, type Spread, spread } from "./stats.ts";
import type { Subject } from "./subject.ts";
import { table } from "./table.ts";

export interface Costs {
  readonly weightBytes: number;
  readonly multiplyAdds: number;
}

export interface ReportInput {
  readonly machine: Machine;
  readonly command: string;
  readonly core: number | undefined;
  readonly subjects: readonly (Subject & { readonly detail: string })[];
  /** Why engines that were asked for did not run. */
  readonly leftOut: Readonly<Record<string, string>>;
  readonly rates: readonly Rates[];
  readonly values: Values;
  /** What one token costs, by variant. */
  readonly costs: (variant: string) => Costs;
}

export interface Figure extends Spread {
  readonly measure: string;
  readonly subject: string;
  readonly unit: Measure["unit"];
  /** Of the core's measured bandwidth or int8 peak. */
  readonly share?: number;
  /** Median over the rounds of this subject's value divided by the peer's, by peer. */
  readonly timesPeer: Readonly<Record<string, number>>;
}

export interface Comparison extends Spread {
  readonly subject: string;
  readonly measure: string;
  readonly to: string;
}

export interface Report extends Omit<ReportInput, "subjects" | "values" | "costs" | "rates"> {
  readonly subjects: readonly { readonly id: string; readonly title: string; readonly detail: string }[];
  readonly readBytesPerSecond: Spread | undefined;
  readonly dotOperationsPerSecond: Spread | undefined;
  readonly figures: readonly Figure[];
  readonly comparisons: readonly Comparison[];
}

type Series = readonly (number | undefined)[];
const defined = (values: Series): number[] => values.filter((value) => value !== undefined);
const ratios = (ours: Series, theirs: Series): number[] =>
  ours.flatMap((value, round) => {
    const other = theirs[round];
    return value !== undefined && other !== undefined ? [value / other] : [];
  });

export function makeReport(input: ReportInput): Report {
  const { subjects, rates, values, costs, ...rest } = input;
  const read = rates.length ? spread(rates.map((rate) => rate.readBytes)) : undefined;
  const dot = rates.length ? spread(rates.map((rate) => rate.dotOperations)) : undefined;
  const series = (measure: string, subject: string): Series => values.get(measure)?.get(subject) ?? [];

  const shareOf = ({ bound, variant }: Measure, tokensPerSecond: number): number | undefined => {
    const { weightBytes, multiplyAdds } = costs(variant);
    if (bound === "bandwidth" && read) return (tokensPerSecond * weightBytes) / read.median;
    if (bound === "compute" && dot) return (tokensPerSecond * multiplyAdds * 2) / dot.median;
    return undefined;
  };
  const figures = MEASURES.flatMap((measure) =>
    subjects.flatMap((subject): Figure[] => {
      const own = series(measure.id, subject.id);
      if (defined(own).length === 0) return [];
      const all = spread(defined(own));
      const share = shareOf(measure, all.median);
      const timesPeer: Record<string, number> = {};
      for (const peer of subjects.filter((other) => subject.ours && !other.ours)) {
        const each = ratios(own, series(measure.id, peer.id));
        if (each.length) timesPeer[peer.id] = spread(each).median;
      }
      const figure = { measure: measure.id, subject: subject.id, unit: measure.unit, ...all, timesPeer };
      return [share === undefined ? figure : { ...figure, share }];
    }),
  );
  const comparisons = COMPARISONS.flatMap(([measure, to]) =>
    subjects.flatMap((subject): Comparison[] => {
      const each = ratios(series(measure, subject.id), series(to, subject.id));
      return each.length ? [{ subject: subject.id, measure, to, ...spread(each) }] : [];
    }),
  );
  return {
    ...rest,
    subjects: subjects.map(({ id, title, detail }) => ({ id, title, detail })),
    readBytesPerSecond: read,
    dotOperationsPerSecond: dot,
    figures,
    comparisons,
  };
}

export function printReport(report: Report): string {
  const {
    subjects,
    figures,
    comparisons,
    leftOut,
    core,
    readBytesPerSecond: read,
    dotOperationsPerSecond: dot,
  } = report;
  const peers = subjects.filter(({ id }) => figures.some(({ timesPeer }) => id in timesPeer));
  const tables = MEASURES.flatMap((measure) => {
    const rows = figures.filter((figure) => figure.measure === measure.id);
    if (rows.length === 0) return [];
    const header = ["", measure.unit, "min-max", ...(measure.bound ? [`of ${measure.bound}`] : [])];
    const shown = peers.filter(({ id }) => rows.some(({ timesPeer }) => id in timesPeer));
    const body = rows.map((figure) => [
      figure.subject,
      digits(figure.median),
      range(figure),
      ...(measure.bound ? [figure.share === undefined ? "" : `${(figure.share * 100).toFixed(0)} %`] : []),
      ...shown.map(({ id }) => (figure.timesPeer[id] === undefined ? "" : `${digits(figure.timesPeer[id])} x`)),
    ]);
    return [`${measure.title}\n${table([...header, ...shown.map(({ id }) => `to ${id}`)], body)}`];
  });
  const title = (id: string) => MEASURES.find((measure) => measure.id === id)?.title ?? id;
  if (comparisons.length) {
    const rows = comparisons.map((entry) => [
      `${title(entry.measure)} / ${title(entry.to)}`,
      entry.subject,
      `${digits(entry.median)} x`,
      range(entry),
    ]);
    tables.push(`ratios, by round\n${table(["", "engine", "median", "min-max"], rows)}`);
  }
  return [
    machineLine(report.machine),
    core === undefined ? "not pinned: taskset or a second core is missing" : `every engine on core ${core} alone`,
    ...subjects.map(({ id, title: name, detail }) => `${id}: ${name} (${detail})`),
    ...Object.entries(leftOut).map(([id, reason]) => `${id}: left out, ${reason}`),
    ...(read && dot
      ? [
          `one core from WebAssembly: reads ${digits(read.median / 1e9)} GB/s (${digits(read.min / 1e9)}-${digits(read.max / 1e9)}), 8-bit dot products ${digits(dot.median / 1e9)} G operations/s (${digits(dot.min / 1e9)}-${digits(dot.max / 1e9)})`,
        ]
      : []),
    ...tables.map((text) => `\n${text}`),
    `\n${report.command}`,
  ].join("\n");
}
