export { type Access, AccessError, type CheckAuthorization, createAuthorizationCheck, readKeys } from "./keys.ts";
