// Which imports of a project go against the order of its rooms, or behind a room's door.
import { dirname, join } from "node:path/posix";
import ts from "typescript";
import type { Room } from "./table.ts";

export interface Rules {
  readonly rooms: readonly Room[];
  readonly objects: { readonly name: RegExp; readonly entries: readonly string[] };
  readonly exceptions: Readonly<Record<string, string>>;
}

/** Files that an import specifier may name: all else is a package, an asset or what the build makes. */
const SOURCE = /\.(ts|mts|mjs)$/;

/**
 * @param files texts by path from the project's root, with slashes
 * @returns a line for each violation, and for each exception that nothing needs
 */
export function violations(files: ReadonlyMap<string, string>, rules: Rules): string[] {
  const found: string[] = [];
  const needed = new Set<string>();
  for (const [file, text] of files) {
    const from = roomOf(file, rules.rooms);
    if (!from) {
      found.push(`${file} is in no room of scripts/rooms/table.ts`);
      continue;
    }
    for (const to of importsOf(file, text)) {
      const why = whatIsWrong(file, from, to, rules);
      if (!why) continue;
      const pair = `${file} ${to}`;
      if (rules.exceptions[pair]) needed.add(pair);
      else found.push(`${file} imports ${to}: ${why}`);
    }
  }
  const idle = Object.keys(rules.exceptions).filter((pair) => !needed.has(pair));
  return [...found, ...idle.map((pair) => `the exception "${pair}" is not needed any more`)];
}

function roomOf(file: string, rooms: readonly Room[]): Room | undefined {
  const fitting = rooms.filter(({ path }) => file === path || file.startsWith(`${path}/`));
  return fitting.toSorted((a, b) => b.path.length - a.path.length)[0];
}

/** Source files that a file imports, for values or types, at its head or later. */
function importsOf(file: string, text: string): string[] {
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => name.startsWith(".") && SOURCE.test(name))
    .map((name) => join(dirname(file), name));
}

/** @returns undefined where the import is as it should be */
function whatIsWrong(file: string, from: Room, target: string, { rooms, objects }: Rules): string | undefined {
  const to = roomOf(target, rooms);
  if (!to) return "it is in no room of scripts/rooms/table.ts";
  if (to === from) return undefined;
  if (rooms.indexOf(to) > rooms.indexOf(from)) return `${from.path} stands below ${to.path}`;
  if (to.open || from.looksInside || target === to.path || target.endsWith("/index.ts")) return undefined;
  if (objects.name.test(target) && objects.entries.includes(file)) return undefined;
  return `only ${to.path}/index.ts is the door of ${to.path}`;
}
