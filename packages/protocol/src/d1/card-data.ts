/**
 * The plaintext inside `encryptedData` (OD-3.7). Shape only: check digit, dates and character sets are the
 * vault's business, which alone decrypts it.
 */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;

export const TrackData = Type.Object(
  {
    track1: Type.Optional(Type.String({ maxLength: 79 })),
    track2: Type.Optional(Type.String({ maxLength: 40 })),
    track3: Type.Optional(Type.String({ maxLength: 107 })),
  },
  closed,
);

export const PinBlock = Type.Object(
  {
    format: Type.Union([
      Type.Literal('ISO9564-4'),
      Type.Literal('ISO9564-0'),
      Type.Literal('ISO9564-3'),
      Type.Literal('TR31'),
    ]),
    value: Type.String({ maxLength: 512 }),
    keyIndex: Type.String({ pattern: '^[A-Za-z0-9_-]{1,16}$' }),
  },
  closed,
);

/** Model 2, our extension (OD-3.7): DGIs that the issuer prepared, in hexadecimal, by identifier. */
export const EmvData = Type.Object(
  {
    /** The profile that the data set was prepared for. */
    profile: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,31}$' }),
    dgis: Type.Record(
      Type.String({ pattern: '^[0-9A-F]{4}$' }),
      Type.String({ description: 'upper-case hexadecimal, 1 to 1024 bytes', maxLength: 2048 }),
    ),
  },
  closed,
);
export type EmvData = Static<typeof EmvData>;

export const CardData = Type.Object(
  {
    pan: Type.String({ pattern: '^[0-9]{12,19}$' }),
    exp: Type.String({ pattern: '^[0-9]{4}$', description: 'YYMM unless the product says MMYY' }),
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    secondName: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    encodedName: Type.Optional(Type.String({ minLength: 2, maxLength: 26 })),
    cvv1: Type.Optional(Type.String({ pattern: '^[0-9]{3}$' })),
    cvv2: Type.Optional(Type.String({ pattern: '^[0-9]{3,4}$' })),
    pvv: Type.Optional(Type.String({ pattern: '^[0-9]{4}$' })),
    paymentAccountReference: Type.Optional(Type.String({ pattern: '^[A-Z0-9]{29}$' })),
    panSequenceNumber: Type.Optional(Type.String({ pattern: '^[0-9]{2}$' })),
    effectiveDate: Type.Optional(Type.String({ pattern: '^[0-9]{6}$' })),
    trackData: Type.Optional(TrackData),
    pinBlock: Type.Optional(PinBlock),
    emvData: Type.Optional(EmvData),
  },
  closed,
);
export type CardData = Static<typeof CardData>;
