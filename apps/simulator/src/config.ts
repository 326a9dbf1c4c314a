/** The simulator's configuration: where it listens, what is in the feeder, and which faults it shows. */
import { type Static, Type } from 'typebox';
import { faultNames } from './fault-deck.ts';

const port = Type.Integer({ minimum: 0, maximum: 65535 });

export const simulatorConfigSchema = Type.Object(
  {
    dataFolder: Type.String({ minLength: 1 }),
    /** Where the Evolis service listens; port 0 lets the system choose. */
    evolis: Type.Object(
      {
        host: Type.String({ minLength: 1 }),
        port,
        /** How long a client may take to send its request; default 5 s. */
        requestTimeoutMs: Type.Optional(Type.Integer({ minimum: 1 })),
      },
      { additionalProperties: false },
    ),
    /** Where the reader listens that the chip in the contact station connects to. */
    vpcd: Type.Object({ host: Type.String({ minLength: 1 }), port }, { additionalProperties: false }),
    /** The printer's name; default "Cardwright Simulator". */
    device: Type.Optional(Type.String({ minLength: 1 })),
    secureChannel: Type.Union([Type.Literal('SCP03'), Type.Literal('SCP02')]),
    /** Master key of the blanks' chips, 16 bytes in hexadecimal; default the well-known test key. */
    kmc: Type.Optional(Type.String({ pattern: '^[0-9A-Fa-f]{32}$' })),
    /** Size of the stack that an operator puts into the feeder. */
    blanks: Type.Integer({ minimum: 0, maximum: 10_000 }),
    timing: Type.Union([Type.Literal('fast'), Type.Literal('realistic')]),
    /** When the customer takes a presented card; null for never. */
    takeAfterMs: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
    /** When the bezel takes a card back that nobody took; default by timing. */
    bezelDelayMs: Type.Optional(Type.Integer({ minimum: 1 })),
    faults: Type.Array(Type.Enum(faultNames)),
  },
  { additionalProperties: false },
);

export type SimulatorConfig = Static<typeof simulatorConfigSchema>;

export const defaultDeviceName = 'Cardwright Simulator';

/** The key that every test card in the world carries; a secret to nobody. */
export const wellKnownTestKey = '404142434445464748494A4B4C4D4E4F';

/** How long the mechanics take, in milliseconds. */
export interface MechanicsTiming {
  readonly feedMs: number;
  readonly moveMs: number;
  /** Each side. */
  readonly printMs: number;
  readonly bezelDelayMs: number;
  /** How long a print session stays reserved for a client that has gone away. */
  readonly sessionMs: number;
  /** How long a service that drops out temporarily stays away. */
  readonly outageMs: number;
}

export const mechanicsTimings: Readonly<Record<SimulatorConfig['timing'], MechanicsTiming>> = {
  fast: { feedMs: 4, moveMs: 2, printMs: 6, bezelDelayMs: 1_500, sessionMs: 1_500, outageMs: 2_000 },
  realistic: {
    feedMs: 2_500,
    moveMs: 1_500,
    printMs: 12_000,
    bezelDelayMs: 60_000,
    sessionMs: 45_000,
    outageMs: 15_000,
  },
};
