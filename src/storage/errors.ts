// The error of a database that cannot be read or written.

export class StorageError extends Error {
  override readonly name = "StorageError";
}
