import { describe, expect, it } from "vitest";
import { baselineBias, groupIndices, pickColumns, pickStoredBlocks } from "../../../compress/prune/narrow.ts";
import { chooseKept, columnScores, type LayerUnits } from "../../../compress/prune/structure.ts";
import { randomMatrix, randomNumbers } from "../random.ts";

const layer = (seed: number): LayerUnits => {
  const next = randomNumbers(seed);
  const scores = (count: number) => Float64Array.from({ length: count }, () => (next() + 1) ** 3);
  return {
    groups: 4,
    ffn: 256,
    groupUnit: 1,
    attnScores: scores(32),
    ffnScores: scores(256),
    groupWeights: 4000,
    channelWeights: 300,
  };
};
const layers = [layer(1), layer(2), layer(3)];

describe.each(["global", "layer"] as const)("ranked %s", (ranking) => {
  it("removes about the share that was asked for, in whole groups and widths of 32", () => {
    const kept = chooseKept(layers, { sparsity: 0.3, ranking, attention: true });
    const left = kept.reduce((sum, { groups, channels }) => sum + groups.length * 4000 + channels.length * 300, 0);
    const all = 3 * (4 * 4000 + 256 * 300);
    expect(Math.abs(1 - left / all - 0.3)).toBeLessThan(0.06);
    for (const { groups, channels } of kept) {
      expect(channels.length % 32).toBe(0);
      expect(groups.length).toBeGreaterThan(0);
    }
  });

  it("keeps the channels of highest score, and all groups where only the FFN is pruned", () => {
    for (const [i, { groups, channels }] of chooseKept(layers, {
      sparsity: 0.2,
      ranking,
      attention: false,
    }).entries()) {
      expect(groups).toEqual([0, 1, 2, 3]);
      const scores = layers[i]?.ffnScores as Float64Array;
      const worstKept = Math.min(...channels.map((channel) => scores[channel] as number));
      expect([...scores].filter((score) => score > worstKept).length).toBeLessThan(channels.length);
    }
  });

  it("keeps groups in the multiples that fill blocks, or all of them", () => {
    const paired = [{ ...layer(4), groupUnit: 2 }, { ...layer(5), groupUnit: 4 }, layer(6)];
    const kept = chooseKept(paired, { sparsity: 0.75, ranking, attention: true });
    expect(kept[0]?.groups.length).toBe(2);
    expect(kept[1]?.groups).toEqual([0, 1, 2, 3]);
    expect(kept[2]?.groups.length).toBeLessThan(4);
  });

  it("never removes a whole sublayer", () => {
    for (const { groups, channels } of chooseKept(layers, { sparsity: 0.98, ranking, attention: true })) {
      expect(groups.length).toBeGreaterThanOrEqual(1);
      expect(channels.length).toBeGreaterThanOrEqual(32);
    }
  });
});

it("lets FLAP remove inputs that hardly change, which a bias makes up for exactly when they are constant", () => {
  const weights = randomMatrix(5, 8, 9);
  const inputs = Array.from({ length: 10 }, (_, t) =>
    Array.from({ length: 8 }, (_, c) => (c === 3 ? 2 : Math.sin(t * (c + 1)))),
  );
  const sum = new Float64Array(8);
  const squares = new Float64Array(8);
  for (const x of inputs) {
    for (const [c, value] of x.entries()) {
      sum[c] = (sum[c] ?? 0) + value;
      squares[c] = (squares[c] ?? 0) + value * value;
    }
  }
  const moments = { tokens: 10, cols: 8, sum, squares };
  const scores = columnScores(weights, moments, "flap");
  expect(scores.indexOf(Math.min(...scores))).toBe(3);
  expect(columnScores(weights, moments, "wanda-sp").indexOf(Math.min(...scores))).toBe(-1);

  const kept = [0, 1, 2, 4, 5, 6, 7];
  const narrow = pickColumns(weights, kept);
  const bias = baselineBias("b", weights, moments, kept, undefined);
  const biases = new Float32Array(bias.data.buffer);
  for (const x of inputs) {
    for (let row = 0; row < 5; row++) {
      const whole = x.reduce((total, value, c) => total + value * (weights.values[row * 8 + c] as number), 0);
      const left = kept.reduce((total, c, i) => total + (x[c] as number) * (narrow.values[row * 7 + i] as number), 0);
      expect(left + (biases[row] as number)).toBeCloseTo(whole, 4);
    }
  }
});

it("finds the columns of groups", () => {
  expect(groupIndices([0, 2], 3)).toEqual([0, 1, 2, 6, 7, 8]);
});

it("carries whole blocks over as they are stored, and no others", () => {
  const data = Uint8Array.from({ length: 2 * 3 * 20 }, (_, i) => i);
  const kept = groupIndices([0, 2], 32);
  const picked = pickStoredBlocks(data, 96, 20, kept) as Uint8Array;
  expect([...picked]).toEqual([...data.subarray(0, 20), ...data.subarray(40, 80), ...data.subarray(100, 120)]);
  expect(pickStoredBlocks(data, 96, 20, [...kept.slice(0, 31), 40, ...kept.slice(32)])).toBeUndefined();
  expect(pickStoredBlocks(data, 96, 20, kept.slice(0, 40))).toBeUndefined();
});
