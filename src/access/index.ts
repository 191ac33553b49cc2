export { type CheckAuthorization, createAuthorizationCheck } from "./keys.ts";
