// What the replays of one load come to, in words: each choice's usefulness in time, and whether `auto` held its goals.
import { table } from "../table.ts";
import { compare, paired, type Verdict } from "./verdict.ts";

export interface Replayed {
  readonly name: string;
  /** The base, and what computes the same. */
  readonly base: ReadonlySet<string>;
  /** How many times as fast as the base the fastest variant is. */
  readonly ladder: number;
  /** Share of the bound that `auto` is to reach. */
  readonly goal: number;
  /** By choice: `auto`, the base and the others, each on the same queue. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** With perfect foresight. */
  readonly bound: Verdict;
  /** With every step's time known, but not the future. */
  readonly online: Verdict;
  /** By what they know: routers that look ahead. */
  readonly lookaheads: ReadonlyMap<string, Verdict>;
  /** Variants whose text is broken. */
  readonly research: ReadonlySet<string>;
}

/** A difference of more standard errors is no chance. */
const SIGNIFICANT = 2;
/** Of variants that are hardly faster than the base there is nothing to win: `auto` may not lose anything then. */
const NARROW = 1.5;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** One line, when a choice's replay has ended. */
export function line(
  load: string,
  choice: string,
  { mean, met, useful }: Verdict,
  outcomes: readonly { readonly failed?: boolean }[],
): string {
  const failed = outcomes.filter((outcome) => outcome.failed).length;
  const text = `${load}: ${choice} useful in time ${mean.toFixed(3)}, met ${percent(met)} of ${useful.length}`;
  return failed > 0 ? `${text}; ${failed} of ${outcomes.length} requests failed` : text;
}

/** @returns whether all goals are held */
export function report(replayed: Replayed): boolean {
  const { name, verdicts, bound, online, lookaheads } = replayed;
  const auto = verdicts.get("auto") as Verdict;
  const informed = [["online with known times", online] as const, ...lookaheads];
  const rows = [...verdicts, ...informed, ["perfect foresight", bound] as const].map(([choice, verdict]) => {
    const { difference, se } = compare(auto, verdict);
    const versus = choice === "auto" ? "" : `${signed(difference)} ± ${se.toFixed(3)}`;
    return [choice, verdict.mean.toFixed(3), verdict.byHellaswag.toFixed(3), percent(verdict.met), versus];
  });
  console.log(`\n${name}: ${auto.useful.length} requests count\n`);
  const header = ["answered by", "useful in time", "by HellaSwag alone", "budgets met", "auto brings more by"];
  console.log(table(header, rows));
  const answers = [...auto.answers].toSorted((a, b) => b[1] - a[1]);
  console.log(`\nauto's answers: ${answers.map(([variant, count]) => `${count} by ${variant}`).join(", ")}`);
  for (const [who, verdict] of informed) {
    const share = verdict.mean / bound.mean;
    console.log(
      `${who}: ${share.toFixed(3)} ± ${errorOf(verdict, bound).toFixed(3)} of perfect foresight, ` +
        `auto ${(auto.mean / verdict.mean).toFixed(3)} ± ${errorOf(auto, verdict).toFixed(3)} of it`,
    );
  }
  const checks = checksOf(auto, replayed);
  for (const [text, holds] of checks) console.log(`${holds ? "yes" : "NO "}  ${text}`);
  return checks.every(([, holds]) => holds);
}

/** Standard error of one's share of another, on the same requests (linearized: Cochran, Sampling Techniques, 1977, section 6.4). */
function errorOf(part: Verdict, whole: Verdict): number {
  const share = part.mean / whole.mean;
  const expected = whole.useful.map((useful) => share * useful);
  return paired(part.useful, expected).se / whole.mean;
}

const signed = (difference: number): string => `${difference >= 0 ? "+" : ""}${difference.toFixed(3)}`;

/** What was to be shown, and whether it was. */
export function checksOf(
  auto: Verdict,
  { goal, base, ladder, verdicts, bound, research }: Omit<Replayed, "name" | "online" | "lookaheads">,
): (readonly [string, boolean])[] {
  const short = compare(bound, auto);
  const isNearBound = short.difference <= SIGNIFICANT * short.se;
  const isNarrow = ladder < NARROW;
  const unbeaten = [...verdicts].filter(([choice, verdict]) => {
    if (choice === "auto") return false;
    const { difference, se } = compare(auto, verdict);
    const mayTie = isNarrow && base.has(choice);
    return mayTie ? difference < -SIGNIFICANT * se : difference <= 0 || difference < SIGNIFICANT * se;
  });
  const goalOf = isNarrow
    ? `not below the base and above every other variant by ${SIGNIFICANT} standard errors`
    : `above the base and every other variant by ${SIGNIFICANT} standard errors`;
  const broken = [...auto.answers].filter(([variant]) => research.has(variant));
  const share = auto.mean / bound.mean;
  return [
    [`auto brings ${share.toFixed(3)} of what perfect foresight would (goal ${goal})`, share >= goal],
    unbeaten.length > 0 && isNearBound
      ? ["auto is within noise of the bound", true]
      : [
          unbeaten.length === 0
            ? `auto is ${goalOf}`
            : `auto is to be ${goalOf}: it is not beside ${unbeaten.map(([choice]) => choice).join(", ")}`,
          unbeaten.length === 0,
        ],
    ["no answer comes from a research variant", broken.length === 0],
  ];
}
