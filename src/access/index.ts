export { type Access, type CheckAuthorization, createAuthorizationCheck } from "./keys.ts";
