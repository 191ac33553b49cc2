// Puts the events of each choice together: what a reply that is told whole is made of.
import type { ChoiceEvent, FinishReason, FrameToken } from "./events.ts";

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
