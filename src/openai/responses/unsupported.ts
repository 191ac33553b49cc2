// Fields that change a response and that this gateway does not have, and fields of chat completions that have another name here: refused by
// name, never ignored.
import { ApiError } from "../shared/errors.ts";
import { ignored, never, only, refuse, type Unsupported } from "../shared/unsupported.ts";

const REQUEST_FIELDS: Readonly<Record<string, Unsupported>> = {
  context_management: {
    harmless: "an empty list",
    isHarmless: (value) => Array.isArray(value) && value.length === 0,
  },
  conversation: never,
  prompt: never,
  service_tier: only("auto", "default"),
};

/** Wishes about how a model works, which no variant here knows: clients send them to every model. */
const IGNORED_FIELDS: Readonly<Record<string, Readonly<Record<string, Unsupported>>>> = {
  reasoning: { effort: only("none"), generate_summary: never, summary: never },
  stream_options: { include_obfuscation: only(false) },
  text: { verbosity: only("medium") },
};

/** Fields of chat completions, by what stands for them here. */
const ELSEWHERE: Readonly<Record<string, string | undefined>> = {
  frequency_penalty: undefined,
  function_call: "tool_choice",
  functions: "tools",
  logit_bias: undefined,
  logprobs: "include",
  max_completion_tokens: "max_output_tokens",
  max_tokens: "max_output_tokens",
  messages: "input",
  n: undefined,
  presence_penalty: undefined,
  reasoning_effort: "reasoning.effort",
  response_format: "text.format",
  stop: undefined,
  verbosity: "text.verbosity",
};
/** Values that ask for nothing. */
const NOTHING: Readonly<Record<string, readonly unknown[]>> = {
  frequency_penalty: [0],
  logprobs: [false],
  n: [1],
  presence_penalty: [0],
};

/** A list for the API's description, in Markdown. */
export const unsupportedInResponse: string = [...Object.entries(REQUEST_FIELDS)]
  .map(([name, { harmless }]) => `- \`${name}\`: accepted is ${harmless}`)
  .concat(
    `- of chat completions: ${Object.keys(ELSEWHERE)
      .map((name) => `\`${name}\``)
      .join(", ")}`,
  )
  .join("\n");

/** Fields that are left out, for the reply's warning. */
export const ignoredInResponse = (body: Readonly<Record<string, unknown>>): string[] =>
  Object.entries(IGNORED_FIELDS).flatMap(([outer, fields]) => {
    const value = Object.hasOwn(body, outer) ? body[outer] : undefined;
    return typeof value === "object" && value !== null
      ? ignored(value as Record<string, unknown>, fields, `${outer}.`)
      : [];
  });
/** Their names in Markdown. */
export const ignoredResponseFields: string = Object.entries(IGNORED_FIELDS)
  .flatMap(([outer, fields]) => Object.keys(fields).map((name) => `\`${outer}.${name}\``))
  .join(", ");

/** @throws ApiError `unsupported_parameter` that names the field */
export function refuseUnsupportedInResponse(body: Readonly<Record<string, unknown>>): void {
  refuse(body, REQUEST_FIELDS, "");
  for (const [name, here] of Object.entries(ELSEWHERE)) {
    const value = Object.hasOwn(body, name) ? body[name] : undefined;
    if (value === undefined || value === null || NOTHING[name]?.includes(value)) continue;
    const instead = here
      ? `In the Responses API it is '${here}'.`
      : "The Responses API does not have it: leave it out.";
    throw new ApiError("unsupported_parameter", `Unsupported parameter: '${name}'. ${instead}`, { param: name });
  }
}
