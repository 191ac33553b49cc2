// The Python package that distils students, tested by its own tests. Left out, and said so, where
// Python lacks its packages.
import { execFile, execFileSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { root } from "../../build/paths.ts";

const python = process.env.FRANKEN_PYTHON ?? "python3";
const packages = ["torch", "numpy", "gguf", "safetensors", "pytest"];

const missing = (() => {
  try {
    const probe = `import importlib.util as i; print(*(n for n in "${packages.join(" ")}".split() if not i.find_spec(n)))`;
    return execFileSync(python, ["-c", probe], { encoding: "utf8" }).trim();
  } catch {
    return packages.join(" ");
  }
})();
if (missing !== "") {
  console.warn(
    `left out: the tests of training/, because ${python} lacks ${missing}: install ./training[test] in a virtual environment and name its Python in FRANKEN_PYTHON`,
  );
}

describe.skipIf(missing !== "")("the training package", () => {
  it("passes its own tests", async () => {
    const env = { ...process.env, PYTHONPATH: join(root, "training") };
    const { stdout } = await promisify(execFile)(python, ["-m", "pytest", "-q", "training/tests"], { cwd: root, env });
    expect(stdout).toMatch(/^\d+ passed/m);
  });
});
