// The choices of one reply, generated side by side and told as one stream of events.
import type { FrameToken } from "../replica/protocol.ts";
import type { FinishReason, Generation, GenerationEvent } from "./generate.ts";

export interface ChoiceEvent {
  /** Index of the choice. */
  readonly choice: number;
  readonly event: GenerationEvent;
}

/**
 * Starts generations in order, each when there is room for it, and hands on their events as they come; every choice's own are in order.
 * Leaving the loop ends them all, as the first error does, which is thrown.
 * @param starts one a choice; a generation ends when the signal that it is given is aborted
 * @param most generations at once
 * @param signal ends them all
 */
export async function* mergeChoices(
  starts: readonly ((signal: AbortSignal) => Generation)[],
  most: number,
  signal: AbortSignal,
): AsyncGenerator<ChoiceEvent, void, undefined> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const running = new Map<number, Generation>();
  const pending = new Map<
    number,
    Promise<{ readonly choice: number; readonly next: IteratorResult<GenerationEvent> }>
  >();
  const ask = (choice: number, { events }: Generation): void => {
    pending.set(
      choice,
      events.next().then((next) => ({ choice, next })),
    );
  };
  let started = 0;
  const fill = (): void => {
    for (; started < starts.length && pending.size < most; started++) {
      const generation = (starts[started] as (typeof starts)[number])(either);
      running.set(started, generation);
      ask(started, generation);
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
      ask(choice, running.get(choice) as Generation);
    }
  } finally {
    // A generation that is waiting for its replica ends only when it is told to.
    over.abort(new Error("the reply is over"));
    await Promise.allSettled([...running.values()].map(({ events }) => events.return()));
  }
}

/** What came of one choice. */
export interface WholeChoice {
  readonly text: string;
  /** Tokens of the prompt from its second one on, and of the text, where they were asked for. */
  readonly promptTokens: readonly FrameToken[];
  readonly tokens: readonly FrameToken[];
  /** The token that ended the turn, where log-probabilities were asked for. */
  readonly endToken: FrameToken | undefined;
  readonly finishReason: FinishReason;
}

export interface ChoiceCollector {
  write(event: ChoiceEvent): void;
  /** To be called after the last event. */
  choices(): WholeChoice[];
}

/** @param count choices there are */
export function createChoiceCollector(count: number): ChoiceCollector {
  const all = Array.from({ length: count }, () => ({
    text: "",
    promptTokens: [] as FrameToken[],
    tokens: [] as FrameToken[],
    endToken: undefined as FrameToken | undefined,
    finishReason: undefined as FinishReason | undefined,
  }));
  return {
    write({ choice: index, event }) {
      const choice = all[index] as (typeof all)[number];
      if (event.type === "prompt") choice.promptTokens.push(...event.tokens);
      if (event.type === "text") {
        choice.text += event.text;
        choice.tokens.push(...event.tokens);
      }
      if (event.type === "end") {
        choice.finishReason = event.finishReason;
        choice.endToken = event.token;
      }
    },
    choices: () =>
      all.map((choice) => {
        if (!choice.finishReason) throw new Error("a generation ended without its last event");
        return { ...choice, finishReason: choice.finishReason };
      }),
  };
}
