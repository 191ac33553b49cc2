// `npm run bench:routing`: replays loads with mixed budgets and says how useful `auto`'s answers are in time, beside those of the base,
// of every other variant that `auto` may answer with, and of perfect foresight, each on the same queue.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../build/paths.ts";
import { type Catalogue, compileCatalogue } from "../src/variants/catalogue.ts";
import { benchDir } from "./gguf.ts";
import { commandLine, machine, machineLine } from "./machine.ts";
import { foresee } from "./routing/foresight.ts";
import { parseLadder, type Rung, withLadder } from "./routing/ladder.ts";
import { arrivals, type Load, type LoadRequest, readTrace, recordedLoad, syntheticLoad } from "./routing/load.ts";
import { lookAhead } from "./routing/lookahead.ts";
import { measureIdle } from "./routing/machine.ts";
import { knowTimes } from "./routing/online.ts";
import { recordedQualities } from "./routing/recorded.ts";
import { type Machine, misfitsOf } from "./routing/replica.ts";
import { line, type Replayed, report } from "./routing/report.ts";
import { type Service, startService } from "./routing/service.ts";
import { type Arrival, idleOn, replayFixed, simulate, type World } from "./routing/simulate.ts";
import { type Case, caseOf, fastest, judge, type Outcome, type Scene, type Verdict } from "./routing/verdict.ts";

/** The simulated machine: its speed is not the reference's, and no variant quite what its costs say. */
const simulatedOn = (catalogue: Catalogue): Machine => ({
  prefill: 1.7,
  decode: 1.2,
  noise: 0.1,
  misfit: misfitsOf(catalogue),
});

/** What variants' speeds are compared by. */
const TYPICAL: LoadRequest = { at: 0, promptTokens: 64, maxTokens: 8, wish: { kind: "none", tightness: 0 } };

/** Shares of the foresight bound that `auto` is to reach. */
const GOALS = { simulated: 0.95, real: 0.9 } as const;

const HELP = `npm run bench:routing -- [options]

Replays requests with mixed budgets on the service, as npm start runs it, and judges what comes of them. Useful in time is the mean,
over all requests that count, of what is left of the base's quality in the answer, 0 for a late one: by HellaSwag the share of the base's
acc_norm above chance, by perplexity that of its logarithm, the lesser of the two where both are recorded. A request counts if the fastest
variant that is good enough for it would have met its budget alone by a factor of 1.3; research variants are left out. Perfect foresight
is a schedule: the best that a search finds that knows every arrival and every step's time. "Online with known times" knows the steps'
times, but not what comes later. Ctrl-C ends it with the figures of what has been replayed.

  --load NAME        synthetic, recorded or both (both)
  --requests N       requests of a load (2000)
  --from N           how many of a load's requests are passed over before those: a load may be replayed in several runs (0)
  --utilisation LIST shares of the time that the base would be busy with the load (0.1,0.3,0.6)
  --choices LIST     variants' ids to compare auto with, with commas between (all that auto may answer with)
  --services N       services at a time, each with a part of the load and some 300 MB of memory; many at once slow each other down (1)
  --simulate         on a simulated replica, in minutes instead of hours
  --ladder LIST      with --simulate: made-up variants beside, as layers:acc_norm or layers:acc_norm:word_perplexity
                     (20:33.0,15:30.5,10:28.5)
  --lookahead N      also what routers bring that try each variant in N likely futures: one knows the times of all
                     steps of what has come, one the machine alone; minutes for each load (0)
  --seed N           of lengths, arrivals and budgets (1)
  --json PATH        where the figures go (dist/bench/routing.json)
  --help             this text`;

const { values: options } = parseArgs({
  options: {
    load: { type: "string", default: "both" },
    requests: { type: "string", default: "2000" },
    from: { type: "string", default: "0" },
    utilisation: { type: "string", default: "0.1,0.3,0.6" },
    choices: { type: "string" },
    services: { type: "string", default: "1" },
    simulate: { type: "boolean", default: false },
    ladder: { type: "string" },
    lookahead: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    json: { type: "string", default: join(benchDir, "routing.json") },
    help: { type: "boolean", default: false },
  },
});

