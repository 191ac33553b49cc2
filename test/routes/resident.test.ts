// Weight sets that share the first one's memory: `auto` chooses among their variants while they are loaded, and all else goes where they are.
import { describe, expect, it } from "vitest";
import catalogueJson from "../../dist/catalogue.json";
import { createHomes } from "../../src/replica/homes.ts";
import type { ReplicaStatus } from "../../src/replica/protocol.ts";
import { checkArms } from "../../src/routes/experiment-checks.ts";
import { createQualityBook } from "../../src/routing/quality.ts";
import type { ServicesOptions } from "../../src/services.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";
import { slotRecipeSchema } from "../../src/variants/recipe.ts";
import { quarantining, ready, routingOptions, type StandIn, saying, standIn, testGateway, USER } from "./gateway.ts";

const BASE = "smollm2-135m-instruct";
const file = catalogueFileSchema.parse(catalogueJson);
const [base] = file.bases;
const recipe = (id: string, layers: string, count: number) =>
  slotRecipeSchema.parse({
    id,
    base: BASE,
    layers,
    title: id,
    origin: { source: "a test", section: "none" },
    status: "experimental",
    slots: Array.from({ length: count }, (_, layer) => ({ layer })),
  });
const set = (id: string) => ({ ...base!, id, checkpoint: BASE, digest: id, config: { ...base!.config, layers: 20 } });
/** The shipped variants, two of layers that ship, and one of layers that a user has. */
const catalogue = compileCatalogue({
  ...file,
  bases: [base!, set("students"), set("own")],
  recipes: [
    ...file.recipes,
    recipe("student-20", "models/students", 20),
    recipe("student-10", "models/students", 10),
    recipe("own-5", "artifacts/models/own", 5),
  ],
  weightSets: { "student-20": "students", "student-10": "students", "own-5": "own" },
});
/** Of all variants only these were measured: who prefers speed gets the student where there is one. */
const qualities = createQualityBook(
  [
    { variant: "smollm2-135m", hellaswag: new Map(Array.from({ length: 100 }, (_, i) => [i, i < 40])) },
    { variant: "student-20", hellaswag: new Map(Array.from({ length: 100 }, (_, i) => [i, i < 35])) },
  ],
  "smollm2-135m",
);

const answer = await saying("Rome.");
type State = ReplicaStatus["state"];

/**
 * A gateway whose first replica has room for some weight sets.
 * @param shared ids of those beside the first
 * @param states how it stands with each weight set; what is not there is idle
 */
async function gatewayOf(
  shared: readonly string[],
  states: Record<string, State>,
  options: Partial<ServicesOptions> = {},
  script = answer,
) {
  const objects = new Map<string, StandIn>();
  const asked: string[] = [];
  const byName = (name: string): StandIn => {
    const known = objects.get(name);
    if (known) return known;
    // An answer of this one does not end by itself.
    const stand = standIn(({ variant }) => (variant === "student-10" ? [...answer.slice(0, -1), "never"] : script));
    const weights = name === BASE ? [BASE, ...shared] : [name];
    stand.status = async (id, wake) => {
      asked.push(`${name} ${id} ${wake}`);
      const loaded = weights.filter((each) => states[each] === "ready");
      const capacities = Object.fromEntries(
        [...catalogue].flatMap(([variant, { plan }]) => (loaded.includes(plan.base.id) ? [[variant, 1000]] : [])),
      );
      return { ...ready, state: states[id] ?? "idle", weights, capacities };
    };
    objects.set(name, stand);
    return stand;
  };
  const replicaOf = createHomes({ byName, first: BASE, now: Date.now });
  const gateway = testGateway([], { catalogue, replicaOf, routing: routingOptions({ qualities }), ...options });
  const ask = async (body: object = {}) => {
    const response = await gateway.chat({ model: "auto", max_tokens: 4, budget: { prefer: "speed" }, ...body });
    await response.text();
    await gateway.settled();
    return response.headers.get("x-franken-variant");
  };
  const served = (name: string) => objects.get(name)?.requests.map(({ variant }) => variant) ?? [];
  const switches = (name: string) => objects.get(name)?.switches ?? [];
  return { gateway, ask, asked, states, served, switches };
}

describe("auto", () => {
  it("chooses among the variants of weights that share the first one's memory, once they are loaded", async () => {
    const { ask, served, states } = await gatewayOf(["students"], { [BASE]: "ready", students: "loading" });
    for (let i = 0; i < 2; i++) expect(await ask()).toBe("smollm2-135m");
    states.students = "ready";
    // The replica tells of itself with each request.
    await ask();
    expect(await ask()).toBe("student-20");
    expect(served(BASE)).toEqual(["smollm2-135m", "smollm2-135m", "smollm2-135m", "student-20"]);
    states.students = "idle";
    await ask();
    expect(await ask()).toBe("smollm2-135m");
  });

  it("knows them with the first request where somebody asked for health before", async () => {
    const { gateway, ask } = await gatewayOf(["students"], { [BASE]: "ready", students: "ready" });
    await (await gateway.fetch("/health")).text();
    expect(await ask()).toBe("student-20");
  });

  it("leaves alone what has a replica of its own, though it is loaded there", async () => {
    const { ask, gateway } = await gatewayOf([], { [BASE]: "ready", students: "ready" });
    await (await gateway.fetch("/health")).text();
    for (let i = 0; i < 3; i++) expect(await ask()).toBe("smollm2-135m");
  });

  it("counts the variants that it chooses from", async () => {
    const count = async (shared: readonly string[]) => {
      const { gateway } = await gatewayOf(shared, {});
      const counts: number[] = [];
      const one = (await (await gateway.fetch("/v1/models/auto")).json()) as Auto;
      const list = (await (await gateway.fetch("/v1/models")).json()) as { data: Auto[] };
      for (const auto of [one, list.data.find(({ id }) => id === "auto")]) counts.push(auto?.metadata.variants ?? 0);
      expect(counts[1]).toBe(counts[0]);
      return counts[0];
    };
    expect(await count([])).toBe(file.recipes.length);
    expect(await count(["students"])).toBe(file.recipes.length + 2);
    expect(await count(["students", "own"])).toBe(file.recipes.length + 3);
  });

  it("does not use one under quarantine", async () => {
    const scores = quarantining("student-20");
    const { gateway, ask } = await gatewayOf(["students"], { [BASE]: "ready", students: "ready" }, { scores });
    await (await gateway.fetch("/health")).text();
    expect(await ask()).toBe("smollm2-135m");
  });
});

