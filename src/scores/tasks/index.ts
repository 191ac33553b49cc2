// The tasks. A new one is a file and a line here.
import type { Task } from "../task.ts";
import { hellaswag } from "./hellaswag.ts";
import { triviaqa } from "./triviaqa.ts";
import { wikiHeldout } from "./wiki-heldout.ts";
import { wikitext } from "./wikitext.ts";
import { wikitext512 } from "./wikitext-512.ts";

export const TASKS: ReadonlyMap<string, Task> = new Map(
  [hellaswag, wikitext, wikitext512, wikiHeldout, triviaqa].map((task) => [task.id, task]),
);
