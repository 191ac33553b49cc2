// Each test file begins with empty databases and Durable Objects, though all share a runtime.
import { reset } from "cloudflare:test";
import { beforeAll } from "vitest";

beforeAll(reset);
