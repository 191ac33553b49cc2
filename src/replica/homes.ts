// How the gateway finds the replica that holds a weight set: the first one's, where that has room for it in its memory, or else one of its own.
import type { Replica } from "./protocol.ts";

export interface HomesOptions {
  /** The Durable Object of a name. */
  byName(name: string): Replica;
  /** The weight set that is listed first. */
  readonly first: string;
  /** Milliseconds. */
  now(): number;
}

/** What the first replica said that it has room for is asked anew after this long: a deployment may change it. */
const FRESH_MS = 10_000;

/** @returns the replica of a weight set, found anew for each call of it */
export function createHomes({ byName, first, now }: HomesOptions): (weightsId: string) => Replica {
  let told: { readonly weights: readonly string[]; readonly at: number } | undefined;

  async function sharing(): Promise<readonly string[]> {
    if (told && now() - told.at < FRESH_MS) return told.weights;
    try {
      const { weights = [] } = await byName(first).status(first, false);
      told = { weights, at: now() };
    } catch {
      // Whoever cannot be asked cannot answer: then it has one of its own.
      return told?.weights ?? [];
    }
    return told.weights;
  }

  return (weightsId) => {
    if (weightsId === first) return byName(first);
    const home = async (): Promise<Replica> => byName((await sharing()).includes(weightsId) ? first : weightsId);
    return {
      status: async (id, wake) => (await home()).status(id, wake),
      generate: async (request) => (await home()).generate(request),
      switchVariant: async (id, variant) => (await home()).switchVariant(id, variant),
      measure: async (request) => (await home()).measure(request),
      compare: async (request) => (await home()).compare(request),
    };
  };
}
