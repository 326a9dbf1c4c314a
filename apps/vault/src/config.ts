/**
 * Configuration of the vault: one schema, no insecure default.
 *
 * Invariant: the production environment is refused as long as the only key adapter keeps keys in software and the
 * sandbox card keys are published ones (security.md K2, K11).
 */
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
    /** 32 random bytes that the software adapter seals its key files with. */
    masterKeyFile: Type.String({ minLength: 1 }),
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

/** Reads the file. @throws ConfigError naming every fault, or that production needs hardware keys */
export function readVaultConfig(file: string): VaultConfig {
  const config = readConfig(VaultConfig, file);
  if (config.environment === 'production') {
    throw new ConfigError(file, ['environment: production needs a hardware key adapter and keys of its own']);
  }
  return config;
}
