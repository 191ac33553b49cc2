// The door of shadow scoring; the queue's Durable Object is made by the Worker's entry.
export { isSampled, needsShadow, type ShadowJob, type ShadowOutcome, type ShadowQueue, type Treatment } from "./job.ts";
export { type AnswerOffer, shadowJobOf } from "./offer.ts";
