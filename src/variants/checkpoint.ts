// Apart from base.ts: a replica has no memory to spare for the validator that comes with that file's schemas.
import type { BaseModel } from "./base.ts";

/** Id of the checkpoint whose tokenizer these weights go with. */
export const checkpointOf = ({ id, checkpoint }: BaseModel): string => checkpoint ?? id;
