// Keeps tokens back until their text goes out: a token that a stop string swallows whole is never
// told.
import type { FrameToken } from "./events.ts";

/** @param enabled whether tokens are told at all */
export function createTokenQueue(enabled: boolean) {
  /** With the place in the text where each begins and ends. */
  const queue: { readonly token: FrameToken; readonly from: number; readonly to: number }[] = [];
  let decoded = 0;
  let released = 0;
  const take = (count: number): FrameToken[] => queue.splice(0, count).map(({ token }) => token);
  return {
    /** @returns tokens whose text is out; of the last text before a stop string, also the one that is cut */
    push(token: FrameToken, text: string, out: string, isLast: boolean): FrameToken[] {
      if (!enabled) return [];
      queue.push({ token, from: decoded, to: decoded + text.length });
      decoded += text.length;
      released += out.length;
      const kept = queue.findIndex(({ from, to }) => (isLast ? from >= released : to > released));
      return take(kept < 0 ? queue.length : kept);
    },
    end: (): FrameToken[] => take(queue.length),
  };
}
