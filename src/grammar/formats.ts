// `format`: the formats that OpenAI's strict mode lists, and `uri`, as patterns. Each is at most what its RFC allows, so whatever fits is
// valid for every validator; rare forms (quoted local parts of an address, leap seconds) are left out.

const HOUR = "([01][0-9]|2[0-3])";
const MINUTE = "[0-5][0-9]";
const LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)";
const DATE = [
  "[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))",
  `${LEAP_YEAR}-02-29`,
].join("|");
const TIME = `${HOUR}:${MINUTE}:${MINUTE}(\\.[0-9]{1,9})?(Z|[+-]${HOUR}:${MINUTE})`;

/** Host names of `labels` labels at most, each of `length` characters at most. */
const hostname = (labels: number, length: number): string => {
  const label = `[a-zA-Z0-9]([a-zA-Z0-9-]{0,${Math.max(0, length - 2)}}[a-zA-Z0-9])?`;
  return `${label}(\\.${label}){0,${labels - 1}}`;
};
const atom = (length: number): string => `[a-zA-Z0-9_+-]{1,${length}}`;

const OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const IPV4 = `${OCTET}(\\.${OCTET}){3}`;
const H16 = "[0-9a-fA-F]{1,4}";
/** RFC 4291, section 2.2, without the forms that end in an IPv4 address. */
const IPV6 = [
  `(${H16}:){7}${H16}`,
  ...Array.from({ length: 7 }, (_, before) => {
    const left = before === 0 ? "" : `${H16}(:${H16}){${before - 1}}`;
    const most = 6 - before;
    return `${left}::${most === 0 ? `(${H16})?` : `(${H16}(:${H16}){0,${most}})?`}`;
  }),
].join("|");

/** ISO 8601 durations as RFC 3339, appendix A has them. */
const DURATION_TIME = "T([0-9]{1,9}H([0-9]{1,9}M([0-9]{1,9}S)?)?|[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S)";
const DURATION_DATE = "([0-9]{1,9}D|[0-9]{1,9}M([0-9]{1,9}D)?|[0-9]{1,9}Y([0-9]{1,9}M([0-9]{1,9}D)?)?)";

/** Whole-string patterns by the format's name. */
const FIXED: Readonly<Record<string, string>> = {
  "date-time": `^(${DATE})T${TIME}$`,
  date: `^(${DATE})$`,
  time: `^${TIME}$`,
  duration: `^P(${DURATION_DATE}(${DURATION_TIME})?|${DURATION_TIME}|[0-9]{1,9}W)$`,
  ipv4: `^${IPV4}$`,
  ipv6: `^(${IPV6})$`,
  uuid: "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
};

/** Those whose parts may be of any length, by the length that their parts have at most: from 1 to 32. */
const SCALED: Readonly<Record<string, (part: number) => string>> = {
  email: (part) => `^${atom(part)}(\\.${atom(part)})?@${hostname(1, part)}(\\.${hostname(1, part)}){1,4}$`,
  hostname: (part) => `^${hostname(7, part)}$`,
  uri: (part) =>
    `^https?://${hostname(part > 8 ? 7 : 3, part)}(:[1-9][0-9]{0,3})?(/[a-zA-Z0-9._~-]{0,${2 * part}}){0,${part > 8 ? 8 : 2}}` +
    `(\\?[a-zA-Z0-9._~=&-]{0,${4 * part}})?(#[a-zA-Z0-9._~-]{0,${2 * part}})?$`,
};
/** Characters of such a format for each that a part may have, at most. */
const PARTS: Readonly<Record<string, number>> = { email: 9, hostname: 8, uri: 32 };
const LONGEST_PART = 32;

export const FORMAT_NAMES: readonly string[] = [...Object.keys(FIXED), ...Object.keys(SCALED)];

/** @param max characters that the text may have: parts are shorter then, which takes less than counting. Default: any number */
export function formatPattern(name: string, max = Number.POSITIVE_INFINITY): string {
  const scaled = SCALED[name];
  if (!scaled) return FIXED[name] as string;
  return scaled(Math.max(1, Math.min(LONGEST_PART, Math.floor(max / (PARTS[name] as number)))));
}

/** Formats that JSON Schema defines (draft 2020-12, 7.3). Any other name is an annotation. */
const STANDARD = new Set([
  ...["date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6"],
  ...["uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid", "json-pointer"],
  ...["relative-json-pointer", "regex"],
]);
export const isStandardFormat = (name: string): boolean => STANDARD.has(name);
