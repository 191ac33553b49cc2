// Numbers within bounds, digit by digit: while the digits so far equal a bound's, the bound decides which digit may come next.
// Decimals have at most 15 significant digits, so that no two of them, nor one and a bound, fall together when read as a double.
// Integers have as many, or as many as a bound has: their digits are told apart by whoever reads integers as they are written.
import { type AutomatonBuilder, type Fragment, GrammarTooLarge, type State } from "./automaton.ts";
import type { Exact } from "./exact.ts";
import { EXACT_DIGITS } from "./json.ts";

export interface Limit {
  readonly value: Exact;
  /** Whether the value itself is within it. */
  readonly inclusive: boolean;
}

export interface NumberRange {
  readonly integer: boolean;
  readonly above: readonly Limit[];
  readonly below: readonly Limit[];
  /** Above 0, each. */
  readonly multiplesOf: readonly Exact[];
}

/** A magnitude: digits before and after the point, the first without leading zeros ("0" for none), the second without trailing ones. */
interface Decimal {
  readonly negative: boolean;
  readonly whole: string;
  readonly fraction: string;
}

interface Bound extends Decimal {
  /** The bound itself is within it. */
  readonly inclusive: boolean;
}

const ZERO: Decimal = { negative: false, whole: "0", fraction: "" };
/** States of one number: its digits times the remainders of `multipleOf`. */
const MAX_STATES = 3_000;
/** Digits of an integer at most, however far its bounds are. */
const MAX_DIGITS = 40;

/** The number's shortest decimal, written out. */
function decimal(value: Exact): Decimal {
  if (typeof value === "bigint") {
    const negative = value < 0n;
    return { negative, whole: String(negative ? -value : value), fraction: "" };
  }
  const [digits = "0", exponent = "0"] = Math.abs(value).toExponential().split("e");
  const significant = digits.replace(".", "");
  const point = Number(exponent) + 1;
  const padded = point > 0 ? significant.padEnd(point, "0") : "0".repeat(1 - point) + significant;
  const whole = padded.slice(0, Math.max(1, point)).replace(/^0+(?=\d)/, "");
  return { negative: value < 0, whole, fraction: padded.slice(Math.max(1, point)).replace(/0+$/, "") };
}

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`; signs do not count. */
function compare(a: Decimal, b: Decimal): number {
  if (a.whole.length !== b.whole.length) return a.whole.length - b.whole.length;
  const [x, y] = [a.whole + a.fraction, b.whole + b.fraction];
  return x === y ? 0 : x < y ? -1 : 1;
}

/** The tighter of two bounds on signed values; `side` is 1 for lower bounds, -1 for upper ones. */
function tighter(a: Bound, b: Bound, side: 1 | -1): Bound {
  const difference = order(a, b);
  if (difference === 0) return a.inclusive ? b : a;
  return difference * side > 0 ? a : b;
}

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`. */
function order(a: Decimal, b: Decimal): number {
  if (a.negative !== b.negative) return isZero(a) && isZero(b) ? 0 : a.negative ? -1 : 1;
  return compare(a, b) * (a.negative ? -1 : 1);
}
const isZero = ({ whole, fraction }: Decimal): boolean => whole === "0" && fraction === "";

/** The tightest bounds on either side; undefined where there is none. */
function bounds({ above, below }: NumberRange): readonly [Bound | undefined, Bound | undefined] {
  const tightest = (limits: readonly Limit[], side: 1 | -1): Bound | undefined => {
    const all = limits.map(({ value, inclusive }): Bound => ({ ...decimal(value), inclusive }));
    return all.reduce<Bound | undefined>((a, b) => (a ? tighter(a, b, side) : b), undefined);
  };
  return [tightest(above, 1), tightest(below, -1)];
}

/** Whether it is certain that no number is within the range. */
export function isEmptyRange(range: NumberRange): boolean {
  const [low, high] = bounds(range);
  if (!low || !high) return false;
  const difference = order(low, high);
  return difference > 0 || (difference === 0 && !(low.inclusive && high.inclusive));
}

/** Whether a number is within the range. */
export function isWithin(value: Exact, range: NumberRange): boolean {
  const [low, high] = bounds(range);
  const given = decimal(value);
  if (range.integer && given.fraction !== "") return false;
  if (low && (order(given, low) < 0 || (order(given, low) === 0 && !low.inclusive))) return false;
  if (high && (order(given, high) > 0 || (order(given, high) === 0 && !high.inclusive))) return false;
  const { scale, modulus } = commonMultiple(range.multiplesOf);
  const digits = given.whole + given.fraction.padEnd(scale, "0");
  return given.fraction.length <= scale ? BigInt(digits) % modulus === 0n : range.multiplesOf.length === 0;
}

/** The least number that is a multiple of all: `modulus / 10 ** scale`. Without any, 1 / 10 ** 0. */
function commonMultiple(values: readonly Exact[]): { scale: number; modulus: bigint } {
  const all = values.map(decimal);
  const scale = Math.max(0, ...all.map(({ fraction }) => fraction.length));
  const divisor = (a: bigint, b: bigint): bigint => (b === 0n ? a : divisor(b, a % b));
  const modulus = all
    .map(({ whole, fraction }) => BigInt(whole + fraction.padEnd(scale, "0")))
    .reduce((a, b) => (a / divisor(a, b)) * b, 1n);
  return { scale, modulus };
}

