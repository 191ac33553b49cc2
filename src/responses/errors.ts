// What the store of responses throws when its database fails; a file of its own, as the wire's errors know it.

export class StorageError extends Error {
  override readonly name = "StorageError";
}
