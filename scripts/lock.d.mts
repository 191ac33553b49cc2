/** @returns what releases the lock; undefined while another process holds it */
export function takeLock(name: string): Promise<(() => Promise<void>) | undefined>;