/** A number in plain decimals, without exponent, that fulfils the range; a piece that matches nothing where no number does. */
export function numbers(builder: AutomatonBuilder, range: NumberRange): Fragment {
  const [lowest, highest] = bounds(range);
  const digits = digitsOf(range.integer, lowest, highest);
  /** Beyond every value that is written. */
  const limit: Bound = { negative: false, whole: `1${"0".repeat(digits)}`, fraction: "", inclusive: false };
  const least: Bound = { ...limit, negative: true };
  const low = tighter(lowest ?? least, least, 1);
  const high = tighter(highest ?? limit, limit, -1);
  const zero: Bound = { ...ZERO, inclusive: true };
  const aboveZero: Bound = { ...ZERO, inclusive: false };
  return (next) => {
    const starts: State[] = [];
    if (!high.negative) starts.push(magnitudes(builder, { range, low: low.negative ? zero : low, high, digits }, next));
    if (low.negative) {
      const positive = { range, low: high.negative ? high : aboveZero, high: low, digits };
      starts.push(builder.byte(0x2d, 0x2d, magnitudes(builder, positive, next)));
    }
    return builder.any(starts);
  };
}

/** Digits before the point that are written at most. */
function digitsOf(integer: boolean, low: Bound | undefined, high: Bound | undefined): number {
  if (!integer) return EXACT_DIGITS;
  const lengths = [low, high].map((bound) => bound?.whole.length ?? 0).filter((length) => length <= MAX_DIGITS);
  return Math.max(EXACT_DIGITS, ...lengths);
}

interface Magnitudes {
  readonly range: NumberRange;
  readonly low: Bound;
  readonly high: Bound;
  readonly digits: number;
}

/** Unsigned numbers from `low` to `high`; the bounds' signs do not count. */
function magnitudes(builder: AutomatonBuilder, { range, low, high, digits: most }: Magnitudes, next: State): State {
  const step = range.multiplesOf.length > 0;
  const { scale, modulus } = commonMultiple(range.multiplesOf);
  const starts: State[] = [];
  const longest = Math.min(high.whole.length, most);
  /** By what may still come: where no bound decides, numbers of all lengths share it. */
  const memo = new Map<string, State>();

  for (let length = low.whole.length; length <= longest; length++) {
    const room = Math.max(0, EXACT_DIGITS - length);
    const decimals = range.integer ? 0 : step ? Math.min(scale, room) : room;
    const digitOf = (bound: Bound, at: number): number =>
      Number((at < length ? bound.whole[at] : bound.fraction[at - length]) ?? 0);
    /** Whether all the bound's digits from `at` on are zeros: the digits so far are the bound itself. */
    const spent = (bound: Bound, at: number): boolean => /^0*$/.test((bound.whole + bound.fraction).slice(at));
    const mayEnd = (at: number, onLow: boolean, onHigh: boolean, rest: bigint): boolean =>
      (!onLow || (spent(low, at) && low.inclusive)) &&
      (!onHigh || !spent(high, at) || high.inclusive) &&
      (rest * 10n ** BigInt(Math.max(0, scale - (at - length)))) % modulus === 0n;

    /** After `at` digits; `onLow`, `onHigh`: they are the bound's own so far. `rest`: their value modulo the step's digits. */
    const after = (at: number, onLow: boolean, onHigh: boolean, rest: bigint, pointed: boolean): State => {
      const isFree = at > 0 && !onLow && !onHigh;
      const key = isFree
        ? `${length - at} ${decimals} ${rest} ${pointed}`
        : `${length} ${at} ${onLow} ${onHigh} ${rest} ${pointed}`;
      const known = memo.get(key);
      if (known !== undefined) return known;
      if (memo.size === MAX_STATES) throw new GrammarTooLarge(`a number may have ${MAX_STATES} states`);
      builder.work.spend(4);
      const made = builder.state();
      memo.set(key, made);
      if (at >= length && (at > length || !pointed) && mayEnd(at, onLow, onHigh, rest)) builder.jump(made, next);
      if (at === length && !pointed && decimals > 0) {
        builder.read(made, 0x2e, 0x2e, after(at, onLow, onHigh, rest, true));
      }
      if (at < length || (pointed && at < length + decimals)) readDigits(made, at, onLow, onHigh, rest, pointed);
      return made;
    };
    const readDigits = (
      made: State,
      ...[at, onLow, onHigh, rest, pointed]: readonly [number, boolean, boolean, bigint, boolean]
    ): void => {
      const least = Math.max(onLow ? digitOf(low, at) : 0, at === 0 && length > 1 ? 1 : 0);
      const most = onHigh ? digitOf(high, at) : 9;
      builder.work.spend(40);
      const target = (digit: number): State =>
        after(
          at + 1,
          onLow && digit === digitOf(low, at),
          onHigh && digit === digitOf(high, at),
          (rest * 10n + BigInt(digit)) % modulus,
          pointed,
        );
      for (let from = least; from <= most; ) {
        const to = target(from);
        let last = from;
        while (last < most && target(last + 1) === to) last++;
        builder.read(made, 0x30 + from, 0x30 + last, to);
        from = last + 1;
      }
    };
    starts.push(after(0, length === low.whole.length, length === high.whole.length, 0n, false));
  }
  return builder.any(starts);
}
