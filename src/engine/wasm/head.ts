// The output head over all rows that want something of it, a slice of the vocabulary at a time, so that its weights are read once and
// likelihoods need no room for logits.
import { log } from "../sampling/exp.ts";
import type { Entry } from "./forward.ts";
import { groupsPerCall, type Machine, setRow, type Work } from "./linear.ts";
import { LIKELIHOOD_BYTES } from "./scratch.ts";

interface Wanted {
  /** Among all rows of the pass. */
  readonly row: number;
  readonly out: Float32Array;
  /** Where in `out` the row's values begin, and how many they are. */
  readonly at: number;
  readonly length: number;
  /** Left out where the logits themselves are wanted. */
  readonly likelihood?: Likelihood;
  spoiled: boolean;
}

interface Likelihood {
  readonly target: number;
  readonly top: number;
  /** Address of the row's `LIKELIHOOD_BYTES`. */
  readonly state: number;
  /** How many of the likeliest are listed so far. */
  listed: number;
}

/** An entry and its first row among all rows of the pass. */
type Placed = Entry & { readonly row: number };

/** Rows of one output norm and head go together. */
export function* head(machine: Machine, all: readonly Placed[]): Work {
  const groups = new Map<string, Placed[]>();
  for (const entry of all) {
    const { outputNorm, head } = entry.sequence.plan;
    const weights = `${outputNorm.digest} ${head.digest}`;
    groups.set(weights, [...(groups.get(weights) ?? []), entry]);
  }
  for (const group of groups.values()) yield* headOf(machine, group);
}

function* headOf(machine: Machine, all: readonly Placed[]): Work {
  const { kernels, scratch, shapes, at } = machine;
  const { hidden, vocab, eps } = shapes;
  const wanted = rowsWanted(machine, all);
  const [entry] = all;
  if (wanted.length === 0 || !entry) return;
  const { outputNorm, head: weights } = entry.sequence.plan;
  for (const [i, { row }] of wanted.entries()) setRow(machine, i, row);
  const tokens = wanted.length;
  kernels.normalizeRows16(scratch.rows, tokens, at(outputNorm), hidden, eps, scratch.row, scratch.input);

  const blocks = hidden / 32;
  const groups = Math.ceil(vocab / 8);
  const most = Math.max(1, Math.min(Math.floor(groups / tokens), groupsPerCall(8 * hidden * tokens)));
  for (let first = 0; first < groups; first += most) {
    const count = Math.min(most, groups - first);
    const from = at(weights) + first * blocks * 272;
    kernels.multiplyQ8(from, count, blocks, scratch.input, tokens, scratch.logits, count * 32, 1, 0);
    for (const [i, row] of wanted.entries()) take(machine, row, scratch.logits + i * count * 32, first * 8, count);
    yield count * 8 * hidden * tokens;
  }
  for (const row of wanted) finish(machine, row);
}

function rowsWanted({ memory, scratch, shapes }: Machine, all: readonly Placed[]): Wanted[] {
  const wanted: Wanted[] = [];
  for (const { tokens, logits, row, out } of all) {
    if (logits === "none") continue;
    const skipped = logits === "last" ? tokens.length - 1 : 0;
    for (let i = skipped; i < tokens.length; i++) {
      const place = { row: row + i, out, spoiled: false };
      if (typeof logits === "string") {
        wanted.push({ ...place, at: (i - skipped) * shapes.vocab, length: shapes.vocab });
        continue;
      }
      const length = 1 + 2 * logits.top;
      const state = scratch.likelihoods + wanted.length * LIKELIHOOD_BYTES;
      memory.f32.set([Number.NEGATIVE_INFINITY, 0, 0, 0], state / 4);
      const target = logits.targets[i] as number;
      wanted.push({ ...place, at: i * length, length, likelihood: { target, top: logits.top, state, listed: 0 } });
    }
  }
  return wanted;
}

/** Takes what a row wants of `groups` groups of eight logits, the first of which is of token `first`. */
function take({ kernels, memory, shapes }: Machine, row: Wanted, at: number, first: number, groups: number): void {
  const columns = Math.min(groups * 8, shapes.vocab - first);
  const start = at / 4;
  if (!kernels.finite(at, columns)) row.spoiled = true;
  const { likelihood } = row;
  if (!likelihood) {
    row.out.set(memory.f32.subarray(start, start + columns), row.at + first);
    return;
  }
  const { target, top, state } = likelihood;
  memory.f32.fill(Number.NEGATIVE_INFINITY, start + columns, start + groups * 8);
  kernels.sumExp(at, groups, state);
  likelihood.listed = kernels.topK(at, columns, top, state + 16, first, likelihood.listed);
  if (target >= first && target < first + columns) {
    memory.f32[state / 4 + 1] = memory.f32[start + target - first] as number;
  }
}

function finish({ memory }: Machine, { out, at, length, likelihood, spoiled }: Wanted): void {
  if (spoiled) {
    out.fill(Number.NaN, at, at + length);
    return;
  }
  if (!likelihood) return;
  const { f32, u32 } = memory;
  const word = likelihood.state / 4;
  const sum = new Float64Array(f32.buffer, likelihood.state + 8, 1)[0] as number;
  const total = (f32[word] as number) + log(sum);
  out[at] = (f32[word + 1] as number) - total;
  for (let i = 0; i < likelihood.top; i++) {
    out[at + 1 + 2 * i] = u32[word + 4 + 2 * i] as number;
    out[at + 2 + 2 * i] = (f32[word + 5 + 2 * i] as number) - total;
  }
}
