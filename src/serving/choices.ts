// The choices of one reply, generated side by side and told as one stream of events.
import type { ChoiceEvent, GenerationEvent } from "./events.ts";

type Events = AsyncGenerator<GenerationEvent, void, undefined>;

/** Starts one choice, which ends when the signal is aborted. */
export type StartChoice = (choice: number, signal: AbortSignal) => Events;

/** Choices of one request that are generated at once; the others wait. */
const MAX_AT_ONCE = 8;

/** The events of all choices. Leaving the loop ends them all, as the first error does, which is thrown. */
export const followChoices = (
  count: number,
  start: StartChoice,
  signal: AbortSignal,
): AsyncGenerator<ChoiceEvent, void, undefined> =>
  count === 1 ? onlyChoice(start(0, signal)) : mergeChoices(count, start, signal);

async function* onlyChoice(events: Events): AsyncGenerator<ChoiceEvent, void, undefined> {
  for await (const event of events) yield { choice: 0, event };
}

/** Starts choices in order, each when there is room for it; every choice's own events are in order. */
async function* mergeChoices(
  count: number,
  start: StartChoice,
  signal: AbortSignal,
): AsyncGenerator<ChoiceEvent, void, undefined> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const running = new Map<number, Events>();
  const pending = new Map<
    number,
    Promise<{ readonly choice: number; readonly next: IteratorResult<GenerationEvent> }>
  >();
  const ask = (choice: number, events: Events): void => {
    pending.set(
      choice,
      events.next().then((next) => ({ choice, next })),
    );
  };
  let started = 0;
  const fill = (): void => {
    for (; started < count && pending.size < MAX_AT_ONCE; started++) {
      const events = start(started, either);
      running.set(started, events);
      ask(started, events);
    }
  };
  try {
    for (fill(); pending.size > 0; fill()) {
      const { choice, next } = await Promise.race(pending.values());
      pending.delete(choice);
      if (next.done) {
        running.delete(choice);
        continue;
      }
      yield { choice, event: next.value };
      ask(choice, running.get(choice) as Events);
    }
  } finally {
    // A generation that is waiting for its replica ends only when it is told to.
    over.abort(new Error("the reply is over"));
    await Promise.allSettled([...running.values()].map((events) => events.return()));
  }
}
