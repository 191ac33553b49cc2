// `npm run bench:routing`: replays loads with mixed budgets and says how many budgets `auto` meets, how good its answers are, and how any
// single variant or a random one would have done.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../scripts/build/paths.ts";
import { compileCatalogue } from "../src/variants/catalogue.ts";
import { benchDir } from "./gguf.ts";
import { commandLine, machine, machineLine } from "./machine.ts";
import { arrivals, type Load, readTrace, recordedLoad, syntheticLoad } from "./routing/load.ts";
import { measureIdle } from "./routing/machine.ts";
import { random } from "./routing/random.ts";
import { recordedQualities } from "./routing/recorded.ts";
import { line, report } from "./routing/report.ts";
import { type Service, startService } from "./routing/service.ts";
import { idleOn, simulate } from "./routing/simulate.ts";
import { budgetOf, fastest, isEligible, judge, type Outcome, type Scene, type Verdict } from "./routing/verdict.ts";

/** The simulated machine: its speed is not the reference's, and no variant quite what its costs say. */
const SIMULATED = {
  prefill: 1.7,
  decode: 1.2,
  noise: 0.1,
  misfit: (variant: string) => 0.9 + ((variant.length * 37) % 20) / 100,
};

const HELP = `npm run bench:routing -- [options]

Replays requests with mixed budgets on the service, as npm start runs it, and judges what comes of them. A request counts if the fastest
variant that is good enough for it would have met its budget alone on an idle replica by a factor of 1.3. Ctrl-C ends it with the
figures of what has been replayed.

  --load NAME        synthetic, recorded or both (both)
  --requests N       requests of a load (2000)
  --from N           how many of a load's requests are passed over before those: a load may be replayed in several runs (0)
  --utilisation U    share of the time that the base would be busy with the load (0.1)
  --choices LIST     auto, random, variants' ids, or all, with commas between (auto,random and four variants)
  --services N       services at a time, each with a part of the load and some 300 MB of memory; each computes for some 5 % of the time, and
                     many at once slow each other down (1)
  --simulate         on a simulated replica, in seconds instead of hours
  --seed N           of lengths, arrivals and budgets (1)
  --json PATH        where the figures go (dist/bench/routing.json)
  --help             this text`;

const { values: options } = parseArgs({
  options: {
    load: { type: "string", default: "both" },
    requests: { type: "string", default: "2000" },
    from: { type: "string", default: "0" },
    utilisation: { type: "string", default: "0.1" },
    choices: { type: "string" },
    services: { type: "string", default: "1" },
    simulate: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    json: { type: "string", default: join(benchDir, "routing.json") },
    help: { type: "boolean", default: false },
  },
});

function number(name: "requests" | "from" | "utilisation" | "services" | "seed", least: number, most = 1e6): number {
  const value = Number(options[name]);
  if (!(value >= least && value <= most)) throw new Error(`--${name} ${options[name]}: it must be ${least} to ${most}`);
  return value;
}

async function readLoads(): Promise<Load[]> {
  const [from, count, seed] = [Math.floor(number("from", 0)), Math.floor(number("requests", 2)), number("seed", 0)];
  const loads = {
    synthetic: () => syntheticLoad(from + count, seed),
    recorded: async () => recordedLoad(await readTrace(), from + count, seed),
  };
  const names = options.load === "both" ? (["synthetic", "recorded"] as const) : [options.load];
  return Promise.all(
    names.map(async (name) => {
      if (name !== "synthetic" && name !== "recorded")
        throw new Error(`--load ${name}: it may be synthetic, recorded or both`);
      const load = await loads[name]();
      const requests = load.requests.slice(from);
      if (requests.length < 2) throw new Error(`--from ${from}: the ${name} load has ${load.requests.length} requests`);
      return { ...load, requests };
    }),
  );
}

/** Whatever serves a load: the variant for each request, undefined for `auto`. */
type Replay = (load: Load, choose: (index: number) => string | undefined) => Promise<Outcome[]>;

