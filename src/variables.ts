// Numbers that Workers are configured with: text in their environment. One table a Worker says what is allowed,
// and the same check runs when a Worker reads them and before `npm start` says that it is ready.

export interface NumberVariable {
  /** Taken where the variable is not set. Default: it must be set. */
  readonly fallback?: string;
  isAllowed(value: number): boolean;
  /** Completes "it must be". */
  readonly allowed: string;
}

export type Variables<Name extends string> = Readonly<Record<Name, NumberVariable>>;
export type Environment<Name extends string> = { readonly [name in Name]?: string | undefined };

/** @throws Error that names the variable and what is allowed */
export function readNumber<Name extends string>(
  variables: Variables<Name>,
  env: Environment<Name>,
  name: Name,
): number {
  const { fallback, isAllowed, allowed } = variables[name];
  const text = env[name]?.trim() || fallback || "";
  const value = Number(text);
  if (text === "" || !isAllowed(value)) {
    throw new Error(`${name} is ${text === "" ? "not set" : text}; it must be ${allowed}`);
  }
  return value;
}

/** @throws Error as `readNumber`, for the first variable that is wrong */
export function readNumbers<Name extends string>(
  variables: Variables<Name>,
  env: Environment<Name>,
): Record<Name, number> {
  const names = Object.keys(variables) as Name[];
  return Object.fromEntries(names.map((name) => [name, readNumber(variables, env, name)])) as Record<Name, number>;
}

export const above0: NumberVariable = {
  isAllowed: (value) => value > 0 && value < Number.POSITIVE_INFINITY,
  allowed: "a number above 0",
};
export const from0: NumberVariable = {
  isAllowed: (value) => value >= 0 && value < Number.POSITIVE_INFINITY,
  allowed: "a number from 0",
};
export const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => ({
  isAllowed: (value: number) => Number.isInteger(value) && value >= least && value <= most,
  allowed: `a whole number from ${least}${most < Number.MAX_SAFE_INTEGER ? ` to ${most}` : ""}`,
});
