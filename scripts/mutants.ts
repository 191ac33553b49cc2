// How much the tests notice: makes small faults in the sources, one at a time, and runs the tests
// that should fail. `node --import tsx scripts/mutants.ts [--count N] [--seed N] [AREA…]`; prints
// the faults that no test noticed. It writes to the sources and puts them back: run it in a clone
// of its own.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import ts from "typescript";
import { root } from "../build/paths.ts";

/** By name: the sources, and what the paths of their tests begin with. */
const AREAS: Record<string, { sources: string; tests: string[] }> = {
  routing: { sources: "src/routing", tests: ["test/routing/", "test/routes/routing.test.ts"] },
  statistics: { sources: "src/experiments/stats", tests: ["test/experiments/"] },
  sampling: { sources: "src/engine/sampling", tests: ["test/engine/sampling/"] },
  grammar: { sources: "src/grammar", tests: ["test/grammar/", "test/engine/grammar/"] },
};
/** Longer than any of these tests take; a fault that makes them run on is noticed too. */
const LIMIT_MS = 600_000;

interface Mutant {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const { SyntaxKind } = ts;
const SWAPS = new Map<ts.SyntaxKind, string>([
  [SyntaxKind.LessThanToken, "<="],
  [SyntaxKind.LessThanEqualsToken, "<"],
  [SyntaxKind.GreaterThanToken, ">="],
  [SyntaxKind.GreaterThanEqualsToken, ">"],
  [SyntaxKind.EqualsEqualsEqualsToken, "!=="],
  [SyntaxKind.ExclamationEqualsEqualsToken, "==="],
  [SyntaxKind.PlusToken, "-"],
  [SyntaxKind.MinusToken, "+"],
  [SyntaxKind.AsteriskToken, "/"],
  [SyntaxKind.SlashToken, "*"],
  [SyntaxKind.AmpersandAmpersandToken, "||"],
  [SyntaxKind.BarBarToken, "&&"],
  [SyntaxKind.PlusEqualsToken, "-="],
]);

/** What takes the place of a node, and of which part of it; undefined where nothing does. */
function replacement(node: ts.Node): { part: ts.Node; text: string } | undefined {
  if (ts.isBinaryExpression(node)) {
    const text = SWAPS.get(node.operatorToken.kind);
    // A sum of texts without its sign is no program.
    const texts = [node.left, node.right].some(ts.isStringLiteralLike);
    return text && !texts ? { part: node.operatorToken, text } : undefined;
  }
  if (ts.isIfStatement(node) || ts.isConditionalExpression(node)) {
    const part = ts.isIfStatement(node) ? node.expression : node.condition;
    return { part, text: `!(${part.getText()})` };
  }
  if (ts.isNumericLiteral(node)) return { part: node, text: `(${node.getText()} + 1)` };
  if (node.kind === SyntaxKind.TrueKeyword) return { part: node, text: "false" };
  if (node.kind === SyntaxKind.FalseKeyword) return { part: node, text: "true" };
  if (ts.isExpressionStatement(node)) return { part: node, text: ";" };
  return undefined;
}

function mutantsOf(file: string): Mutant[] {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), "utf8"), ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node)) return;
    const made = replacement(node);
    if (made) found.push({ file, start: made.part.getStart(), end: made.part.end, text: made.text });
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(source, visit);
  return found;
}

/** Numbers from 0 to below 1, the same for a seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @returns whether all of the tests pass */
function passes(tests: readonly string[]): Promise<boolean> {
  const args = ["node_modules/vitest/vitest.mjs", "run", "--bail", "1", "--reporter", "dot"];
  const child = spawn(process.execPath, [...args, "--project", "workerd", "--project", "node", ...tests], {
    cwd: root,
    stdio: "ignore",
    timeout: LIMIT_MS,
  });
  return new Promise((resolve) => child.on("close", (code) => resolve(code === 0)));
}

/** @returns whether the area's tests notice the mutant */
async function isNoticed({ file, start, end, text }: Mutant, tests: readonly string[]): Promise<boolean> {
  const path = join(root, file);
  const whole = readFileSync(path, "utf8");
  const restore = (): void => writeFileSync(path, whole);
  const interrupted = (): void => {
    restore();
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  try {
    writeFileSync(path, whole.slice(0, start) + text + whole.slice(end));
    return !(await passes(tests));
  } finally {
    restore();
    process.off("SIGINT", interrupted);
  }
}

function told({ file, start, end, text }: Mutant): string {
  const whole = readFileSync(join(root, file), "utf8");
  const line = whole.slice(0, start).split("\n").length;
  return `${file}:${line}: ${whole.slice(start, end)} -> ${text}`;
}

async function measure(name: string, count: number, seed: number): Promise<void> {
  const area = AREAS[name];
  if (!area) throw new Error(`there is no area ${name}: there are ${Object.keys(AREAS).join(", ")}`);
  const files = readdirSync(join(root, area.sources), { recursive: true, encoding: "utf8" });
  const all = files.filter((file) => file.endsWith(".ts")).flatMap((file) => mutantsOf(join(area.sources, file)));
  if (!(await passes(area.tests))) throw new Error(`the tests of ${name} fail without any mutant`);
  const random = randomNumbers(seed);
  let noticed = 0;
  for (let i = 0; i < count; i++) {
    const [mutant] = all.splice(Math.floor(random() * all.length), 1) as [Mutant];
    if (await isNoticed(mutant, area.tests)) noticed++;
    else console.log(`  survived: ${told(mutant)}`);
  }
  console.log(`${name}: ${noticed} of ${count} noticed (${all.length + count} possible)`);
}

const { values, positionals } = parseArgs({
  options: { count: { type: "string", default: "25" }, seed: { type: "string", default: "1" } },
  allowPositionals: true,
});
const { stdout } = spawnSync("git", ["status", "--porcelain", "src"], { cwd: root, encoding: "utf8" });
if (stdout !== "") throw new Error("src has changes that are not committed");
for (const name of positionals.length > 0 ? positionals : Object.keys(AREAS)) {
  await measure(name, Number(values.count), Number(values.seed));
}
