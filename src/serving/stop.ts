// Finds stop strings in text that comes in pieces, and never lets out the beginning of one (Knuth, Morris and Pratt's automaton).

export interface StopFinder {
  /** The text that can go out; a possible beginning of a stop string is held back. Nothing comes after `found`. */
  push(text: string): string;
  /** What was held back. */
  end(): string;
  readonly found: boolean;
}

/**
 * The first stop string to be complete ends the text before its beginning, and of two complete at the same place the longer: so the
 * result does not depend on how the text was cut into pieces.
 * @param stops non-empty, well-formed strings
 * @param unstopped a text that begins with this is not cut. Default: there is no such text
 */
export function createStopFinder(stops: readonly string[], unstopped?: string): StopFinder {
  if (stops.length === 0 || unstopped === undefined) return createCutter(stops);
  /** There once it is known how the text begins. */
  let finder: StopFinder | undefined;
  let beginning = "";
  const release = (stopping: readonly string[]): string => {
    finder = createCutter(stopping);
    return finder.push(beginning);
  };
  return {
    push(text) {
      if (finder) return finder.push(text);
      beginning += text;
      if (beginning.startsWith(unstopped)) return release([]);
      return unstopped.startsWith(beginning) ? "" : release(stops);
    },
    end: () => (finder ? "" : release(stops)) + (finder?.end() ?? ""),
    get found() {
      return finder?.found ?? false;
    },
  };
}

function createCutter(stops: readonly string[]): StopFinder {
  const automata = stops.map((stop) => ({ stop, fallback: fallbacks(stop), matched: 0 }));
  let held = "";
  let found = false;
  return {
    push(text) {
      if (found) return "";
      const all = held + text;
      for (let i = held.length; i < all.length; i++) {
        let longest = 0;
        for (const automaton of automata) {
          advance(automaton, all.charCodeAt(i));
          if (automaton.matched === automaton.stop.length) longest = Math.max(longest, automaton.matched);
        }
        if (longest > 0) {
          found = true;
          held = "";
          return all.slice(0, i + 1 - longest);
        }
      }
      const hold = automata.reduce((most, { matched }) => Math.max(most, matched), 0);
      held = all.slice(all.length - hold);
      return all.slice(0, all.length - hold);
    },
    end() {
      const rest = held;
      held = "";
      return rest;
    },
    get found() {
      return found;
    },
  };
}

interface Automaton {
  readonly stop: string;
  readonly fallback: Int32Array;
  /** Code units of the stop string that the text ends with. */
  matched: number;
}

function advance(automaton: Automaton, unit: number): void {
  const { stop, fallback } = automaton;
  while (automaton.matched > 0 && stop.charCodeAt(automaton.matched) !== unit) {
    automaton.matched = fallback[automaton.matched - 1] as number;
  }
  if (stop.charCodeAt(automaton.matched) === unit) automaton.matched++;
}

/** For each prefix, the length of its longest proper suffix that is a prefix too. */
function fallbacks(stop: string): Int32Array {
  const table = new Int32Array(stop.length);
  let length = 0;
  for (let i = 1; i < stop.length; i++) {
    while (length > 0 && stop[length] !== stop[i]) length = table[length - 1] as number;
    if (stop[length] === stop[i]) length++;
    table[i] = length;
  }
  return table;
}
