// What the replays of one load come to, in words: each choice's usefulness in time, and whether `auto` held its goals.
import { table } from "../table.ts";
import { compare, type Verdict } from "./verdict.ts";

export interface Replayed {
  readonly name: string;
  readonly base: string;
  /** Share of the bound that `auto` is to reach. */
  readonly goal: number;
  /** By choice: `auto`, the base and the others, each on the same queue. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** With perfect foresight. */
  readonly bound: Verdict;
  /** Variants whose text is broken. */
  readonly research: ReadonlySet<string>;
}

/** A difference of more standard errors is no chance. */
const SIGNIFICANT = 2;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** One line, when a choice's replay has ended. */
export const line = (load: string, choice: string, { mean, met, useful }: Verdict): string =>
  `${load}: ${choice} useful in time ${mean.toFixed(3)}, met ${percent(met)} of ${useful.length}`;

/** @returns whether all goals are held */
export function report({ name, goal, base, verdicts, bound, research }: Replayed): boolean {
  const auto = verdicts.get("auto") as Verdict;
  const rows = [...verdicts, ["perfect foresight", bound] as const].map(([choice, verdict]) => {
    const { difference, se } = compare(auto, verdict);
    const versus = choice === "auto" ? "" : `${difference >= 0 ? "+" : ""}${difference.toFixed(3)} ± ${se.toFixed(3)}`;
    return [choice, verdict.mean.toFixed(3), percent(verdict.met), versus];
  });
  console.log(`\n${name}: ${auto.useful.length} requests count\n`);
  console.log(table(["answered by", "useful in time", "budgets met", "auto brings more by"], rows));
  const answers = [...auto.answers].toSorted((a, b) => b[1] - a[1]);
  console.log(`\nauto's answers: ${answers.map(([variant, count]) => `${count} by ${variant}`).join(", ")}`);
  const checks = checksOf(auto, { goal, base, verdicts, bound, research });
  for (const [text, holds] of checks) console.log(`${holds ? "yes" : "NO "}  ${text}`);
  return checks.every(([, holds]) => holds);
}

/** What was to be shown, and whether it was. */
export function checksOf(
  auto: Verdict,
  { goal, base, verdicts, bound, research }: Omit<Replayed, "name">,
): (readonly [string, boolean])[] {
  const short = compare(bound, auto);
  const isNearBound = short.difference <= SIGNIFICANT * short.se;
  const versus = [...verdicts]
    .filter(([choice]) => choice !== "auto")
    .map(([choice, verdict]) => ({ choice, ...compare(auto, verdict) }));
  // Where the variants are hardly faster than the base, there is nothing to win; nothing may be lost.
  const unbeaten = versus.filter(({ choice, difference, se }) =>
    choice === base ? difference < -SIGNIFICANT * se : difference <= 0 || difference < SIGNIFICANT * se,
  );
  const broken = [...auto.answers].filter(([variant]) => research.has(variant));
  const share = auto.mean / bound.mean;
  return [
    [`auto brings ${share.toFixed(3)} of what perfect foresight would (goal ${goal})`, share >= goal],
    [
      unbeaten.length === 0
        ? "auto is not below the base, and brings more than every other variant, by two standard errors"
        : isNearBound
          ? "auto is within noise of the bound"
          : `auto is below the base, or does not bring more by two standard errors: ${unbeaten.map(({ choice }) => choice).join(", ")}`,
      unbeaten.length === 0 || isNearBound,
    ],
    ["no answer comes from a research variant", broken.length === 0],
  ];
}
