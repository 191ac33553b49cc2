// Which of a key's background responses run: a few at a time, in the order in which they came.

/** Kept by the object of the key. */
export interface Slots {
  /** Takes a place in line. @returns whether there was one */
  join(id: string): boolean;
  /** Whether it may run now; else it keeps its place in line, as long as it asks again now and then. */
  enter(id: string): boolean;
  /** It is over, or is not wanted any more. @returns those that may run now */
  leave(id: string): string[];
}

export interface SlotsOptions {
  /** Of one key's, at a time. */
  readonly most: number;
  /** Of one key's that stand in line. */
  readonly mostWaiting: number;
  /** What has not asked for this long is forgotten: it was lost with its machine. */
  readonly leaseMs: number;
  now(): number;
}

export function createSlots({ most, mostWaiting, leaseMs, now }: SlotsOptions): Slots {
  /** When each asked last. */
  const running = new Map<string, number>();
  const waiting = new Map<string, number>();
  const forget = (): void => {
    for (const all of [running, waiting]) {
      for (const [id, askedAt] of all) if (now() - askedAt > leaseMs) all.delete(id);
    }
  };
  const next = (): string[] => [...waiting.keys()].slice(0, Math.max(0, most - running.size));
  return {
    join(id) {
      forget();
      if (waiting.size >= mostWaiting) return false;
      waiting.set(id, now());
      return true;
    },
    enter(id) {
      forget();
      if (!running.has(id)) waiting.set(id, now());
      const mayRun = running.has(id) || next().includes(id);
      if (!mayRun) return false;
      waiting.delete(id);
      running.set(id, now());
      return true;
    },
    leave(id) {
      running.delete(id);
      waiting.delete(id);
      forget();
      return next();
    },
  };
}
