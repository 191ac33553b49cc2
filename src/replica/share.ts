// How much of the replica's work may go into comparing variants: a share of what live requests took, earned as they run.

export interface WorkShare {
  /** Live requests took this many multiply-adds. */
  earn(multiplyAdds: number): void;
  /** Whether there is credit for so much work. */
  covers(multiplyAdds: number): boolean;
  /** So much was done on credit. */
  spend(multiplyAdds: number): void;
}

/** Most credit: two passes over the whole context of the base, some 100 seconds of a core. More would let a quiet hour follow a busy day. */
const MOST_CREDIT = 4e12;

/** @param share of the work of live requests, from 0 */
export function createWorkShare(share: number): WorkShare {
  let credit = 0;
  return {
    earn(multiplyAdds) {
      credit = Math.min(MOST_CREDIT, credit + share * multiplyAdds);
    },
    covers: (multiplyAdds) => share > 0 && credit >= multiplyAdds,
    spend(multiplyAdds) {
      credit -= multiplyAdds;
    },
  };
}
