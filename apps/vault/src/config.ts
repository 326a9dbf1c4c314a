/**
 * Configuration of the vault: one schema, no insecure default.
 *
 * Invariant: the production environment takes keys in a token only, and names every operation that may show key
 * bytes to the vault's own memory (security.md K1, K2, K11).
 */
import { Pkcs11KeyConfig } from '@cardwright/keys';
import { ConfigError, readConfig } from '@cardwright/runtime';
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;

export const VaultConfig = Type.Object(
  {
    environment: Type.Union([Type.Literal('sandbox'), Type.Literal('production')]),
    dataFolder: Type.String({ minLength: 1 }),
    listener: Type.Object(
      {
        host: Type.String({ minLength: 1 }),
        port: Type.Integer({ minimum: 0, maximum: 65535 }),
        clientCaFile: Type.String({ minLength: 1 }),
      },
      closed,
    ),
    tls: Type.Object(
      { certFile: Type.String({ minLength: 1 }), keyFile: Type.String({ minLength: 1 }) },
      closed,
    ),
    /** SHA-256 thumbprints (base64url) of the client certificates that may speak to the vault. */
    allowedClientThumbprints: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }), { minItems: 1 }),
    issuerIds: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{10}$' }), {
      minItems: 1,
      uniqueItems: true,
    }),
    /** Issuers that may send data sets they prepared themselves (`emvData`). Default: none. */
    emvDataIssuerIds: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{10}$' }), { uniqueItems: true }),
    ),
    /** PIN block formats an issuer may send; an issuer that is not named may send ISO9564-4 only. */
    pinBlockFormats: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[A-Za-z0-9_-]{10}$' }),
        Type.Array(
          Type.Union([Type.Literal('ISO9564-4'), Type.Literal('ISO9564-0'), Type.Literal('ISO9564-3')]),
          { minItems: 1, uniqueItems: true },
        ),
      ),
    ),
    /** Where the keys are. Default: in software, sealed in the data folder. */
    keys: Type.Optional(
      Type.Union([Type.Object({ adapter: Type.Literal('software') }, closed), Pkcs11KeyConfig]),
    ),
    /** How many days before its end a key is warned of. Default 90. */
    keyWarningDays: Type.Optional(Type.Integer({ minimum: 0, maximum: 3650 })),
    /** 32 random bytes that the software adapter seals its key files with; no other adapter has one. */
    masterKeyFile: Type.Optional(Type.String({ minLength: 1 })),
    /** Keys held ready for each modulus length that a product uses. */
    iccKeyPoolSize: Type.Integer({ minimum: 0, maximum: 100_000 }),
    /** Every PAN must begin with one of these; each is also the issuer number of an issuer certificate. */
    testPanPrefixes: Type.Array(Type.String({ pattern: '^[0-9]{3,8}$' }), { minItems: 1, uniqueItems: true }),
    /** CA keys of payment systems, whose issuer certificates may be imported; each file holds one `CaPublicKey`. */
    schemeCas: Type.Optional(Type.Array(Type.Object({ keyFile: Type.String({ minLength: 1 }) }, closed))),
  },
  closed,
);
export type VaultConfig = Static<typeof VaultConfig>;

/** Reads the file. @throws ConfigError naming every fault, or what production does not take */
export function readVaultConfig(file: string): VaultConfig {
  const config = readConfig(VaultConfig, file);
  const faults = keyFaults(config);
  if (faults.length > 0) throw new ConfigError(file, faults);
  return config;
}

function keyFaults({ environment, keys, masterKeyFile }: VaultConfig): string[] {
  const isProduction = environment === 'production';
  if (keys?.adapter !== 'pkcs11') {
    return [
      ...(isProduction ? ['environment: production needs keys in a PKCS#11 token'] : []),
      ...(masterKeyFile === undefined ? ['masterKeyFile: the software key adapter needs it'] : []),
    ];
  }
  return [
    ...(isProduction && keys.allowHostKeyBytes === true
      ? ['keys.allowHostKeyBytes: production names the operations, or allows none']
      : []),
    ...(masterKeyFile === undefined ? [] : ['masterKeyFile: keys in a token are not sealed with it']),
  ];
}
