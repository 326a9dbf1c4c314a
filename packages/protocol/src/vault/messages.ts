/**
 * The private link between server and vault: mutual TLS, one client. The vault keeps no orders: everything it
 * must remember travels in blobs that it sealed itself.
 */
import { type Static, Type } from 'typebox';
import { CardDesign, PaymentApplication } from '../d1/production.ts';
import {
  ChipBeginAnswer,
  ChipIdentity,
  ChipScriptAnswer,
  CryptogramEvidence,
  CryptogramVerdict,
} from '../station/messages.ts';

const closed = { additionalProperties: false } as const;
const Sealed = Type.String({ description: 'base64url, sealed by the vault', maxLength: 262_144 });

export const PublicJwk = Type.Object({
  kty: Type.Literal('EC'),
  crv: Type.Literal('P-256'),
  x: Type.String(),
  y: Type.String(),
  kid: Type.Optional(Type.String()),
});
export type PublicJwk = Static<typeof PublicJwk>;

export const PrepareRequest = Type.Object(
  {
    issuerId: Type.String(),
    operationId: Type.String(),
    cardId: Type.String(),
    productId: Type.String(),
    paymentApplication: PaymentApplication,
    cardDesign: Type.Optional(CardDesign),
    encryptedData: Type.String(),
  },
  closed,
);
export type PrepareRequest = Static<typeof PrepareRequest>;

export const PrepareAnswer = Type.Union([
  Type.Object(
    {
      result: Type.Literal('prepared'),
      sealedPlan: Sealed,
      maskedPan: Type.String(),
      /** Keyed hash of the PAN, base64url: equal for equal PANs of one issuer, useless without the key. */
      panToken: Type.String(),
      /** Keyed hash of the decrypted card data, base64url (OD-3.10). */
      fingerprint: Type.String(),
    },
    closed,
  ),
  Type.Object(
    {
      result: Type.Literal('rejected'),
      errorCode: Type.Union([
        Type.Literal('DATA_JWE_INVALID'),
        Type.Literal('DATA_FIELD_INVALID'),
        Type.Literal('DATA_KEY_NOT_FOUND'),
        Type.Literal('DATA_PREPARATION_FAILED'),
      ]),
      /** Dotted name of the field in error, e.g. `encryptedData.exp`; never a value. */
      field: Type.String(),
    },
    closed,
  ),
]);
export type PrepareAnswer = Static<typeof PrepareAnswer>;

export const FingerprintRequest = Type.Object(
  {
    issuerId: Type.String(),
    encryptedData: Type.String(),
    /** A fingerprint that the answer is compared with: it is made under the same version of the key while that is kept. */
    comparedWith: Type.Optional(Type.String({ maxLength: 64 })),
  },
  closed,
);
export type FingerprintRequest = Static<typeof FingerprintRequest>;
export const FingerprintAnswer = Type.Union([
  Type.Object({ result: Type.Literal('ok'), fingerprint: Type.String() }, closed),
  Type.Object({ result: Type.Literal('rejected'), field: Type.String() }, closed),
]);
export type FingerprintAnswer = Static<typeof FingerprintAnswer>;

const JobRef = { jobId: Type.String(), epoch: Type.Integer({ minimum: 1 }), stationId: Type.String() };

export const PayloadRequest = Type.Object(
  { sealedPlan: Sealed, ...JobRef, stationKey: PublicJwk, expiresAt: Type.Integer() },
  closed,
);
export type PayloadRequest = Static<typeof PayloadRequest>;
export const PayloadAnswer = Type.Object({ payload: Type.String() }, closed);
export type PayloadAnswer = Static<typeof PayloadAnswer>;

export const VaultChipBeginRequest = Type.Object({ sealedPlan: Sealed, ...JobRef }, closed);
export type VaultChipBeginRequest = Static<typeof VaultChipBeginRequest>;
export const VaultChipBeginAnswer = ChipBeginAnswer;

export const VaultScriptRequest = Type.Object(
  {
    sealedPlan: Sealed,
    ...JobRef,
    ticket: Type.String(),
    chip: ChipIdentity,
    initializeUpdateResponse: Type.String(),
  },
  closed,
);
export type VaultScriptRequest = Static<typeof VaultScriptRequest>;
export const VaultScriptAnswer = Type.Union([
  Type.Object({ result: Type.Literal('ok'), ...ChipScriptAnswer.properties }, closed),
  Type.Object(
    {
      result: Type.Literal('refused'),
      reason: Type.Union([
        Type.Literal('CARD_CRYPTOGRAM_INVALID'),
        Type.Literal('RESPONSE_MALFORMED'),
        Type.Literal('PROTOCOL_NOT_ALLOWED'),
        Type.Literal('TICKET_INVALID'),
      ]),
    },
    closed,
  ),
]);
export type VaultScriptAnswer = Static<typeof VaultScriptAnswer>;

export const VaultCryptogramRequest = Type.Object(
  { sealedPlan: Sealed, evidence: CryptogramEvidence },
  closed,
);
export type VaultCryptogramRequest = Static<typeof VaultCryptogramRequest>;
export const VaultCryptogramAnswer = CryptogramVerdict;

/** What an issuer needs to encrypt to us, per issuer, and what a terminal needs to trust our test cards. */
export const VaultPublicKeys = Type.Object({
  recipientKeys: Type.Array(Type.Object({ issuerId: Type.String(), jwk: PublicJwk })),
  products: Type.Array(Type.Object({ productId: Type.String(), config: Type.String(), aid: Type.String() })),
  capks: Type.Array(
    Type.Object({
      rid: Type.String(),
      index: Type.String(),
      modulus: Type.String(),
      exponent: Type.String(),
      sha1: Type.String(),
      expires: Type.String(),
    }),
  ),
});
export type VaultPublicKeys = Static<typeof VaultPublicKeys>;

/** What holds the vault's keys, what it proved at start-up, and where key bytes are seen. */
export const VaultStatus = Type.Object({
  keys: Type.Object({
    adapter: Type.String(),
    token: Type.Optional(
      Type.Object({
        label: Type.String(),
        manufacturer: Type.String(),
        model: Type.String(),
        serialNumber: Type.String(),
        hardwareVersion: Type.String(),
        firmwareVersion: Type.String(),
        library: Type.String(),
      }),
    ),
    operations: Type.Array(
      Type.Object({
        operation: Type.String(),
        result: Type.Union([Type.Literal('passed'), Type.Literal('refused')]),
        keyBytes: Type.Union([Type.Literal('inside'), Type.Literal('host')]),
        note: Type.Optional(Type.String()),
      }),
    ),
  }),
  iccKeysReady: Type.Integer(),
  /** Keys that end soon or have ended and wait to be destroyed; `endsAt` is ISO 8601. */
  keysEnding: Type.Array(
    Type.Object({
      name: Type.String(),
      state: Type.Union([
        Type.Literal('active'),
        Type.Literal('retired'),
        Type.Literal('expired'),
        Type.Literal('destroyed'),
      ]),
      endsAt: Type.String(),
    }),
  ),
});
export type VaultStatus = Static<typeof VaultStatus>;

export const vaultPaths = {
  publicKeys: '/vault/v1/public-keys',
  prepare: '/vault/v1/preparations',
  fingerprint: '/vault/v1/fingerprints',
  payload: '/vault/v1/payloads',
  chipBegin: '/vault/v1/chip-sessions',
  script: '/vault/v1/scripts',
  cryptogram: '/vault/v1/cryptograms',
  health: '/vault/v1/health',
  status: '/vault/v1/status',
} as const;
