/**
 * The station link: what agent and server say to each other over outbound mutual TLS.
 *
 * Every message is idempotent by (`jobId`, `messageId`) and checked against the job's epoch (I5).
 */
import { outcomes, productionStages } from '@cardwright/domain';
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
const Hex = Type.String({ pattern: '^([0-9A-F]{2})*$', maxLength: 2048 });
const literals = <const T extends readonly string[]>(values: T) =>
  Type.Enum(values as unknown as [T[number], ...T[number][]]);

/** A job as a station sees it when it has a lease. */
export const StationJob = Type.Object(
  {
    jobId: Id,
    operationId: Id,
    epoch: Type.Integer({ minimum: 1 }),
    /** True when the server already armed this job for this station: the journal decides what to do. */
    armed: Type.Boolean(),
    productId: Type.String(),
    /** Compact JWE to the station's payload key, holding a `StationPayload`; absent once armed. */
    payload: Type.Optional(Type.String()),
    leaseExpiresAt: Type.Integer({ description: 'epoch milliseconds' }),
  },
  closed,
);
export type StationJob = Static<typeof StationJob>;

export const ClaimRequest = Type.Object(
  { bootId: Id, agentVersion: Type.String({ pattern: '^[ -~]{0,64}$' }) },
  closed,
);
export type ClaimRequest = Static<typeof ClaimRequest>;
/** The station's current job, else the next one in its queue, else null. */
export const ClaimAnswer = Type.Object({ job: Type.Union([StationJob, Type.Null()]) }, closed);
export type ClaimAnswer = Static<typeof ClaimAnswer>;

export const ArmRequest = Type.Object({ epoch: Type.Integer({ minimum: 1 }) }, closed);
export type ArmRequest = Static<typeof ArmRequest>;
export const ArmAnswer = Type.Object({ armed: Type.Literal(true) }, closed);
export type ArmAnswer = Static<typeof ArmAnswer>;

/** What the agent needs to open the secure channel: it relays, the vault holds every key. */
export const ChipBeginAnswer = Type.Object(
  {
    /** AID of the issuer security domain to select. */
    securityDomainAid: Hex,
    /** The complete INITIALIZE UPDATE command. */
    initializeUpdate: Hex,
    /** Sealed by the vault; the agent hands it back unread. */
    ticket: Type.String({ maxLength: 4096 }),
  },
  closed,
);
export type ChipBeginAnswer = Static<typeof ChipBeginAnswer>;

/** Identity of the chip in the reader, as read before the secure channel. */
export const ChipIdentity = Type.Object(
  { atr: Hex, cplc: Type.Union([Hex, Type.Null()], { description: 'GET DATA 9F7F, value only' }) },
  closed,
);
export type ChipIdentity = Static<typeof ChipIdentity>;

export const ChipScriptRequest = Type.Object(
  {
    epoch: Type.Integer({ minimum: 1 }),
    ticket: Type.String({ maxLength: 4096 }),
    chip: ChipIdentity,
    /** Response data of INITIALIZE UPDATE, without status word. */
    initializeUpdateResponse: Hex,
  },
  closed,
);
export type ChipScriptRequest = Static<typeof ChipScriptRequest>;

/** One command of the script. `label` is for people and logs: it names no data. */
export const ScriptStep = Type.Object(
  {
    apdu: Hex,
    expect: Type.Array(Type.String({ pattern: '^[0-9A-F]{4}$' })),
    label: Type.String({ maxLength: 64 }),
  },
  closed,
);
export type ScriptStep = Static<typeof ScriptStep>;

export const ChipScriptAnswer = Type.Object(
  {
    script: Type.Array(ScriptStep),
    /** `terminate[k]` kills the chip after exactly k script commands were sent; null where no session lives. */
    terminate: Type.Array(Type.Union([ScriptStep, Type.Null()])),
  },
  closed,
);
export type ChipScriptAnswer = Static<typeof ChipScriptAnswer>;

/** One ARQC with everything the vault needs to recompute it. All values are hex without card number. */
export const CryptogramEvidence = Type.Object(
  {
    epoch: Type.Integer({ minimum: 1 }),
    /** CDOL1 related data as sent to GENERATE AC. */
    cdol1Data: Hex,
    cid: Hex,
    atc: Hex,
    arqc: Hex,
    iad: Hex,
  },
  closed,
);
export type CryptogramEvidence = Static<typeof CryptogramEvidence>;
export const CryptogramVerdict = Type.Object(
  { confirmed: Type.Boolean(), reason: Type.Optional(Type.String({ maxLength: 64 })) },
  closed,
);
export type CryptogramVerdict = Static<typeof CryptogramVerdict>;

