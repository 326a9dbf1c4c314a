/**
 * What the vault encrypts to one station for one job: print fields and the facts to verify the card against.
 * It lives in the agent's memory for minutes and is never written to disk (I7). No chip key, no PIN.
 */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const Hex = Type.String({ pattern: '^([0-9A-F]{2})*$' });

export const PrintFields = Type.Object(
  {
    /** Printed name, Latin or Japanese. */
    name: Type.String(),
    secondName: Type.Optional(Type.String()),
    /** As the product prints it: the full PAN in groups, or masked. */
    pan: Type.String(),
    /** MM/YY */
    expiry: Type.String(),
    securityCode: Type.Optional(Type.String()),
    customLines: Type.Array(Type.String()),
    memberId: Type.Optional(Type.String()),
  },
  closed,
);
export type PrintFields = Static<typeof PrintFields>;

/**
 * What goes onto the magnetic stripe, without sentinels and LRC (ISO/IEC 7813; track 3 ISO/IEC 4909). Sensitive
 * authentication data: encoded, then forgotten; never written down, never logged (I7).
 */
export const StripeTracks = Type.Object(
  {
    track1: Type.String({ maxLength: 76, pattern: '^[ -$&->@-_]*$' }),
    track2: Type.String({ maxLength: 37, pattern: '^[0-9=]*$' }),
    track3: Type.Optional(Type.String({ maxLength: 104, pattern: '^[0-9=]*$' })),
  },
  closed,
);
export type StripeTracks = Static<typeof StripeTracks>;

/** Facts to check a card by, as a terminal sees it. Hashes are SHA-256 over the bytes the card returns. */
export const VerificationFacts = Type.Object(
  {
    aid: Hex,
    pseAid: Hex,
    ppseAid: Hex,
    aip: Hex,
    afl: Hex,
    records: Type.Array(Type.Object({ sfi: Type.Integer(), record: Type.Integer(), sha256: Hex }, closed)),
    capk: Type.Object({ rid: Hex, index: Hex, modulus: Hex, exponent: Hex }, closed),
    panSha256: Hex,
    atcStart: Type.Integer(),
  },
  closed,
);
export type VerificationFacts = Static<typeof VerificationFacts>;

export const StationPayload = Type.Object(
  {
    jobId: Type.String(),
    stationId: Type.String(),
    epoch: Type.Integer(),
    /** epoch milliseconds after which the agent must refuse the payload */
    expiresAt: Type.Integer(),
    design: Type.String({ description: 'Name of the print template' }),
    isTestCard: Type.Boolean(),
    print: PrintFields,
    /** Present where the product has a stripe; a station without an encoder ignores it. */
    stripe: Type.Optional(StripeTracks),
    verification: VerificationFacts,
  },
  closed,
);
export type StationPayload = Static<typeof StationPayload>;
