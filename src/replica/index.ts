// The replica Worker's door: its Durable Object's class, made by the entry that brings an engine.
export { createReplicaClass, notFound } from "./replica.ts";