const FaultText = Type.String({ pattern: '^[A-Z][A-Z0-9_]{1,63}$', description: 'A canonical fault code' });
/** Evidence is free in shape but never holds card data: the agent masks, the server scans. */
const Evidence = Type.Record(Type.String({ maxLength: 64 }), Type.Unknown());

export const StageReport = Type.Object(
  {
    kind: Type.Literal('stage'),
    stage: literals(productionStages),
    status: literals(['started', 'completed', 'failed', 'waiting']),
    fault: Type.Optional(FaultText),
  },
  closed,
);
export const OutcomeReport = Type.Object(
  {
    kind: Type.Literal('outcome'),
    outcome: literals(outcomes),
    fault: Type.Optional(FaultText),
    /** True as soon as the first personalization command may have reached the chip. */
    personalizationSent: Type.Boolean(),
    /** True when the chip confirmed its terminate command. */
    terminated: Type.Boolean(),
    /** Blanks that left the feeder for this job: 0 or 1. */
    blanksPicked: Type.Integer({ minimum: 0, maximum: 1 }),
    evidence: Evidence,
  },
  closed,
);
export const HandOverReport = Type.Object(
  { kind: Type.Literal('hand_over'), state: literals(['presented', 'taken', 'retracted']) },
  closed,
);

export const Report = Type.Object(
  {
    messageId: Id,
    epoch: Type.Integer({ minimum: 1 }),
    /** The agent's clock, epoch milliseconds. */
    at: Type.Integer({ minimum: 0 }),
    report: Type.Union([StageReport, OutcomeReport, HandOverReport]),
  },
  closed,
);
export type Report = Static<typeof Report>;
export type StageReport = Static<typeof StageReport>;
export type OutcomeReport = Static<typeof OutcomeReport>;
export type HandOverReport = Static<typeof HandOverReport>;
export const ReportAnswer = Type.Object(
  { acknowledged: Type.Literal(true), duplicate: Type.Boolean() },
  closed,
);
export type ReportAnswer = Static<typeof ReportAnswer>;

export const StationError = Type.Object({ code: Type.String(), message: Type.String() });
export type StationError = Static<typeof StationError>;

/** Refusals of the station link. `isFinal`: repeating the call cannot help, the agent drops the job. */
export const stationErrors = {
  BAD_MESSAGE: { httpStatus: 400, isFinal: true },
  UNKNOWN_JOB: { httpStatus: 404, isFinal: true },
  STALE_EPOCH: { httpStatus: 409, isFinal: true },
  NOT_LEASED: { httpStatus: 409, isFinal: true },
  ORDER_ENDED: { httpStatus: 409, isFinal: true },
  CHIP_REFUSED: { httpStatus: 422, isFinal: true },
  SCRIPT_ALREADY_RELEASED: { httpStatus: 409, isFinal: true },
  /** The vault has judged the request: this job's sealed data cannot be used. */
  VAULT_REFUSED: { httpStatus: 422, isFinal: true },
  /** A card is called produced of which the vault has confirmed no cryptogram. */
  CARD_UNPROVEN: { httpStatus: 409, isFinal: true },
  STATION_UNKNOWN: { httpStatus: 401, isFinal: false },
  VAULT_UNAVAILABLE: { httpStatus: 503, isFinal: false },
  /** The server's database is away: nothing was decided, the call may be repeated. */
  STORE_UNAVAILABLE: { httpStatus: 503, isFinal: false },
  INTERNAL_ERROR: { httpStatus: 500, isFinal: false },
} as const;
export type StationErrorCode = keyof typeof stationErrors;

export const stationPaths = {
  events: '/station/v1/events',
  claim: '/station/v1/jobs:claim',
  arm: (jobId: string) => `/station/v1/jobs/${jobId}/arm`,
  chipBegin: (jobId: string) => `/station/v1/jobs/${jobId}/chip/begin`,
  chipScript: (jobId: string) => `/station/v1/jobs/${jobId}/chip/script`,
  cryptogram: (jobId: string) => `/station/v1/jobs/${jobId}/chip/cryptogram`,
  reports: (jobId: string) => `/station/v1/jobs/${jobId}/reports`,
} as const;
