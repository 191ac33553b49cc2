// Server-sent events as text.

export interface ServerEvent {
  /** Its name. Default: none. */
  readonly event?: string | undefined;
  readonly data: object | "[DONE]";
}

export const eventText = ({ event, data }: ServerEvent): string =>
  `${event ? `event: ${event}\n` : ""}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

/** Clients skip it. */
export const commentText = (text: string): string => `: ${text}\n\n`;