function number(name: "requests" | "from" | "services" | "seed" | "lookahead", least: number, most = 1e6): number {
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

function utilisations(): number[] {
  return options.utilisation.split(",").map((text) => {
    const share = Number(text);
    if (!(share >= 0.01 && share <= 1)) throw new Error(`--utilisation ${text}: it must be 0.01 to 1`);
    return share;
  });
}

/** What is to be compared on one load at one utilisation. */
interface Trial {
  readonly load: Load;
  readonly utilisation: number;
  readonly cases: readonly Case[];
  readonly arrivals: readonly Arrival[];
}

function trialsOf(scene: Scene, loads: readonly Load[]): Trial[] {
  return loads.flatMap((load) => {
    const cases = load.requests.map((request) => caseOf(scene, request));
    return utilisations().map((utilisation): Trial => {
      const times = arrivals(load, utilisation, (request) => scene.idle(request, scene.base).latency);
      const arriving = cases.map(({ request, budget }, i) => ({ at: times[i] as number, request, budget }));
      return { load, utilisation, cases, arrivals: arriving };
    });
  });
}

/** Whatever serves a load: with a variant for every request, or with `auto`. */
type Replay = (trial: Trial, choice: string) => Promise<Outcome[]>;

/** Each service has a part of the load, as sparse as the whole: its arrivals are those of a load of its own. */
async function replayOn(services: readonly Service[], scene: Scene, trial: Trial, choice: string): Promise<Outcome[]> {
  const { load, utilisation, cases } = trial;
  const size = Math.ceil(cases.length / services.length);
  let done = 0;
  const parts = services.map(async (service, part) => {
    const mine = cases.slice(part * size, (part + 1) * size);
    const requests = mine.map(({ request }) => request);
    const at = arrivals({ ...load, requests }, utilisation, (request) => scene.idle(request, scene.base).latency);
    // One after the other within what is between two requests: no rush at the beginning that no load has.
    const between = (at.at(-1) ?? 0) / Math.max(1, at.length - 1);
    const started = performance.now() + (between * part) / services.length;
    return Promise.all(
      mine.map(async ({ request, budget }, i) => {
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, started + (at[i] ?? 0) - performance.now())));
        const outcome = await service.ask(request, choice, budget);
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${++done} of ${cases.length}`);
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

/** Routers that look ahead, by what they know; none where none was asked for. */
function lookaheadsOf(world: World, scene: Scene, { cases, arrivals }: Trial): Map<string, Verdict> {
  const futures = Math.floor(number("lookahead", 0, 1000));
  if (futures === 0) return new Map();
  return new Map(
    [true, false].map((knowsTimes) => {
      const outcomes = lookAhead(world, scene, cases, arrivals, { futures, knowsTimes });
      return [`look-ahead with known ${knowsTimes ? "times" : "machine"}`, judge(scene.qualities, cases, outcomes)];
    }),
  );
}

/** Whether a variant computes what the base does. */
const isAlike = ({ base, idle, qualities }: Scene, variant: string): boolean =>
  idle(TYPICAL, variant).latency === idle(TYPICAL, base).latency &&
  qualities.of(variant)?.accNorm === qualities.of(base)?.accNorm;

function choicesOf({ variants, base }: Scene): string[] {
  const asked = options.choices?.split(",") ?? variants;
  for (const name of asked) {
    if (name !== "auto" && !variants.includes(name)) {
      throw new Error(`--choices ${name}: there is ${variants.join(", ")}`);
    }
  }
  return [...new Set(["auto", base, ...asked])];
}

async function readCatalogue(ladder: readonly Rung[]): Promise<Catalogue> {
  const file = JSON.parse(await readFile(join(root, "dist/catalogue.json"), "utf8"));
  return withLadder(compileCatalogue(file), ladder);
}

/** What is replayed on: services, or a simulated replica. */
async function openScene(services: readonly Service[]) {
  const ladder = options.ladder === undefined ? [] : parseLadder(options.ladder);
  if (ladder.length > 0 && !options.simulate) throw new Error("--ladder needs --simulate: its variants do not exist");
  const catalogue = await readCatalogue(ladder);
  const qualities = await recordedQualities(catalogue, ladder);
  const isResearch = (variant: string): boolean => catalogue.get(variant)?.recipe.status === "research";
  const scored = [...catalogue.keys()].filter((variant) => qualities.of(variant)?.accNorm !== undefined);
  const variants = scored.filter((variant) => !isResearch(variant));
  const base = variants[0] as string;
  const simulatedMachine = simulatedOn(catalogue);
  const simulated: Scene = { variants, base, idle: idleOn(catalogue, simulatedMachine), qualities };
  const research = new Set([...catalogue.keys()].filter(isResearch));
  const [service] = services;
  if (!service) return { catalogue, machine: simulatedMachine, scene: simulated, research };
  const quickest = fastest(simulated, TYPICAL);
  const measure = (one: Service) => measureIdle(one, catalogue, [base, quickest]);
  await warmUp(services, measure);
  const measured = await measure(service);
  return { catalogue, machine: measured, scene: { ...simulated, idle: idleOn(catalogue, measured) }, research };
}

async function main(): Promise<void> {
  if (options.help) return console.log(HELP);
  const loads = await readLoads();
  const before = machine();
  const count = options.simulate ? 0 : Math.floor(number("services", 1, 128));
  const services = await Promise.all(Array.from({ length: count }, startService));
  try {
    const { catalogue, machine: pace, scene, research } = await openScene(services);
    const alike = new Set(scene.variants.filter((variant) => isAlike(scene, variant)));
    const ladder = scene.idle(TYPICAL, scene.base).latency / scene.idle(TYPICAL, fastest(scene, TYPICAL)).latency;
    const world = { catalogue, machine: pace, seed: 1 };
    const replay: Replay = async (trial, choice) => {
      if (services.length > 0) return replayOn(services, scene, trial, choice);
      if (choice !== "auto") return replayFixed(world, trial.arrivals, () => choice);
      return (await simulate({ ...world, qualities: scene.qualities, arrivals: trial.arrivals })).outcomes;
    };
    console.log(machineLine(before));
    const path = resolve(root, options.json);
    await mkdir(dirname(path), { recursive: true });
    const command = commandLine("bench:routing");
    const results: object[] = [];
    let holds = true;
    const replayTrial = async (trial: Trial): Promise<void> => {
      const { load, utilisation, cases } = trial;
      const name = `${load.name}, ${options.simulate ? "simulated" : "on the real engine"}, ${100 * utilisation} % load`;
      const verdicts = new Map<string, Verdict>();
      let byAuto: Outcome[] = [];
      for (const choice of choicesOf(scene)) {
        const outcomes = await replay(trial, choice);
        if (choice === "auto") byAuto = outcomes;
        const verdict = judge(scene.qualities, cases, outcomes);
        verdicts.set(choice, verdict);
        const { mean, met, byHellaswag } = verdict;
        const detailed = cases.map((entry, i) => ({ ...entry, outcome: outcomes[i] }));
        results.push({ load: load.name, utilisation, choice, mean, met, byHellaswag, requests: detailed });
        if (!options.simulate) console.log(line(name, choice, verdict, outcomes));
        await writeFile(path, `${JSON.stringify({ machine: before, command, results })}\n`);
      }
      const foreseen = foresee(world, scene, cases, trial.arrivals, (i) => byAuto[i]?.variant ?? scene.base);
      const bound = judge(scene.qualities, cases, foreseen);
      const replayed: Replayed = {
        name,
        base: alike,
        goal: GOALS[options.simulate ? "simulated" : "real"],
        verdicts,
        ladder,
        bound,
        research,
        online: judge(scene.qualities, cases, knowTimes(world, scene, cases, trial.arrivals)),
        lookaheads: lookaheadsOf(world, scene, trial),
      };
      holds = report(replayed) && holds;
    };
    // The services' own listeners would end the process before the figures are told.
    process.removeAllListeners("SIGINT");
    const interrupted = new Promise<void>((resolve) => process.once("SIGINT", resolve));
    const all = (async () => {
      for (const trial of trialsOf(scene, loads)) await replayTrial(trial);
    })();
    await Promise.race([all, interrupted]);
    // Requests under way fail as the services stop: whatever was interrupted is not judged.
    all.catch(() => {});
    console.log(`\n${command}\nfigures: ${relative(process.cwd(), path)}`);
    if (!holds) process.exitCode = 2;
  } catch (error) {
    // Told before the services stop: the end of one that has failed may never come.
    tell(error as Error);
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
}

function tell(error: Error): void {
  console.error(`bench:routing: ${error.message}`);
  process.exitCode = 1;
}

main()
  .catch(tell)
  // An interrupted replay has requests that wait for their time.
  .finally(() => process.exit());
