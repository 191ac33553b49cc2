export { type Access, type CheckAuthorization, createAuthorizationCheck, readKeys } from "./keys.ts";