async function replayOn(
  services: readonly Service[],
  scene: Scene,
  load: Load,
  choose: (index: number) => string | undefined,
) {
  const utilisation = number("utilisation", 0.01, 1);
  const size = Math.ceil(load.requests.length / services.length);
  let done = 0;
  const parts = services.map(async (service, part) => {
    const requests = load.requests.slice(part * size, (part + 1) * size);
    const at = arrivals({ ...load, requests }, utilisation, (request) => scene.idle(request, scene.base).latency);
    // One after the other within what is between two requests: no rush at the beginning that no load has.
    const between = (at.at(-1) ?? 0) / Math.max(1, at.length - 1);
    const started = performance.now() + (between * part) / services.length;
    return Promise.all(
      requests.map(async (request, i) => {
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, started + (at[i] ?? 0) - performance.now())));
        const outcome = await service.ask(request, choose(part * size + i) ?? "auto", budgetOf(scene, request));
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${++done} of ${load.requests.length}`);
        return outcome;
      }),
    );
  });
  const outcomes = (await Promise.all(parts)).flat();
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  return outcomes;
}

/**
 * No service is measured, or begins the replay, before it has compiled what it runs often: a few at a time, since what they learn of
 * latencies has to be of a machine as free as the replay leaves it.
 */
async function warmUp(services: readonly Service[], measure: (service: Service) => Promise<unknown>): Promise<void> {
  const waiting = [...services];
  const lane = async (): Promise<void> => {
    for (let service = waiting.pop(); service; service = waiting.pop()) await measure(service);
  };
  await Promise.all(Array.from({ length: cpus().length }, lane));
}

function choicesOf(scene: Scene, typical: Load): string[] {
  const { variants, base } = scene;
  const some = [
    "auto",
    "random",
    base,
    `${base}-attn-drop-5`,
    `${base}-block-drop-6`,
    fastest(scene, typical.requests[0]!),
  ];
  const asked =
    options.choices?.split(",").flatMap((name) => (name === "all" ? ["auto", "random", ...variants] : [name])) ?? some;
  for (const name of asked) {
    if (name !== "auto" && name !== "random" && !variants.includes(name)) {
      throw new Error(`--choices ${name}: there is auto, random, all, and ${variants.join(", ")}`);
    }
  }
  return [...new Set(["auto", ...asked])];
}

async function main(): Promise<void> {
  if (options.help) return console.log(HELP);
  const loads = await readLoads();
  const catalogue = compileCatalogue(JSON.parse(await readFile(join(root, "dist/catalogue.json"), "utf8")));
  const qualities = await recordedQualities(catalogue);
  const variants = [...catalogue.keys()].filter((variant) => qualities.of(variant)?.accNorm !== undefined);
  const base = variants[0] as string;
  const before = machine();
  const simulated = idleOn(catalogue, SIMULATED);
  const services = options.simulate
    ? []
    : await Promise.all(Array.from({ length: Math.floor(number("services", 1, 128)) }, startService));
  try {
    const quickest = fastest({ variants, base, idle: simulated, qualities }, loads[0]!.requests[0]!);
    const measure = (service: Service) => measureIdle(service, catalogue, [base, quickest]);
    await warmUp(services, measure);
    const idle = services[0] ? await measure(services[0]) : simulated;
    const scene: Scene = { variants, base, idle, qualities };
    const utilisation = number("utilisation", 0.01, 1);
    const replay: Replay = async (load, choose) => {
      if (services.length > 0) return replayOn(services, scene, load, choose);
      const at = arrivals(load, utilisation, (request) => idle(request, base).latency);
      const { requests } = load;
      const fixed = { catalogue, qualities, machine: SIMULATED, requests, arrivals: at, choose, seed: 3 };
      return (await simulate({ ...fixed, budgetOf: (request) => budgetOf(scene, request) })).outcomes;
    };
    console.log(machineLine(before));
    console.log(
      `${options.simulate ? "simulated" : "on the real engine"}, the base would be busy ${100 * utilisation} % of the time`,
    );
    const path = resolve(root, options.json);
    await mkdir(dirname(path), { recursive: true });
    const command = commandLine("bench:routing");
    const results: object[] = [];
    const verdicts = loads.map(() => new Map<string, Verdict>());
    const replayAll = async (): Promise<void> => {
      for (const choice of choicesOf(scene, loads[0]!)) {
        for (const [i, load] of loads.entries()) {
          const next = random(5);
          const draw = (): string => variants[Math.floor(next() * variants.length)] as string;
          const outcomes = await replay(load, () =>
            choice === "auto" ? undefined : choice === "random" ? draw() : choice,
          );
          const verdict = judge(scene, load.requests, outcomes);
          verdicts[i]!.set(choice, verdict);
          const detailed = outcomes.map((outcome, i) => {
            const request = load.requests[i]!;
            const budget = budgetOf(scene, request);
            return { ...request, budget, counts: isEligible(scene, request, budget), outcome };
          });
          results.push({ load: load.name, choice, ...verdict, requests: detailed });
          if (!options.simulate) console.log(line(load, choice, verdict));
          await writeFile(path, `${JSON.stringify({ machine: before, command, results })}\n`);
        }
      }
    };
    // The services' own listeners would end the process before the figures are told.
    process.removeAllListeners("SIGINT");
    const interrupted = new Promise<void>((resolve) => process.once("SIGINT", resolve));
    const all = replayAll();
    await Promise.race([all, interrupted]);
    // Requests under way fail as the services stop: whatever was interrupted is not judged.
    all.catch(() => {});
    let holds = true;
    for (const [i, load] of loads.entries()) {
      if (verdicts[i]!.has("auto")) holds = report(scene, load, verdicts[i]!) && holds;
    }
    console.log(`\n${command}\nfigures: ${relative(process.cwd(), path)}`);
    if (!holds) process.exitCode = 2;
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
}

main()
  .catch((error: Error) => {
    console.error(`bench:routing: ${error.message}`);
    process.exitCode = 1;
  })
  // An interrupted replay has requests that wait for their time.
  .finally(() => process.exit());
