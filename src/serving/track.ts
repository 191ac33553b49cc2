// Tells the router what happens to a request as its frames pass by, and moves an answer that falls
// behind to a lighter variant.
import type { Frame, GenerateRequest, Replica } from "../replica/index.ts";
import type { Routed } from "../routing/index.ts";

export interface TrackOptions {
  readonly replica: Replica;
  readonly request: GenerateRequest;
  readonly routed: Routed;
  /** Called where the replica has room for fewer tokens than were asked for, before the first of them. */
  onLowered(maxTokens: number): void;
}

/** Hands on the frames unchanged. */
export async function* track(
  frames: AsyncIterable<Frame>,
  { replica, request, routed, onLowered }: TrackOptions,
): AsyncGenerator<Frame, void, undefined> {
  for await (const frame of frames) {
    if (frame.type === "status") routed.told(frame);
    if (frame.type === "start") {
      routed.started(frame.cached);
      if (frame.maxTokens !== undefined) onLowered(frame.maxTokens);
    }
    if (frame.type === "variant") routed.switched(frame.id, frame.fromToken);
    if (frame.type === "token") {
      const lighter = routed.token();
      // It may come too late: then the answer ends as it is.
      if (lighter) replica.switchVariant(request.id, lighter).catch(() => {});
    }
    yield frame;
  }
}
