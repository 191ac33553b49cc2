// One forward pass over some entries: embeds their tokens, takes every entry through its plan's sublayers, and computes the logits that
// are wanted. Entries that are at the same sublayer go through it together, so that its weights are read once.
import { type AttentionPlan, type MlpPlan, type Plan, type PlanSlot, tensorsOf } from "../../variants/plan.ts";
import type { LogitsWanted, Pace } from "../types.ts";
import { CALL_MULTIPLY_ADDS, type Machine } from "./linear.ts";
import type { WasmSequence } from "./sequences.ts";
import { attention, feedForward } from "./sublayers.ts";

export interface Entry {
  readonly sequence: WasmSequence;
  readonly tokens: readonly number[];
  readonly logits: LogitsWanted;
  /** Receives `[rows, vocab]`; as long as what is wanted. */
  readonly out: Float32Array;
}

interface Sublayer {
  /** Orders sublayers by layer, attention before MLP. */
  readonly order: number;
  /** The same text means the same weights. */
  readonly weights: string;
  readonly kind: "attn" | "mlp";
  readonly index: number;
  readonly slot: PlanSlot;
}

interface Progress extends Entry {
  /** First row among all rows of the pass, and position of its token. */
  readonly row: number;
  readonly position: number;
  readonly sublayers: readonly Sublayer[];
  done: number;
}

/** A plan's sublayers in order, computed once. */
const sublayersByPlan = new WeakMap<Plan, readonly Sublayer[]>();

function sublayersOf(plan: Plan): readonly Sublayer[] {
  const known = sublayersByPlan.get(plan);
  if (known) return known;
  const sublayers = plan.slots.flatMap((slot, index): Sublayer[] => [
    ...(slot.attn ? [{ order: 2 * slot.layer, weights: key(slot.attn), kind: "attn" as const, index, slot }] : []),
    ...(slot.mlp ? [{ order: 2 * slot.layer + 1, weights: key(slot.mlp), kind: "mlp" as const, index, slot }] : []),
  ]);
  sublayersByPlan.set(plan, sublayers);
  return sublayers;
}

const key = (part: AttentionPlan | MlpPlan): string =>
  tensorsOf(part)
    .map(({ offset }) => offset)
    .join(" ");

/** Tokens must already be appended to their sequences: pages are there. */
export async function forward(machine: Machine, entries: readonly Entry[], pace: Pace): Promise<void> {
  let row = 0;
  const all = entries.map((entry): Progress => {
    const first = row;
    row += entry.tokens.length;
    const position = entry.sequence.length - entry.tokens.length;
    return { ...entry, row: first, position, sublayers: sublayersOf(entry.sequence.plan), done: 0 };
  });
  for (const entry of all) embed(machine, entry);

  for (;;) {
    // The lowest layer goes first: sequences whose plans skip layers then meet again at the next one that they share.
    let next: Sublayer | undefined;
    for (const { sublayers, done } of all) {
      const own = sublayers[done];
      if (own && (!next || own.order < next.order)) next = own;
    }
    if (!next) break;
    const { weights } = next;
    const members = all.filter(({ sublayers, done }) => sublayers[done]?.weights === weights);
    await runSublayer(machine, members, pace);
    for (const member of members) member.done++;
  }
  await head(machine, all, pace);
}

function embed({ kernels, scratch, shapes, image }: Machine, entry: Progress): void {
  const { headDim, hidden } = shapes;
  const { offset, cols } = entry.sequence.plan.embedding;
  for (const [i, token] of entry.tokens.entries()) {
    const row = entry.row + i;
    kernels.embed(image + offset, cols / 32, token, scratch.residual + row * hidden * 4);
    const to = scratch.angles + row * headDim * 4;
    kernels.angles(entry.position + i, scratch.frequencies, headDim / 2, to);
  }
}

async function runSublayer(machine: Machine, members: readonly Progress[], pace: Pace): Promise<void> {
  let first = 0;
  const addresses: number[] = [];
  const group = members.map(({ sequence, tokens, row, position, sublayers, done }) => {
    const { index, slot } = sublayers[done] as Sublayer;
    const rows = { sequence, slot: index, first, count: tokens.length, row, position, part: slot };
    for (let i = 0; i < tokens.length; i++) addresses.push(rowAddress(machine, row + i));
    first += tokens.length;
    return rows;
  });
  machine.memory.u32.set(addresses, machine.scratch.rows / 4);
  const [{ sublayers, done }] = members as [Progress];
  const { kind, slot } = sublayers[done] as Sublayer;
  if (kind === "mlp" && slot.mlp) return feedForward(machine, slot.mlp, group, pace);
  return attention(
    machine,
    group.flatMap((rows) => (rows.part.attn ? [{ ...rows, attn: rows.part.attn }] : [])),
    pace,
  );
}

const rowAddress = ({ scratch, shapes }: Machine, row: number): number => scratch.residual + row * shapes.hidden * 4;

/** Logits of all wanted rows, a slice of the vocabulary at a time, so that the head's weights are read once. */
async function head(machine: Machine, all: readonly Progress[], pace: Pace): Promise<void> {
  const { kernels, memory, scratch, shapes, image } = machine;
  const { hidden, vocab, eps } = shapes;
  const wanted = all.flatMap(({ tokens, logits, row, out }) => {
    if (logits === "none") return [];
    const skipped = logits === "last" ? tokens.length - 1 : 0;
    return Array.from({ length: tokens.length - skipped }, (_, i) => ({ row: row + skipped + i, out, at: i * vocab }));
  });
  const [entry] = all;
  if (wanted.length === 0 || !entry) return;
  const { outputNorm, head: weights } = entry.sequence.plan;
  memory.u32.set(
    wanted.map(({ row }) => rowAddress(machine, row)),
    scratch.rows / 4,
  );
  const tokens = wanted.length;
  kernels.normalizeRows16(scratch.rows, tokens, image + outputNorm.offset, hidden, eps, scratch.row, scratch.input);

  const blocks = hidden / 32;
  const groups = Math.ceil(vocab / 8);
  const most = Math.max(
    1,
    Math.min(Math.floor(groups / tokens), Math.floor(CALL_MULTIPLY_ADDS / (8 * hidden * tokens))),
  );
  const spoiled = new Set<number>();
  for (let first = 0; first < groups; first += most) {
    const count = Math.min(most, groups - first);
    const from = image + weights.offset + first * blocks * 272;
    kernels.multiplyQ8(from, count, blocks, scratch.input, tokens, scratch.logits, count * 32, 1, 0);
    const columns = Math.min(count * 8, vocab - first * 8);
    for (const [i, { out, at }] of wanted.entries()) {
      const start = scratch.logits / 4 + i * count * 8;
      out.set(memory.f32.subarray(start, start + columns), at + first * 8);
      if (!kernels.finite(start * 4, columns)) spoiled.add(i);
    }
    const pause = pace(count * 8 * hidden * tokens);
    if (pause) await pause;
  }
  for (const i of spoiled) {
    const { out, at } = wanted[i] as (typeof wanted)[number];
    out.fill(Number.NaN, at, at + vocab);
  }
}
