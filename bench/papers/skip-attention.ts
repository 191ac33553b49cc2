import { BASE, compress, type Paper, type Row } from "./paper.ts";
import { arcChallenge, arcEasy, hellaswag, mmlu, tokenTime, truthfulqa } from "./shared.ts";

const COUNTS = [2, 4, 8, 10] as const;

/** The attention of the last 2 or 4 layers but one is left out in variants that ship. */
const SHIPPED: readonly number[] = [2, 4];

function skip(target: "attention" | "mlp", count: number): Row {
  const label = `later ${target} ${count}`;
  if (target === "attention" && SHIPPED.includes(count)) return { label, variant: `${BASE}-last-attn-skip-${count}` };
  const variant = `skip-${target}-${count}`;
  return { label, variant, make: [compress(variant, `skip --target ${target} --count ${count}`)] };
}

const similar = (count: number): Row => ({ label: `similar layers ${count}`, variant: `${BASE}-block-drop-${count}` });

export const skipAttention: Paper = {
  id: "skip-attention",
  title: "Later attention and FFN sublayers skipped, and similar layers",
  source: "arXiv 2404.05741",
  about:
    "The sublayers before the last layer are skipped, attention or FFN, and layers whose output is most like their input. " +
    "There Llama-2-7B generates a token in 21 % less time, and some benchmarks gain. Times here are those of the router's cost model, not measured.",
  columns: [tokenTime(32), tokenTime(1024), hellaswag, arcEasy, arcChallenge, truthfulqa, mmlu],
  rows: [
    { label: "unpruned", variant: BASE },
    ...COUNTS.map((count) => skip("attention", count)),
    ...COUNTS.map((count) => skip("mlp", count)),
    ...[2, 4, 6].map(similar),
  ],
  references: [],
};
