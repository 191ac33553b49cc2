// Fields of a chat completion request that would change the answer and that this gateway does not
// have: refused by name, never ignored.
import { ignored, never, only, refuse, type Unsupported } from "../shared/unsupported.ts";

const REQUEST_FIELDS: Readonly<Record<string, Unsupported>> = {
  audio: never,
  modalities: {
    harmless: '["text"]',
    isHarmless: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  },
  service_tier: only("auto", "default"),
  store: only(false),
  web_search_options: never,
};

/** Wishes about how a model works, which no variant here knows: clients send them to every model. */
const IGNORED_FIELDS: Readonly<Record<string, Unsupported>> = {
  reasoning_effort: only("none"),
  verbosity: only("medium"),
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

/** Fields of a chat completion request that are left out, for the reply's warning. */
export const ignoredFields = (body: Readonly<Record<string, unknown>>): string[] => ignored(body, IGNORED_FIELDS);
/** Their names in Markdown. */
export const ignoredInChat: string = Object.keys(IGNORED_FIELDS)
  .map((name) => `\`${name}\``)
  .join(", ");

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
