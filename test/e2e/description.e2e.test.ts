// How the process that `npm start` runs describes itself: /openapi.json, and /docs/api in a browser,
// which is left out where there is no Chromium.
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { browserPath } from "./browser.ts";
import { service } from "./service.ts";

interface Media {
  schema: { $ref?: string; example?: unknown };
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}
interface Operation {
  operationId?: string;
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, { content?: Record<string, Media> }>;
}
interface Description {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, { example?: unknown }> };
}

const server = service();
let description: Description;
beforeAll(async () => {
  description = (await (await fetch(`${server.url}/openapi.json`)).json()) as Description;
});

const operations = (): [name: string, operation: Operation][] =>
  Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [`${method} ${path}`, operation]),
  );

describe("/openapi.json", () => {
  it("is valid OpenAPI 3.1", async () => {
    const validator = new Validator();
    expect((await validator.validate({ ...structuredClone(description) })).errors).toBeUndefined();
    expect(validator.version).toBe("3.1");
  });

  it("has an example of every body in JSON, of every kind of error, and all fit their schemas", () => {
    const ajv = new Ajv2020({ strict: false });
    addFormats.default(ajv);
    ajv.addSchema(description, "api");
    const { schemas } = description.components;
    const examplesOf = ({ schema, example, examples }: Media): unknown[] => {
      const named = schema.$ref ? schemas[schema.$ref.split("/").at(-1) as string] : schema;
      const own = example ?? named?.example;
      return examples ? Object.values(examples).map(({ value }) => value) : own === undefined ? [] : [own];
    };
    const pointer = (...keys: string[]): string =>
      `api#/${keys.map((key) => encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")}`;
    const lacking: string[] = [];
    const unfit: string[] = [];
    for (const [name, { requestBody, responses }] of operations()) {
      const [method, path] = name.split(" ") as [string, string];
      const bodies: [string[], Record<string, Media> | undefined][] = [
        [["requestBody"], requestBody?.content],
        ...Object.entries(responses).map(([status, { content }]): [string[], Record<string, Media> | undefined] => [
          ["responses", status],
          content,
        ]),
      ];
      for (const [where, content] of bodies) {
        const media = content?.["application/json"];
        if (!media) continue;
        const examples = examplesOf(media);
        if (examples.length === 0) lacking.push(`${name} ${where.join(" ")}`);
        const schema = pointer("paths", path, method, ...where, "content", "application/json", "schema");
        for (const example of examples) {
          if (!ajv.validate({ $ref: schema }, example)) unfit.push(`${name} ${where.join(" ")}: ${ajv.errorsText()}`);
        }
      }
    }
    expect(lacking).toEqual([]);
    expect(unfit).toEqual([]);
  });
});

describe.skipIf(!browserPath)("/docs/api in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: browserPath as string, args: ["--no-sandbox"] });
  });
  afterAll(async () => {
    await browser?.close();
  });

  it("shows every endpoint, sends requests, and loads nothing from elsewhere", async () => {
    const page = await browser.newPage();
    const elsewhere: string[] = [];
    const complaints: string[] = [];
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(`${server.url}/`) && !url.startsWith("data:")) elsewhere.push(url);
    });
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));

    const response = await page.goto(`${server.url}/docs/api`);
    expect(response?.headers()["content-security-policy"]).not.toMatch(/https?:|\*/);
    await page.getByRole("heading", { name: "Franken Gateway" }).waitFor();
    await expect.poll(() => page.locator(".opblock").count()).toBe(operations().length);

    const health = page.locator(".opblock", { has: page.locator('[data-path="/health"]') });
    await health.locator(".opblock-summary-control").click();
    await health.getByRole("button", { name: "Try it out" }).click();
    await health.getByRole("button", { name: "Execute" }).click();
    await health.locator(".live-responses-table .response-col_status", { hasText: "200" }).waitFor();

    expect(elsewhere).toEqual([]);
    expect(complaints).toEqual([]);
  });
});
