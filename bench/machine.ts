// What machine and command the figures are from.
import { cpus, loadavg, totalmem } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly platform: string;
  readonly date: string;
  /** Processes that wanted to run in the last minute before the start. */
  readonly load: number;
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown CPU",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.versions.node,
  platform: `${process.platform} ${process.arch}`,
  date: new Date().toISOString(),
  load: loadavg()[0] ?? 0,
});

/** Above this load before the start, something else was taking the cores. */
const BUSY = 0.5;

export function machineLine({ cpu, cores, memoryGiB, node, platform, date, load }: Machine): string {
  const line = `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}, Node ${node}, ${date.slice(0, 16).replace("T", " ")} UTC`;
  return load > BUSY
    ? `${line}\nthe machine was busy before the start (load ${load.toFixed(1)}): the figures are too low`
    : line;
}

/** The command that gives these figures again. */
export function commandLine(script: string): string {
  const args = process.argv.slice(2);
  return [`npm run ${script}`, ...(args.length ? ["--", ...args] : [])].join(" ");
}
