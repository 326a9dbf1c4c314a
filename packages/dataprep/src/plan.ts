/**
 * The plan: everything needed to make one card, as versioned bytes that only the vault can open.
 *
 * Invariants: a plan holds no usable key: application keys are named and derived when a script is written, the
 * ICC private key is a blob under the vault's sealing key. Its bytes exist only between `serializePlan` and
 * `KeyPort.seal`, and are wiped by whoever made them.
 */
import { check, PrintFields, StripeTracks, VerificationFacts } from '@cardwright/protocol';
import { type Static, Type } from 'typebox';
import { DataPreparationError } from './data-preparation-error.ts';

const closed = { additionalProperties: false } as const;
const Hex = Type.String({ pattern: '^([0-9A-F]{2})*$' });
const DgiId = Type.String({ pattern: '^[0-9A-F]{4}$' });

/** A DGI in the clear, or the place of a secret that is made and enciphered for the card in hand. */
const PlanDgi = Type.Union([
  Type.Object({ kind: Type.Literal('clear'), id: DgiId, value: Hex }, closed),
  Type.Object({ kind: Type.Literal('udk'), id: DgiId }, closed),
  Type.Object({ kind: Type.Literal('pin'), id: DgiId }, closed),
  Type.Object(
    { kind: Type.Literal('icc-crt'), id: DgiId, part: Type.Integer({ minimum: 0, maximum: 4 }) },
    closed,
  ),
]);
export type PlanDgi = Static<typeof PlanDgi>;

const PlanInstance = Type.Object(
  {
    label: Type.Union([Type.Literal('PSE'), Type.Literal('PPSE'), Type.Literal('APP')]),
    aid: Hex,
    dgis: Type.Array(PlanDgi),
  },
  closed,
);
export type PlanInstance = Static<typeof PlanInstance>;

export const Plan = Type.Object(
  {
    version: Type.Literal(2),
    issuerId: Type.String(),
    operationId: Type.String(),
    cardId: Type.String(),
    productId: Type.String(),
    config: Type.String(),
    design: Type.String(),
    isTestCard: Type.Boolean(),
    print: PrintFields,
    stripe: Type.Optional(StripeTracks),
    verification: VerificationFacts,
    instances: Type.Array(PlanInstance),
    /** What the application keys of this card are derived from. */
    udk: Type.Object(
      {
        option: Type.Union([Type.Literal('A'), Type.Literal('B')]),
        pan: Type.String(),
        panSequenceNumber: Type.String(),
        ac: Type.String(),
        smi: Type.String(),
        smc: Type.String(),
      },
      closed,
    ),
    /** The issuer's PIN block as it came, the name of its key, and what the chip wants of it. */
    pin: Type.Optional(
      Type.Object(
        {
          key: Type.String(),
          format: Type.Union([
            Type.Literal('ISO9564-4'),
            Type.Literal('ISO9564-0'),
            Type.Literal('ISO9564-3'),
          ]),
          block: Hex,
          reference: Type.Union([Type.Literal('ISO9564-2'), Type.Literal('ISO9564-1')]),
        },
        closed,
      ),
    ),
    iccKey: Type.Object({ sealed: Type.String(), context: Type.String() }, closed),
    secureChannels: Type.Array(
      Type.Object(
        { protocol: Type.Union([Type.Literal('SCP02'), Type.Literal('SCP03')]), masterKey: Type.String() },
        closed,
      ),
    ),
    /** How the DGIs are packed into commands. */
    packing: Type.Object(
      {
        maxCommandBytes: Type.Integer({ minimum: 16, maximum: 231 }),
        sharesCommands: Type.Boolean(),
        structureFlag: Type.Union([Type.Literal('00'), Type.Literal('08')]),
      },
      closed,
    ),
    /** What a cryptogram of this card must look like. */
    cryptogram: Type.Object({ aip: Hex, cdol1: Hex, iadPrefix: Hex, iadBytes: Type.Integer() }, closed),
  },
  closed,
);
export type Plan = Static<typeof Plan>;

/** Plan to bytes. The caller seals and wipes them. */
export function serializePlan(plan: Plan): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(plan));
}

/** Bytes of an unsealed plan. @throws DataPreparationError PLAN_INVALID */
export function parsePlan(bytes: Uint8Array): Plan {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new DataPreparationError('PLAN_INVALID', 'the plan is not readable');
  }
  const checked = check(Plan, value);
  if (!checked.ok) throw new DataPreparationError('PLAN_INVALID', `the plan is wrong at ${checked.field}`);
  return checked.value;
}
