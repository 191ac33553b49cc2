// Gives the event loop its turn between pieces of a step, so that cancels, new requests and heartbeats get in.
import type { Pace } from "../engine/index.ts";

/** @param multiplyAdds work between two turns; at most some 10 ms of it on the engine at hand */
export function createPace(multiplyAdds: number): Pace {
  let done = 0;
  return (more) => {
    done += more;
    if (done < multiplyAdds) return undefined;
    done = 0;
    return scheduler.wait(0);
  };
}
