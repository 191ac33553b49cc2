// How fast the machine at hand is: measured with the slowest and the fastest variant alone, for all by their costs.
import { costsOf, prefillTime, stepTime } from "../../src/routing/costs.ts";
import type { Catalogue } from "../../src/variants/catalogue.ts";
import type { LoadRequest } from "./load.ts";
import type { Machine } from "./replica.ts";
import type { Service } from "./service.ts";

const PROMPTS = [32, 64, 96, 128];
const ROUNDS = 3;
const REPLY = 12;
/** Milliseconds. A replica that has been idle for a while starts with cold caches: the fastest variant's first token is a quarter later. */
const PAUSE = 1000;

/** A line through points (reference milliseconds, measured ones), by the median of all slopes (Theil and Sen). */
interface Line {
  readonly intercept: number;
  readonly slope: number;
}

/**
 * The machine as its idle replica shows it, for a simulated replica.
 * @param measured two variants, the slowest and the fastest
 */
export async function measureIdle(
  service: Service,
  catalogue: Catalogue,
  measured: readonly string[],
): Promise<Machine> {
  const points: { ttft: [number, number][]; tpot: [number, number][] } = { ttft: [], tpot: [] };
  for (const variant of measured) {
    const costs = costsOf(catalogue.get(variant)!.plan);
    for (let round = 0; round < ROUNDS; round++) {
      for (const promptTokens of PROMPTS) {
        const request: LoadRequest = { at: 0, promptTokens, maxTokens: REPLY, wish: { kind: "none", tightness: 0 } };
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
        const { ttft, tpot, failed } = await service.ask(request, variant, {});
        if (failed) throw new Error(`${variant} does not answer`);
        points.ttft.push([prefillTime(costs, promptTokens), ttft]);
        if (tpot > 0) points.tpot.push([stepTime(costs, promptTokens + REPLY / 2), tpot]);
      }
    }
  }
  const first = lineThrough(points.ttft);
  return {
    prefill: Math.max(0.01, first.slope),
    decode: median(points.tpot.map(([reference, ms]) => ms / reference)),
    overheadMs: Math.max(0, first.intercept),
    noise: 0,
  };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

function lineThrough(points: readonly (readonly [number, number])[]): Line {
  const slopes = points.flatMap(([x1, y1], i) =>
    points.slice(i + 1).flatMap(([x2, y2]) => (x1 === x2 ? [] : [(y2 - y1) / (x2 - x1)])),
  );
  const slope = median(slopes);
  return { slope, intercept: median(points.map(([x, y]) => y - slope * x)) };
}
