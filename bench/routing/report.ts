// What a replay of one load comes to, in words: each choice's figures, and whether `auto` held its goals.
import { table } from "../table.ts";
import type { Load } from "./load.ts";
import { alone, bestFixed, dominates, type Scene, type Verdict } from "./verdict.ts";

const GOALS = { met: 0.96, quality: 1 } as const;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const figures = ({ met, quality, worth }: Verdict): string[] => [percent(met), quality.toFixed(2), worth.toFixed(2)];
const HEAD = ["answered by", "met", "mean acc_norm of those", "acc_norm in time, of all"];

/** One line, when a choice's replay has ended. */
export const line = (load: Load, choice: string, verdict: Verdict): string =>
  `${load.name}: ${choice} met ${percent(verdict.met)} of ${verdict.eligible}, mean acc_norm of those ${verdict.quality.toFixed(2)}`;

/** @returns whether all goals are held */
export function report(scene: Scene, load: Load, verdicts: ReadonlyMap<string, Verdict>): boolean {
  const auto = verdicts.get("auto") as Verdict;
  const fixed = new Map([...verdicts].filter(([name]) => name !== "auto" && name !== "random"));
  console.log(`\n${load.name}: ${auto.eligible} of ${load.requests.length} requests have a budget that could be met\n`);
  console.log(
    table(
      HEAD,
      [...verdicts].map(([name, verdict]) => [name, ...figures(verdict)]),
    ),
  );
  // What a variant would do if no request ever waited for another: most are beaten so far that it needs no replay.
  const bounds = scene.variants
    .filter((variant) => !verdicts.has(variant))
    .map((variant) => [variant, alone(scene, load.requests, variant)] as const);
  if (bounds.length > 0) {
    console.log(`\nnot replayed: if every request had been alone, as fast as on the idle replica\n`);
    console.log(
      table(
        HEAD,
        bounds.map(([name, verdict]) => [name, ...figures(verdict)]),
      ),
    );
  }
  const best = bestFixed(fixed, GOALS.met);
  const beaten = [...verdicts, ...bounds].filter(
    ([name, verdict]) => name !== "auto" && (dominates(verdict, auto) || verdict.worth >= auto.worth),
  );
  const checks: (readonly [string, boolean])[] = [
    [`auto meets ${percent(auto.met)} (goal ${percent(GOALS.met)})`, auto.met >= GOALS.met],
    ...(best
      ? [
          [
            `its quality is ${(auto.quality - best[1].quality).toFixed(2)} points above the best fixed choice's, ${best[0]} (goal -1)`,
            auto.quality >= best[1].quality - GOALS.quality,
          ] as const,
        ]
      : []),
    [
      beaten.length === 0
        ? "no other choice is as good in what it brings in time"
        : `as good or better: ${beaten.map(([name]) => name).join(", ")}`,
      beaten.length === 0,
    ],
  ];
  for (const [text, holds] of checks) console.log(`${holds ? "yes" : "NO "}  ${text}`);
  return checks.every(([, holds]) => holds);
}
