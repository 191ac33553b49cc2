// docs/errors.md: every error of the API, with its status and an example.

import { ERROR_EXAMPLES, type ErrorCode, kindOf } from "../../src/openai/index.ts";

const HEAD = `# Errors

Every error of the API is an OpenAI envelope with a code of this table.

\`{"error": {"message", "type", "param", "code"}}\`: \`param\` is the path of the field at fault, as
\`messages.0.content\`, or null. An error before the first byte of a reply has its HTTP status. In a stream, an
error after the first event is an event whose data is the envelope; the stream then ends without \`[DONE]\`.
Where the table says that a retry may help, the reply has \`x-should-retry: true\`, \`retry-after\` in seconds and,
where the time is known, \`retry-after-ms\`. Written by \`npm run readme\`.

| \`code\` | status | \`type\` | a retry may help | example of a message |
|---|---|---|---|---|
`;

export function errorsPage(): string {
  const rows = (Object.keys(ERROR_EXAMPLES) as ErrorCode[])
    .map((name) => ({ name, kind: kindOf(name) }))
    .sort((a, b) => a.kind.status - b.kind.status || a.name.localeCompare(b.name, "en"))
    .map(({ name, kind: { status, type, code = name, retry } }) => {
      const [message] = ERROR_EXAMPLES[name];
      return `| \`${code}\` | ${status} | \`${type}\` | ${retry ? "yes" : "no"} | ${message.replaceAll("|", "\\|")} |`;
    });
  return `${HEAD}${rows.join("\n")}\n`;
}
