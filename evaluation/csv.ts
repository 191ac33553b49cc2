// CSV as RFC 4180 has it, for data sets that come so.

/** A field in quotes, in which a quote stands twice, or one without; and what ends it. */
const FIELD = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y;

/**
 * Rows by the names of the first row.
 * @throws Error that names the row that is no CSV, or has another number of fields than the first
 */
export function parseCsv(text: string): Record<string, string>[] {
  const [names = [], ...rows] = split(text.replace(/^\ufeff/, ""));
  return rows.map((fields, i) => {
    if (fields.length !== names.length) {
      throw new Error(`row ${i + 2} has ${fields.length} fields, not ${names.length}`);
    }
    return Object.fromEntries(names.map((name, j) => [name, fields[j] ?? ""]));
  });
}

function split(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length) {
    FIELD.lastIndex = at;
    const match = FIELD.exec(text);
    if (!match) throw new Error(`row ${rows.length + 1} is no CSV`);
    const [whole, quoted, plain = "", end] = match;
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    at += whole.length;
    if (end === ",") {
      if (at === text.length) row.push("");
      if (at < text.length) continue;
    }
    rows.push(row);
    row = [];
  }
  return rows;
}
