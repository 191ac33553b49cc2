// The tasks. A new one is a file and a line here.
import type { Task } from "../task.ts";
import { arcChallenge, arcEasy } from "./arc.ts";
import { chatAgreement, chatAnswers } from "./chats.ts";
import { frankenHellaswag } from "./franken-hellaswag.ts";
import { hellaswag } from "./hellaswag.ts";
import { mmlu, mmluContinuation } from "./mmlu.ts";
import { triviaqa } from "./triviaqa.ts";
import { triviaqaClosed, triviaqaOpen } from "./triviaqa-thesis.ts";
import { truthfulqaMc1 } from "./truthfulqa.ts";
import { wikiHeldout } from "./wiki-heldout.ts";
import { wikitext } from "./wikitext.ts";
import { wikitext512 } from "./wikitext-512.ts";

const ALL: readonly Task[] = [
  ...[hellaswag, wikitext, wikitext512, wikiHeldout],
  ...[arcEasy, arcChallenge, truthfulqaMc1, mmlu, mmluContinuation],
  ...[chatAgreement, chatAnswers, frankenHellaswag],
  ...[triviaqa, triviaqaClosed, triviaqaOpen],
];

export const TASKS: ReadonlyMap<string, Task> = new Map(ALL.map((task) => [task.id, task]));
