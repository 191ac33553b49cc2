// The browser of the system, for tests that look at a page; they are left out where there is none.
import { spawnSync } from "node:child_process";

export const browserPath = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => {
  const { stdout } = spawnSync("which", [name], { encoding: "utf8" });
  return stdout?.trim() ? [stdout.trim()] : [];
})[0];
if (!browserPath) console.warn("left out: pages in a browser, because no chromium or google-chrome is installed");
