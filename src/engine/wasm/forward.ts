// One forward pass over some entries: embeds their tokens, takes every entry through its plan's sublayers, then through the head.
// Entries that are at the same sublayer go through it together, so that its weights are read once.
import { type AttentionPlan, type MlpPlan, type Plan, type PlanSlot, tensorsOf } from "../../variants/index.ts";
import type { LogitsWanted } from "../types.ts";
import { head } from "./head.ts";
import { type Machine, type Rows, setRow, type Work } from "./linear.ts";
import type { WasmSequence } from "./sequences.ts";
import { attention, feedForward } from "./sublayers.ts";

export interface Entry {
  readonly sequence: WasmSequence;
  readonly tokens: readonly number[];
  readonly logits: LogitsWanted;
  /** Receives what is wanted, and is as long. */
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
    .map(({ name, digest }) => `${name} ${digest}`)
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

function embed({ kernels, scratch, shapes, at }: Machine, entry: Progress): void {
  const { headDim, hidden } = shapes;
  const { embedding } = entry.sequence.plan;
  for (const [i, token] of entry.tokens.entries()) {
    const row = entry.row + i;
    kernels.embed(at(embedding), embedding.cols / 32, token, scratch.residual + row * hidden * 4);
    const to = scratch.angles + row * headDim * 4;
    kernels.angles(entry.position + i, scratch.frequencies, headDim / 2, to);
  }
}
