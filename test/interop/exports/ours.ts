// What our fp32 engine makes of a variant: its weights are the base's image with fp32 matrices in the place of those that it changes. Each
// variant is asked of a process of its own (`askOurs`), which ends with its answer: all in one are more than a WebAssembly memory holds.
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { weightsDir } from "../../../build/paths.ts";
import type { Matrix } from "../../../formats/checkpoint.ts";
import { createOnnxEngine } from "../../../src/engine/onnx/index.ts";
import type { LogitsWanted, Sequence } from "../../../src/engine/types.ts";
import type { BaseModel, RopeScaling, Tensor } from "../../../src/variants/base.ts";
import { compilePlan } from "../../../src/variants/plan.ts";
import type { Slot } from "../../../src/variants/recipe.ts";
import { recipeOf } from "../../compress/recipe.ts";
import { compileRuntime, readCatalogue } from "../../engine/onnx/checkpoint.ts";
import type { Answer, Question } from "./peers.ts";

async function changedBase(changes: ReadonlyMap<string, Matrix>): Promise<{ base: BaseModel; image: Uint8Array }> {
  const shipped = [...(await readCatalogue()).values()][0]?.plan.base;
  if (!shipped) throw new Error("no base is built");
  const pieces = await Promise.all(shipped.parts.map(({ file }) => readFile(join(weightsDir, file))));
  let end = shipped.imageBytes;
  const changed = [...changes].map(([name, { rows, cols, values }]): Tensor => {
    const data = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    const padded = Buffer.concat([data, Buffer.alloc((64 - (data.length % 64)) % 64)]);
    pieces.push(padded);
    end += padded.length;
    const digest = createHash("sha256").update(data).digest("hex");
    return { name, digest, type: "f32", rows, cols, offset: end - padded.length, bytes: data.length };
  });
  const image = Buffer.concat(pieces);
  const sha256 = createHash("sha256").update(image).digest("hex");
  const tensors = [...shipped.tensors.filter(({ name }) => !changes.has(name)), ...changed];
  const parts = [{ file: "image", sha256, bytes: image.length }];
  return { base: { ...shipped, tensors, imageBytes: image.length, parts, digest: sha256 }, image };
}

export interface Asked extends Question {
  readonly slots: readonly Slot[];
  readonly changes: ReadonlyMap<string, Matrix>;
  readonly ropeScaling?: RopeScaling | undefined;
}

/** @throws Error with what the process printed, where it did not answer */
export async function askOurs(asked: Asked): Promise<readonly Answer[]> {
  const child = fork(fileURLToPath(import.meta.url), {
    execArgv: ["--import", "tsx"],
    serialization: "advanced",
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  let printed = "";
  child.stderr?.on("data", (text) => {
    printed += text;
  });
  const answered = once(child, "message");
  const exited = once(child, "exit").then(([code]) => {
    throw new Error(`our engine's process ended with ${code}: ${printed}`);
  });
  child.send(asked);
  const [answers] = await Promise.race([answered, exited]);
  exited.catch(() => {});
  return answers;
}

async function compute({ slots, changes, prompts, count, ropeScaling }: Asked): Promise<readonly Answer[]> {
  const { base: unscaled, image } = await changedBase(changes);
  const base = { ...unscaled, config: { ...unscaled.config, ropeScaling } };
  const open = async () => new Response(image as BodyInit).body as ReadableStream<Uint8Array>;
  const engine = await createOnnxEngine({ base, open, mode: "fp32", module: await compileRuntime() });
  const plan = compilePlan(recipeOf(slots, { base: base.id }), base);
  const append = async (sequence: Sequence, tokens: readonly number[], logits: LogitsWanted) => {
    const rows: Float32Array[] = [];
    for (let at = 0; at < tokens.length; at += 32) {
      const [result] = await engine.step([{ sequence, tokens: tokens.slice(at, at + 32), logits }], () => undefined);
      for (let row = 0; result && row < result.length; row += base.config.vocab) {
        rows.push(result.slice(row, row + base.config.vocab));
      }
    }
    return rows;
  };
  const likeliest = (logits: Float32Array): number => logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
  const answers: Answer[] = [];
  for (const prompt of prompts) {
    const sequence = await engine.open(plan, 256);
    const rows = await append(sequence, prompt, "all");
    const nll = prompt.slice(1).map((token, i) => {
      const logits = rows[i] as Float32Array;
      const most = logits.reduce((a, b) => Math.max(a, b));
      const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
      return most + Math.log(sum) - (logits[token] as number);
    });
    const greedy = [likeliest(rows.at(-1) as Float32Array)];
    while (greedy.length < count) {
      greedy.push(likeliest((await append(sequence, greedy.slice(-1), "last"))[0] as Float32Array));
    }
    sequence.close();
    answers.push({ nll, greedy });
  }
  return answers;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once("message", async (asked) => {
    process.send?.(await compute(asked as Asked), () => process.exit());
  });
}