describe("the load of a memory", () => {
  const loadBeside = async (shared: readonly string[]): Promise<unknown> => {
    const { gateway } = await gatewayOf(shared, { [BASE]: "ready", students: "ready" });
    await (await gateway.fetch("/health")).text();
    const chat = (model: string, more: object) =>
      gateway.open("/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, messages: USER, max_tokens: 4, ...more }),
      });
    const student = await chat("student-10", { stream: true });
    const base = await chat("smollm2-135m", {});
    await base.text();
    await student.body?.cancel();
    const decision = await gateway.fetch(`/v1/decisions/${base.headers.get("x-franken-decision")}`);
    return ((await decision.json()) as { load: number }).load;
  };

  it("is what all of its weight sets have under way, for a variant of any", async () => {
    expect(await loadBeside(["students"])).toBe(1);
    expect(await loadBeside([])).toBe(0);
  });
});

interface Auto {
  readonly id: string;
  readonly metadata: { readonly variants: number };
}

describe("a request that names a variant", () => {
  it("goes to the memory that its weights are in, or to a replica of their own", async () => {
    const states = { [BASE]: "ready", students: "ready", own: "ready" } as const;
    const { ask, served } = await gatewayOf(["students"], states);
    expect(await ask({ model: "own-5" })).toBe("own-5");
    expect(await ask({ model: "student-20" })).toBe("student-20");
    expect([served(BASE), served("students"), served("own")]).toEqual([["student-20"], [], ["own-5"]]);
  });

  it("may go on with a lighter rung of the same weights, asked of the memory that they are in", async () => {
    const right = (share: number) => new Map(Array.from({ length: 100 }, (_, i) => [i, i < share]));
    const measured = ["smollm2-135m", "smollm2-135m-attn-drop-5", "student-20", "student-10"];
    const qualities = createQualityBook(
      measured.map((variant, i) => ({ variant, hellaswag: right(40 - i) })),
      "smollm2-135m",
    );
    const slow = Array.from({ length: 8 }, () => [20, { type: "token" as const, id: 19556 }]).flat();
    const { ask, switches } = await gatewayOf(
      ["students"],
      { [BASE]: "ready", students: "ready" },
      { routing: routingOptions({ qualities }) },
      [...slow, ...answer],
    );
    await ask({ model: "student-20", max_tokens: 64, budget: { latency_ms: 300, downshift: true } });
    expect(switches(BASE)).toEqual(["student-10"]);
    expect(switches("students")).toEqual([]);
  });

  it("goes to a replica of its own where the first one cannot be asked", async () => {
    const { gateway } = await gatewayOf(["students"], {});
    const own = standIn(answer);
    const broken = { ...standIn([]), status: () => Promise.reject(new Error("away")) };
    const byName = (name: string) => (name === BASE ? broken : own);
    const replica = createHomes({ byName, first: BASE, now: Date.now })("students");
    expect(await replica.status("students")).toMatchObject({ state: "ready" });
    await gateway.settled();
  });

  it("finds it where it has moved, after a while", async () => {
    let now = 0;
    const shared: string[] = [];
    const asked: string[] = [];
    const byName = (name: string): StandIn => ({
      ...standIn([]),
      status: async (id) => {
        asked.push(`${name} ${id}`);
        return { ...ready, weights: [BASE, ...shared] };
      },
    });
    const replicaOf = createHomes({ byName, first: BASE, now: () => now });
    await replicaOf("students").status("students");
    shared.push("students");
    await replicaOf("students").status("students");
    now = 10_000;
    await replicaOf("students").status("students");
    expect(asked).toEqual([
      ...[`${BASE} ${BASE}`, "students students", "students students"],
      ...[`${BASE} ${BASE}`, `${BASE} students`],
    ]);
  });
});

describe("health", () => {
  it("tells of all, wakes the first, and is 200 as soon as that answers", async () => {
    const { gateway, asked } = await gatewayOf(["students"], { [BASE]: "ready", students: "loading" });
    const response = await gateway.fetch("/health", { headers: { authorization: "" } });
    const { replicas } = (await response.json()) as { replicas: { base: string; state: string }[] };
    expect(response.status).toBe(200);
    expect(replicas.map(({ base, state }) => [base, state])).toEqual([
      [BASE, "ready"],
      ["students", "loading"],
      ["own", "idle"],
    ]);
    expect(asked).toContain(`${BASE} ${BASE} true`);
    expect(asked.filter((line) => line.endsWith("true"))).toHaveLength(1);
  });
});

it("an experiment may have arms of weights that share the memory, and of no others", () => {
  const check = (model: string) => () =>
    checkArms({ arms: [{ name: "a", model, weight: 1 }] } as never, {
      catalogue,
      weights: [BASE, "students"],
      quarantines: new Map(),
    });
  expect(check("student-20")).not.toThrow();
  expect(check("own-5")).toThrow("has other weights than the requests that the experiment takes");
});
