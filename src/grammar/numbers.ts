// Numbers within bounds, digit by digit: while the digits so far equal a bound's, the bound decides which digit may come next.
// Values have at most 15 significant digits, so that no two of them, nor one and a bound, fall together when read as a double.
import type { AutomatonBuilder, Fragment, State } from "./automaton.ts";
import { EXACT_DIGITS } from "./json.ts";

export interface NumberRange {
  readonly integer: boolean;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly exclusiveMinimum?: number | undefined;
  readonly exclusiveMaximum?: number | undefined;
  /** Above 0. */
  readonly multipleOf?: number | undefined;
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
/** Beyond every value that is written. */
const LIMIT: Bound = { negative: false, whole: `1${"0".repeat(EXACT_DIGITS)}`, fraction: "", inclusive: false };

/** The number's shortest decimal, written out. */
function decimal(value: number): Decimal {
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
  const order = a.negative !== b.negative ? (a.negative ? -1 : 1) : compare(a, b) * (a.negative ? -1 : 1);
  if (order === 0) return a.inclusive ? b : a;
  return order * side > 0 ? a : b;
}

function bounds(range: NumberRange): [Bound, Bound] {
  let low: Bound = { ...LIMIT, negative: true };
  let high = LIMIT;
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = range;
  if (minimum !== undefined) low = tighter(low, { ...decimal(minimum), inclusive: true }, 1);
  if (exclusiveMinimum !== undefined) low = tighter(low, { ...decimal(exclusiveMinimum), inclusive: false }, 1);
  if (maximum !== undefined) high = tighter(high, { ...decimal(maximum), inclusive: true }, -1);
  if (exclusiveMaximum !== undefined) high = tighter(high, { ...decimal(exclusiveMaximum), inclusive: false }, -1);
  return [low, high];
}

/** A number in plain decimals, without exponent, that fulfils the range; a piece that matches nothing where no number does. */
export function numbers(builder: AutomatonBuilder, range: NumberRange): Fragment {
  const [low, high] = bounds(range);
  const zero: Bound = { ...ZERO, inclusive: true };
  const aboveZero: Bound = { ...ZERO, inclusive: false };
  return (next) => {
    const starts: State[] = [];
    if (!high.negative) starts.push(magnitudes(builder, range, low.negative ? zero : low, high, next));
    if (low.negative) {
      const positive = magnitudes(builder, range, high.negative ? high : aboveZero, low, next);
      starts.push(builder.byte(0x2d, 0x2d, positive));
    }
    return builder.any(starts);
  };
}

/** Unsigned numbers from `low` to `high`; the bounds' signs do not count. */
function magnitudes(builder: AutomatonBuilder, range: NumberRange, low: Bound, high: Bound, next: State): State {
  const step = range.multipleOf === undefined ? undefined : decimal(range.multipleOf);
  const scale = step?.fraction.length ?? 0;
  const modulus = step ? BigInt(step.whole + step.fraction) : 1n;
  const starts: State[] = [];
  const longest = Math.min(high.whole.length, EXACT_DIGITS);

  for (let length = low.whole.length; length <= longest; length++) {
    const room = EXACT_DIGITS - length;
    const decimals = range.integer ? 0 : step ? Math.min(scale, room) : room;
    const memo = new Map<string, State>();
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
      const key = `${at} ${onLow} ${onHigh} ${rest} ${pointed}`;
      const known = memo.get(key);
      if (known !== undefined) return known;
      const states: State[] = [];
      if (at >= length && (at > length || !pointed) && mayEnd(at, onLow, onHigh, rest)) states.push(next);
      if (at === length && !pointed && decimals > 0) {
        states.push(builder.byte(0x2e, 0x2e, after(at, onLow, onHigh, rest, true)));
      }
      if (at < length || (pointed && at < length + decimals)) states.push(...digits(at, onLow, onHigh, rest, pointed));
      const made = builder.any(states);
      memo.set(key, made);
      return made;
    };
    const digits = (at: number, onLow: boolean, onHigh: boolean, rest: bigint, pointed: boolean): State[] => {
      const least = Math.max(onLow ? digitOf(low, at) : 0, at === 0 && length > 1 ? 1 : 0);
      const most = onHigh ? digitOf(high, at) : 9;
      const states: State[] = [];
      for (let from = least; from <= most; ) {
        const target = (digit: number): State =>
          after(
            at + 1,
            onLow && digit === digitOf(low, at),
            onHigh && digit === digitOf(high, at),
            (rest * 10n + BigInt(digit)) % modulus,
            pointed,
          );
        const to = target(from);
        let last = from;
        while (last < most && target(last + 1) === to) last++;
        states.push(builder.byte(0x30 + from, 0x30 + last, to));
        from = last + 1;
      }
      return states;
    };
    starts.push(after(0, length === low.whole.length, length === high.whole.length, 0n, false));
  }
  return builder.any(starts);
}
