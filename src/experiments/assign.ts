// Which arm a unit is in: a keyed hash of its name, so that every gateway, now and after any restart, gives the same answer without
// asking anybody, and nobody without the key can choose an arm by choosing a name.
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { armAt, type Layout, PLACES } from "./layout.ts";

/** A unit of one experiment, without its name: what is stored and hashed is this. */
export interface HashedUnit {
  /** 128 bits in hexadecimal; another one in each experiment, so that a unit cannot be followed from one to the next. */
  readonly id: string;
  /** Its place on the layouts' line. */
  readonly place: number;
  /** In [0, 1), independent of the place: a unit is in the audience's share when this is below it. */
  readonly draw: number;
}

export interface UnitHashOptions {
  /** The secret of this gateway; 16 bytes or more. */
  readonly key: Uint8Array;
  /** Id of the experiment: experiments assign independently of each other. */
  readonly experiment: string;
}

/**
 * HMAC-SHA-256 of a unit's name under a key of the experiment, cut into an id, a place and a draw.
 *
 * @throws RangeError for a key of fewer than 16 bytes
 */
export function createUnitHash({ key, experiment }: UnitHashOptions): (unit: string) => HashedUnit {
  if (key.length < 16) throw new RangeError(`The key has ${key.length} bytes: give it 16 or more.`);
  const keyed = hmac.create(sha256, hmac(sha256, key, utf8ToBytes(`experiment:${experiment}`)));
  return (unit) => {
    const digest = keyed.clone().update(utf8ToBytes(unit)).digest();
    const view = new DataView(digest.buffer, digest.byteOffset);
    return {
      id: bytesToHex(digest.subarray(0, 16)),
      place: Math.floor(unitInterval(view, 16) * PLACES),
      draw: unitInterval(view, 24),
    };
  };
}

/** 53 bits as a number in [0, 1). */
const unitInterval = (view: DataView, at: number): number =>
  (view.getUint32(at) * 2 ** 21 + (view.getUint32(at + 4) >>> 11)) / 2 ** 53;

/** That a unit met its arm: written once per unit and epoch, under this key. */
export interface Exposure {
  readonly experiment: string;
  readonly epoch: number;
  readonly unit: string;
  readonly arm: string;
  readonly place: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What makes exposures the same: a store keeps the first of those with the same key. */
export const exposureKey = ({ experiment, epoch, unit }: Exposure): string => `${experiment}/${epoch}/${unit}`;

export interface ExposeOptions {
  readonly experiment: string;
  /** One layout per epoch, the current one last. */
  readonly layouts: readonly Layout[];
  readonly unit: HashedUnit;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** The exposure of a unit to its arm in the current epoch. */
export const expose = ({ experiment, layouts, unit, at }: ExposeOptions): Exposure => ({
  experiment,
  epoch: layouts.length - 1,
  unit: unit.id,
  arm: armAt(layouts.at(-1) ?? [], unit.place),
  place: unit.place,
  at,
});
