// Which answers of an experiment go to the queue of those that are scored, and that a queue that is away harms nobody.
import { describe, expect, it } from "vitest";
import { type Experiments, experimentSchema } from "../../src/experiments/live/index.ts";
import type { ShadowJob } from "../../src/experiments/shadow/index.ts";
import { end, saying, standIn, testGateway, tokens } from "./gateway.ts";

const spec = experimentSchema.parse({
  id: "drop-ten",
  arms: [
    { name: "base", model: "smollm2-135m", weight: 0.5 },
    { name: "drop", model: "smollm2-135m-attn-drop-10", weight: 0.5 },
  ],
  control: "base",
  primary: { metric: "agreement", margin: 0.3 },
  shadow_share: 1,
});

/** A gateway whose requests are all in one arm. */
function inArm(arm: string, script: Parameters<typeof testGateway>[0], away = false, model?: string) {
  const jobs: ShadowJob[] = [];
  const own = spec.arms.find(({ name }) => name === arm)!;
  const assigned = { ...own, model: model ?? own.model };
  const experiments = {
    assign: async () => ({ experiment: spec.id, epoch: 0, unit: "u1", arm, assigned, spec, begunAt: 1000 }),
    record: async () => {},
  } as Partial<Experiments> as Experiments;
  const gateway = testGateway(script, {
    experiments,
    shadowOf: () => ({
      async add(job) {
        if (away) throw new Error("the queue is away");
        jobs.push(job);
        return true;
      },
    }),
  });
  return { ...gateway, jobs };
}

describe("an experiment's answer", () => {
  it("of the control is handed over as the tokens that the replica took and gave", async () => {
    const { chat, settled, jobs, replica } = inArm("base", await saying("Hello there"));
    const reply = (await (await chat({ model: "auto", user: "ada" })).json()) as { id: string };
    await settled();
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({
      experiment: "drop-ten",
      epoch: 0,
      unit: "u1",
      arm: "base",
      request: reply.id,
      begunAt: 1000,
      reference: "smollm2-135m",
      treatments: [{ arm: "drop", variant: "smollm2-135m-attn-drop-10" }],
    });
    expect(jobs[0]?.promptIds).toEqual(replica.requests[0]?.promptIds);
    expect(jobs[0]?.replyIds).toHaveLength(2);
    expect(jobs[0]?.scope).toBe(replica.requests[0]?.scope);
  });

  it("that is streamed is handed over when its stream has ended", async () => {
    const { chat, settled, jobs } = inArm("base", await saying("Hello there"));
    const response = await chat({ model: "auto", user: "ada", stream: true });
    expect(jobs).toHaveLength(0);
    await response.text();
    await settled();
    expect(jobs).toHaveLength(1);
  });

  it("of a treatment, that broke off, or that a lighter variant went on with is not", async () => {
    const treated = inArm("drop", await saying("Hello"));
    const broken = inArm("base", [...tokens([50]), "break"]);
    const shifted = inArm("base", [
      ...tokens([50]),
      { type: "variant", id: "smollm2-135m-attn-drop-10", fromToken: 1 },
      ...tokens([51]),
      end,
    ]);
    for (const { chat, settled, jobs } of [treated, broken, shifted]) {
      await (await chat({ model: "auto", user: "ada" })).text().catch(() => {});
      await settled();
      expect(jobs).toEqual([]);
    }
  });

  it("that another variant gave than the control's is not", async () => {
    const { chat, settled, jobs } = inArm("base", await saying("Hello"), false, "smollm2-135m-attn-drop-15");
    const budget = { latency_ms: 1, prefer: "speed" };
    const reply = await chat({ model: "auto", user: "ada", budget });
    await reply.text();
    await settled();
    expect(reply.headers.get("x-franken-variant")).not.toBe("smollm2-135m-attn-drop-15");
    expect(jobs).toEqual([]);
  });

  it("outside of the experiment is not", async () => {
    const { chat, settled, jobs } = inArm("base", standIn(await saying("Hello")));
    await (await chat({ model: "smollm2-135m", user: "ada" })).text();
    await settled();
    expect(jobs).toEqual([]);
  });

  it("is given whole where the queue is away, which the log says without a word of it", async () => {
    const { chat, settled, failures } = inArm("base", await saying("Hello there"), true);
    expect((await chat({ model: "auto", user: "ada" })).status).toBe(200);
    await settled();
    expect(failures).toMatchObject([{ message: "shadow scoring: the queue is away" }]);
    expect(JSON.stringify(failures)).not.toContain("Hello");
  });
});
