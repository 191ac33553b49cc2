// Errors of the command line.

/** What the user can mend. Its message is printed as it is, without a stack; it names the file or tensor and says what to do. */
export class UserError extends Error {
  override readonly name = "UserError";
}
