// A paper's table: figure beside figure, each as it is and as a ratio to the model as it was
// before.
import { aggregate, type Metric, TASKS, type Task } from "../../evaluation/index.ts";
import { BASE, type Column, type Paper, type Reference, type Row } from "./paper.ts";
import { type Results, sharedResults } from "./results.ts";

interface Figure extends Metric {
  /** To the unpruned model, on the same items. */
  readonly ratio: number | undefined;
  /** Items that it is of. */
  readonly items?: number;
}

/** What is known of a row in a column, of our variants. */
function figureOf(column: Column, variant: string, results: Results): Figure | undefined {
  if (column.kind === "cost") {
    const [plan, base] = [results.planOf(variant), results.planOf(BASE)];
    return plan && base && { value: column.of(plan), ratio: column.of(plan) / column.of(base) };
  }
  const { own, base } = sharedResults(results, variant, column.task);
  if (own.length === 0) return undefined;
  const rules = (TASKS.get(column.task) as Task).metrics.filter(({ name }) => name === column.metric);
  const [metric, unpruned] = [own, base].map((items) => aggregate(items, rules)[column.metric] as Metric);
  return metric && unpruned && { ...metric, ratio: ratio(metric.value, unpruned.value), items: own.length };
}

const ratio = (value: number, to: number | undefined): number | undefined =>
  to === undefined || to === 0 ? undefined : value / to;

const MISSING = "–";

/**
 * The cells of a table: a header, and a row for each of the paper's. A column that nothing is known
 * of is left out.
 */
export function cellsOf(paper: Paper, results: Results): readonly (readonly string[])[] {
  const columns = paper.columns.flatMap((column) => [
    { title: column.title, cell: (row: Row) => ours(column, row, results) },
    ...paper.references.map((reference) => ({
      title: `${column.title}: ${reference.model}`,
      cell: ({ label }: Row): string => theirs(column, reference, label === paper.rows[0]?.label ? undefined : label),
    })),
  ]);
  const cells = columns.map(({ title, cell }) => [title, ...paper.rows.map(cell)]);
  const known = cells.filter(([, ...values]) => values.some((value) => value !== MISSING));
  const labels = ["", ...paper.rows.map(({ label }) => label)];
  return labels.map((label, i) => [label, ...known.map((column) => column[i] as string)]);
}

const ours = (column: Column, { variant }: Row, results: Results): string => {
  const figure = figureOf(column, variant, results);
  return figure ? cell(column, figure) : MISSING;
};

/** @param label of a row; undefined: the unpruned model */
function theirs(column: Column, { unpruned, rows, ratios }: Reference, label: string | undefined): string {
  const value = (label === undefined ? unpruned : rows[label])?.[column.id];
  if (value === undefined) return MISSING;
  if (ratios?.includes(column.id)) return `${value.toFixed(2)} x`;
  return cell(column, { value, ratio: ratio(value, unpruned[column.id]) });
}

function cell({ write }: Column, { value, stderr, ratio, items }: Figure): string {
  const error = stderr === undefined ? "" : ` ± ${write(stderr)}`;
  const times = ratio === undefined ? "" : ` (${ratio.toFixed(2)} x)`;
  return `${write(value)}${error}${times}${items === undefined ? "" : `, n ${items}`}`;
}

/** As Markdown, without rows of which nothing is known. */
const markdown = ([header = [], ...rows]: readonly (readonly string[])[]): string =>
  [header, header.map(() => "---"), ...rows.filter(([, ...cells]) => cells.some((cell) => cell !== MISSING))]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");

/** docs/papers.md */
export function papersPage(papers: Iterable<Paper>, results: Results): string {
  const sections = [...papers].map(
    (paper) => `## ${paper.title}

${paper.source}. ${paper.about}

${markdown(cellsOf(paper, results))}

\`npm run bench:papers -- --paper ${paper.id} --make --measure\``,
  );
  return `# The source papers' tables on this base

Written by \`npm run readme\` from \`scores/\` and \`bench/papers/\`: the same methods on SmolLM2-135M-Instruct at 4 bits, on the engine that
serves, figure beside figure. In brackets is the ratio to the model as it was before, on the same items; ± is the standard error, n the items;
${MISSING}: not measured yet, or not in the paper. A row with few items is a slice: the command under the table makes what is missing and goes on
where it was stopped.

${sections.join("\n\n")}
`;
}
