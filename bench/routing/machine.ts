// How long requests take alone on the machine at hand: measured for the slowest and the fastest variant, and for the others by their costs.
import { costsOf, prefillTime, stepTime } from "../../src/routing/costs.ts";
import type { Catalogue } from "../../src/variants/catalogue.ts";
import type { LoadRequest } from "./load.ts";
import type { Service } from "./service.ts";
import type { Idle } from "./verdict.ts";

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

/** @param measured two variants, the slowest and the fastest */
export async function measureIdle(service: Service, catalogue: Catalogue, measured: readonly string[]): Promise<Idle> {
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
  const [first, step] = [lineThrough(points.ttft), lineThrough(points.tpot)];
  return ({ promptTokens, maxTokens }, variant) => {
    const costs = costsOf(catalogue.get(variant)!.plan);
    const ttft = at(first, prefillTime(costs, promptTokens));
    const tpot = maxTokens > 1 ? at(step, stepTime(costs, promptTokens + maxTokens / 2)) : 0;
    return { ttft, tpot, latency: ttft + (maxTokens - 1) * tpot };
  };
}

const at = ({ intercept, slope }: Line, x: number): number => Math.max(1, intercept + slope * x);

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

function lineThrough(points: readonly (readonly [number, number])[]): Line {
  const slopes = points.flatMap(([x1, y1], i) =>
    points.slice(i + 1).flatMap(([x2, y2]) => (x1 === x2 ? [] : [(y2 - y1) / (x2 - x1)])),
  );
  const slope = median(slopes);
  return { slope, intercept: median(points.map(([x, y]) => y - slope * x)) };
}
