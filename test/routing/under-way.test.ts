import { describe, expect, test } from "vitest";
import { type Costs, REFERENCE_PACE } from "../../src/routing/costs.ts";
import { createBoard, type Sent } from "../../src/routing/under-way.ts";

// A token of a prompt takes 10 ms, one of a reply 20.
const costs: Costs = { prefillMs: 10, decodeMs: 20, contextMs: 0 };
const sent = (sentAt: number, promptTokens: number, latencyMs?: number): Sent => ({
  costs,
  pace: REFERENCE_PACE,
  promptTokens,
  expectedTokens: 4,
  maxTokens: 4,
  sentAt,
  worth: 1,
  allowed: { latencyMs },
  firstAt: undefined,
  overtakenAt: undefined,
  tokens: 0,
});
const prefilledOf = (board: ReturnType<typeof createBoard>, now: number): number[] =>
  board.load(now).requests.map(({ prefilled }) => prefilled);

describe("what a replica is taken to have done", () => {
  test("is the prompt that was asked for first, as far as the time goes", () => {
    const board = createBoard(costs);
    board.add(sent(0, 100));
    board.add(sent(100, 100));
    expect(prefilledOf(board, 300)).toEqual([30, 0]);
    // It is not in before its first token is here.
    expect(prefilledOf(board, 5000)).toEqual([90, 0]);
  });

  test("is what hurries, before what was there, whose step is lost", () => {
    const board = createBoard(costs);
    const [patient, urgent] = [sent(0, 100), sent(800, 50, 1000)];
    board.add(patient);
    expect(prefilledOf(board, 400)).toEqual([40]);
    board.add(urgent);
    // 64 tokens of the first prompt are in by whole steps, the 16 beyond are lost.
    expect(prefilledOf(board, 1100)).toEqual([64, 29]);
    board.token(urgent, 1310);
    expect(prefilledOf(board, 1350)).toEqual([64, 50]);
    board.remove(urgent);
    expect(prefilledOf(board, 1550)[0]).toBe(83);
  });
});
