import { BASE, compress, type Paper, type Row } from "./paper.ts";
import { arcChallenge, arcEasy, hellaswag, kvBytes, mmlu, tokenTime } from "./shared.ts";

/** How many sublayers go; some of these variants ship. */
const COUNTS = {
  attention: [4, 5, 8, 10, 12, 15, 16],
  mlp: [2, 4, 8, 12, 16],
  block: [2, 4, 6, 8, 12, 16],
  joint: [4, 8, 12, 16],
};
type Target = keyof typeof COUNTS;

/** Variants that ship, by what goes from them. */
const SHIPPED: Readonly<Record<string, string>> = Object.fromEntries([
  ...[5, 10, 15].map((count) => [`attention ${count}`, `${BASE}-attn-drop-${count}`]),
  ...[2, 4].map((count) => [`mlp ${count}`, `${BASE}-mlp-drop-${count}`]),
  ...[2, 4, 6].map((count) => [`block ${count}`, `${BASE}-block-drop-${count}`]),
]);

function row(target: Target, count: number): Row {
  const label = `${target} ${count}`;
  const shipped = SHIPPED[label];
  if (shipped) return { label, variant: shipped };
  const variant = `what-matters-${target}-${count}`;
  const command = `depth --criterion similarity --target ${target} --remove ${count}`;
  return { label, variant, make: [compress(variant, command)] };
}

export const whatMatters: Paper = {
  id: "what-matters",
  title: "What Matters in Transformers? Not All Attention is Needed",
  source: "arXiv 2406.15786 (LLM-Drop)",
  about:
    "Sublayers go in one shot, by the cosine similarity of what goes in and what comes out, as there; of 30 layers here, and of 40, 32 and 32 there. " +
    "The variants that ship (attention 5, 10, 15, MLP and block 2, 4, 6) were ordered on Wikipedia, the others on C4. HellaSwag is zero-shot, MMLU without examples and by the answers' text. Times are those of the router's cost model, not measured.",
  columns: [hellaswag, arcEasy, arcChallenge, mmlu, tokenTime(32), tokenTime(1024), tokenTime(4096), kvBytes],
  rows: [
    { label: "unpruned", variant: BASE },
    ...(Object.keys(COUNTS) as Target[]).flatMap((target) => COUNTS[target].map((count) => row(target, count))),
  ],
  references: [
    {
      model: "Llama-2-13B",
      ratios: ["token-1024"],
      unpruned: { hellaswag: 0.822 },
      rows: {
        "attention 4": { hellaswag: 0.82, "token-1024": 1 / 1.05 },
        "attention 8": { hellaswag: 0.822, "token-1024": 1 / 1.13 },
        "attention 16": { hellaswag: 0.819, "token-1024": 1 / 1.29 },
      },
    },
    {
      model: "Mistral-7B",
      ratios: ["token-1024"],
      unpruned: {},
      rows: {
        "attention 4": { hellaswag: 0.829, "token-1024": 1 / 1.1 },
        "attention 8": { hellaswag: 0.823, "token-1024": 1 / 1.23 },
        "attention 12": { hellaswag: 0.802, "token-1024": 1 / 1.4 },
      },
    },
    {
      model: "Llama-3-8B",
      unpruned: {},
      rows: {
        "attention 4": { hellaswag: 0.816 },
        "attention 8": { hellaswag: 0.811 },
        "attention 12": { hellaswag: 0.794 },
        "attention 16": { hellaswag: 0.712 },
      },
    },
  ],
};
