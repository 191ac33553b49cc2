// One forward pass over some entries: embeds their tokens, takes every entry through its plan's sublayers, and computes the logits that
// are wanted. Entries that are at the same sublayer go through it together, so that its weights are read once.
import { type AttentionPlan, type MlpPlan, type Plan, type PlanSlot, tensorsOf } from "../../variants/plan.ts";
import type { LogitsWanted } from "../types.ts";
import { groupsPerCall, type Machine, type Rows, type Work } from "./linear.ts";
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

/** An entry on its way; as part of a group it stands for its rows. */
interface Progress extends Entry, Rows {
  readonly sublayers: readonly Sublayer[];
  done: number;
  slot: PlanSlot;
  index: number;
  first: number;
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
export function* forward(machine: Machine, entries: readonly Entry[]): Work {
  let row = 0;
  const all = entries.map((entry): Progress => {
    const { plan, length } = entry.sequence;
    const count = entry.tokens.length;
    const sublayers = sublayersOf(plan);
    const slot = plan.slots[0] as PlanSlot;
    row += count;
    return {
      ...entry,
      row: row - count,
      count,
      position: length - count,
      sublayers,
      done: 0,
      slot,
      index: 0,
      first: 0,
    };
  });
  for (const entry of all) embed(machine, entry);

  let group: Progress[] = [];
  for (let next = lowest(all); next; next = lowest(all)) {
    const { weights, kind, slot } = next;
    const isMember = (entry: Progress): boolean => entry.sublayers[entry.done]?.weights === weights;
    if (all.some((entry) => isMember(entry) !== group.includes(entry))) {
      group = all.filter(isMember);
      gather(machine, group);
    }
    for (const member of group) {
      ({ slot: member.slot, index: member.index } = member.sublayers[member.done] as Sublayer);
      member.done++;
    }
    if (kind === "attn" && slot.attn) yield* attention(machine, slot.attn, group);
    if (kind === "mlp" && slot.mlp) yield* feedForward(machine, slot.mlp, group);
  }
  yield* head(machine, all);
}

/** The sublayer of the lowest layer goes first: sequences whose plans skip layers then meet again at the next one that they share. */
function lowest(all: readonly Progress[]): Sublayer | undefined {
  let found: Sublayer | undefined;
  for (const { sublayers, done } of all) {
    const own = sublayers[done];
    if (own && (!found || own.order < found.order)) found = own;
  }
  return found;
}

/** Gives each member its rows in the group, and writes the table of their addresses. */
function gather(machine: Machine, group: readonly Progress[]): void {
  let rows = 0;
  for (const member of group) {
    member.first = rows;
    for (let i = 0; i < member.count; i++) setRow(machine, rows++, member.row + i);
  }
}

function setRow({ memory, scratch, shapes }: Machine, at: number, row: number): void {
  memory.u32[scratch.rows / 4 + at] = scratch.residual + row * shapes.hidden * 4;
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

/** Logits of all wanted rows, a slice of the vocabulary at a time, so that the head's weights are read once. */
function* head(machine: Machine, all: readonly Progress[]): Work {
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
  for (const [i, { row }] of wanted.entries()) setRow(machine, i, row);
  const tokens = wanted.length;
  kernels.normalizeRows16(scratch.rows, tokens, image + outputNorm.offset, hidden, eps, scratch.row, scratch.input);

  const blocks = hidden / 32;
  const groups = Math.ceil(vocab / 8);
  const most = Math.max(1, Math.min(Math.floor(groups / tokens), groupsPerCall(8 * hidden * tokens)));
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
    yield count * 8 * hidden * tokens;
  }
  for (const i of spoiled) {
    const { out, at } = wanted[i] as (typeof wanted)[number];
    out.fill(Number.NaN, at, at + vocab);
  }
}
