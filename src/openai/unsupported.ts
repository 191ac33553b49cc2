// Documented fields of OpenAI's API that would change the answer and that this gateway does not have: refused by name, never ignored.
import { ApiError } from "./errors.ts";

export interface Unsupported {
  /** Values under which the field changes nothing. `null` and a missing field never do. */
  readonly harmless: string;
  isHarmless(value: unknown): boolean;
}

export const never: Unsupported = { harmless: "nothing but null", isHarmless: () => false };
export const only = (...values: unknown[]): Unsupported => ({
  harmless: values.map((value) => JSON.stringify(value)).join(" or "),
  isHarmless: (value) => values.includes(value),
});

const REQUEST_FIELDS: Readonly<Record<string, Unsupported>> = {
  audio: never,
  modalities: {
    harmless: '["text"]',
    isHarmless: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  },
  reasoning_effort: only("none"),
  service_tier: only("auto", "default"),
  store: only(false),
  verbosity: only("medium"),
  web_search_options: never,
};

const MESSAGE_FIELDS: Readonly<Record<string, Unsupported>> = {
  audio: never,
};

/** A list for the API's description, in Markdown. */
export const unsupportedFields: string = [
  ...Object.entries(REQUEST_FIELDS),
  ...Object.entries(MESSAGE_FIELDS).map(([name, field]) => [`messages[].${name}`, field] as const),
]
  .map(([name, { harmless }]) => `- \`${name}\`: accepted is ${harmless}`)
  .join("\n");

/** @throws ApiError `unsupported_parameter` that names the field */
export function refuseUnsupported(body: Readonly<Record<string, unknown>>): void {
  refuse(body, REQUEST_FIELDS);
  if (!Array.isArray(body.messages)) return;
  body.messages.forEach((message: unknown, index) => {
    if (typeof message === "object" && message !== null) {
      refuse(message as Readonly<Record<string, unknown>>, MESSAGE_FIELDS, `messages.${index}.`);
    }
  });
}

/** @throws ApiError `unsupported_parameter` that names the field, after `prefix` */
export function refuse(
  object: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, Unsupported>>,
  prefix = "",
): void {
  for (const [name, { harmless, isHarmless }] of Object.entries(fields)) {
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    if (value === undefined || value === null || isHarmless(value)) continue;
    const param = prefix + name;
    throw new ApiError(
      "unsupported_parameter",
      `Unsupported parameter: '${param}' is not supported by this gateway. Leave it out; accepted is ${harmless}.`,
      { param },
    );
  }
}
