// The progress of a run on the standard error: a bar on a terminal, a line now and then elsewhere.

export interface Progress {
  /** @param note tells what the numbers are so far; called when the bar is drawn */
  done(note: () => string): void;
  /** Ends the line of the bar. */
  end(): void;
}

const BAR = 24;
const REDRAW_MS = 500;
const LINE_EVERY_MS = 15_000;

/**
 * @param total items to compute in this run
 * @param output where to; default the standard error
 */
export function createProgress(total: number, output: NodeJS.WriteStream = process.stderr): Progress {
  const started = performance.now();
  let done = 0;
  let shown = 0;
  return {
    done(note) {
      done++;
      const now = performance.now();
      const last = done === total;
      if (!last && now - shown < (output.isTTY ? REDRAW_MS : LINE_EVERY_MS)) return;
      shown = now;
      const rate = done / ((now - started) / 1000);
      const full = Math.round((BAR * done) / total);
      const bar = "#".repeat(full) + "-".repeat(BAR - full);
      const line = `[${bar}] ${done}/${total}  ${rate.toPrecision(3)} items/s  ${clock((total - done) / rate)} left  ${note()}`;
      output.write(output.isTTY ? `\r${line.slice(0, output.columns - 1)}\x1b[K` : `${line}\n`);
    },
    end() {
      if (output.isTTY && done > 0) output.write("\n");
    },
  };
}

/** The same for a library that counts steps, on the standard error. */
export function showSteps(total: number): { readonly step: Progress["done"]; readonly end: Progress["end"] } {
  const { done, end } = createProgress(total);
  return { step: done, end };
}

/** Seconds as 1:02:03 or 2:03. */
export function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
