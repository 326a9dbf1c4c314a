/**
 * The issuer's configuration: one JSON file, checked as a whole, paths relative to the file.
 *
 * Invariants: all faults are told at once and none repeats a value; the card API listens on loopback only,
 * because it has no authentication of its own.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const closed = { additionalProperties: false } as const;
const File = Type.String({ minLength: 1 });
const Port = Type.Integer({ minimum: 0, maximum: 65_535 });
const KeyIndex = Type.String({ pattern: '^[A-Za-z0-9_-]{1,16}$' });

const OrderedPaymentApplication = Type.Object(
  {
    config: Type.String({ minLength: 1 }),
    odaKeyIndex: KeyIndex,
    derivationKeyIndex: KeyIndex,
    cvKeyIndex: Type.Optional(KeyIndex),
    pvKeyIndex: Type.Optional(KeyIndex),
  },
  closed,
);

const ConfigFile = Type.Object(
  {
    dataFolder: File,
    issuerId: Type.String({ pattern: '^[A-Za-z0-9_-]{10}$' }),
    notificationListener: Type.Object({ host: Type.String(), port: Port, clientCaFile: File }, closed),
    tls: Type.Object({ certFile: File, keyFile: File }, closed),
    api: Type.Object(
      {
        host: Type.Union([Type.Literal('127.0.0.1'), Type.Literal('::1'), Type.Literal('localhost')]),
        port: Port,
      },
      closed,
    ),
    d1: Type.Object(
      {
        origin: Type.String({ pattern: '^https://[^/]+$' }),
        caFile: File,
        certFile: File,
        keyFile: File,
        signingKid: Type.String({ minLength: 1 }),
        signingKeyFile: File,
        recipientJwk: Type.Object({
          kty: Type.Literal('EC'),
          crv: Type.Literal('P-256'),
          x: Type.String(),
          y: Type.String(),
          kid: Type.String({ minLength: 1 }),
        }),
        productId: Type.String({ minLength: 1 }),
        paymentApplication: OrderedPaymentApplication,
        /** Products that a request may name instead of the usual one. */
        otherProducts: Type.Optional(
          Type.Array(
            Type.Object(
              { productId: Type.String({ minLength: 1 }), paymentApplication: OrderedPaymentApplication },
              closed,
            ),
          ),
        ),
        defaultStation: Type.String({ minLength: 1 }),
      },
      closed,
    ),
    oauth: Type.Object({ clientId: Type.String({ minLength: 1 }), clientSecretFile: File }, closed),
    /** How often orders without an end are looked after. */
    reconcileIntervalMs: Type.Optional(Type.Integer({ minimum: 10 })),
  },
  closed,
);

export type IssuerConfig = Static<typeof ConfigFile>;

/** The configuration cannot be used; `faults` lists everything that is wrong with it, without values. */
export class IssuerConfigError extends Error {
  override readonly name = 'IssuerConfigError';
  readonly code = 'CONFIG_INVALID';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`The configuration cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.faults = faults;
  }
}

const validator = Compile(ConfigFile);

function absolutePaths(value: unknown, folder: string): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((entry) => absolutePaths(entry, folder));
  return Object.fromEntries(
    Object.entries(value).map(([name, member]: [string, unknown]) => [
      name,
      /(File|Folder)$/.test(name) && typeof member === 'string'
        ? resolve(folder, member)
        : absolutePaths(member, folder),
    ]),
  );
}

/** Reads and checks the file. Paths come back absolute. @throws IssuerConfigError */
export function readIssuerConfig(file: string): IssuerConfig {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const code = (error as { code?: string }).code;
    throw new IssuerConfigError([code === undefined ? 'it is not JSON' : `it cannot be read (${code})`]);
  }
  if (!validator.Check(raw)) {
    const faults = validator
      .Errors(raw)
      .map(
        ({ instancePath, message }) =>
          `${instancePath.slice(1).replaceAll('/', '.') || '(file)'}: ${message}`,
      );
    throw new IssuerConfigError([...new Set(faults)]);
  }
  return absolutePaths(raw, dirname(resolve(file))) as IssuerConfig;
}
